// The console's pages of webhooks and of time, limits, faults and snapshots, against a server of their own, which they reset.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { Receiver, inspect, openBrowser, openPage, patience, startServer } from "./world.js";

let browser, server, receiver, own, directory;

before(async () => {
  browser = await openBrowser();
  directory = mkdtempSync(path.join(tmpdir(), "liked-console-"));
  const file = path.join(directory, "liked.json");
  server = await startServer("dev", "--credentials", file);
  own = JSON.parse(readFileSync(file, "utf8"));
  receiver = await new Receiver().listen(own.apps[0].api_secret);
});

after(async () => {
  await browser?.close();
  receiver?.close();
  await server?.stop();
  rmSync(directory, { recursive: true, force: true });
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

const alice = () => own.users.find((u) => u.username === "alice");
const press = (page, name, within = page) => within.getByRole("button", { name, exact: true }).click();
const notice = (page) => page.locator(".notice").innerText();
const wrong = (page) => page.locator("#wrong").innerText();

async function like(n, method = "POST") {
  const { id, access_token } = alice();
  const path = `/2/users/${id}/likes${method === "DELETE" ? "/" + own.posts[n].id : ""}`;
  const response = await fetch(own.url + path, {
    method,
    headers: { authorization: `Bearer ${access_token}`, "content-type": "application/json" },
    body: method === "POST" ? JSON.stringify({ tweet_id: own.posts[n].id }) : undefined,
  });
  return response.status;
}

// reloaded asks for the page again until it has what is awaited.
async function reloaded(page, awaited) {
  for (const end = Date.now() + patience; !(await awaited.count()); await page.reload()) {
    assert.ok(Date.now() < end, `${awaited} is not on ${page.url()}`);
  }
}

browse("a webhook is added, tried, and delivered to again", async (page) => {
  await page.goto(`${own.url}/console/webhooks`);
  await page.getByLabel("URL").fill(`${receiver.url}/likes`);
  receiver.honest = false;
  await press(page, "Add");
  assert.match(await wrong(page), /challenge/);
  assert.equal(await page.getByLabel("URL").inputValue(), `${receiver.url}/likes`);
  assert.equal(await page.evaluate("document.activeElement.id"), "wrong");
  await inspect(page, "console-webhooks-refused");
  receiver.honest = true;
  await press(page, "Add");

  await page.getByLabel("Subscribe to user").fill("nobody");
  await press(page, "Subscribe");
  assert.match(await wrong(page), /nobody/);
  await page.getByLabel("Subscribe to user").fill("@alice");
  await press(page, "Subscribe");
  await page.getByRole("rowheader", { name: "@alice" }).waitFor();

  await press(page, "Send");
  assert.match(await notice(page), /accepted: the webhook answered 200/);
  const tests = receiver.likes.length;
  assert.equal(tests, 1);

  assert.equal(await like(0), 200);
  await page.goto(`${own.url}/console/webhooks`);
  const link = page.getByRole("rowheader").getByRole("link", { name: /@alice likes/ });
  await reloaded(page, link.nth(1));
  await inspect(page, "console-webhooks");
  await link.first().click();
  assert.match(await page.locator("main").innerText(), /x-twitter-webhooks-signature: sha256=[A-Za-z0-9+/]{43}=/);
  assert.match(await page.locator("pre").innerText(), new RegExp(`"liked_tweet_id": "${own.posts[0].id}"`));
  await press(page, "Deliver again");
  assert.match(await notice(page), /answered 200/);
  assert.equal(await page.getByRole("row").count(), 3); // the head and two attempts
  assert.deepEqual(receiver.likes.slice(tests), [own.posts[0].id, own.posts[0].id]);
  await inspect(page, "console-delivery");
});

browse("a dead letter is delivered again, alone", async (page) => {
  await page.goto(`${own.url}/console/control?operation=webhookDelivery`);
  await page.getByLabel("It is answered with a status").check();
  await page.getByLabel("Status of the answer").fill("410");
  await page.getByLabel("How many times").fill("1");
  await press(page, "Add the rule");
  assert.equal(await like(1), 200);
  await page.goto(`${own.url}/console/webhooks`);
  await reloaded(page, page.getByRole("link", { name: "Dead letters (1)" }));
  await page.getByRole("link", { name: "Dead letters (1)" }).click();
  await inspect(page, "console-webhook");
  await page.getByRole("button", { name: /^Deliver again the like of/ }).click();
  assert.match(await notice(page), /accepted/);
  assert.equal(receiver.likes.at(-1), own.posts[1].id);
  assert.match(await page.getByRole("region", { name: "Dead letters" }).innerText(), /There is none/);
});

browse("time, limits, faults and snapshots", async (page) => {
  const card = (name) => page.getByRole("region", { name, exact: true }).first();
  await page.goto(`${own.url}/console/control`);
  const shown = async () => new Date(await card("Time").locator("time").getAttribute("datetime"));
  await press(page, "Freeze");
  const frozen = await shown();
  await press(page, "+2 h");
  assert.equal((await shown()) - frozen, 2 * 3600_000);
  await page.getByText("More", { exact: true }).click();
  await page.getByLabel("Move it on by").fill("soon");
  await press(page, "Move");
  assert.match(await wrong(page), /90s, 15m or 2h30m/);
  await page.getByLabel("Move it on by").fill("15 m");
  await press(page, "Move");
  assert.equal((await shown()) - frozen, 135 * 60_000);

  await page.getByLabel("Keep this moment as").fill("Prepared world");
  await press(page, "Keep");
  assert.match(await notice(page), /prepared-world/);

  assert.equal(await like(2), 200);
  await page.reload();
  await page.getByRole("row", { name: /@alice through demo usersIdLike 15 min 1 of 50 49/ }).waitFor();
  await page.getByRole("button", { name: "Reset usersIdLike of @alice" }).first().click();
  assert.match(await notice(page), /new with the next call/);
  assert.equal(await page.getByRole("row", { name: /usersIdLike/ }).count(), 0);

  await page.getByText("Add a rule", { exact: true }).click();
  await page.getByLabel("Operation").selectOption("usersIdLike");
  await page.getByLabel("Late by", { exact: true }).fill("1 hour");
  await press(page, "Add the rule");
  assert.match(await wrong(page), /^Late by: .* 90s, 15m or 2h30m/);
  assert.equal(await page.getByLabel("Operation").inputValue(), "usersIdLike");
  await inspect(page, "console-control-refused");
  await page.getByLabel("Late by", { exact: true }).fill("");
  await page.getByLabel("Refusal").selectOption("tooManyRequests");
  await press(page, "Add the rule");
  assert.equal(await like(3), 429);
  await page.reload();
  await page.getByRole("row", { name: /usersIdLike refused: tooManyRequests each time 1 1/ }).waitFor();
  await inspect(page, "console-control");

  await page.getByRole("button", { name: "Go back to prepared-world" }).click();
  assert.equal(await like(3), 200); // the rule came after
  await press(page, "Undo");
  assert.equal(await like(4), 429);
  await press(page, "Reset to the start");
  assert.ok(Math.abs((await shown()) - Date.now()) < 60_000, "the clock is real again");
  assert.match(await page.locator("#counts").innerText(), /No call was made yet/);
});
