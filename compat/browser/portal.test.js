// The portal: apps of one's own, from the first token to the last mistake.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { App, Receiver, authorizeURL, freePort, inspect, like, oauth1, openBrowser, openPage, patience, post, signer, user, world } from "./world.js";

let browser;
let site;

before(async () => {
  browser = await openBrowser();
  site = await new App().listen();
});

after(async () => {
  await browser?.close();
  site?.close();
});

const browse = (name, run) =>
  test(name, { timeout: 10 * patience }, async () => {
    const page = await openPage(browser);
    try {
      await run(page);
      assert.deepEqual(page.refusals, [], "refused by the browser");
    } finally {
      await page.context().close();
    }
  });

const heading = (page) => page.getByRole("heading", { level: 1 }).innerText();
const main = (page) => page.getByRole("main").innerText();
const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
const follow = (page, name) => page.getByRole("link", { name, exact: true }).click();
const once = (page) => page.getByRole("region", { name: "Copy this now" });
const secret = (page, label) => once(page).getByLabel(label, { exact: true }).inputValue();

async function signIn(page, name) {
  await page.getByLabel("Username").fill(name);
  await page.getByLabel("Password").fill(user(name).password);
  await press(page, "Sign in");
}

async function portal(page, name) {
  await page.goto(`${world.url}/developer`);
  await signIn(page, name);
  await page.waitForURL(`${world.url}/developer`);
}

async function create(page, name, callbacks = [`${site.url}/callback`]) {
  await page.goto(`${world.url}/developer`);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Callback URLs").fill(callbacks.join("\n"));
  await press(page, "Create app");
  await once(page).waitFor();
}

// admin calls the operator's side.
async function admin(method, path, body) {
  const response = await fetch(world.admin_url + path, {
    method, headers: { authorization: `Bearer ${world.admin_token}`, "content-type": "application/json" }, body: body && JSON.stringify(body),
  });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${path}: ${text}`);
  return text && JSON.parse(text);
}

// reads is the status of a request with an app-only token.
const reads = async (bearer) => (await fetch(`${world.url}/2/tweets/${post(0)}`, { headers: { authorization: `Bearer ${bearer}` } })).status;

browse("my own app's first token takes six clicks or fewer", async (page) => {
  let clicks = 0;
  await page.exposeBinding("pressed", () => clicks++);
  await page.addInitScript(() => addEventListener("pointerdown", () => pressed(), true));
  await page.goto(world.url);
  await page.getByRole("main").getByRole("link", { name: "Your apps" }).click();
  await page.getByLabel("Username").waitFor();
  if (await page.getByRole("button", { name: "@alice" }).count()) { // in a world with a known seed
    await press(page, "@alice");
  } else {
    await page.keyboard.type("alice"); // it has the focus
    await page.keyboard.press("Tab");
    await page.keyboard.type(user("alice").password);
    await press(page, "Sign in");
  }
  await page.getByLabel("Name", { exact: true }).click();
  await page.keyboard.type("First steps");
  await press(page, "Create app");
  await once(page).waitFor();
  await press(page, "Make an OAuth 2.0 access token");
  const token = await secret(page, "Access token");
  assert.match(await page.getByRole("status").innerText(), /for 2 hours[\s\S]*like\.write/);
  assert.equal(await like("alice", post(4), `Bearer ${token}`), 200);
  assert.ok(clicks >= 5 && clicks <= 6, `it took ${clicks} clicks`);
});

browse("alice sees the app that the terminal printed", async (page) => {
  await portal(page, "alice");
  const row = page.getByRole("listitem").filter({ hasText: world.apps[0].client_id });
  await row.getByRole("link", { name: world.apps[0].name, exact: true }).click();
  assert.equal(await page.getByLabel("API key", { exact: true }).inputValue(), world.apps[0].api_key);
});

// onTop holds the mistakes of the page to be where one looks and types.
async function onTop(page) {
  assert.equal(await page.evaluate(() => document.activeElement.id), "problems", "the mistakes have not the focus");
  const box = await page.getByRole("alert").boundingBox();
  assert.ok(box.y >= 0 && box.y + box.height <= 800, `the mistakes are out of sight: ${JSON.stringify(box)}`);
  assert.match(await page.title(), /^Error: /);
}

browse("mistakes stand on top, have the focus, and lead to their fields", async (page) => {
  await portal(page, "carol");
  const typed = `https://a.example/cb\nmybot://back\nnot a url`;
  await page.getByLabel("Callback URLs").fill(typed);
  await page.getByLabel("Public").check();
  await press(page, "Create app");
  const summary = page.getByRole("alert");
  assert.deepEqual(await summary.getByRole("listitem").allInnerTexts(),
    ["Enter a name", `Callback 3, "not a url": begin with https:// or with your app's own scheme`]);
  await onTop(page);
  assert.equal(await page.getByLabel("Callback URLs").inputValue(), typed);
  assert.equal(await page.getByLabel("Public").isChecked(), true);
  const field = page.getByLabel("Callback URLs");
  assert.equal(await field.getAttribute("aria-invalid"), "true");
  const describes = await field.evaluate((f) => f.getAttribute("aria-describedby").split(" ").map((id) => document.getElementById(id).innerText));
  assert.ok(describes.some((text) => text.startsWith("Callback 3")), describes.join());
  await inspect(page, "portal-mistakes");
  await page.setViewportSize({ width: 1280, height: 800 });
  await summary.getByRole("link", { name: "Callback 3" }).click();
  assert.equal(await page.evaluate(() => document.activeElement.id), "redirect_uris", "the link does not lead to the field");
});

