// The pages, in a real browser: what people do on them, and that everybody can.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { App, Receiver, authorizeURL, comes, elsewhereURL, inspect, like, me, oauth1, openBrowser, openPage, patience, post, redeem, signer, user, world } from "./world.js";

const likes = "tweet.read users.read like.read like.write offline.access";

let browser;
let site; // where the app's callbacks are
let other; // another site of the app, to which a callback leads on
let app; // made by alice in the portal

before(async () => {
  browser = await openBrowser();
  site = await new App().listen();
  other = await new App().listen("localhost");
  site.onward = `${other.url}/home`;
  const page = await openPage(browser);
  await page.goto(`${world.url}/developer`);
  await signIn(page, "alice");
  app = await createApp(page, "Like counter", [`${site.url}/callback`, `${site.url}/onward`, `${site.url}/callback?own=query`]);
  await page.context().close();
});

after(async () => {
  await browser?.close();
  site?.close();
  other?.close();
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

async function signIn(page, name, password = user(name).password) {
  await page.getByLabel("Username").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

// secretsOn reads what the page that is coming shows once, by label. It has the label that is named, the page before has not.
async function secretsOn(page, awaited) {
  const shown = {};
  await page.getByRole("region", { name: "Copy this now" }).getByLabel(awaited, { exact: true }).waitFor();
  for (const field of await page.getByRole("region", { name: "Copy this now" }).locator("textarea").all()) {
    shown[await field.evaluate((f) => f.labels[0].innerText)] = await field.inputValue();
  }
  return shown;
}

async function createApp(page, name, callbacks, access = "Read and write", type = "Confidential") {
  await page.goto(`${world.url}/developer`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel(type).check();
  await page.getByLabel(access, { exact: true }).check();
  await page.getByLabel("Callback URLs").fill(callbacks.join("\n"));
  await page.getByRole("button", { name: "Create app" }).click();
  const shown = await secretsOn(page, "Bearer token");
  return {
    clientID: await page.getByLabel("Client ID").inputValue(), clientSecret: shown["Client secret"],
    apiKey: shown["API key"], apiSecret: shown["API key secret"], bearer: shown["Bearer token"],
  };
}

browse("sign in, and out", async (page) => {
  await page.goto(`${world.url}/login`);
  await inspect(page, "sign-in");
  await signIn(page, "bob");
  await page.waitForURL(`${world.url}/settings/connected_apps`);
  assert.equal(await heading(page), "Connected apps");

  const [session] = await page.context().cookies();
  assert.equal(session.httpOnly, true);
  assert.equal(session.sameSite, "Lax");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto(`${world.url}/developer`);
  assert.equal(await heading(page), "Sign in");
});

browse("a wrong password", async (page) => {
  await page.goto(`${world.url}/developer`);
  await signIn(page, "alice", "not the password");
  const alert = page.getByRole("alert");
  const said = await alert.innerText();
  assert.equal(await page.getByLabel("Username").inputValue(), "alice");
  assert.equal(await page.getByLabel("Password").inputValue(), "");
  await inspect(page, "sign-in-wrong");
  await signIn(page, "nobody_at_all", "not the password");
  assert.equal(await alert.innerText(), said, "tells a wrong password from a wrong name");
  await signIn(page, "alice");
  await page.waitForURL(`${world.url}/developer`); // where one was going
});

browse("authorize an app, and like a post with it", async (page) => {
  const { url, state, verifier } = authorizeURL(app, `${site.url}/callback`, likes);
  await page.goto(url);
  await page.getByText("Then you decide what Like counter may do").waitFor();
  await inspect(page, "sign-in-for-an-app");
  await signIn(page, "bob");
  const main = await page.getByRole("main").innerText();
  for (const words of ["Like counter asks for access to your account", "@alice", "@bob", "Like posts for you",
    "Stay connected until you revoke it", new URL(site.url).host]) {
    assert.ok(main.includes(words), `the page does not say "${words}": ${main}`);
  }
  await inspect(page, "consent");
  await page.getByRole("button", { name: "Authorize app" }).click();
  await page.waitForURL(`${site.url}/callback?**`);
  const { url: back, referer } = site.last;
  assert.deepEqual([...back.searchParams.keys()], ["state", "code"]);
  assert.equal(back.searchParams.get("state"), state);
  assert.equal(referer, undefined);

  const { status, body } = await redeem(app, `${site.url}/callback`, verifier, back.searchParams.get("code"));
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(await like("bob", post(0), `Bearer ${body.access_token}`), 200);
});

// Chromium holds a page's form-action against every redirect that follows its forms.
browse("a callback that leads on to another site", async (page) => {
  await page.goto(authorizeURL(app, `${site.url}/onward`, likes).url);
  await signIn(page, "bob");
  await page.getByRole("button", { name: "Authorize app" }).click();
  await page.waitForURL(`${other.url}/home`);
  assert.ok(site.last.url.searchParams.get("code"));
});

browse("an app that asks in a pop-up", async (page) => {
  const popupSite = `${site.url}/callback`;
  await page.goto(`${site.url}/start`);
  site.page = "<!doctype html><title>The app</title><script>opener?.postMessage(location.search, '*')</script>";
  try {
    const { url, state } = authorizeURL(app, popupSite, likes);
    const opened = page.waitForEvent("popup");
    const answer = page.evaluate(([url, patience]) => {
      window.open(url, "_blank", "popup");
      return new Promise((resolve) => {
        addEventListener("message", (e) => resolve(e.data), { once: true });
        setTimeout(resolve, patience, "no message from the pop-up");
      });
    }, [url, patience]);
    const popup = await opened;
    await signIn(popup, "bob");
    await popup.getByRole("button", { name: "Authorize app" }).click();
    assert.match(await answer, new RegExp(`^\\?state=${state}&code=`));
  } finally {
    site.page = new App().page;
  }
});

browse("cancel", async (page) => {
  const { url, state } = authorizeURL(app, `${site.url}/callback?own=query`, likes);
  await page.goto(url);
  await signIn(page, "bob");
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.waitForURL(`${site.url}/callback?**`);
  assert.deepEqual(Object.fromEntries(site.last.url.searchParams), { own: "query", error: "access_denied", state });
});

browse("not you?", async (page) => {
  await page.goto(authorizeURL(app, `${site.url}/callback`, likes).url);
  await signIn(page, "bob");
  await page.getByRole("button", { name: "Not you?" }).click();
  assert.equal(await heading(page), "Sign in");
  await signIn(page, "alice");
  assert.match(await page.getByRole("main").innerText(), /Like counter asks for access[\s\S]*@alice/);
});

browse("an address that is wrong leads nowhere", async (page) => {
  const visits = site.visits.length;
  const response = await page.goto(authorizeURL(app, `${site.url}/callback/`, likes).url);
  assert.equal(response.status(), 400);
  const main = await page.getByRole("main").innerText();
  for (const words of ["Something went wrong", "You weren’t able to give access to the App. Go back and try logging in again.",
    "redirect_uri", `${site.url}/callback/`, `${site.url}/onward`]) {
    assert.ok(main.includes(words), `the page does not say "${words}": ${main}`);
  }
  await inspect(page, "fault");
  assert.equal(site.visits.length, visits);
});

// Each stop of the Tab key is somewhere that can be seen, and none is skipped.
browse("without a mouse", async (page) => {
  const focused = () => page.evaluate(() => {
    const e = document.activeElement;
    const style = getComputedStyle(e);
    const box = e.getBoundingClientRect();
    return {
      name: e.labels?.[0]?.innerText ?? e.innerText, top: box.top, bottom: box.bottom, height: innerHeight,
      outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    };
  });
  const tabTo = async (name) => {
    const passed = [];
    for (let i = 0; i < 30; i++) {
      await page.keyboard.press("Tab");
      const f = await focused();
      assert.ok(f.outline, `nothing shows that "${f.name}" has the focus`);
      assert.ok(f.top >= 0 && f.bottom <= f.height, `"${f.name}" has the focus out of sight`);
      if (f.name === name) return passed;
      passed.push(f.name);
    }
    assert.fail(`Tab leads to ${passed.join(", ")} and not to "${name}"`);
  };

  await page.goto(authorizeURL(app, `${site.url}/callback`, likes).url);
  assert.equal((await focused()).name, "Username", "one can type at once");
  await page.keyboard.type("bob");
  assert.deepEqual(await tabTo("Password"), []);
  await page.keyboard.type(user("bob").password);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Authorize app" }).waitFor();
  assert.deepEqual(await tabTo("Authorize app"), ["Skip to content", "liked", "Not you?"]);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${site.url}/callback?**`);
  assert.ok(site.last.url.searchParams.get("code"));

  await page.goto(`${world.url}/settings/connected_apps`);
  assert.deepEqual(await tabTo("Connected apps"), ["Skip to content", "liked", "Console", "API explorer", "Your apps"]);
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${world.url}/developer`);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter"); // skip to content
  assert.deepEqual(await tabTo("Name"), []);
});

browse("a PIN", async (page) => {
  const asked = await oauth1("request_token", signer(app, "", "", { oauth_callback: "oob" }));
  await page.goto(`${world.url}/oauth/authorize?oauth_token=${asked.oauth_token}`);
  await signIn(page, "bob");
  await page.getByText("you are shown a PIN").waitFor();
  await inspect(page, "consent-oauth1");
  await page.getByRole("button", { name: "Authorize app" }).click();
  const field = page.getByLabel("Enter this PIN");
  const pin = await field.inputValue();
  assert.match(pin, /^\d{7}$/);
  await inspect(page, "pin");
  await field.press("Control+a");
  assert.equal(await page.evaluate("String(getSelection())"), pin, "the PIN cannot be selected with the keyboard");

  const got = await oauth1("access_token", signer(app, asked.oauth_token, asked.oauth_token_secret, { oauth_verifier: pin }));
  assert.equal(got.screen_name, "bob");
  assert.equal(await like("bob", post(1), signer(app, got.oauth_token, got.oauth_token_secret)), 200);
});

browse("OAuth 1.0a with a callback, again, and refused", async (page) => {
  const ask = () => oauth1("request_token", signer(app, "", "", { oauth_callback: `${site.url}/onward` }));
  const first = await ask();
  await page.goto(`${world.url}/oauth/authenticate?oauth_token=${first.oauth_token}`);
  await signIn(page, "carol");
  await page.getByRole("button", { name: "Authorize app" }).click();
  await page.waitForURL(`${other.url}/home`);
  assert.equal(site.last.url.searchParams.get("oauth_token"), first.oauth_token);
  const verifier = site.last.url.searchParams.get("oauth_verifier");
  await oauth1("access_token", signer(app, first.oauth_token, first.oauth_token_secret, { oauth_verifier: verifier }));

  // Whoever has agreed before is not asked again, and goes straight from signing in to the app.
  const again = await ask();
  await page.goto(`${world.url}/settings/connected_apps`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto(`${world.url}/oauth/authenticate?oauth_token=${again.oauth_token}`);
  await signIn(page, "carol");
  await page.waitForURL(`${other.url}/home`);
  assert.equal(site.last.url.searchParams.get("oauth_token"), again.oauth_token);

  const refused = await ask();
  await page.goto(`${world.url}/oauth/authorize?oauth_token=${refused.oauth_token}`);
  await page.getByRole("button", { name: "Cancel" }).click();
  await inspect(page, "denied");
  await page.getByRole("link", { name: "Return to Like counter" }).click();
  await page.waitForURL(`${other.url}/home`);
  assert.equal(site.last.url.searchParams.get("denied"), refused.oauth_token);
});

browse("revoke an app", async (page) => {
  const { url, verifier } = authorizeURL(app, `${site.url}/callback`, likes);
  await page.goto(url);
  await signIn(page, "bob");
  await page.getByRole("button", { name: "Authorize app" }).click();
  await page.waitForURL(`${site.url}/callback?**`);
  const { body } = await redeem(app, `${site.url}/callback`, verifier, site.last.url.searchParams.get("code"));
  assert.equal(await me(body.access_token), 200);

  await page.goto(`${world.url}/settings/connected_apps`);
  const row = page.getByRole("region", { name: "Like counter" });
  assert.match(await row.innerText(), /by @alice[\s\S]*Like posts for you/);
  await inspect(page, "connected-apps");
  await row.getByRole("link", { name: "Revoke access…" }).click();
  await page.getByRole("button", { name: "Revoke access" }).click();
  await page.getByRole("status").waitFor();
  assert.equal(await row.count(), 0);
  await inspect(page, "connected-apps-revoked");
  assert.equal(await me(body.access_token), 401);
});

browse("the developer portal", async (page) => {
  await page.goto(`${world.url}/developer`);
  await signIn(page, "alice");
  await inspect(page, "portal");

  await page.getByLabel("Name").fill("Mistaken");
  await page.getByLabel("Callback URLs").fill("javascript:alert(1)");
  await page.getByRole("button", { name: "Create app" }).click();
  assert.match(await page.getByRole("alert").innerText(), /javascript/);
  assert.equal(await page.getByLabel("Callback URLs").inputValue(), "javascript:alert(1)");
  await inspect(page, "portal-mistake");

  const made = await createApp(page, "Portal test", [`${site.url}/callback`]);
  for (const [name, value] of Object.entries(made)) assert.ok(value?.length >= 20, `${name} is ${value}`);
  await inspect(page, "app-created");
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  const copied = comes(page, "Client secret is copied");
  await page.getByRole("button", { name: "Copy Client secret" }).click();
  await copied;
  assert.equal(await page.evaluate("navigator.clipboard.readText()"), made.clientSecret);
  const holdsSecrets = async () => {
    const text = await page.content();
    return [made.clientSecret, made.apiSecret, made.bearer].filter((secret) => text.includes(secret));
  };
  assert.equal((await holdsSecrets()).length, 3);

  await page.goto(`${world.url}/developer`);
  await page.getByRole("link", { name: "Portal test" }).click();
  await page.waitForURL(`${world.url}/developer/apps/*`);
  assert.deepEqual(await holdsSecrets(), [], "a secret is shown twice");
  assert.equal(await page.getByLabel("Client ID").inputValue(), made.clientID);
  await inspect(page, "app");

  const { url, verifier } = authorizeURL(made, `${site.url}/callback`, likes);
  const wrongCode = async (clientSecret) => (await redeem({ ...made, clientSecret }, `${site.url}/callback`, verifier, "none")).status;
  assert.equal(await wrongCode(made.clientSecret), 400);
  await page.getByRole("link", { name: "New client secret…" }).click();
  await page.getByRole("button", { name: "Regenerate client secret" }).click();
  const renewed = (await secretsOn(page, "Client secret"))["Client secret"];
  assert.notEqual(renewed, made.clientSecret);
  assert.equal(await wrongCode(made.clientSecret), 401);
  assert.equal(await wrongCode(renewed), 400);

  await page.getByRole("link", { name: "New API key and secret…" }).click();
  await page.getByRole("button", { name: "Regenerate API key and secret" }).click();
  const keys = await secretsOn(page, "API key secret");
  const pair = { apiKey: keys["API key"], apiSecret: keys["API key secret"] };
  assert.notEqual(pair.apiSecret, made.apiSecret);
  assert.ok((await oauth1("request_token", signer(pair, "", "", { oauth_callback: "oob" }))).oauth_token);

  await page.getByRole("button", { name: "Make an OAuth 2.0 access token" }).click();
  const token = (await secretsOn(page, "Access token"))["Access token"];
  assert.equal(await like("alice", post(2), `Bearer ${token}`), 200);
  await inspect(page, "app-token");
  await page.getByRole("button", { name: "Make an OAuth 1.0a access token" }).click();
  const own = await secretsOn(page, "Access token secret");
  assert.equal(await like("alice", post(3), signer(pair, own["Access token"], own["Access token secret"])), 200);

  await page.getByRole("link", { name: "New bearer token…" }).click();
  await page.getByRole("button", { name: "Regenerate bearer token" }).click();
  const bearer = (await secretsOn(page, "Bearer token"))["Bearer token"];
  const read = async (bearer) => (await fetch(`${world.url}/2/tweets/${post(0)}`, { headers: { authorization: `Bearer ${bearer}` } })).status;
  assert.deepEqual([await read(made.bearer), await read(bearer)], [401, 200]);

  await page.getByRole("region", { name: "Settings" }).getByLabel("Name").fill("Renamed");
  await page.getByLabel("Callback URLs").fill("com.example.app:/callback");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("status").waitFor();
  assert.equal(await heading(page), "Renamed");
  assert.equal((await page.goto(url)).status(), 400, "an address that is no longer registered");
});

browse("webhooks in the portal", async (page) => {
  await page.goto(`${world.url}/developer`);
  await signIn(page, "alice");
  const { apiSecret } = await createApp(page, "Listener", [`${site.url}/callback`]);
  const receiver = await new Receiver().listen(apiSecret);
  try {
    const address = `${receiver.url}/likes`;
    const section = page.getByRole("region", { name: "Webhooks" });
    const hook = section.getByRole("article", { name: address });
    const says = async (role, words) => assert.match(await page.getByRole(role).innerText(), words);
    const add = async () => {
      await section.getByLabel("URL").fill(address);
      await section.getByRole("button", { name: "Add webhook" }).click();
    };
    await section.getByText("There are none yet.").waitFor();
    receiver.honest = false;
    await add();
    await says("alert", /failed its challenge/);
    assert.equal(await section.getByLabel("URL").inputValue(), address);
    assert.equal(await hook.count(), 0);
    receiver.honest = true;
    await add();
    await says("status", /registered/);
    const [, id] = (await hook.innerText()).match(/\nValid · ID (\d+) ·/);
    await inspect(page, "app-webhook");
    await add();
    await says("alert", /This app has that webhook already/);

    await page.getByRole("button", { name: "Make an OAuth 2.0 access token" }).click();
    const authorization = `Bearer ${(await secretsOn(page, "Access token"))["Access token"]}`;
    const subscribed = await fetch(`${world.url}/2/activity/subscriptions`, {
      method: "POST",
      headers: { authorization, "content-type": "application/json" },
      body: JSON.stringify({ event_type: "like.create", filter: { user_id: user("alice").id }, webhook_id: id }),
    });
    assert.equal(subscribed.status, 200, await subscribed.text());
    const before = await fetch(`${world.url}/2/users/${user("alice").id}/likes/${post(1)}`, { method: "DELETE", headers: { authorization } });
    assert.equal(before.status, 200, await before.text()); // so that it is news
    assert.equal(await like("alice", post(1), authorization), 200);
    for (const deadline = Date.now() + patience; receiver.likes.length === 0; ) {
      assert.ok(Date.now() < deadline, "the like was not delivered");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.deepEqual(receiver.likes, [post(1)]);

    receiver.honest = false;
    await hook.getByRole("button", { name: "Validate" }).click();
    await says("alert", /failed its challenge/);
    assert.match(await hook.innerText(), /Not valid: it gets nothing until it is validated[\s\S]*Last challenge: /);
    await inspect(page, "app-webhook-invalid");
    receiver.honest = true;
    await hook.getByRole("button", { name: "Validate" }).click();
    await says("status", /The webhook is valid/);
    assert.match(await hook.innerText(), /\nValid ·/);

    await hook.getByRole("link", { name: "Remove…" }).click();
    await page.getByRole("button", { name: "Remove webhook" }).click();
    await says("status", /removed/);
    await section.getByText("There are none yet.").waitFor();
    assert.equal(await hook.count(), 0);
  } finally {
    receiver.close();
  }
});

// What a stranger names an app stays text.
browse("an app with a hostile name", async (page) => {
  await page.goto(`${world.url}/developer`);
  await signIn(page, "alice");
  const name = `</title><img src=x onerror=alert(1)>\u05d0<script>alert(1)</script>`;
  page.on("dialog", (dialog) => {
    page.refusals.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  const hostile = await createApp(page, name, [`${site.url}/callback`], "Read", "Public");
  assert.equal(hostile.clientSecret, undefined, "a public app has a client secret");
  assert.ok((await heading(page)).includes("<script>alert(1)</script>"));
  await page.goto(authorizeURL(hostile, `${site.url}/callback`, likes).url);
  assert.ok((await heading(page)).includes("<script>alert(1)</script>"));
  await inspect(page, "consent-hostile");
  assert.equal(await page.locator("img, script").count(), 0);
});

browse("a form that is out of date", async (page) => {
  await page.goto(authorizeURL(app, `${site.url}/callback`, likes).url);
  await signIn(page, "bob");
  await page.getByRole("button", { name: "Authorize app" }).waitFor();
  await page.context().clearCookies();
  const response = page.waitForResponse((r) => r.request().method() === "POST");
  await page.getByRole("button", { name: "Authorize app" }).click();
  assert.equal((await response).status(), 403);
  await signIn(page, "bob");
  await page.getByRole("button", { name: "Authorize app" }).waitFor(); // asked again

  await page.goto(`${world.url}/settings/connected_apps`);
  await page.evaluate(() => document.querySelector("[name=form_token]").value = "made up");
  const refused = page.waitForResponse((r) => r.request().method() === "POST");
  await page.getByRole("button", { name: "Sign out" }).click();
  assert.equal((await refused).status(), 403);
  await inspect(page, "trouble");
});

// Browsers send no Sec-Fetch-Site to such a site: what tells our forms from a stranger's is their Origin alone.
browse("on plain http, from another machine", async (page) => {
  await page.goto(`${elsewhereURL}/developer`);
  await signIn(page, "bob");
  await page.waitForURL(`${elsewhereURL}/developer`);
  assert.equal(await heading(page), "Your apps");
  await page.getByRole("link", { name: "liked", exact: true }).click();
  await page.waitForURL(`${elsewhereURL}/`);

  await page.goto(`${site.url}/`);
  const response = page.waitForResponse((r) => r.request().method() === "POST");
  await page.evaluate((url) => {
    const form = Object.assign(document.createElement("form"), { method: "post", action: url });
    document.body.append(form);
    form.submit();
  }, `${elsewhereURL}/logout`);
  assert.equal((await response).status(), 403, "a form from another site");
});

// Windows shows forced colours, which draw what is transparent, too.
browse("in forced colours, the current page alone looks current", async (page) => {
  await page.emulateMedia({ forcedColors: "active" });
  await page.goto(`${world.url}/developer`);
  await signIn(page, "bob");
  await page.waitForURL(`${world.url}/developer`);
  const lines = await page.getByRole("navigation").getByRole("link").evaluateAll((links) => links.map((link) => {
    const style = getComputedStyle(link);
    return [link.innerText, style.borderBottomColor === getComputedStyle(document.body).backgroundColor];
  }));
  const unseen = lines.filter(([, unseen]) => unseen).map(([name]) => name);
  assert.deepEqual(unseen, lines.map(([name]) => name).filter((name) => name !== "Your apps"));
});

// It uses up what likesbot's address may try, as whom no other test signs in.
browse("too many wrong passwords", async (page) => {
  await page.goto(`${world.url}/login`);
  for (let i = 0; i < 40; i++) {
    const response = page.waitForResponse((r) => r.request().method() === "POST");
    await signIn(page, "likesbot", "not the password");
    if ((await response).status() === 429) {
      assert.match(await page.getByRole("alert").innerText(), /Too many/);
      await inspect(page, "sign-in-throttled");
      return;
    }
  }
  assert.fail("40 wrong passwords, and one may try on");
});
