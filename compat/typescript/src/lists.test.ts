// Long lists of likes, page by page, through three clients: 1,000 posts that a user likes, and 1,000 users who like a
// post. Newest likes come first, and the driver liked in the order of its credentials.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client as XDK, PostPaginator, UserPaginator } from "@xdevplatform/xdk";
import { HttpsProxyAgent } from "https-proxy-agent";
import { Client as SDK, auth } from "twitter-api-sdk";
import { TwitterApi } from "twitter-api-v2";
import { did } from "./table.js";
import { env, user, world } from "./world.js";

type Item = { id: string };
type Page = { data?: Item[]; meta?: { result_count?: number; next_token?: string; previous_token?: string } };

const ids = (items: Item[]): string[] => items.map((item) => item.id);

const liker = world.users.at(-1)!;
const likedPosts = ids(world.posts.slice(8, -1).reverse());
const popular = world.posts.at(-1)!;
const likers = ids(world.users.slice(7, -1).reverse());
assert.deepEqual([likedPosts.length, likers.length], [1000, 1000]);

const { access_token: token } = user("bob"); // nobody else's rate limits
const pageSize = 100;

test("twitter-api-sdk", async (t) => {
  const sdk = new SDK(new auth.OAuth2Bearer(token), { base_url: world.url });
  async function walk(list: AsyncIterable<Page>, want: string[]) {
    const pages: Page[] = [];
    for await (const page of list) pages.push(page);
    assert.deepEqual(pages.flatMap((page) => ids(page.data ?? [])), want);
    assert.deepEqual(pages.map((page) => page.meta?.result_count), Array(want.length / pageSize).fill(pageSize));
  }
  await t.test("liked posts", () => walk(sdk.tweets.usersIdLikedTweets(liker.id, { max_results: pageSize }), likedPosts));
  await t.test("liking users", () => walk(sdk.users.tweetsIdLikingUsers(popular.id, { max_results: pageSize }), likers));
  did("twitter-api-sdk", "lists");
});

test("twitter-api-v2", async (t) => {
  const { v2 } = new TwitterApi(token, { httpAgent: new HttpsProxyAgent(env("HTTPS_PROXY")) });
  await t.test("liked posts", async () => {
    const first = await v2.userLikedTweets(liker.id, { max_results: pageSize });
    const second = await first.next();
    assert.deepEqual(ids(second.tweets), likedPosts.slice(pageSize, 2 * pageSize));
    assert.deepEqual(ids((await second.previous()).tweets), likedPosts.slice(0, pageSize));

    const got: string[] = [];
    for await (const post of first) got.push(post.id);
    assert.deepEqual(got, likedPosts);
  });
  await t.test("liking users", async () => {
    const list = await v2.tweetLikedBy(popular.id, { max_results: pageSize, asPaginator: true });
    assert.deepEqual(ids((await list.fetchLast(5000)).users), likers);
    assert.equal(list.done, true);
    assert.equal(list.rateLimit.limit, 75);
  });
  did("twitter-api-v2", "lists");
});

test("XDK", async (t) => {
  const { posts, users } = new XDK({ accessToken: token });
  async function walk(list: PostPaginator | UserPaginator, want: string[]) {
    let pages = 0;
    for (; !list.done; pages++) await list.fetchNext();
    assert.deepEqual(ids(list.items), want);
    assert.equal(pages, want.length / pageSize);
  }
  await t.test("liked posts", () =>
    walk(new PostPaginator(async (paginationToken) => {
      const { data, meta } = await users.getLikedPosts(liker.id, { maxResults: pageSize, ...(paginationToken && { paginationToken }) });
      return { data: data ?? [], meta: meta ?? {} };
    }), likedPosts));
  await t.test("liking users", () =>
    walk(new UserPaginator(async (paginationToken) => {
      const { data, meta } = await posts.getLikingUsers(popular.id, { maxResults: pageSize, ...(paginationToken && { paginationToken }) });
      return { data: data ?? [], meta: meta ?? {} };
    }), likers));
  did("@xdevplatform/xdk", "lists");
});
