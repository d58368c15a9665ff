// The page at /, in a real browser: what it shows, that it moves by itself, and that it needs no script to say something.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inspect, like, openBrowser, openPage, post, user, world } from "./world.js";

let browser;
before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

const token = (name) => `Bearer ${user(name).access_token}`;
const row = (page, id) => page.locator(`#board [data-post="${id}"]`);
const number = async (locator) => Number((await locator.innerText()).replaceAll(",", ""));

async function likeCount(id) {
  const found = await fetch(`${world.url}/2/tweets/${id}?tweet.fields=public_metrics`, { headers: { authorization: token("dave") } });
  return (await found.json()).data.public_metrics.like_count;
}

async function unlike(name, postID) {
  const response = await fetch(`${world.url}/2/users/${user(name).id}/likes/${postID}`, { method: "DELETE", headers: { authorization: token(name) } });
  assert.equal(response.status, 200);
}

test("a like moves the page", { timeout: 120_000 }, async () => {
  const page = await openPage(browser);
  await page.goto(`${world.url}/`);
  await page.getByText("Live", { exact: true }).waitFor();
  assert.equal(await number(page.locator("#n-users")), world.users.length);
  const count = row(page, post(4)).locator(".n");
  const all = page.locator("#n-likes");
  const [before, likes] = [await number(count), await number(all)];
  await page.evaluate("window.loadedOnce = true");

  assert.equal(await like("carol", post(4), token("carol")), 200);
  const moved = (to) => page.waitForFunction(([id, n]) => document.querySelector(`#board [data-post="${id}"] .n`).textContent === n, [post(4), String(to)]);
  await moved(before + 1);
  await page.waitForFunction((n) => document.getElementById("n-likes").textContent === n, String(likes + 1));
  await page.waitForFunction(() => document.getElementById("n-rate").textContent !== "0");
  await unlike("carol", post(4));
  await moved(before);
  assert.equal(await page.evaluate("window.loadedOnce"), true, "the page was loaded again");

  for (const [name, n] of [["alice", 4], ["bob", 4], ["dave", 4], ["bob", 0], ["erin", 1]]) assert.equal(await like(name, post(n), token(name)), 200);
  await moved(before + 3);
  await inspect(page, "home");
  for (const path of ["/explorer", "/developer", "/postman/collection.json", "/postman/environment.json", "/2/openapi.json"]) {
    assert.ok((await page.locator(`main a[href="${path}"]`).count()) > 0, `no link to ${path}`);
    assert.equal((await fetch(world.url + path, { redirect: "manual" })).status < 400, true, path);
  }
  // This world is kept, so that nobody may be told its secrets.
  const html = await page.content();
  for (const { access_token, password } of world.users) assert.ok(!html.includes(access_token) && !html.includes(password));

  for (const [name, n] of [["alice", 4], ["bob", 4], ["dave", 4], ["bob", 0], ["erin", 1]]) await unlike(name, post(n));
  await page.context().close();
});

test("a post that not everybody may see leaves the page", { timeout: 60_000 }, async () => {
  const page = await openPage(browser);
  await page.goto(`${world.url}/`);
  await row(page, post(7)).waitFor();
  const protect = (on) => fetch(`${world.admin_url}/admin/users/erin`, { method: "PATCH", body: JSON.stringify({ protected: on }),
    headers: { authorization: `Bearer ${world.admin_token}`, "content-type": "application/json" } });
  assert.equal((await protect(true)).status, 200);
  await row(page, post(7)).waitFor({ state: "detached" });
  assert.equal((await protect(false)).status, 200);
  await row(page, post(7)).waitFor();
  assert.deepEqual(page.refusals, []);
  await page.context().close();
});

test("without scripts", { timeout: 60_000 }, async () => {
  const before = await likeCount(post(2));
  assert.equal(await like("dave", post(2), token("dave")), 200);
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${world.url}/`);
  assert.equal(await number(page.locator("#n-users")), world.users.length);
  const likes = await number(page.locator("#n-likes"));
  assert.ok(likes >= 1);
  assert.equal(await number(row(page, post(2)).locator(".n")), before + 1);
  await unlike("dave", post(2));
  for (const deadline = Date.now() + 15_000; ; ) { // what the server has looked at is good for a moment
    await page.getByRole("link", { name: "Look again" }).click();
    await page.waitForLoadState();
    if ((await number(row(page, post(2)).locator(".n"))) === before) break;
    assert.ok(Date.now() < deadline, "the like that was taken back still counts");
  }
  assert.equal(await number(page.locator("#n-likes")), likes - 1);
  await context.close();
});
