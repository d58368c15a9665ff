// The API explorer, in a real browser: what somebody does who has never seen it, and the code that it gives them.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import {
  comes, elsewhere, elsewhereURL, freePort, inspect, like, openBrowser, openPage, patience, picture, post, startServer, user, world,
} from "./world.js";

const explorer = `${world.url}/explorer`;
const alice = user("alice");

let browser;
before(async () => (browser = await openBrowser()));
after(() => browser?.close());

// What Chromium says of any request that is refused, and of a header of ours that is for HTTPS and localhost only.
const expected = /status of 4\d\d|Cross-Origin-Opener-Policy header has been ignored/;

// explore opens a page, and fails if it asks another server for anything or if the browser complains of anything but a
// refusal by the API, or what also matches.
const explore = (name, run, also = /^$/) =>
  test(name, { timeout: 10 * patience }, async () => {
    const page = await openPage(browser);
    const complaints = [];
    const asked = new Set();
    page.on("request", (r) => asked.add(new URL(r.url()).origin));
    page.on("console", (m) => {
      if (["error", "warning"].includes(m.type()) && !expected.test(m.text()) && !also.test(m.text())) complaints.push(m.text());
    });
    try {
      await run(page);
      assert.deepEqual(page.refusals, [], "refused by the browser");
      assert.deepEqual(complaints, []);
      assert.ok(asked.size <= 1, `the page called ${[...asked]}`);
    } finally {
      await page.context().close();
    }
  });

const opened = (page) => page.locator(".operation[open]");
const answer = (page) => opened(page).locator(".answer");
const bar = (page) => page.getByRole("region", { name: "Who calls" });
const endpoint = (page, id) => page.locator(`#${id} > summary`);

// send sends the endpoint that is open, and waits for the answer.
async function send(page) {
  await opened(page).getByRole("button", { name: "Send", exact: true }).click();
  await opened(page).locator(".answers:not([aria-busy])").waitFor();
}

// only closes the endpoint that is open at first, and opens another.
async function only(page, id) {
  await endpoint(page, "usersIdLike").click();
  await endpoint(page, id).click();
}

async function likesAPost(page) {
  await send(page);
  const said = await answer(page).innerText();
  assert.match(said, /200 OK/);
  assert.match(said, /\{\s*"data": \{\s*"liked": true\s*\}\s*\}/);
  return said;
}

async function likeCount(url, id, token) {
  const found = await fetch(`${url}/2/tweets/${id}?tweet.fields=public_metrics`, { headers: { authorization: `Bearer ${token}` } });
  return (await found.json()).data.public_metrics.like_count;
}

explore("the first click likes a post, in a server that has just been started", async (page) => {
  const server = await startServer("dev");
  try {
    assert.ok(server.url, "no url");
    await page.goto(`${server.url}/explorer`);
    await bar(page).getByText("Calling as @alice").waitFor();
    const said = await likesAPost(page);
    assert.match(said, /49 of 50\s+left in 15 minutes/);
    assert.match(said, /resets at \d\d:\d\d, in 15 minutes/);
    assert.match(said, /999 of 1,000\s+left in 24 hours/);
    await picture(page, "explorer");
    await send(page);
    await page.getByText("48 of 50").waitFor();
    await operate("/admin/clock/advance", { by: "30m" }, operatorOf(server));
    await send(page);
    await page.getByText("49 of 50").waitFor();
    assert.match(await answer(page).innerText(), /resets at \d\d:\d\d\n/, "the browser's clock is not the server's any more");
    assert.match(server.printed(), new RegExp(`  explorer +${server.url}/explorer\n`));
  } finally {
    await server.stop();
  }
});

// openWith opens an address with a token, and takes it.
async function openWith(page, token, url = explorer) {
  await page.goto(`${url}#access_token=${token}`);
  await bar(page).getByRole("button", { name: "Use this token" }).click();
}

explore("the address that a server with secret tokens prints", async (page) => {
  await page.goto(explorer);
  await bar(page).getByText("Nobody is signed in").waitFor();
  await openWith(page, alice.access_token); // in the tab that has the page already
  await bar(page).getByText("Calling as @alice").waitFor();
  assert.ok(!page.url().includes("token"), "the token stays in the address");
  await likesAPost(page);
});

