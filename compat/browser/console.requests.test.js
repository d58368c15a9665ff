// The console's requests, in a real browser: they appear as they are made, are found, explained, sent again and asserted.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { inspect, openBrowser, openPage, patience, picture, signer, startServer } from "./world.js";

let browser, server, dir, known;
before(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), "console-"));
  const file = path.join(dir, "credentials.json");
  server = await startServer("dev", "--credentials", file);
  known = JSON.parse(await readFile(file, "utf8"));
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});

const someone = (name) => known.users.find((u) => u.username === name);

// call makes a call to the API, and returns its status and transaction id.
async function call(method, where, authorization, body) {
  const headers = { ...(authorization && { authorization }), ...(body && { "content-type": "application/json" }) };
  const response = await fetch(server.url + where, { method, headers, body: body && JSON.stringify(body) });
  await response.text();
  return { status: response.status, id: response.headers.get("x-transaction-id") };
}

const like = (name, n) => call("POST", `/2/users/${someone(name).id}/likes`, `Bearer ${someone(name).access_token}`, { tweet_id: known.posts[n].id });
const row = (page, id) => page.locator(`#requests [data-id="${id}"]`);

test("requests appear as they are made, and are found", { timeout: 10 * patience }, async () => {
  const page = await openPage(browser);
  const early = await like("alice", 0);
  await page.goto(`${server.url}/console`);
  await page.getByText("Live", { exact: true }).waitFor();
  await row(page, early.id).waitFor();
  const liked = await like("alice", 1);
  const refused = await call("GET", "/2/users/me");
  await row(page, liked.id).getByText("@alice").waitFor();
  await row(page, refused.id).getByText("There is no Authorization header.").waitFor();
  const forbidden = await call("POST", `/2/users/${someone("bob").id}/likes`, `Bearer ${known.apps[0].bearer_token}`, { tweet_id: known.posts[1].id });
  await row(page, forbidden.id).getByText("Application-Only is forbidden").waitFor();
  await like("carol", 2);
  await like("dave", 3);
  await call("GET", `/2/users/${someone("alice").id}/liked_tweets`, `Bearer ${someone("alice").access_token}`);
  await picture(page, "console");
  const ids = await page.locator("#requests tbody tr").evaluateAll((rows) => rows.map((r) => r.dataset.id));
  assert.ok(ids.indexOf(refused.id) < ids.indexOf(liked.id), "the newest request does not stand first");
  await inspect(page, "console-requests");

  await page.getByLabel("Status").fill("401");
  await row(page, liked.id).waitFor({ state: "detached" });
  assert.ok(page.url().endsWith("?status=401"), page.url());
  const another = await call("GET", "/2/users/me", "Bearer no");
  await row(page, another.id).waitFor();
  await like("bob", 1);
  assert.equal(await page.getByLabel("Status").evaluate((field) => field === document.activeElement), true, "the filter lost the focus");
  await page.locator("#f-user").fill("no_such");
  await page.getByRole("alert").getByText("No such user").waitFor();
  await page.locator("#f-user").fill("bob");
  await page.getByLabel("Status").fill("2xx");
  await page.locator("#requests tbody tr").getByText("@bob").first().waitFor();
  assert.equal(await page.locator("#requests tbody tr").count(), 1);
  await page.getByRole("link", { name: "Without filters" }).click();
  await row(page, liked.id).waitFor();

  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("Paused", { exact: true }).waitFor();
  const meanwhile = await like("carol", 1);
  assert.equal(await row(page, meanwhile.id).count(), 0);
  await page.getByRole("button", { name: "Go on" }).click();
  await row(page, meanwhile.id).waitFor();
  await page.getByRole("button", { name: "Clear" }).click();
  await page.getByText("Nothing was called yet").waitFor();
  await row(page, (await like("carol", 2)).id).waitFor();
  await page.context().close();
});

