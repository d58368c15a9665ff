// twitter-lite, which has api.twitter.com written into it and signs /oauth/access_token without the request token.
import assert from "node:assert/strict";
import { test } from "node:test";
import TwitterLite from "twitter-lite";
import { did } from "./table.js";
import { appOf, callback, consent, parameter, user, world } from "./world.js";

// The module is CommonJS, what its types call the default export is the module.
const Twitter = TwitterLite as unknown as typeof TwitterLite.default;

const alice = user("alice");
const post = world.posts[6]!.id;
const app = appOf("confidential");
const keys = { consumer_key: app.api_key, consumer_secret: app.api_secret };

test("OAuth 1.0a, three legs, then likes in v1.1", async () => {
  const asked = await new Twitter(keys).getRequestToken(callback);
  assert.ok(asked.oauth_callback_confirmed === "true", JSON.stringify(asked));
  const back = await consent(`https://api.twitter.com/oauth/authenticate?oauth_token=${asked.oauth_token}`);
  const given = await new Twitter(keys).getAccessToken({
    oauth_token: parameter(back, "oauth_token"),
    oauth_verifier: parameter(back, "oauth_verifier"),
  });
  assert.deepEqual({ id: given.user_id, name: given.screen_name }, { id: alice.id, name: "alice" });

  const tokens = { access_token_key: given.oauth_token, access_token_secret: given.oauth_token_secret };
  const v1 = new Twitter({ ...keys, ...tokens });
  const me = await v1.get("account/verify_credentials");
  assert.equal(me.screen_name, "alice");
  assert.equal((await v1.post("favorites/create", { id: post })).favorited, true);
  assert.equal((await v1.post("favorites/destroy", { id: post })).favorited, false);
  const v2 = new Twitter({ ...keys, ...tokens, version: "2", extension: false });
  assert.equal((await v2.get("users/me")).data.username, "alice");
  did("twitter-lite", "OAuth 1.0a");
  did("twitter-lite", "likes in v1.1");
});

test("app only", async () => {
  const { access_token } = await new Twitter(keys).getBearerToken();
  assert.equal(access_token, app.bearer_token);
  did("twitter-lite", "app-only");
});