explore("an address with a token signs nobody in unasked", async (page) => {
  const caller = () => page.evaluate(() => JSON.parse(sessionStorage.getItem("liked.caller"))?.user.username);
  await page.goto(`${explorer}#access_token=${alice.access_token}`);
  await bar(page).getByText("an access token of @alice").waitFor();
  await bar(page).getByText("Nobody is signed in").waitFor();
  assert.ok(!page.url().includes("token"), "the token stays in the address");
  await send(page);
  assert.match(await answer(page).innerText(), /401 Unauthorized/);
  await bar(page).getByRole("button", { name: "Ignore it" }).click();
  await page.reload();
  await bar(page).getByText("Nobody is signed in").waitFor();
  assert.equal(await bar(page).getByText("access token of").count(), 0, "what was ignored is offered again");
  await openWith(page, user("bob").access_token);
  await bar(page).getByText("Calling as @bob").waitFor();
  await page.goto(`${explorer}#access_token=${alice.access_token}`); // does not replace who is signed in
  await bar(page).getByText("an access token of @alice").waitFor();
  assert.equal(await caller(), "bob");
  await page.goto(`${explorer}#access_token=nonsense`);
  await page.getByRole("alert").getByText("does not know the token in the address").waitFor();
  assert.equal(await caller(), "bob");
});

explore("sign in, like, sign out", async (page) => {
  await page.goto(explorer);
  await bar(page).getByRole("button", { name: "Sign in" }).click();
  await page.getByLabel("Username", { exact: true }).fill("carol");
  await page.getByLabel("Password").fill(user("carol").password);
  await page.getByRole("button", { name: "Sign in" }).click();
  const consent = await page.getByRole("main").innerText();
  assert.match(consent, /API explorer asks for access/);
  assert.match(consent, /Like posts for you/);
  await page.getByRole("button", { name: "Authorize app" }).click();
  await bar(page).getByText("Calling as @carol").waitFor();
  assert.ok(!page.url().includes("code="), "the code stays in the address");
  assert.equal(await opened(page).getByLabel("id, required").inputValue(), user("carol").id);
  await opened(page).getByLabel("Body, JSON").fill(JSON.stringify({ tweet_id: post(3) }));
  const before = await likeCount(world.url, post(3), alice.access_token);
  await likesAPost(page);
  assert.equal(await likeCount(world.url, post(3), alice.access_token), before + 1);

  const token = await page.evaluate(() => JSON.parse(sessionStorage.getItem("liked.caller")).token);
  await bar(page).getByRole("button", { name: "Sign out" }).click();
  await bar(page).getByText("Nobody is signed in").waitFor();
  assert.equal(await like("carol", post(4), `Bearer ${token}`), 401, "the token outlives the sign-out");
});

