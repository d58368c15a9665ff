// twitter-api-sdk from signing in to likes, step by step as its README shows. The SDK has the authorize page of
// twitter.com written into it; the rest goes to base_url.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, auth } from "twitter-api-sdk";
import { did } from "./table.js";
import { type App, appOf, callback, consent, parameter, user, world } from "./world.js";

const alice = user("alice");

function signInOf(app: App) {
  return new auth.OAuth2User({
    client_id: app.client_id,
    ...(app.client_secret && { client_secret: app.client_secret }),
    callback,
    scopes: ["tweet.read", "users.read", "like.write", "offline.access"],
    request_options: { base_url: world.url },
  });
}

const clientOf = (authClient: auth.OAuth2User) => new Client(authClient, { base_url: world.url });

// refused checks a refusal of the token endpoint, as the SDK shows it.
async function refused(call: PromiseLike<unknown>, description: string, status = 400, error = "invalid_request") {
  await assert.rejects(Promise.resolve(call), (e: { status: number; error: unknown }) => {
    assert.deepEqual({ status: e.status, error: e.error }, { status, error: { error, error_description: description } });
    return true;
  });
}

async function codeFor(authClient: auth.OAuth2User): Promise<string> {
  const back = await consent(authClient.generateAuthURL({ state: "a state, with + / = & %", code_challenge_method: "s256" }));
  assert.equal(back.searchParams.get("state"), "a state, with + / = & %");
  return parameter(back, "code");
}

for (const type of ["confidential", "public"] as const) {
  test(`${type} app: sign in, like, refresh, like, revoke`, async () => {
    const post = world.posts[6]!.id;
    const authClient = signInOf(appOf(type));
    const { tweets, users } = clientOf(authClient);
    const { token } = await authClient.requestAccessToken(await codeFor(authClient));
    assert.equal(token.token_type, "bearer");
    assert.deepEqual(token.scope?.split(" "), ["tweet.read", "users.read", "offline.access", "like.write"]);
    const lasts = (token.expires_at ?? 0) - Date.now();
    assert.ok(lasts > 7_000_000 && lasts <= 7_200_000, `the token lasts ${lasts} ms`);
    assert.equal((await users.findMyUser()).data?.username, "alice");
    assert.deepEqual(await tweets.usersIdLike(alice.id, { tweet_id: post }), { data: { liked: true } });

    // The SDK refreshes by itself what it takes for expired.
    authClient.token = { ...token, expires_at: Date.now() };
    assert.deepEqual(await tweets.usersIdUnlike(alice.id, post), { data: { liked: false } });
    const renewed = { ...authClient.token };
    assert.notEqual(renewed.access_token, token.access_token);
    assert.notEqual(renewed.refresh_token, token.refresh_token);
    assert.equal(renewed.scope, token.scope);

    assert.deepEqual(await authClient.revokeAccessToken(), { revoked: true });
    await assert.rejects(Promise.resolve(tweets.usersIdLike(alice.id, { tweet_id: post })), { status: 401 });
    await refused(authClient.refreshAccessToken(), "Value passed for the token was invalid.");
    did("twitter-api-sdk", "OAuth 2.0");
  });

  test(`${type} app: a refresh token twice`, async () => {
    const authClient = signInOf(appOf(type));
    const { token } = await authClient.requestAccessToken(await codeFor(authClient));
    await authClient.refreshAccessToken();
    authClient.token = token;
    await refused(authClient.refreshAccessToken(), "Value passed for the token was invalid.");
  });

  test(`${type} app: a code twice`, async () => {
    const authClient = signInOf(appOf(type));
    const code = await codeFor(authClient);
    await authClient.requestAccessToken(code);
    await refused(authClient.requestAccessToken(code), "Value passed for the authorization code was invalid.");
    // RFC 6749, 4.1.2: whoever had it first may have stolen it.
    const like = clientOf(authClient).tweets.usersIdLike(alice.id, { tweet_id: world.posts[6]!.id });
    await assert.rejects(Promise.resolve(like), { status: 401 });
  });

  test(`${type} app: a wrong verifier`, async () => {
    const authClient = signInOf(appOf(type));
    const code = await codeFor(authClient);
    authClient.generateAuthURL({ state: "another", code_challenge_method: "s256" });
    await refused(
      authClient.requestAccessToken(code),
      "Value passed for the code verifier did not match the code challenge.",
    );
  });
}

test("a challenge that is plain", async () => {
  const authClient = signInOf(appOf("public"));
  const back = await consent(authClient.generateAuthURL({ state: "s", code_challenge_method: "plain", code_challenge: "c".repeat(43) }));
  assert.ok((await authClient.requestAccessToken(parameter(back, "code"))).token.access_token);
});

test("a wrong client secret", async () => {
  const authClient = signInOf({ ...appOf("confidential"), client_secret: "wrong" });
  await refused(
    authClient.requestAccessToken(await codeFor(authClient)),
    "Missing valid authorization header", 401, "unauthorized_client",
  );
});