browse("mistakes on the page of an app", async (page) => {
  await portal(page, "carol");
  const summary = page.getByRole("alert");
  await create(page, "Mistaken");
  await press(page, "Save");
  await page.getByRole("status").waitFor();
  const port = await freePort();
  const section = page.getByRole("region", { name: "Webhooks" });
  await section.getByLabel("URL").fill(`http://127.0.0.1:${port}/likes`);
  await press(page, "Add webhook");
  assert.deepEqual(await summary.getByRole("listitem").allInnerTexts(), [`Nothing answers at 127.0.0.1:${port}. Is your receiver running?`]);
  await onTop(page);
  await summary.getByRole("link").click();
  assert.equal(await page.evaluate(() => document.activeElement.id), "webhook-url");
  await page.getByText("Scopes: what it may do").click();
  for (const scope of ["tweet.read", "users.read", "like.read", "like.write", "offline.access"]) await page.getByLabel(scope, { exact: false }).uncheck();
  await press(page, "Make an OAuth 2.0 access token");
  assert.deepEqual(await summary.getByRole("listitem").allInnerTexts(), ["Choose what the token may do"]);
  await page.getByLabel("like.write").waitFor(); // the scopes are unfolded
  await inspect(page, "app-mistakes");
});

browse("a reload repeats nothing, and kills no key", async (page) => {
  await portal(page, "carol");
  await create(page, "Reloaded");
  const app = page.url();
  const bearer = await secret(page, "Bearer token");
  await page.reload();
  assert.equal(await once(page).count(), 0, "secrets are shown twice");
  assert.equal(await heading(page), "Reloaded");
  await page.goto(`${world.url}/developer`);
  assert.equal(await page.getByRole("link", { name: "Reloaded", exact: true }).count(), 1, "a reload made a second app");
  await page.goto(app);
  assert.equal(await reads(bearer), 200);

  await follow(page, "New bearer token…");
  await press(page, "Regenerate bearer token");
  const renewed = await secret(page, "Bearer token");
  await inspect(page, "app-regenerated");
  await page.reload();
  assert.deepEqual([await reads(bearer), await reads(renewed)], [401, 200]);

  await follow(page, "New bearer token…");
  await press(page, "Regenerate bearer token");
  const third = await secret(page, "Bearer token");
  await press(page, "Undo: bring the old one back");
  assert.match(await page.getByRole("status").innerText(), /The old one is back/);
  assert.deepEqual([await reads(third), await reads(renewed)], [401, 200]);
});

browse("a session that ended in another tab loses nothing that was typed", async (page) => {
  await portal(page, "carol");
  await page.getByLabel("Name", { exact: true }).fill("Kept");
  await page.getByLabel("Callback URLs").fill("https://kept.example/cb");
  await page.getByLabel("Public").check();
  const other = await page.context().newPage();
  await other.goto(`${world.url}/developer`);
  await press(other, "Sign out");
  await press(page, "Create app");
  assert.match(await main(page), /Your session has ended[\s\S]*nothing that you typed is lost/);
  assert.equal(await page.getByLabel("Username").inputValue(), "carol");
  await page.getByLabel("Password").fill("wrong");
  await press(page, "Sign in");
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Password").fill(user("carol").password);
  await press(page, "Sign in");
  assert.equal(await heading(page), "Go on where you were");
  await inspect(page, "resume");
  await press(page, "Create app");
  await once(page).waitFor();
  assert.equal(await heading(page), "Kept");
  assert.equal(await page.getByLabel("Callback URLs").inputValue(), "https://kept.example/cb");
  assert.match(await main(page), /Public app/);
  await other.close();
});

browse("what ends something asks first, and says what", async (page) => {
  await portal(page, "carol");
  await create(page, "Listener of carol");
  const app = page.url();
  const receiver = await new Receiver().listen(await secret(page, "API key secret"));
  try {
    const address = `${receiver.url}/likes`;
    await page.getByRole("region", { name: "Webhooks" }).getByLabel("URL").fill(address);
    await press(page, "Add webhook");
    await page.getByRole("status").waitFor();
    const key = await page.getByLabel("API key", { exact: true }).inputValue();
    await follow(page, "New API key and secret…");
    const words = await main(page);
    assert.ok(words.includes("Webhooks are signed with the secret") && words.includes(address), words);
    await follow(page, "Cancel");
    assert.equal(await page.getByLabel("API key", { exact: true }).inputValue(), key, "Cancel changes the key");

    await follow(page, "Remove…");
    assert.equal(await heading(page), `Remove the webhook ${address}?`);
    await follow(page, "Cancel");
    await follow(page, "Delete the app…");
    assert.equal(await heading(page), "Delete Listener of carol?");
    assert.match(await main(page), /webhook and all subscriptions are gone[\s\S]*This cannot be taken back/);
    await inspect(page, "confirm-delete");
    await press(page, "Delete the app");
    assert.match(await page.getByRole("status").innerText(), /Listener of carol is deleted/);
    assert.equal((await page.goto(app)).status(), 404);
  } finally {
    receiver.close();
  }
});