explore("a sign-in leaves what was typed and ticked", async (page) => {
  await page.goto(explorer);
  await bar(page).getByText("Nobody is signed in").waitFor();
  await only(page, "usersIdLikedTweets");
  await opened(page).getByText(/^Optional fields/).click();
  await opened(page).getByText("tweet.fields none").click();
  await opened(page).getByRole("checkbox", { name: "created_at", exact: true }).check();
  await opened(page).getByLabel("max_results").fill("7");
  const called = () => opened(page).getByRole("tabpanel").getByText("liked_tweets?max_results=7&tweet.fields=created_at").waitFor();
  await called();
  await bar(page).getByRole("button", { name: "Sign in" }).click();
  await page.getByLabel("Username", { exact: true }).fill("carol");
  await page.getByLabel("Password").fill(user("carol").password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Authorize app" }).click();
  await bar(page).getByText("Calling as @carol").waitFor();
  await called();
  assert.equal(await opened(page).getByLabel("id, required").inputValue(), user("carol").id);
  assert.equal(await opened(page).getByText(/^Optional fields/).innerText(), "Optional fields (8) max_results, tweet.fields");
  await opened(page).getByText(/^Optional fields/).click();
  await opened(page).getByText("tweet.fields created_at").click();
  assert.equal(await opened(page).getByRole("checkbox", { checked: true }).count(), 1);
});

explore("refuse to give access", async (page) => {
  await page.goto(explorer);
  await bar(page).getByRole("button", { name: "Sign in" }).click();
  await page.getByLabel("Username", { exact: true }).fill("carol");
  await page.getByLabel("Password").fill(user("carol").password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("alert").getByText("You did not give access").waitFor();
  await page.goto(`${explorer}?state=forged&code=forged`);
  await page.getByRole("alert").getByText("not begun in this tab").waitFor();
});

explore("paste a token, and one that is no good", async (page) => {
  await page.goto(explorer);
  const paste = async (token) => {
    await bar(page).getByText(/^(Paste a|Use another) token$/).click();
    await page.getByLabel("OAuth 2.0 access token").fill(token);
    await page.getByRole("button", { name: "Use it" }).click();
  };
  await paste("it's no token");
  await bar(page).getByText("does not know this token").waitFor();
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  const copied = comes(page, "Copied");
  await opened(page).getByRole("button", { name: "Copy the line that sets it" }).click();
  await copied;
  const { stdout } = await run("sh", ["-c", `${await page.evaluate("navigator.clipboard.readText()")}printf %s "$X_ACCESS_TOKEN"`]);
  assert.equal(stdout, "it's no token");
  await send(page);
  assert.match(await answer(page).innerText(), /401 Unauthorized/);
  await paste(world.apps[0].bearer_token);
  await bar(page).getByText("Calling as an app").waitFor();
  await paste(user("bob").access_token);
  await bar(page).getByText("Calling as @bob").waitFor();
  await likesAPost(page);
  await page.route("**/2/users/me", (route) => route.fulfill({ status: 502, body: "<p>Bad gateway</p>" }), { times: 1 });
  await paste(user("bob").access_token);
  await bar(page).getByText("The server did not say whose token this is: it answered 502.").waitFor();
}, /status of 502/);

explore("on plain http, where browsers hold back hashes and the clipboard", async (page) => {
  const port = await freePort();
  const url = `http://${elsewhere}:${port}`;
  const server = await startServer("dev", "--listen", `127.0.0.1:${port}`, "--public-url", url, "--seed", "0", "--auto-consent", "bob");
  try {
    await page.goto(`${url}/explorer`);
    assert.equal(await page.evaluate(() => typeof crypto.subtle), "undefined");
    await bar(page).getByRole("button", { name: "Sign in" }).click();
    await bar(page).getByText("Calling as @bob").waitFor();
    await likesAPost(page);
    const copied = comes(page, "Copied");
    await opened(page).getByRole("button", { name: "Copy", exact: true }).click();
    await copied;
    const body = opened(page).getByLabel("Body, JSON");
    await body.fill("");
    await body.press("Control+v");
    assert.match(await body.inputValue(), new RegExp(`^curl -X POST '${url}/2/users/`));
  } finally {
    await server.stop();
  }
});

explore("at an address that the server does not know", async (page) => {
  await openWith(page, alice.access_token, `${elsewhereURL}/explorer`);
  await bar(page).getByRole("button", { name: "Sign out" }).click();
  await bar(page).getByText(`You can sign in at ${explorer}. For this address, start the server with --public-url ${elsewhereURL}`).waitFor();
  assert.equal(await bar(page).getByRole("button", { name: "Sign in" }).count(), 0);
});

explore("in one of several servers on a database, which have no address in common", async (page) => {
  await page.route(explorer, async (route) => { // as its page is
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()).replace(/data-client="[^"]+"/, 'data-client=""') });
  });
  await page.goto(explorer);
  await bar(page).getByText(`To sign in here, start the server with --public-url ${world.url}`).waitFor();
  assert.equal(await bar(page).getByRole("button", { name: "Sign in" }).count(), 0);
});

explore("what is refused, and why", async (page) => {
  await openWith(page, alice.access_token);
  await opened(page).getByLabel("id, required").fill("12");
  await send(page);
  const said = await answer(page).innerText();
  const why = `The \`id\` query parameter value [12] must be the same as the authenticating user [${alice.id}]`;
  assert.ok(said.includes(`Why: ${why}`), said);
  assert.match(said, /"type": "https:\/\/api\.twitter\.com\/2\/problems\/invalid-request"/);
  await page.getByText("Raw request and answer").click();
  const raw = await page.getByLabel("Raw request", { exact: true }).innerText();
  assert.match(raw, /^POST \/2\/users\/12\/likes HTTP\/1\.1\nHost: 127\.0\.0\.1:\d+\n/);
  assert.match(raw, /\nAuthorization: Bearer •+\n/);
  assert.ok(!raw.includes(alice.access_token), "the token is shown");
  const back = await page.getByLabel("Raw answer", { exact: true }).innerText();
  for (const header of ["x-rate-limit-remaining: ", "x-transaction-id: ", `x-liked-explain: ${why}`]) assert.ok(back.includes(`\n${header}`), `${header} in ${back}`);

  await opened(page).getByLabel("id, required").fill("not an id");
  await opened(page).getByLabel("Body, JSON").fill("{");
  await send(page);
  await answer(page).getByText("not an id").first().waitFor();
});

explore("every endpoint of the description can be sent", async (page) => {
  const server = await startServer("dev"); // what can be deleted there is
  try {
    await page.goto(`${server.url}/explorer`);
    const { paths } = await (await fetch(`${server.url}/2/openapi.json`)).json();
    const described = Object.entries(paths).flatMap(([at, methods]) => Object.entries(methods).map(([method, { operationId, summary }]) => [operationId, `${method.toUpperCase()} ${at} ${summary}`]));
    assert.equal(await page.locator(".operation").count(), described.length);
    await endpoint(page, "usersIdLike").click(); // it is open at first
    for (const [id, name] of described) {
      assert.equal((await endpoint(page, id).innerText()).replaceAll(/\s+/g, " "), name);
      await endpoint(page, id).click();
      const [, hook] = name.match(/\{(webhook_id|subscription_id)\}/) ?? [];
      if (hook) await opened(page).getByLabel(`${hook}, required`).fill("1"); // which is not there
      await send(page);
      const said = await answer(page).innerText();
      assert.match(said, /^(200 OK|201 Created|403 Forbidden)/, `${name}: ${said}`); // the last: to delete what another wrote
      await endpoint(page, id).click();
    }
  } finally {
    await server.stop();
  }
});

explore("fields are ticked, and everything follows", async (page) => {
  assert.equal(await like("alice", post(5), `Bearer ${alice.access_token}`), 200);
  await openWith(page, alice.access_token);
  await bar(page).getByText("Calling as @alice").waitFor();
  await only(page, "usersIdLikedTweets");
  const optional = opened(page).getByText(/^Optional fields/);
  assert.equal(await opened(page).getByLabel("max_results").isVisible(), false, "optional fields stand before Send");
  await optional.click();
  await opened(page).getByText("tweet.fields none").click();
  await opened(page).getByRole("group", { name: "tweet.fields" }).getByRole("checkbox", { name: "public_metrics", exact: true }).check();
  await opened(page).getByRole("checkbox", { name: "created_at", exact: true }).check();
  await opened(page).getByLabel("max_results").fill("5");
  await opened(page).getByText(`liked_tweets?max_results=5&tweet.fields=created_at,public_metrics`).waitFor(); // in the code
  await opened(page).getByText("tweet.fields created_at, public_metrics").waitFor();
  assert.equal(await optional.innerText(), "Optional fields (8) max_results, tweet.fields");
  await send(page);
  await opened(page).getByText("like_count").first().waitFor();
});

explore("a stream is shown as it comes, until it is stopped", async (page) => {
  await openWith(page, world.apps[0].bearer_token);
  await bar(page).getByText("Calling as an app").waitFor();
  await only(page, "streamLikesFirehose");
  assert.equal(await page.getByLabel("partition, required").first().inputValue(), "17"); // where alice's likes are
  const began = page.waitForResponse((r) => r.url().endsWith("/2/likes/firehose/stream?partition=17"));
  await opened(page).getByRole("button", { name: "Send" }).click();
  assert.equal((await began).status(), 200);
  await answer(page).getByText("Partition 17 is read").waitFor();
  assert.match(await answer(page).innerText(), /\d+ of 1,000\s+left in 15 minutes/);
  for (const n of [6, 7]) {
    assert.equal(await like("alice", post(n), `Bearer ${alice.access_token}`), 200);
    await answer(page).getByText(`"liked_tweet_id":"${post(n)}"`).waitFor(); // while it goes on
    await opened(page).getByRole("button", { name: "Stop" }).waitFor();
  }
  await opened(page).getByRole("button", { name: "Stop" }).click();
  await opened(page).getByText("You have stopped the stream.").waitFor();

  // An app has one connection to a partition: whoever reads it next takes the place that the page has left.
  const authorization = `Bearer ${world.apps[0].bearer_token}`;
  for (const deadline = Date.now() + patience; ; ) {
    const next = new AbortController();
    const { status } = await fetch(`${world.url}/2/likes/firehose/stream?partition=17`, { headers: { authorization }, signal: next.signal });
    next.abort();
    if (status === 200) break;
    assert.ok(Date.now() < deadline, `the page reads on: ${status}`);
  }
});

explore("what is shown as raw is what came", async (page) => {
  await openWith(page, alice.access_token);
  await bar(page).getByText("Calling as @alice").waitFor();
  await opened(page).getByLabel("Body, JSON").fill('{"tweet_id": 1}');
  const coming = page.waitForResponse((r) => r.url().endsWith("/likes"));
  await send(page);
  const came = await coming;
  const why = came.headers()["x-liked-explain"];
  assert.match(why, /, /);
  assert.ok((await answer(page).innerText()).includes(`Why: ${why}\n`), "the reason has lost its commas");
  await page.getByText("Raw request and answer").click();
  const raw = await page.getByLabel("Raw answer", { exact: true }).innerText();
  const [head, ...rest] = raw.split("\n\n");
  assert.ok(head.includes(`\nx-liked-explain: ${why}`), head);
  const same = await fetch(came.url(), { method: "POST", body: '{"tweet_id": 1}', // since browsers forget what they have read
    headers: { authorization: `Bearer ${alice.access_token}`, "content-type": "application/json" } });
  assert.equal(rest.join("\n\n"), await same.text());
});

explore("the server is gone, and comes back", async (page) => {
  const port = await freePort();
  const start = () => startServer("dev", "--listen", `127.0.0.1:${port}`);
  let server = await start();
  try {
    await page.goto(`${server.url}/explorer`);
    await bar(page).getByText("Calling as @alice").waitFor();
    await server.stop();
    await send(page);
    const said = await opened(page).getByRole("alert").innerText();
    assert.equal(said, `No answer came from ${server.url}. Is the server running? Start it again, then try once more.`);
    await bar(page).getByText("Use a token of your own").click();
    await page.getByLabel("OAuth 2.0 access token").fill("some");
    await page.getByRole("button", { name: "Use it" }).click();
    await bar(page).getByRole("alert").getByText("Is the server running?").waitFor();
    server = await start();
    await send(page);
    if (/401/.test(await answer(page).innerText())) await bar(page).getByText("Another one was made").waitFor(); // the world is a new one
    await likesAPost(page);
  } finally {
    await server.stop();
  }
}, /ERR_CONNECTION_REFUSED/);

explore("what a body may hold, and what may be answered", async (page) => {
  await page.goto(`${explorer}#createTweet`);
  await opened(page).getByText("What the body may hold").click();
  const members = await opened(page).locator(".members").first().innerText();
  assert.match(members, /^text string, required/);
  assert.match(members, /reply_settings string\s+One of following, mentionedUsers, subscribers, verified/);
  assert.match(members, /in_reply_to_tweet_id string, required/);
  await opened(page).getByText("What it may answer").click();
  await opened(page).getByText("The caller may not do this").waitFor();
  assert.match(await opened(page).getByLabel("Example of 201").innerText(), /"edit_history_tweet_ids"/);
});

// operate asks the operator's side, and returns what it answers.
async function operate(address, body, { adminURL, adminToken } = { adminURL: world.admin_url, adminToken: world.admin_token }) {
  const headers = { authorization: `Bearer ${adminToken}`, "content-type": "application/json" };
  const answer = await fetch(adminURL + address, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, `${address}: ${answer.status} ${text}`);
  return text && JSON.parse(text);
}

// operatorOf reads where a server's operator asks, and with which token, from what it printed.
function operatorOf(server) {
  const [, adminURL, adminToken] = server.printed().match(/  admin +(http\S+)\n +admin token +(\S+)\n/) ?? assert.fail(server.printed());
  return { adminURL, adminToken };
}

const issue = async (name) => (await operate("/admin/tokens", { kind: "user", app: "demo", user: name })).token;
const revoke = (token) => operate("/admin/tokens/revoke", { token });

explore("a token that was revoked", async (page) => {
  const token = await issue("dave");
  await openWith(page, token);
  await bar(page).getByText("Calling as @dave").waitFor();
  const typed = JSON.stringify({ tweet_id: post(2) });
  await opened(page).getByLabel("Body, JSON").fill(typed);
  await revoke(token);
  await send(page);
  await answer(page).getByText("401 Unauthorized").waitFor();
  await bar(page).getByText("The token of @dave is no longer good").waitFor();
  await bar(page).getByText("Use another token").click();
  await page.getByLabel("OAuth 2.0 access token").fill(user("dave").access_token);
  await page.getByRole("button", { name: "Use it" }).click();
  await bar(page).getByText("Calling as @dave").waitFor();
  assert.equal(await opened(page).getByLabel("Body, JSON").inputValue(), typed, "what was typed is gone");
  await likesAPost(page);

  // Somebody comes back to the tab.
  const second = await issue("dave");
  await openWith(page, second);
  await bar(page).getByText("Calling as @dave").waitFor();
  await revoke(second);
  await page.reload();
  await bar(page).getByText("The token of @dave is no longer good").waitFor();
  await page.evaluate(() => (location.hash = "noSuchEndpoint"));
  await page.getByRole("alert").getByText("There is no endpoint noSuchEndpoint here").waitFor();
  await inspect(page, "explorer-lost");
});

explore("one identity, here and in the console", async (page) => {
  const server = await startServer("dev");
  try {
    await page.goto(`${server.url}/explorer`);
    await bar(page).getByText("Calling as @alice through the app demo").waitFor();
    await bar(page).getByText("Call as another").click();
    await bar(page).getByLabel("User").fill("@nobody_at_all");
    await bar(page).getByRole("button", { name: "Call as the user" }).click();
    await bar(page).getByRole("alert").getByText("No such user").waitFor();
    await bar(page).getByText("Call as another").click();
    await bar(page).getByLabel("User").fill("bob");
    await bar(page).getByRole("button", { name: "Call as the user" }).click();
    await bar(page).getByText("Calling as @bob through the app demo").waitFor();
    await likesAPost(page); // the path has bob's id
    await page.goto(`${server.url}/console`);
    await page.getByText("Calling as @bob").waitFor();
    await page.getByText("Calling as @bob").click();
    await page.locator("#acting").getByLabel("User", { exact: true }).fill("carol");
    await page.getByRole("button", { name: "Call as this one" }).click();
    await page.getByText("Calling as @carol").waitFor();
    await page.goto(`${server.url}/explorer#getConnectionHistory`);
    await bar(page).getByText("Calling as @carol").waitFor();

    await send(page);
    await answer(page).getByText("403 Forbidden").waitFor();
    await bar(page).getByText("Call as another").click();
    await inspect(page, "explorer-acting");
    await bar(page).getByText("Call as another").click();
    await answer(page).getByRole("button", { name: "Send it as the app demo" }).click();
    await answer(page).getByText("200 OK").waitFor();
    await bar(page).getByText("Calling as @carol").waitFor();

    await bar(page).getByText("Call as another").click();
    await bar(page).getByRole("button", { name: "Call as nobody" }).click();
    await bar(page).getByText("Calling as nobody").waitFor();
    await send(page);
    await answer(page).getByText("401 Unauthorized").waitFor();
    await bar(page).getByText("Call as another").click();
    await bar(page).getByRole("button", { name: "Call as the app" }).click();
    await bar(page).getByText("Calling as the app demo").waitFor();
    await send(page);
    await answer(page).getByText("200 OK").waitFor();
  } finally {
    await server.stop();
  }
});

explore("the token of the identity is revoked", async (page) => {
  const server = await startServer("dev");
  try {
    await page.goto(`${server.url}/explorer`);
    await bar(page).getByText("Calling as @alice").waitFor();
    const sent = page.waitForRequest((r) => r.url().endsWith("/likes"));
    await likesAPost(page);
    const token = (await sent).headers().authorization.replace("Bearer ", "");
    await operate("/admin/tokens/revoke", { token }, operatorOf(server));
    await send(page);
    await bar(page).getByRole("status").getByText("Another one was made: press Send once more.").waitFor();
    await likesAPost(page);
  } finally {
    await server.stop();
  }
});

explore("the admin token opens the identity where it is not known", async (page) => {
  const server = await startServer("dev", "--seed", "0");
  try {
    await page.goto(`${server.url}/explorer`);
    await bar(page).getByText("Nobody is signed in").waitFor();
    await bar(page).getByRole("link", { name: "console" }).click();
    await page.getByLabel("Admin token").fill(operatorOf(server).adminToken);
    await page.getByRole("button").last().click();
    await page.getByText("Calling as @alice").waitFor();
    await page.goto(`${server.url}/explorer`);
    await bar(page).getByText("Calling as @alice").waitFor();
    await likesAPost(page);
  } finally {
    await server.stop();
  }
});

explore("an address leads to its endpoint, and Back to the page before", async (page) => {
  const inSight = (id) => page.waitForFunction((id) => {
    const { top } = document.getElementById(id).getBoundingClientRect();
    return document.getElementById(id).open && top >= 0 && top < innerHeight - 100;
  }, id);
  await page.goto(world.url);
  await page.goto(`${explorer}#deleteWebhooks`);
  await inSight("deleteWebhooks");
  assert.equal(await page.locator(".operation[open]").count(), 1);
  await endpoint(page, "getWebhooks").click();
  assert.equal(new URL(page.url()).hash, "#getWebhooks");
  await endpoint(page, "findMyUser").click();
  await page.goBack();
  assert.equal(page.url(), `${world.url}/`);
  await page.goto(`${explorer}#/Users/findUserById`); // as the address was with Swagger UI
  await inSight("findUserById");
  await page.evaluate(() => (location.hash = "usersIdUnlike"));
  await inSight("usersIdUnlike");
  await page.evaluate(() => (location.hash = "%zz"));
  await page.getByRole("alert").getByText("There is no endpoint %zz here").waitFor();
  await page.goto(`${explorer}#noSuchEndpoint`);
  await page.getByRole("alert").getByText("There is no endpoint noSuchEndpoint here. These are all that there are:").waitFor();
  assert.equal(await page.locator(".operation[open]").count(), 0);
});

explore("the endpoints are there before any script", async (page) => {
  await page.route(/\.js$/, () => {}); // which never come
  await page.goto(explorer, { waitUntil: "commit" });
  await page.getByText("Like a post", { exact: true }).waitFor();
  await endpoint(page, "usersIdUnlike").click();
  const id = await page.locator("#usersIdUnlike").getByLabel("tweet_id, required").inputValue();
  assert.ok(world.posts.some((p) => p.id === id), `there is no post ${id}`);
  assert.ok(await page.locator("#usersIdUnlike").getByRole("button", { name: "Send" }).isDisabled(), "it sends the form to the page");
  const sizes = await Promise.all(["explorer.js", "caller.js", "send.js", "code.js", "dom.js"].map(async (name) =>
    Number((await fetch(`${explorer}/${name}`, { headers: { "accept-encoding": "gzip" } })).headers.get("content-length"))));
  const sum = sizes.reduce((a, b) => a + b);
  assert.ok(sum > 5_000 && sum < 30_000, `the scripts are ${sum} bytes`);
});

explore("the files for Postman", async (page) => {
  await page.goto(explorer);
  for (const name of ["collection", "environment"]) {
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name, exact: true }).click();
    assert.equal((await download).suggestedFilename(), `liked.postman_${name}.json`);
  }
});

