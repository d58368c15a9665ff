// The page at /, in a real browser: what it shows, that it moves by itself, and that it needs no script to say something.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { comes, inspect, like, openBrowser, openPage, patience, post, startServer, user, world } from "./world.js";

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
  await response.text();
  assert.equal(response.status, 200);
}

test("a like moves the page", { timeout: 10 * patience }, async () => {
  const page = await openPage(browser);
  await page.goto(`${world.url}/`);
  await page.getByText("Live", { exact: true }).waitFor();
  assert.equal(await number(page.locator("#n-users")), world.users.length);
  const count = row(page, post(4)).locator(".n");
  const all = page.locator("#n-likes");
  const [before, likes] = [await number(count), await number(all)];
  await page.evaluate("window.loadedOnce = true");

  const rated = page.waitForFunction(() => document.getElementById("n-rate").textContent !== "0"); // which it is for five seconds
  assert.equal(await like("carol", post(4), token("carol")), 200);
  const moved = (to) => page.waitForFunction(([id, n]) => document.querySelector(`#board [data-post="${id}"] .n`).textContent === n, [post(4), String(to)]);
  await moved(before + 1);
  await page.waitForFunction((n) => document.getElementById("n-likes").textContent === n, String(likes + 1));
  await rated;
  await unlike("carol", post(4));
  await moved(before);
  assert.equal(await page.evaluate("window.loadedOnce"), true, "the page was loaded again");

  for (const [name, n] of [["alice", 4], ["bob", 4], ["dave", 4], ["bob", 0], ["erin", 1]]) assert.equal(await like(name, post(n), token(name)), 200);
  await moved(before + 3);
  await inspect(page, "home");
  for (const path of ["/explorer", "/developer", "/postman/collection.json", "/postman/environment.json", "/2/openapi.json"]) {
    assert.ok((await page.locator(`main a[href="${path}"]`).count()) > 0, `no link to ${path}`);
    const response = await fetch(world.url + path, { redirect: "manual" });
    await response.text();
    assert.equal(response.status < 400, true, path);
  }
  // This world is kept, so that nobody may be told its secrets.
  const html = await page.content();
  for (const { access_token, password } of world.users) assert.ok(!html.includes(access_token) && !html.includes(password));

  for (const [name, n] of [["alice", 4], ["bob", 4], ["dave", 4], ["bob", 0], ["erin", 1]]) await unlike(name, post(n));
  await page.context().close();
});

test("a post that not everybody may see leaves the page", { timeout: 10 * patience }, async () => {
  const page = await openPage(browser);
  await page.goto(`${world.url}/`);
  await row(page, post(7)).waitFor();
  const protect = (on) => fetch(`${world.admin_url}/admin/users/erin`, { method: "PATCH", body: JSON.stringify({ protected: on }),
    headers: { authorization: `Bearer ${world.admin_token}`, "content-type": "application/json" } });
  const protects = async (on) => {
    const response = await protect(on);
    await response.text();
    assert.equal(response.status, 200);
  };
  await protects(true);
  await row(page, post(7)).waitFor({ state: "detached" });
  await protects(false);
  await row(page, post(7)).waitFor();
  assert.deepEqual(page.refusals, []);
  await page.context().close();
});

async function write(name, text) {
  const response = await fetch(`${world.url}/2/tweets`, { method: "POST", body: JSON.stringify({ text }),
    headers: { authorization: token(name), "content-type": "application/json" } });
  const { data } = await response.json();
  assert.equal(response.status, 201);
  return data.id;
}

test("posts are shown as they were written, and new ones appear", { timeout: 10 * patience }, async () => {
  const page = await openPage(browser);
  await page.goto(`${world.url}/`);
  await page.getByText("Live", { exact: true }).waitFor();
  const first = () => page.locator("#board > li").first().getAttribute("data-post");
  assert.equal(await first(), post(1), "the post that the command likes does not stand first");
  const id = await write("dave", "\u05e9\u05dc\u05d5\u05dd\n\nsecond line");
  try {
    await row(page, id).waitFor();
    assert.equal(await first(), post(1));
    const text = row(page, id).locator(".text");
    const { direction, height, line } = await text.evaluate((node) => {
      const style = getComputedStyle(node);
      return { direction: style.direction, height: node.getBoundingClientRect().height, line: parseFloat(style.lineHeight) };
    });
    assert.equal(direction, "rtl");
    assert.equal(Math.round(height / line), 3, "line breaks are lost");
    assert.ok((await row(page, id).innerText()).includes(id), "the post's id is not shown");
    await inspect(page, "home-posts");
  } finally {
    await (await fetch(`${world.url}/2/tweets/${id}`, { method: "DELETE", headers: { authorization: token("dave") } })).text();
  }
  await row(page, id).waitFor({ state: "detached" });
  await page.context().close();
});

