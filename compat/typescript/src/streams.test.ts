// The likes streams through three clients, while another client likes. Of X's own SDKs only XDK has methods for them;
// the others read them with what they have for streams in general. Other tests like at the same time, other
// posts.
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Agent } from "node:http";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client as XDK } from "@xdevplatform/xdk";
import { HttpsProxyAgent } from "https-proxy-agent";
import { Client as SDK, auth } from "twitter-api-sdk";
import { stream } from "twitter-api-sdk/dist/request.js";
import { ETwitterStreamEvent, TwitterApi } from "twitter-api-v2";
import { did } from "./table.js";
import { appOf, env, world } from "./world.js";

const { bearer_token: bearer } = appOf("confidential");
const partitions = Array.from({ length: 20 }, (_, n) => n + 1);

type Event = { data?: { id?: string; liked_tweet_id?: string; delete?: { favorite: { id: string; user_id: string } } } };
type Leave = () => void;

// A Reader opens one stream, calls back with each event, and returns how to leave.
type Reader = (path: string, query: Record<string, number>, tell: (event: Event) => void) => Promise<Leave>;

const sdk: Reader = async (path, query, tell) => {
  const leaving = new AbortController();
  const agent = new Agent();
  const events = stream<Event>({
    auth: new auth.OAuth2Bearer(bearer), base_url: world.url, endpoint: `/2/likes/${path}/stream`, method: "GET", params: query, agent,
    signal: leaving.signal as never, // which node-fetch has a type of its own for
  });
  const connected = connects(agent);
  const first = events.next(); // which connects, and says nothing of that before there is an event, or something is wrong
  await Promise.race([first, connected]);
  (async () => {
    for (let next = await first; !next.done; next = await events.next()) tell(next.value);
  })().catch(() => {}); // leaving is an error
  return () => leaving.abort();
};

// connects resolves when a request of the agent is answered with 200.
const connects = (agent: Agent) => new Promise<void>((resolve) => {
  const heard = (message: unknown) => {
    const { request, response } = message as { request: { agent: Agent }; response: { statusCode: number } };
    if (request.agent !== agent) return;
    unsubscribe("http.client.response.finish", heard);
    if (response.statusCode === 200) resolve();
  };
  subscribe("http.client.response.finish", heard);
});

const v2: Reader = async (path, query, tell) => {
  const client = new TwitterApi(bearer, { httpAgent: new HttpsProxyAgent(env("HTTPS_PROXY")) });
  const opened = await client.v2.getStream<Event>(`likes/${path}/stream`, query);
  opened.on(ETwitterStreamEvent.Data, tell);
  return () => opened.destroy();
};

const xdk: Reader = async (path, { partition, ...query }, tell) => {
  const client = new XDK({ bearerToken: bearer });
  const leaving = new AbortController();
  const options = { ...query, signal: leaving.signal };
  const opened = path === "compliance"
    ? await client.stream.likesCompliance(options)
    : await client.stream.likesFirehose(partition!, options);
  opened.autoReconnectEnabled = false;
  opened.on("data", tell);
  opened.on("error", () => {}); // leaving is one
  return () => leaving.abort();
};

// read opens streams and gathers what they tell. An app has one connection to each: it waits until the last has gone.
async function read(t: TestContext, reader: Reader, path: string, queries: Record<string, number>[]): Promise<{ events: Event[]; leave: Leave }> {
  const events: Event[] = [];
  const open = async (query: Record<string, number>): Promise<Leave> => {
    for (let tries = 0; ; tries++) {
      try {
        return await reader(path, query, (event) => events.push(event));
      } catch (error) {
        if (tries === 240) throw error;
        await sleep(250);
      }
    }
  };
  const opened = queries.map(open);
  t.after(async () => {
    for (const one of await Promise.allSettled(opened)) if (one.status === "fulfilled") one.value();
  });
  const left = await Promise.all(opened);
  return { events, leave: () => left.forEach((leave) => leave()) };
}

async function until(holds: () => boolean, what: () => unknown): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    assert.ok(tries < 1200, `after a minute: ${JSON.stringify(what())}`);
    await sleep(50);
  }
}

const clients = [["twitter-api-sdk", sdk], ["twitter-api-v2", v2], ["@xdevplatform/xdk", xdk]] as const;
for (const [n, [name, reader]] of clients.entries()) {
  test(name, async (t) => {
    const liker = world.users[20 + n]!;
    const likes = new SDK(new auth.OAuth2Bearer(liker.access_token), { base_url: world.url }).tweets;
    const posts: string[] = []; // of nobody else's interest
    for (let n = 0; n < 20; n++) posts.push((await likes.createTweet({ text: `post ${n}` })).data!.id);
    const like = async (some: string[]) => {
      for (const tweet_id of some) assert.deepEqual(await likes.usersIdLike(liker.id, { tweet_id }), { data: { liked: true } });
    };
    const told = (events: Event[]) => events.filter(({ data }) => data?.liked_tweet_id && posts.includes(data.liked_tweet_id));
    const liked = (events: Event[]) => told(events).map(({ data }) => data!.liked_tweet_id);
    const ids = (events: Event[]) => told(events).map(({ data }) => data!.id);

    const first = await read(t, reader, "firehose", partitions.map((partition) => ({ partition })));
    await like(posts.slice(0, 10));
    await like(posts.slice(0, 3)); // a repeat is no change, and no event
    await until(() => liked(first.events).length >= 10, () => liked(first.events));
    assert.deepEqual(liked(first.events), posts.slice(0, 10));
    first.leave();

    await like(posts.slice(10)); // while nobody reads
    const backfill_minutes = 5;
    const second = await read(t, reader, "firehose", partitions.map((partition) => ({ partition, backfill_minutes })));
    await until(() => liked(second.events).length >= 20, () => liked(second.events));
    assert.deepEqual(liked(second.events), posts);
    assert.deepEqual(ids(second.events).slice(0, 10), ids(first.events), "an event keeps its id");
    assert.equal(new Set(ids(second.events)).size, 20);
    second.leave();

    const third = await read(t, reader, "compliance", [{}]);
    for (const post of posts.slice(0, 3)) assert.deepEqual(await likes.usersIdUnlike(liker.id, post), { data: { liked: false } });
    const gone = () => third.events.flatMap(({ data }) => (data?.delete?.favorite.user_id === liker.id ? [data.delete.favorite.id] : []));
    await until(() => gone().length >= 3, gone);
    assert.deepEqual(gone(), posts.slice(0, 3));
    third.leave();
    did(name, "streams");
  });
}

test("XDK ends connections, whose places are free then", async (t) => {
  const { connections } = new XDK({ bearerToken: bearer });
  const open = async () => (await connections.getConnectionHistory({ status: "active" }) as { data: { id: string }[] }).data;
  const ends: [string, () => Promise<unknown>][] = [
    ["all", () => connections.deleteAll()],
    ["by endpoint", () => connections.deleteByEndpoint("likes_compliance_stream")],
    ["by ids", async () => connections.deleteByUuids({ uuids: (await open()).map(({ id }) => id) })],
  ];
  await read(t, xdk, "compliance", [{}]); // once readers of other tests have gone
  for (let tries = 0; (await open()).length > 1 && tries < 240; tries++) await sleep(250); // of all streams
  for (const [name, end] of ends) {
    assert.equal((await open()).length, 1, name);
    const { data } = await end() as { data: Record<string, unknown> };
    assert.equal(data.successfulKills ?? data.successful_kills, 1, `${name}: ${JSON.stringify(data)}`);
    t.after(await xdk("compliance", {}, () => {}));
  }
});
