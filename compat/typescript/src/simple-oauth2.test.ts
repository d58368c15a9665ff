// simple-oauth2, which is told all addresses, from signing in to taking both tokens back.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { AuthorizationCode } from "simple-oauth2";
import { did } from "./table.js";
import { appOf, callback, consent, parameter, user, world } from "./world.js";

const alice = user("alice");
const post = world.posts[5]!.id;

const like = (token: unknown) =>
  fetch(`${world.url}/2/users/${alice.id}/likes`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify({ tweet_id: post }),
  });

test("sign in, like, refresh, like, revoke both tokens", async () => {
  const app = appOf("confidential");
  const client = new AuthorizationCode({
    client: { id: app.client_id, secret: app.client_secret! },
    auth: {
      tokenHost: world.url,
      tokenPath: "/2/oauth2/token",
      revokePath: "/2/oauth2/revoke",
      authorizePath: "/i/oauth2/authorize",
    },
  });
  const verifier = randomBytes(32).toString("base64url");
  const more = { // which the library passes on
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  };
  const scope = ["tweet.read", "users.read", "like.write", "offline.access"];
  const back = await consent(client.authorizeURL({ redirect_uri: callback, scope, state: "a+/= state", ...more }));
  assert.equal(back.searchParams.get("state"), "a+/= state");
  const given = { code: parameter(back, "code"), redirect_uri: callback, code_verifier: verifier };
  const first = await client.getToken(given);
  assert.equal((await like(first.token.access_token)).status, 200);

  const token = await first.refresh();
  assert.equal((await like(token.token.access_token)).status, 200);
  await token.revokeAll(); // one after the other, though the first revocation ends both
  assert.equal((await like(token.token.access_token)).status, 401);
  did("simple-oauth2", "OAuth 2.0");
});