browse("an app goes to somebody who wants it", async (page) => {
  await portal(page, "carol");
  await create(page, "Gift");
  await page.getByLabel("Give it to").fill("nobody_at_all");
  await press(page, "Offer the app");
  assert.deepEqual(await page.getByRole("alert").getByRole("listitem").allInnerTexts(), ["There is no @nobody_at_all here"]);
  await page.getByLabel("Give it to").fill("bob");
  await press(page, "Offer the app");
  const link = await secret(page, "Link for @bob");
  await press(page, "Sign out");
  await page.goto(link);
  await signIn(page, "bob");
  assert.equal(await heading(page), "Take over Gift from @carol?");
  await press(page, "Take the app over");
  assert.match(await page.getByRole("status").innerText(), /The app is yours/);
  await page.goto(`${world.url}/developer?q=gift`);
  assert.equal(await page.getByRole("link", { name: "Gift", exact: true }).count(), 1);
});

browse("many apps are found, and the last one is known before", async (page) => {
  const owner = "dave";
  const made = [];
  try {
    for (let n = 1; n <= 25; n++) made.push(await admin("POST", "/admin/apps", { name: `Number ${n}`, owner, type: "public" }));
    await portal(page, owner);
    assert.match(await main(page), /You have 25 of at most 25/);
    assert.match(await page.getByRole("region", { name: "Create an app" }).innerText(), /as many as one person may have[\s\S]*delete it/);
    assert.equal(await page.getByLabel("Callback URLs").count(), 0);
    await page.getByLabel("Search your apps").fill(made[6].client_id);
    await press(page, "Search");
    assert.deepEqual(await page.getByRole("heading", { level: 2 }).allInnerTexts(), ["Number 7", "Create an app"]);
    assert.ok((await main(page)).includes(made[6].client_id));
    await inspect(page, "portal-search");
    await page.getByLabel("Search your apps").fill("no such app");
    await press(page, "Search");
    assert.match(await main(page), /No app of yours has “no such app”/);
  } finally {
    for (const app of made) await admin("DELETE", `/admin/apps/${app.id}`);
  }
});

browse("without scripts", async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  context.setDefaultTimeout(patience);
  try {
    const page = await context.newPage();
    await portal(page, "carol");
    await press(page, "Create app");
    assert.deepEqual(await page.getByRole("alert").getByRole("listitem").allInnerTexts(), ["Enter a name"]);
    await create(page, "By hand");
    await press(page, "Make an OAuth 1.0a access token");
    assert.ok(await secret(page, "Access token secret"));
    await follow(page, "Delete the app…");
    await press(page, "Delete the app");
    assert.match(await page.getByRole("status").innerText(), /By hand is deleted/);
  } finally {
    await context.close();
  }
});

browse("consent is grouped, and the PIN selects itself", async (page) => {
  const app = { clientID: world.apps[0].client_id, apiKey: world.apps[0].api_key, apiSecret: world.apps[0].api_secret };
  await page.goto(authorizeURL(app, world.apps[0].redirect_uris[0], "tweet.read users.read like.read like.write dm.read dm.write offline.access").url);
  await signIn(page, "bob");
  const words = await main(page);
  assert.match(words, /See\n[\s\S]*Act for you\n\s*Like posts for you, and take likes back writes\n[\s\S]*Your direct messages\n[\s\S]*Send and delete direct messages for you writes/);
  const asked = await oauth1("request_token", signer(app, "", "", { oauth_callback: "oob" }));
  await page.goto(`${world.url}/oauth/authorize?oauth_token=${asked.oauth_token}`);
  assert.match(await main(page), /only if you started this yourself there: if somebody sent you here, cancel/);
  await press(page, "Authorize app");
  const pin = await page.getByLabel("Enter this PIN").inputValue();
  assert.equal(await page.evaluate("String(getSelection())"), pin, "the PIN is not selected");
  assert.match(await main(page), /Only if you started this yourself/);
  await page.reload();
  assert.equal(await page.getByLabel("Enter this PIN").inputValue(), pin, "a reload loses the PIN");

  await page.goto(`${world.url}/settings/connected_apps`);
  const row = page.getByRole("region", { name: world.apps[0].name, exact: true });
  await row.getByRole("link", { name: "Revoke access…" }).click();
  assert.equal(await heading(page), `Take back all access of ${world.apps[0].name}?`);
  assert.match(await main(page), /Every token[\s\S]*printed where the server was started/);
  await follow(page, "Cancel");
  assert.equal(await row.count(), 1);
});