test("all keys are there to copy, where they are no secret", { timeout: 10 * patience }, async () => {
  const server = await startServer("dev", "--seed", "1");
  const page = await openPage(browser);
  try {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.goto(`${server.url}/`);
    const copied = () => page.evaluate("navigator.clipboard.readText()");
    const copies = async (name, said) => {
      const done = comes(page, said);
      await page.getByRole("button", { name }).click();
      await done;
    };
    await copies("Copy the command", "the command is copied");
    const command = await copied();
    assert.match(command, /^curl -X POST http[^]*'\{"tweet_id":"\d+"\}'$/);
    assert.ok(command.includes(await page.locator("#board > li").first().getAttribute("data-post")));
    await page.getByText("All keys and tokens of").click();
    await inspect(page, "home-keys");
    await copies("Copy All as .env", "All as .env is copied");
    const env = Object.fromEntries((await copied()).trim().split("\n").map((line) => line.split(/=(.*)/, 2)));
    const me = await fetch(`${env.X_API_URL}/2/users/me`, { headers: { authorization: `Bearer ${env.X_ACCESS_TOKEN}` } });
    assert.equal((await me.json()).data.id, env.X_USER_ID);
    assert.deepEqual(page.refusals, []);
  } finally {
    await page.context().close();
    await server.stop();
  }
});

// The journey to a first like is one click, with and without scripts.
test("a button likes a post", { timeout: 10 * patience }, async () => {
  const server = await startServer("dev", "--seed", "1");
  try {
    for (const javaScriptEnabled of [true, false]) {
      const context = await browser.newContext({ javaScriptEnabled });
      const page = await context.newPage();
      page.refusals = [];
      await page.goto(`${server.url}/`);
      const liked = page.locator("#board > li").nth(javaScriptEnabled ? 1 : 2);
      const id = await liked.getAttribute("data-post");
      assert.ok((await liked.innerText()).includes("0\nlikes"));
      await page.getByRole("button", { name: `Like the post ${id}` }).click();
      const said = page.getByRole("status").filter({ hasText: "@alice likes the post." });
      await said.waitFor();
      if (javaScriptEnabled) {
        await page.waitForFunction((id) => document.querySelector(`#board [data-post="${id}"] .tally`).innerText === "1\nlike", id);
        await inspect(page, "home-liked");
      }
      await said.getByRole("link").click();
      await page.waitForURL(`${server.url}/console/requests/*`);
      assert.match(await page.getByRole("main").innerText(), new RegExp(`/2/users/\\d+/likes[^]*"tweet_id":\\s*"${id}"`));
      await context.close();
    }
  } finally {
    await server.stop();
  }
});

test("one click signs in, where the keys are no secret", { timeout: 10 * patience }, async () => {
  const server = await startServer("dev", "--seed", "1");
  const page = await openPage(browser);
  try {
    await page.goto(`${server.url}/developer`);
    await inspect(page, "sign-in-one-click");
    await page.getByRole("button", { name: "@bob" }).click();
    await page.getByRole("heading", { name: "Your apps" }).waitFor();
    assert.match(await page.getByRole("banner").innerText(), /Signed in as @bob/);
    assert.deepEqual(page.refusals, []);
  } finally {
    await page.context().close();
    await server.stop();
  }
});

test("an empty server says what to do first", { timeout: 10 * patience }, async () => {
  const dir = await mkdtemp(path.join(tmpdir(), "liked-empty-"));
  const server = await startServer("serve", "--data", path.join(dir, "data"));
  const page = await openPage(browser);
  try {
    await page.goto(`${server.url}/`);
    await page.getByRole("heading", { name: "What to do first" }).waitFor();
    await inspect(page, "home-empty");
    const said = await page.locator("pre.command").innerText();
    const commands = said.replaceAll("LIKED_DATA=DIR", `LIKED_DATA='${dir}/data'`).replaceAll("liked ", `'${process.env.LIKED_BIN}' `);
    const { stdout, stderr, status } = spawnSync("sh", ["-ec", commands], { encoding: "utf8" });
    assert.equal(status, 0, stderr + stdout);
    await page.waitForFunction(() => document.getElementById("n-posts").textContent === "1");
    await page.reload();
    assert.equal(await page.getByRole("heading", { name: "What to do first" }).count(), 0);
  } finally {
    await page.context().close();
    await server.stop();
    await rm(dir, { recursive: true });
  }
});

test("an address that is none", { timeout: 10 * patience }, async () => {
  const page = await openPage(browser);
  const response = await page.goto(`${world.url}/no/such/page`);
  assert.equal(response.status(), 404);
  await inspect(page, "missing");
  await page.getByRole("link", { name: "Open the API explorer" }).click();
  await page.waitForURL(`${world.url}/explorer`);
  await page.getByRole("link", { name: "liked", exact: true }).click();
  await page.waitForURL(`${world.url}/`);
  await page.context().close();
});

test("without scripts", { timeout: 10 * patience }, async () => {
  await unlike("dave", post(2)); // whatever the tests before this one left
  const before = await likeCount(post(2));
  assert.equal(await like("dave", post(2), token("dave")), 200);
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  for (const path of ["/login", "/explorer", "/no/such", "/"]) {
    await page.goto(world.url + path);
    assert.doesNotMatch(await page.getByRole("main").innerText(), /moment|…/, `${path} promises what a script would do`);
  }
  assert.equal(await number(page.locator("#n-users")), world.users.length);
  const shows = async (count) => {
    for (const deadline = Date.now() + patience; (await number(row(page, post(2)).locator(".n"))) !== count; ) {
      assert.ok(Date.now() < deadline, `the page does not come to show ${count} likes`);
      await page.getByRole("link", { name: "Look again" }).click(); // what the server has looked at is good for a moment
      await page.waitForLoadState();
    }
  };
  await shows(before + 1);
  const likes = await number(page.locator("#n-likes"));
  assert.ok(likes >= 1);
  await unlike("dave", post(2));
  await shows(before);
  assert.equal(await number(page.locator("#n-likes")), likes - 1);
  await context.close();
});
