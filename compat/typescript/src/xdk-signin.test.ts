// X's XDK, which has X's hosts written into its sign-in, from signing in to likes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError, Client, OAuth1, OAuth2, generateCodeVerifier } from "@xdevplatform/xdk";
import { did } from "./table.js";
import { type App, appOf, callback, consent, otherPIN, parameter, readPIN, user, world } from "./world.js";

const alice = user("alice");
const post = world.posts[4]!.id;

function oauth2(app: App): OAuth2 {
  return new OAuth2({
    clientId: app.client_id,
    ...(app.client_secret && { clientSecret: app.client_secret }),
    redirectUri: callback,
    scope: ["tweet.read", "users.read", "like.write", "offline.access"],
  });
}

const oauth1 = (app: App, callback: string) => new OAuth1({ apiKey: app.api_key, apiSecret: app.api_secret, callback });

// likes likes the post and takes it back.
async function likes({ users }: Client) {
  assert.equal((await users.getMe()).data?.username, "alice");
  assert.deepEqual((await users.likePost(alice.id, { tweetId: post })).data, { liked: true });
  assert.deepEqual((await users.unlikePost(alice.id, post)).data, { liked: false });
}

const refused = (call: Promise<unknown>, status: number, description: string) =>
  assert.rejects(call, (e: Error) => e.message.includes(`${status}, body: `) && e.message.includes(`"${description}"`));

async function codeFor(signIn: OAuth2): Promise<{ code: string; verifier: string }> {
  const verifier = generateCodeVerifier();
  await signIn.setPkceParameters(verifier);
  const back = await consent(await signIn.getAuthorizationUrl("a+/= state"));
  assert.equal(back.searchParams.get("state"), "a+/= state");
  return { code: parameter(back, "code"), verifier };
}

for (const type of ["confidential", "public"] as const) {
  test(`OAuth 2.0, ${type} app: sign in, like, refresh, like`, async () => {
    const signIn = oauth2(appOf(type));
    const { code, verifier } = await codeFor(signIn);
    const token = await signIn.exchangeCode(code, verifier);
    assert.equal(token.token_type, "bearer");
    assert.equal(token.expires_in, 7200);
    assert.equal(token.scope, "tweet.read users.read offline.access like.write");
    await likes(new Client({ accessToken: token.access_token }));

    const renewed = await signIn.refreshToken();
    assert.notEqual(renewed.refresh_token, token.refresh_token);
    await likes(new Client({ accessToken: renewed.access_token }));
    await refused(signIn.refreshToken(token.refresh_token), 400, "Value passed for the token was invalid.");
    did("@xdevplatform/xdk", "OAuth 2.0");
    did("@xdevplatform/xdk", "likes");
  });

  test(`OAuth 2.0, ${type} app: a code twice, and a wrong verifier`, async () => {
    const signIn = oauth2(appOf(type));
    const { code, verifier } = await codeFor(signIn);
    await refused(
      signIn.exchangeCode(code, generateCodeVerifier()), 400,
      "Value passed for the code verifier did not match the code challenge.",
    );
    const token = await signIn.exchangeCode(code, verifier);
    await refused(signIn.exchangeCode(code, verifier), 400, "Value passed for the authorization code was invalid.");
    await assert.rejects(
      new Client({ accessToken: token.access_token }).users.likePost(alice.id, { tweetId: post }),
      (e) => e instanceof ApiError && e.status === 401,
    );
  });
}

test("OAuth 2.0: a wrong client secret", async () => {
  const signIn = oauth2({ ...appOf("confidential"), client_secret: "wrong" });
  const { code, verifier } = await codeFor(signIn);
  await refused(signIn.exchangeCode(code, verifier), 401, "Missing valid authorization header");
});

// Without PKCE there is no consent: the XDK leaves it away unless it is told.
test("OAuth 2.0: no challenge", async () => {
  const response = await fetch(await oauth2(appOf("public")).getAuthorizationUrl("s"), { redirect: "manual" });
  assert.equal(response.status, 400);
  assert.match(await response.text(), /You weren’t able to give access to the App/);
});

// clientOf makes a client of what the sign-in gave. In the object of the sign-in the XDK goes on to sign with the secret of
// the request token.
function clientOf(app: App, callback: string, given: { accessToken: string; accessTokenSecret: string }): Client {
  assert.ok(given.accessToken.startsWith(`${alice.id}-`), given.accessToken);
  return new Client({ oauth1: new OAuth1({ apiKey: app.api_key, apiSecret: app.api_secret, callback, ...given }) });
}

for (const loginWithX of [false, true]) {
  test(`OAuth 1.0a, three legs${loginWithX ? ", to log in with X" : ""}`, async () => {
    const app = appOf("confidential");
    const signIn = oauth1(app, callback);
    const asked = await signIn.getRequestToken();
    await assert.rejects(signIn.getAccessToken("too soon"), /Failed to get access token: 401/);
    const back = await consent(signIn.getAuthorizationUrl(loginWithX));
    assert.equal(back.searchParams.get("oauth_token"), asked.oauthToken);
    const verifier = parameter(back, "oauth_verifier");
    await assert.rejects(signIn.getAccessToken("wrong"), /Failed to get access token: 401/);
    await likes(clientOf(app, callback, await signIn.getAccessToken(verifier)));

    const again = oauth1(app, callback);
    again.requestToken = asked;
    await assert.rejects(again.getAccessToken(verifier), /Failed to get access token: 401/);
    did("@xdevplatform/xdk", "OAuth 1.0a");
  });
}

test("OAuth 1.0a, with a PIN", async () => {
  const app = appOf("confidential");
  const signIn = oauth1(app, "oob");
  await signIn.getRequestToken();
  const pin = await readPIN(signIn.getAuthorizationUrl());
  await assert.rejects(signIn.getAccessToken(otherPIN(pin)), /Failed to get access token: 401/);
  await likes(clientOf(app, "oob", await signIn.getAccessToken(pin)));
  did("@xdevplatform/xdk", "PIN");
});

test("OAuth 1.0a, a callback that is not registered", async () => {
  await assert.rejects(oauth1(appOf("confidential"), `${callback}/elsewhere`).getRequestToken(), /Failed to get request token: 403/);
});