test("why a call was refused, and what can be made of it", { timeout: 10 * patience }, async () => {
  const page = await openPage(browser);
  const alice = someone("alice");
  const likes = `/2/users/${alice.id}/likes`;
  const refused = await call("POST", likes, `Bearer ${known.apps[0].bearer_token}`, { tweet_id: known.posts[3].id });
  assert.equal(refused.status, 403);
  await page.goto(server.url);
  await page.getByRole("link", { name: "Console" }).first().click(); // the list says why; the second click shows all of it
  await row(page, refused.id).getByText("Application-Only is forbidden").waitFor();
  await row(page, refused.id).getByRole("link").click();
  await page.getByRole("heading", { name: "Why" }).waitFor();
  await page.getByText("Left before").waitFor({ state: "detached" }); // a call that is refused for its credential does not count

  await page.getByText("Copy as code").click();
  await page.locator("#code-curl").getByText("curl -X POST").waitFor();
  await page.getByText("Java", { exact: true }).click();
  assert.match(await page.locator("#code-java").innerText(), /usersIdLike/);
  const html = await page.content();
  for (const { access_token } of known.users) assert.ok(!html.includes(access_token), "the page holds a token");

  await page.getByText("Send again", { exact: true }).click();
  await page.getByRole("button", { name: "Send as @alice" }).click();
  await page.getByRole("status").getByText("Sent again as @alice").waitFor();
  await page.getByText("200", { exact: true }).first().waitFor();
  await page.getByText("15m of the user").waitFor();

  await page.getByText("Make this a fault").click();
  await page.getByLabel("answered 503").check();
  await page.getByRole("button", { name: "Add the rule" }).click();
  await page.getByRole("status").getByText("answered 503 from now on").waitFor();
  assert.equal((await like("alice", 4)).status, 503);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("status").getByText("The rule is removed").waitFor();
  assert.equal((await like("alice", 4)).status, 200);

  await page.getByText("Assert this").click();
  await page.getByRole("button", { name: "Run it" }).click();
  await page.getByText("As expected: 1 found").waitFor();
  const expectation = page.getByLabel("Expectation");
  await expectation.fill((await expectation.inputValue()).replace("at_least\": 1", "exactly\": 7"));
  await page.getByRole("button", { name: "Run it" }).click();
  await page.getByText("Not as expected").waitFor();
  await page.locator("details[name]").evaluateAll((all) => all.forEach((d) => { d.removeAttribute("name"); d.open = true; }));
  await page.locator("#code-curl").getByText("curl -X POST").waitFor();
  await inspect(page, "console-request");
  await page.context().close();
});

test("a signature that is wrong is shown beside the right one", { timeout: 10 * patience }, async () => {
  const page = await openPage(browser);
  const { oauth1_token: token, oauth1_token_secret: secret } = someone("alice");
  const sign = signer({ apiKey: known.apps[0].api_key, apiSecret: known.apps[0].api_secret }, token, secret);
  const where = `/2/users/${someone("alice").id}/liked_tweets`;
  const refused = await call("GET", `${where}?max_results=5`, sign("GET", server.url + where));
  assert.equal(refused.status, 401);
  await page.goto(`${server.url}/console/requests/${refused.id}`);
  await page.locator("mark").getByText("max_results").waitFor();
  await inspect(page, "console-signature");
  await page.context().close();
});