explore("in a server that keeps its tokens", async (page) => {
  const data = await mkdtemp(path.join(process.env.LIKED_TEMP, "served-"));
  const server = await startServer("serve", "--data", data);
  try {
    await page.goto(`${server.url}/explorer`);
    await bar(page).getByText("Nobody is signed in. Sign in or paste a token, then press Send.").waitFor();
    assert.equal(await page.getByText(/console|Call as/i).count(), 0, "there is a console");
    await opened(page).getByLabel("id, required").fill("12");
    await send(page);
    const said = await answer(page).innerText();
    assert.match(said, /401 Unauthorized/);
    assert.match(said, /sign in or paste a token at the top/);
    assert.ok(!said.includes("Why:"), "the server explains");
  } finally {
    await server.stop();
  }
});

explore("on a phone, by keyboard, in both lights", async (page) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await openWith(page, alice.access_token);
  await bar(page).getByText("Calling as @alice").waitFor();
  await opened(page).getByLabel("id, required").focus();
  const focused = () => page.evaluate(() => document.activeElement.innerText);
  for (let i = 0; i < 5 && (await focused()) !== "Send"; i++) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await answer(page).getByText("200 OK").waitFor();
  await opened(page).getByRole("tab", { name: "curl" }).focus();
  await page.keyboard.press("ArrowLeft");
  assert.equal(await focused(), "Go");
  assert.match(await page.getByRole("tabpanel", { name: "Go" }).innerText(), /^package main/);
  for (const folded of ["What the body may hold", "Raw request and answer", "What it may answer"]) await opened(page).getByText(folded).click();
  await opened(page).getByLabel("Example of 200").waitFor();

  await endpoint(page, "streamLikesFirehose").click();
  const stream = page.locator("#streamLikesFirehose");
  await stream.getByText(/^Optional fields/).click();
  await stream.getByText("tweet.fields none").click();
  await stream.getByLabel("partition, required").scrollIntoViewIfNeeded();
  const { y, height } = await stream.getByRole("button", { name: "Send" }).boundingBox();
  assert.ok(y >= 0 && y + height <= 844, `Send is at ${y}`);
  await inspect(page, "explorer");
});

