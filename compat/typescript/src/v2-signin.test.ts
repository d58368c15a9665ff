// twitter-api-v2, which has X's hosts written into it, from signing in to likes. An agent of the caller's is how it takes
// a proxy.
import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpsProxyAgent } from "https-proxy-agent";
import { ApiResponseError, TwitterApi } from "twitter-api-v2";
import { did } from "./table.js";
import { type App, appOf, callback, consent, env, otherPIN, parameter, readPIN, user, world } from "./world.js";

const alice = user("alice");
const post = world.posts[7]!.id;
const scope = ["tweet.read", "users.read", "like.write", "offline.access"];
const settings = { httpAgent: new HttpsProxyAgent(env("HTTPS_PROXY")) };

function oauth2(app: App): TwitterApi {
  const { client_id: clientId, client_secret: clientSecret } = app;
  return new TwitterApi({ clientId, ...(clientSecret && { clientSecret }) }, settings);
}

function oauth1(app: App, accessToken?: string, accessSecret?: string): TwitterApi {
  const keys = { appKey: app.api_key, appSecret: app.api_secret };
  return new TwitterApi(accessToken && accessSecret ? { ...keys, accessToken, accessSecret } : keys, settings);
}

async function refusal(call: Promise<unknown>): Promise<ApiResponseError> {
  const [outcome] = await Promise.allSettled([call]);
  assert.ok(outcome.status === "rejected", `not refused: ${JSON.stringify(outcome)}`);
  assert.ok(outcome.reason instanceof ApiResponseError, `${outcome.reason?.stack}`);
  return outcome.reason;
}

// refused checks a refusal of the token endpoint. The client makes an entry of errors of what OAuth calls error.
async function refused(call: Promise<unknown>, description: string, status = 400, error = "invalid_request") {
  const e = await refusal(call);
  assert.equal(e.code, status);
  const { error: word, error_description } = e.data as unknown as Record<string, string>;
  assert.deepEqual({ word, error_description }, { word: error, error_description: description });
}

async function codeFor(client: TwitterApi): Promise<{ code: string; codeVerifier: string; redirectUri: string }> {
  const { url, state, codeVerifier } = client.generateOAuth2AuthLink(callback, { scope });
  const back = await consent(url);
  assert.equal(back.searchParams.get("state"), state);
  return { code: parameter(back, "code"), codeVerifier, redirectUri: callback };
}

// likes likes the post and takes it back.
async function likes(client: TwitterApi) {
  assert.deepEqual((await client.currentUserV2()).data, { id: alice.id, name: "Alice", username: "alice" });
  assert.deepEqual(await client.v2.like(alice.id, post), { data: { liked: true } });
  assert.deepEqual(await client.v2.unlike(alice.id, post), { data: { liked: false } });
}

for (const type of ["confidential", "public"] as const) {
  test(`OAuth 2.0, ${type} app: sign in, like, refresh, like, revoke`, async () => {
    const app = oauth2(appOf(type));
    const signedIn = await app.loginWithOAuth2(await codeFor(app));
    assert.equal(signedIn.expiresIn, 7200);
    assert.deepEqual(signedIn.scope, ["tweet.read", "users.read", "offline.access", "like.write"]);
    assert.ok(signedIn.refreshToken);
    await likes(signedIn.client);

    const renewed = await app.refreshOAuth2Token(signedIn.refreshToken);
    assert.ok(renewed.refreshToken);
    assert.notEqual(renewed.refreshToken, signedIn.refreshToken);
    await likes(renewed.client);
    await app.revokeOAuth2Token(renewed.refreshToken, "refresh_token");
    assert.equal((await refusal(renewed.client.v2.like(alice.id, post))).code, 401);
    await refused(app.refreshOAuth2Token(renewed.refreshToken), "Value passed for the token was invalid.");
    did("twitter-api-v2", "OAuth 2.0");
    did("twitter-api-v2", "likes");
  });

  test(`OAuth 2.0, ${type} app: a refresh token twice`, async () => {
    const app = oauth2(appOf(type));
    const { refreshToken } = await app.loginWithOAuth2(await codeFor(app));
    assert.ok(refreshToken);
    await app.refreshOAuth2Token(refreshToken);
    await refused(app.refreshOAuth2Token(refreshToken), "Value passed for the token was invalid.");
  });

  test(`OAuth 2.0, ${type} app: a code twice, and a wrong verifier`, async () => {
    const app = oauth2(appOf(type));
    const given = await codeFor(app);
    await refused(
      app.loginWithOAuth2({ ...given, codeVerifier: "x".repeat(128) }),
      "Value passed for the code verifier did not match the code challenge.",
    );
    const { client } = await app.loginWithOAuth2(given);
    await refused(app.loginWithOAuth2(given), "Value passed for the authorization code was invalid.");
    assert.equal((await refusal(client.v2.like(alice.id, post))).code, 401);
  });
}