test("who calls, and a reset that is undone", { timeout: 10 * patience }, async () => {
  const page = await openPage(browser);
  await page.goto(`${server.url}/console`);
  await page.getByText("Calling as @alice").focus();
  await page.keyboard.press("Enter");
  await inspect(page, "console-acting");
  await page.locator("#acting-user").fill("bob");
  await page.keyboard.press("Enter");
  await page.getByRole("status").getByText("You call as @bob now").waitFor();
  const liked = await like("bob", 5);
  await page.goto(`${server.url}/console/requests/${liked.id}`);
  await page.getByText("Calling as @bob").click();
  await page.getByLabel("Nobody").check();
  await page.getByRole("button", { name: "Call as this one" }).click();
  await page.getByRole("button", { name: "Send as nobody" }).click();
  await page.getByText("There is no Authorization header.").first().waitFor();

  await page.getByRole("button", { name: "Reset" }).click();
  await page.getByText("as it was when the server had started").waitFor();
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByText("as it was before the reset").waitFor();
  const found = await fetch(`${server.url}/2/users/${someone("bob").id}/liked_tweets`, { headers: { authorization: `Bearer ${someone("bob").access_token}` } });
  assert.ok((await found.json()).data.some(({ id }) => id === known.posts[5].id), "the like is not there again");
  await page.goto(`${server.url}/console/nothing`);
  await page.getByText("There is nothing at this address").waitFor();
  await page.context().close();
});

// A call is a stranger's: in the code to copy it stands in texts alone, whatever its parameters are called.
test("code to copy holds nothing that a caller may have meant to be run", { timeout: 10 * patience }, async () => {
  const page = await openPage(browser);
  const hostile = `a(open("stolen"));'$(id)`;
  const bearer = `Bearer ${someone("alice").access_token}`;
  const codes = async ({ id }) => {
    await page.goto(`${server.url}/console/requests/${id}`);
    await page.getByText("Copy as code").click();
    await page.locator("#code-curl").getByText("curl -X").waitFor();
    return page.locator("pre[id^=code-]").evaluateAll((all) => all.map((code) => code.textContent));
  };
  const named = await codes(await call("GET", `/2/users/me?${encodeURIComponent(hostile)}=1`, bearer));
  assert.equal(named.length, 5);
  for (const code of named) assert.ok(!code.includes("open(\"stolen") && code.includes("open(%22stolen%22)"), code);
  const { stdout } = await promisify(execFile)("bash", ["-c", named[0].replace("curl", "printf '%s '")]);
  assert.ok(stdout.includes("'%24(id)=1"), stdout);

  const sent = await fetch(`${server.url}/2/users/${someone("alice").id}/likes`,
    { method: "POST", headers: { authorization: bearer, "content-type": "application/json" }, body: "{\u001b[201~\u0003'\n" });
  const [curl] = await codes({ id: sent.headers.get("x-transaction-id") });
  assert.ok(!/[\x00-\x09\x0b-\x1f]/.test(curl), "a terminal would obey the code");
  const shown = await promisify(execFile)("bash", ["-c", curl.replace("curl", "printf '%s '")]);
  assert.ok(shown.stdout.endsWith("-d {\u001b[201~\u0003'\n "), JSON.stringify(shown.stdout));
  await page.context().close();
});

test("without scripts it reads and resets", { timeout: 10 * patience }, async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  const liked = await like("erin", 2);
  await page.goto(`${server.url}/console?user=erin`);
  await page.getByRole("link", { name: "Look again" }).waitFor();
  await row(page, liked.id).getByRole("link").click();
  await page.getByText("As it was answered").waitFor();
  await page.getByRole("button", { name: "Reset" }).click();
  await page.getByText("as it was when the server had started").waitFor();
  await page.goto(`${server.url}/console`);
  await page.getByText("Nothing was called yet").waitFor();
  await context.close();
});

test("elsewhere the admin token is entered once", { timeout: 10 * patience }, async () => {
  const file = path.join(dir, "others.json");
  const other = await startServer("dev", "--seed", "0", "--credentials", file);
  const page = await openPage(browser);
  await page.goto(`${other.url}/console?status=4xx`);
  await page.getByLabel("Admin token").fill("no");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("not the admin token").waitFor();
  await inspect(page, "console-gate");
  await page.getByLabel("Admin token").fill(JSON.parse(await readFile(file, "utf8")).admin_token);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Requests" }).waitFor();
  assert.ok(page.url().endsWith("/console?status=4xx"), page.url());
  await page.reload();
  await page.getByText("Calling as").first().waitFor();
  await page.context().close();
  await other.stop();
});