// codeOf reads the code that the page shows for the endpoint that is open.
async function codeOf(page) {
  const code = {};
  for (const tab of await opened(page).getByRole("tablist", { name: "Language" }).getByRole("tab").all()) {
    await tab.click();
    const language = await tab.innerText();
    code[language] = await opened(page).getByRole("tabpanel", { name: language }).innerText();
  }
  return code;
}

const run = promisify(execFile);
const compat = path.resolve("..");

// The programs of the page, as they are, with the tools that people run them with. Each likes a post that the form named.
const programs = {
  curl: async (code, dir, env) => run("bash", ["-c", code], { env }),
  TypeScript: async (code, dir, env) => {
    await symlink(`${compat}/typescript/node_modules`, `${dir}/node_modules`);
    await writeFile(`${dir}/package.json`, `{"type": "module"}`);
    await writeFile(`${dir}/like.ts`, code);
    await run(`${dir}/node_modules/.bin/tsc`, "--strict --target es2022 --module nodenext --skipLibCheck --types node like.ts".split(" "), { cwd: dir });
    return run(process.execPath, ["like.js"], { cwd: dir, env });
  },
  Java: async (code, dir, env) => {
    await writeFile(`${dir}/Example.java`, code);
    const classpath = (await readFile(`${process.env.LIKED_TEMP}/classpath`, "utf8")).trim();
    return run("java", ["-cp", classpath, "Example.java"], { cwd: dir, env });
  },
  Python: async (code, dir, env) => {
    await writeFile(`${dir}/like.py`, code);
    return run(`${process.env.LIKED_TEMP}/venv/bin/python`, ["like.py"], { cwd: dir, env });
  },
  Go: async (code, dir, env) => {
    await writeFile(`${dir}/main.go`, code);
    const { stdout } = await run("gofmt", ["-l", `${dir}/main.go`]);
    assert.equal(stdout, "", "gofmt would write it otherwise");
    return run("go", ["run", `${dir}/main.go`], { cwd: `${compat}/go`, env }); // where the module is that has the library
  },
};

test("the code that the page shows likes posts", { timeout: 10 * patience }, async (t) => {
  const page = await openPage(browser);
  const liker = user("erin");
  await openWith(page, liker.access_token);
  await bar(page).getByText("Calling as @erin").waitFor();
  await opened(page).getByRole("tab").first().waitFor();
  const languages = Object.keys(await codeOf(page));
  assert.deepEqual(languages, Object.keys(programs));
  for (const [i, language] of languages.entries()) {
    await t.test(language, async () => {
      const id = post(i);
      await opened(page).getByLabel("Body, JSON").fill(JSON.stringify({ tweet_id: id }));
      const code = (await codeOf(page))[language];
      assert.ok(!code.includes(liker.access_token), "the token is in the code");
      const dir = await mkdtemp(path.join(process.env.LIKED_TEMP, "code-"));
      const before = await likeCount(world.url, id, liker.access_token);
      const { stdout } = await programs[language](code, dir, { ...process.env, X_ACCESS_TOKEN: liker.access_token });
      assert.match(stdout, /liked['"]?: ?[Tt]rue/, stdout);
      assert.equal(await likeCount(world.url, id, liker.access_token), before + 1);
    });
  }
  await page.context().close();
});
