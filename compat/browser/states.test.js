// The states of pages that no other test passes through: what is empty, refused, unfolded, confirmed or gone. And what strangers
// write, wherever it is shown.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { Receiver, inspect, openBrowser, openPage, patience, startServer } from "./world.js";

let browser, server, dir, known, page;
before(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), "states-"));
  const file = path.join(dir, "credentials.json");
  server = await startServer("dev", "--credentials", file);
  known = JSON.parse(await readFile(file, "utf8"));
  browser = await openBrowser();
  page = await openPage(browser);
  page.on("dialog", (dialog) => {
    page.refusals.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});

const alice = () => known.users.find((u) => u.username === "alice");
const go = (where) => page.goto(server.url + where);
const press = (name) => page.getByRole("button", { name, exact: true }).first().click();
const follow = (name) => page.getByRole("link", { name, exact: true }).first().click();
const unfold = (name) => page.locator("summary", { hasText: name }).first().click();

async function api(method, where, body, headers = {}) {
  const response = await fetch(server.url + where, { method, body: body && JSON.stringify(body),
    headers: { authorization: `Bearer ${alice().access_token}`, ...(body && { "content-type": "application/json" }), ...headers } });
  const text = await response.text();
  return { status: response.status, id: response.headers.get("x-transaction-id"), text };
}

async function admin(method, where, body) {
  const response = await fetch(known.admin_url + where, { method, body: body && JSON.stringify(body),
    headers: { authorization: `Bearer ${known.admin_token}`, "content-type": "application/json" } });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${where}: ${text}`);
  return text && JSON.parse(text);
}

test("the console when there is nothing", { timeout: 10 * patience }, async () => {
  await go("/console");
  await page.getByText("Nothing was called yet").waitFor();
  await inspect(page, "console-requests-none");
  await go("/console?status=9xx");
  await page.getByRole("alert").waitFor();
  await inspect(page, "console-requests-trouble");
  await go("/console/webhooks");
  await inspect(page, "console-webhooks-none");
  await go("/console/data?author=nobody");
  await inspect(page, "console-posts-trouble");
  await go("/console/nothing");
  await inspect(page, "console-missing");
});

test("the console with what strangers write", { timeout: 10 * patience }, async () => {
  const evil = `"><img src=x onerror=alert(1)><script>alert(1)</script>`;
  const text = `${evil}\n\u202e${"w".repeat(120)}`;
  await admin("POST", "/admin/users", { username: "stranger", name: evil.slice(0, 50) });
  const post = await admin("POST", "/admin/posts", { author: "stranger", text });
  const app = await admin("POST", "/admin/apps", { name: evil, owner: "alice", redirect_uris: [`https://a.example/?${encodeURIComponent(evil)}`] });
  const refused = await api("POST", `/2/users/${alice().id}/likes`, { tweet_id: evil }, { "x-evil": evil });
  assert.equal(refused.status, 400);
  const receiver = await new Receiver().listen(known.apps[0].api_secret);
  try {
    const hook = await admin("POST", "/admin/webhooks", { app: known.apps[0].name, url: `${receiver.url}/${"long/".repeat(30)}` });
    await admin("POST", `/admin/apps/${hook.app}/subscriptions`, { user: "alice", direction: "outbound", webhook: hook.id, tag: evil });
    assert.equal((await api("POST", `/2/users/${alice().id}/likes`, { tweet_id: post.id })).status, 200);
    await go(`/console/webhooks/${hook.id}`);
    for (const end = Date.now() + patience; !(await page.getByText("Nothing was delivered yet").isHidden()); await page.reload()) {
      assert.ok(Date.now() < end, "nothing is delivered");
    }
    await inspect(page, "console-webhook-hostile");
    await page.getByRole("rowheader").getByRole("link").first().click();
    await page.getByRole("heading", { name: "Delivery" }).waitFor();
    await inspect(page, "console-delivery-hostile");
  } finally {
    receiver.close();
  }
  await go(`/console/requests/${refused.id}`);
  await unfold("Copy as code");
  await page.getByText("curl -X POST").waitFor();
  await inspect(page, "console-request-hostile");
  await unfold("Make this a fault");
  await inspect(page, "console-request-fault");
  await page.goto(`${page.url()}?assert=${encodeURIComponent(`{"match":{"operation":"usersIdLike","status":201,"path":"${"/long".repeat(20)}"},"exactly":1}`)}`);
  await page.getByRole("alert").waitFor();
  await inspect(page, "console-request-unmet");
  await go("/console/data");
  await page.locator(`#post-${post.id}`).getByText("onerror").first().waitFor();
  await unfold("Add a post");
  await inspect(page, "console-posts-hostile");
  await go("/console/data/users/stranger");
  await unfold("Follow or block");
  await inspect(page, "console-user-hostile");
  await go(`/console/data/apps`);
  await unfold("Add an app");
  await inspect(page, "console-apps-hostile");
  await go(`/console/data/apps/${app.id}`);
  await unfold("Replace a secret");
  await press("New bearer token");
  await page.getByLabel("Bearer token").waitFor();
  await inspect(page, "console-app-secrets");
  await go("/console/control");
  await page.getByLabel("Keep this moment as").fill("x");
  await press("Keep");
  await unfold("Calling as");
  await inspect(page, "console-acting-snapshot");
  await page.getByLabel("An app alone").check();
  await page.getByLabel("App", { exact: true }).first().selectOption(app.id);
  await press("Call as this one");
  await page.getByRole("status").getByText("onerror").waitFor();
  await inspect(page, "console-acting-hostile");
  assert.equal(await page.locator("main img").count(), 0);
});

