import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Client, auth, types } from "twitter-api-sdk";
import { did } from "./table.js";
import { env, user, world } from "./world.js";

// The SDK's error type. The SDK throws it and does not export it.
interface TwitterResponseError extends Error {
  status: number;
  statusText: string;
  headers: Record<string, string>;
  error: unknown;
}

const missingPost = "1";

function clientOf(token: string): Client {
  return new Client(new auth.OAuth2Bearer(token), { base_url: world.url });
}

const [alice, bob, dave] = [user("alice"), user("bob"), user("dave")];

// postAt returns the id of the n-th post of the world, so that each test has a post to itself.
function postAt(n: number): string {
  const post = world.posts[n];
  assert.ok(post, `the server has fewer than ${n + 1} posts`);
  return post.id;
}

async function likeCount(id: string): Promise<number> {
  const found = await clientOf(alice.access_token).tweets.findTweetById(id, { "tweet.fields": ["public_metrics"] });
  const count = found.data?.public_metrics?.like_count;
  assert.equal(typeof count, "number", `like_count of post ${id} in ${JSON.stringify(found)}`);
  return count as number;
}

async function refusal(call: PromiseLike<unknown>): Promise<TwitterResponseError> {
  let answer: unknown;
  try {
    answer = await call;
  } catch (error) {
    const e = error as TwitterResponseError;
    assert.equal(e.constructor.name, "TwitterResponseError", `${e.stack}`);
    return e;
  }
  assert.fail(`got ${JSON.stringify(answer)}, want a refusal`);
}

function invalidRequest(entry: object) {
  return {
    errors: [entry],
    title: "Invalid Request",
    detail: "One or more parameters to your request was invalid.",
    type: "https://api.twitter.com/2/problems/invalid-request",
  };
}

test("the example of the reference page, as it stands there", async () => {
  const before = await likeCount("1521887626935947265");
  const page = fileURLToPath(new URL("page.js", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [page]);
  assert.equal(stdout, "{ data: { liked: true } }\n");
  assert.equal(await likeCount("1521887626935947265"), before + 1);
  did("twitter-api-sdk", "the reference page's example");
});

test("like, like again, unlike, unlike again", async () => {
  const { tweets } = clientOf(alice.access_token);
  const post = postAt(0);
  const before = await likeCount(post);
  const liked: types.TwitterResponse<types.usersIdLike> = { data: { liked: true } };
  const unliked: types.TwitterResponse<types.usersIdUnlike> = { data: { liked: false } };

  assert.deepEqual(await tweets.usersIdLike(alice.id, { tweet_id: post }), liked);
  assert.equal(await likeCount(post), before + 1);
  assert.deepEqual(await tweets.usersIdLike(alice.id, { tweet_id: post }), liked);
  assert.equal(await likeCount(post), before + 1, "a repeat changes nothing");

  assert.deepEqual(await tweets.usersIdUnlike(alice.id, post), unliked);
  assert.equal(await likeCount(post), before);
  assert.deepEqual(await tweets.usersIdUnlike(alice.id, post), unliked);
  assert.equal(await likeCount(post), before, "a repeat changes nothing");
});

test("the SDK knows who it acts for", async () => {
  const me: types.TwitterResponse<types.findMyUser> = await clientOf(bob.access_token).users.findMyUser();
  assert.deepEqual(me, { data: { id: bob.id, name: "Bob", username: "bob" } });
});

test("another user's id", async () => {
  const post = postAt(2);
  const before = await likeCount(post);
  const e = await refusal(clientOf(alice.access_token).tweets.usersIdLike(bob.id, { tweet_id: post }));
  assert.equal(e.status, 400);
  assert.deepEqual(
    e.error,
    invalidRequest({
      parameters: { id: [bob.id] },
      message: `The \`id\` query parameter value [${bob.id}] must be the same as the authenticating user [${alice.id}]`,
    }),
  );
  assert.equal(await likeCount(post), before);
});

test("a post that is not there", async () => {
  const e = await refusal(clientOf(alice.access_token).tweets.usersIdLike(alice.id, { tweet_id: missingPost }));
  assert.equal(e.status, 400);
  assert.deepEqual(e.error, invalidRequest({ message: "This tweet cannot be found." }));
  assert.equal(e.headers["x-rate-limit-limit"], "50", "the request counts");
});

test("a token without like.write", async () => {
  const post = postAt(3);
  const before = await likeCount(post);
  const e = await refusal(clientOf(env("LIKED_NARROW_TOKEN")).tweets.usersIdLike(alice.id, { tweet_id: post }));
  assert.equal(e.status, 403);
  assert.deepEqual(e.error, { title: "Forbidden", type: "about:blank", status: 403, detail: "Forbidden" });
  assert.equal(e.headers["content-type"], "application/problem+json");
  assert.equal(e.headers["x-rate-limit-limit"], undefined, "the request does not count");
  assert.equal(await likeCount(post), before);
});

test("an app-only token", async () => {
  const app = world.apps[0];
  assert.ok(app);
  const e = await refusal(
    new Client(app.bearer_token, { base_url: world.url }).tweets.usersIdLike(alice.id, { tweet_id: postAt(3) }),
  );
  assert.equal(e.status, 403);
  assert.deepEqual(e.error, {
    title: "Unsupported Authentication",
    detail:
      "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint.  " +
      "Supported authentication types are [OAuth 1.0a User Context, OAuth 2.0 User Context].",
    type: "https://api.twitter.com/2/problems/unsupported-authentication",
    status: 403,
  });
});

test("an expired token", async () => {
  const e = await refusal(
    clientOf(env("LIKED_EXPIRED_TOKEN")).tweets.usersIdLike(alice.id, { tweet_id: postAt(3) }),
  );
  assert.equal(e.status, 401);
  assert.deepEqual(e.error, { title: "Unauthorized", type: "about:blank", status: 401, detail: "Unauthorized" });
});

test("the 51st like in 15 minutes", async () => {
  const client = clientOf(dave.access_token);
  const post = postAt(5);
  const before = await likeCount(post);
  for (let n = 1; n <= 50; n++) {
    assert.deepEqual(await client.tweets.usersIdLike(dave.id, { tweet_id: post }), { data: { liked: true } }, `${n}`);
  }
  const e = await refusal(client.tweets.usersIdLike(dave.id, { tweet_id: post }));
  assert.equal(e.status, 429);
  assert.deepEqual(e.error, {
    title: "Too Many Requests",
    detail: "Too Many Requests",
    type: "about:blank",
    status: 429,
  });
  assert.equal(e.headers["x-rate-limit-limit"], "50");
  assert.equal(e.headers["x-rate-limit-remaining"], "0");
  const wait = Number(e.headers["x-rate-limit-reset"]) - Date.now() / 1000;
  assert.ok(wait > 0 && wait <= 900, `the window opens again in ${wait} s`);
  assert.equal(await likeCount(post), before + 1);

  // Unlikes have a window of their own, so the like can be taken back at once.
  assert.deepEqual(await client.tweets.usersIdUnlike(dave.id, post), { data: { liked: false } });
  assert.equal(await likeCount(post), before);
  did("twitter-api-sdk", "likes");
});
