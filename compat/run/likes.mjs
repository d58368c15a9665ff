// Likes a post on X with what Node has, and with undici's own client.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import https from "node:https";
import { createRequire } from "node:module";

const { Agent, request } = createRequire(new URL("../typescript/package.json", import.meta.url))("undici");

const { X_USER_ID: user, X_POST_ID: post, X_ACCESS_TOKEN: token } = process.env;
const path = `/2/users/${user}/likes`;
const method = "POST";
const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
const body = JSON.stringify({ tweet_id: post });

const fetched = await fetch(new Request(`https://api.twitter.com${path}`, { method, headers, body }));
assert.equal(fetched.status, 200);

const sent = https.request({ host: "api.x.com", path, method, headers });
sent.end(body);
const [answer] = await once(sent, "response");
answer.resume();
assert.equal(answer.statusCode, 200);

const session = connect("https://api.x.com");
const stream = session.request({ ":method": method, ":path": path, ...headers });
stream.end(body);
const [head] = await once(stream, "response");
session.destroy();
assert.equal(head[":status"], 200);

const dispatcher = new Agent();
const dispatched = await request(`https://api.x.com${path}`, { method, headers, body, dispatcher });
await dispatched.body.dump();
await dispatcher.close();
assert.equal(dispatched.statusCode, 200);