test("the pages that ask first, and those that lead nowhere", { timeout: 10 * patience }, async () => {
  await go("/developer");
  await press("@bob");
  await page.getByText("You have no apps yet").waitFor();
  await inspect(page, "portal-empty");
  const app = await admin("POST", "/admin/apps", { name: "Shop", owner: "bob", type: "confidential" });
  const receiver = await new Receiver().listen(app.api_secret);
  let offer;
  try {
    const hook = await admin("POST", "/admin/webhooks", { app: app.id, url: `${receiver.url}/likes` });
    const own = `/developer/apps/${app.id}`;
    for (const what of ["client_secret", "api_keys", `webhook&webhook=${hook.id}`]) {
      await go(`${own}?confirm=${what}`);
      await page.getByRole("link", { name: "Cancel" }).waitFor();
      await inspect(page, `confirm-${what.split("&")[0]}`);
    }
    await go(`${own}?confirm=nothing`);
    await inspect(page, "confirm-nothing");
    await go(own);
    await page.getByLabel("Give it to").fill("carol");
    await press("Offer the app");
    offer = await page.getByLabel("Link for @carol").inputValue();
    await inspect(page, "app-offered");
    await press("Make an OAuth 2.0 access token");
    await go(`/settings/connected_apps?revoke=${app.id}`);
    await page.getByRole("button", { name: "Revoke access" }).waitFor();
    await inspect(page, "confirm-revoke");
    await go(own);
    await page.context().clearCookies();
    await press("Offer the app");
    await page.getByText("Your session has ended").waitFor();
    await inspect(page, "sign-in-again");
  } finally {
    receiver.close();
  }
  await page.goto(offer);
  await press("@carol");
  await page.getByRole("heading", { name: "Take over Shop from @bob?" }).waitFor();
  await inspect(page, "confirm-offer");
  await page.goto(`${offer}x`);
  await inspect(page, "offer-none");
  await go("/logout");
  await page.getByRole("heading", { name: "There is no page here" }).waitFor();
  await admin("POST", "/admin/faults", { match: { operation: "explorer" }, do: { status: 503 } });
  await go("/explorer");
  await inspect(page, "spoiled");
  await follow("See the rules");
  await page.getByRole("heading", { name: "What goes wrong" }).waitFor();
});