test("OAuth 2.0: a wrong client secret", async () => {
  const app = oauth2({ ...appOf("confidential"), client_secret: "wrong" });
  const given = await codeFor(app);
  await refused(app.loginWithOAuth2(given), "Missing valid authorization header", 401, "unauthorized_client");
});

for (const linkMode of ["authorize", "authenticate"] as const) {
  test(`OAuth 1.0a, three legs by way of ${linkMode}`, async () => {
    const app = appOf("confidential");
    const asked = await oauth1(app).generateAuthLink(callback, { linkMode });
    assert.equal(asked.oauth_callback_confirmed, "true");
    const requester = oauth1(app, asked.oauth_token, asked.oauth_token_secret);
    assert.equal((await refusal(requester.login("too soon"))).code, 401);
    const back = await consent(asked.url);
    assert.equal(back.searchParams.get("oauth_token"), asked.oauth_token);
    const verifier = parameter(back, "oauth_verifier");
    assert.equal((await refusal(requester.login("wrong"))).code, 401);
    const signedIn = await requester.login(verifier);
    assert.deepEqual([signedIn.userId, signedIn.screenName], [alice.id, "alice"]);
    assert.equal((await refusal(requester.login(verifier))).code, 401); // again
    await likes(signedIn.client);
    did("twitter-api-v2", "OAuth 1.0a");
  });
}

test("OAuth 1.0a, with a PIN", async () => {
  const app = appOf("confidential");
  const asked = await oauth1(app).generateAuthLink(); // out of band
  const pin = await readPIN(asked.url);
  const requester = oauth1(app, asked.oauth_token, asked.oauth_token_secret);
  assert.equal((await refusal(requester.login(otherPIN(pin)))).code, 401);
  await likes((await requester.login(pin)).client);
  did("twitter-api-v2", "PIN");
});

test("OAuth 1.0a, to read only", async () => {
  const app = appOf("confidential");
  const asked = await oauth1(app).generateAuthLink(callback, { authAccessType: "read" });
  const verifier = parameter(await consent(asked.url), "oauth_verifier");
  const { client } = await oauth1(app, asked.oauth_token, asked.oauth_token_secret).login(verifier);
  const e = await refusal(client.v2.like(alice.id, post));
  assert.equal(e.code, 403);
  assert.equal(e.data.type, "https://api.twitter.com/2/problems/oauth1-permissions");
});

test("OAuth 1.0a, a callback that is not registered", async () => {
  const e = await refusal(oauth1(appOf("confidential")).generateAuthLink(`${callback}/elsewhere`));
  assert.equal(e.code, 403);
  assert.match(JSON.stringify(e.data), /Callback URL not approved for this client application/);
});

test("app only", async () => {
  const app = appOf("confidential");
  const client = await oauth1(app).appLogin();
  assert.deepEqual(client.getActiveTokens(), { type: "oauth2", bearerToken: app.bearer_token });
  did("twitter-api-v2", "app-only");
});
