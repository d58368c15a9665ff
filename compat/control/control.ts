// The test of docs/control.md, with nothing but Node.js.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const world = JSON.parse(readFileSync(process.env["LIKED_CREDENTIALS"]!, "utf8"));
const [alice, post] = [world.users[2], world.posts[0]];

async function call(method: string, url: string, token: string, body?: unknown) {
  const headers = { Authorization: "Bearer " + token, "Content-Type": "application/json" };
  const response = await fetch(url, { method, headers, body: body === undefined ? null : JSON.stringify(body) });
  return { status: response.status, answer: await response.json() };
}

async function control(method: string, path: string, body?: unknown) {
  const { status, answer } = await call(method, world.admin_url + "/admin/" + path, world.admin_token, body);
  assert.ok(status < 300, JSON.stringify(answer));
  return answer;
}

const like = () => call("POST", `${world.url}/2/users/${alice.id}/likes`, alice.access_token, { tweet_id: post.id });

test("waits until the limit resets", async (t) => {
  await control("PUT", "clock", { frozen: true });
  t.after(() => control("PUT", "clock", { frozen: false }));
  await control("DELETE", "requests");
  await control("POST", "faults", { match: { operation: "usersIdLike" }, do: { reset_in: "15m" } });

  assert.equal((await like()).status, 429);
  await control("POST", "clock/advance", { by: "15m" });
  assert.deepEqual(await like(), { status: 200, answer: { data: { liked: true } } });

  await control("POST", "verify", { match: { operation: "usersIdLike", status: 200 }, exactly: 1 });
});
