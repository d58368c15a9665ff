// The API explorer, in a real browser: what somebody does who has never seen it, and the code that it gives them.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { elsewhere, elsewhereURL, freePort, inspect, like, openBrowser, openPage, post, startServer, user, world } from "./world.js";

const explorer = `${world.url}/explorer`;
const alice = user("alice");

let browser;
before(async () => (browser = await openBrowser()));
after(() => browser?.close());

// What Chromium says of any request that is refused, and of a header of ours that is for HTTPS and localhost only.
const expected = /status of 4\d\d|Cross-Origin-Opener-Policy header has been ignored/;

// explore opens a page, and fails if it asks another server for anything or if the browser complains of anything but a
// refusal by the API.
const explore = (name, run) =>
  test(name, { timeout: 120_000 }, async () => {
    const page = await openPage(browser);
    const complaints = [];
    const asked = new Set();
    page.on("request", (r) => asked.add(new URL(r.url()).origin));
    page.on("console", (m) => {
      if (["error", "warning"].includes(m.type()) && !expected.test(m.text())) complaints.push(m.text());
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

const send = (page) => page.getByRole("button", { name: "Send", exact: true }).click();
const answer = (page) => page.getByRole("status").filter({ has: page.locator(".answer") });
const bar = (page) => page.getByRole("region", { name: "Who calls" });
const endpoint = (page, name) => page.getByRole("button", { name, exact: true });

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
    await bar(page).getByText("You call as @alice").waitFor();
    const said = await likesAPost(page);
    assert.match(said, /49 of 50\s+left in 15 minutes/);
    assert.match(said, /resets at \d\d:\d\d, in 15 minutes/);
    assert.match(said, /999 of 1,000\s+left in 24 hours/);
    if (process.env.README_PICTURE) {
      await page.setViewportSize({ width: 1180, height: 920 });
      await page.screenshot({ path: process.env.README_PICTURE });
    }
    await send(page);
    await page.getByText("48 of 50").waitFor();
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
  await bar(page).getByText("You call as @alice").waitFor();
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
  await bar(page).getByText("You call as @bob").waitFor();
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
  await page.getByLabel("Username").fill("carol");
  await page.getByLabel("Password").fill(user("carol").password);
  await page.getByRole("button", { name: "Sign in" }).click();
  const consent = await page.getByRole("main").innerText();
  assert.match(consent, /API explorer asks for access/);
  assert.match(consent, /Like posts for you/);
  await page.getByRole("button", { name: "Authorize app" }).click();
  await bar(page).getByText("You call as @carol").waitFor();
  assert.ok(!page.url().includes("code="), "the code stays in the address");
  assert.equal(await page.getByLabel("id, required").inputValue(), user("carol").id);
  await page.getByRole("textbox", { name: "Request body" }).fill(JSON.stringify({ tweet_id: post(3) }));
  const before = await likeCount(world.url, post(3), alice.access_token);
  await likesAPost(page);
  assert.equal(await likeCount(world.url, post(3), alice.access_token), before + 1);

  const token = await page.evaluate(() => JSON.parse(sessionStorage.getItem("liked.caller")).token);
  await bar(page).getByRole("button", { name: "Sign out" }).click();
  await bar(page).getByText("Nobody is signed in").waitFor();
  assert.equal(await like("carol", post(4), `Bearer ${token}`), 401, "the token outlives the sign-out");
});

explore("refuse to give access", async (page) => {
  await page.goto(explorer);
  await bar(page).getByRole("button", { name: "Sign in" }).click();
  await page.getByLabel("Username").fill("carol");
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
  await paste("no such token");
  await bar(page).getByText("does not know this token").waitFor();
  await send(page);
  assert.match(await answer(page).innerText(), /401 Unauthorized/);
  await paste(world.apps[0].bearer_token);
  await bar(page).getByText("You call as an app").waitFor();
  await paste(user("bob").access_token);
  await bar(page).getByText("You call as @bob").waitFor();
  await likesAPost(page);
});

explore("on plain http, where browsers hold back hashes and the clipboard", async (page) => {
  const port = await freePort();
  const url = `http://${elsewhere}:${port}`;
  const server = await startServer("dev", "--listen", `127.0.0.1:${port}`, "--public-url", url, "--seed", "0", "--auto-consent", "bob");
  try {
    await page.goto(`${url}/explorer`);
    assert.equal(await page.evaluate(() => typeof crypto.subtle), "undefined");
    await bar(page).getByRole("button", { name: "Sign in" }).click();
    await bar(page).getByText("You call as @bob").waitFor();
    await likesAPost(page);
    await page.getByRole("button", { name: "Copy", exact: true }).click();
    await page.getByText("Copied").waitFor();
    const body = page.getByRole("textbox", { name: "Request body" });
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

explore("what is refused, and why", async (page) => {
  await openWith(page, alice.access_token);
  await page.getByLabel("id, required").fill("12");
  await send(page);
  const said = await answer(page).innerText();
  const why = `The \`id\` query parameter value [12] must be the same as the authenticating user [${alice.id}]`;
  assert.ok(said.includes(`Why: ${why}`), said);
  assert.match(said, /"type": "https:\/\/api\.twitter\.com\/2\/problems\/invalid-request"/);
  await page.getByText("Raw request and answer").click();
  const raw = await page.getByLabel("Raw request", { exact: true }).innerText();
  assert.match(raw, /^POST \/2\/users\/12\/likes HTTP\/1\.1\nHost: 127\.0\.0\.1:\d+\n/);
  assert.match(raw, /authorization: Bearer •+\n/i);
  assert.ok(!raw.includes(alice.access_token), "the token is shown");
  const back = await page.getByLabel("Raw answer", { exact: true }).innerText();
  for (const header of ["x-rate-limit-remaining: ", "x-transaction-id: ", `x-liked-explain: ${why}`]) assert.ok(back.includes(`\n${header}`), `${header} in ${back}`);

  await page.getByLabel("id, required").fill("not an id");
  await page.getByRole("textbox", { name: "Request body" }).fill("{");
  await send(page);
  await answer(page).getByText("not an id").first().waitFor();
});

explore("every endpoint of the description can be sent", async (page) => {
  const server = await startServer("dev"); // what can be deleted there is
  try {
    await page.goto(`${server.url}/explorer`);
    const { paths } = await (await fetch(`${server.url}/2/openapi.json`)).json();
    const described = Object.entries(paths).flatMap(([at, methods]) => Object.entries(methods).map(([method, { summary }]) => `${method.toUpperCase()} ${at} ${summary}`));
    await endpoint(page, "POST /2/users/{id}/likes Like a post").click(); // it is open at first
    for (const name of described) {
      await endpoint(page, name).click();
      const [, id] = name.match(/\{(webhook_id|subscription_id)\}/) ?? [];
      if (id) await page.getByLabel(`${id}, required`).fill("1"); // which is not there
      await send(page);
      const said = await answer(page).innerText();
      assert.match(said, /^(200 OK|201 Created|403 Forbidden)/, `${name}: ${said}`); // the last: to delete what another wrote
      await endpoint(page, name).click();
    }
  } finally {
    await server.stop();
  }
});

explore("fields are ticked, and everything follows", async (page) => {
  assert.equal(await like("alice", post(5), `Bearer ${alice.access_token}`), 200);
  await page.route("**/2/openapi.json", (route) => setTimeout(() => route.continue().catch(() => {}), 300));
  await page.goto(`${explorer}#/Likes/usersIdLikedTweets`);
  // The page is still starting when it gets the token, and has time to go on before it is loaded again.
  await page.route(explorer, (route) => setTimeout(() => route.continue(), 1000));
  await openWith(page, alice.access_token);
  await bar(page).getByText("You call as @alice").waitFor();
  await endpoint(page, "GET /2/users/{id}/liked_tweets List the posts that a user likes, newest like first").click();
  const opened = page.locator(".operation.open").last();
  await opened.getByText("none").nth(1).click(); // tweet.fields
  await opened.getByRole("checkbox", { name: "public_metrics", exact: true }).check();
  await opened.getByRole("checkbox", { name: "created_at", exact: true }).check();
  await opened.getByLabel("max_results").fill("5");
  await opened.getByText(`liked_tweets?max_results=5&tweet.fields=public_metrics,created_at`).waitFor(); // in the code
  await opened.getByRole("button", { name: "Send" }).click();
  await opened.getByText("like_count").first().waitFor();
});

explore("a stream is read for ten seconds", async (page) => {
  await openWith(page, world.apps[0].bearer_token);
  await bar(page).getByText("You call as an app").waitFor();
  await endpoint(page, "POST /2/users/{id}/likes Like a post").click(); // it is open at first
  await endpoint(page, "GET /2/likes/firehose/stream Stream all public likes").click();
  await page.getByLabel("partition, required").fill("17"); // where alice's likes are
  const opened = page.waitForResponse((r) => new URL(r.url()).pathname === "/2/likes/firehose/stream");
  await send(page);
  assert.equal((await opened).status(), 200);
  await page.getByRole("button", { name: "Reading for ten seconds…" }).waitFor();
  assert.equal(await like("alice", post(6), `Bearer ${alice.access_token}`), 200);
  const said = await answer(page).innerText();
  assert.match(said, /200 OK/);
  assert.match(said, new RegExp(`"liked_tweet_id": ?"${post(6)}"`));
  assert.match(said, /\d+ of 1,000\s+left in 15 minutes/);

  // An app has one connection to a partition: whoever reads it next takes the place that the page has left.
  const authorization = `Bearer ${world.apps[0].bearer_token}`;
  for (const deadline = Date.now() + 15_000; ; ) {
    const next = new AbortController();
    const { status } = await fetch(`${world.url}/2/likes/firehose/stream?partition=17`, { headers: { authorization }, signal: next.signal });
    next.abort();
    if (status === 200) break;
    assert.ok(Date.now() < deadline, `the page reads on: ${status}`);
  }
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
    await page.getByLabel("id, required").fill("12");
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
  await bar(page).getByText("You call as @alice").waitFor();
  await page.getByLabel("id, required").focus();
  await page.keyboard.press("Tab"); // the tabs of the body
  for (let i = 0; i < 5 && (await page.evaluate(() => document.activeElement.innerText)) !== "Send"; i++) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await answer(page).getByText("200 OK").waitFor();
  await page.getByRole("tab", { name: "curl" }).focus();
  await page.keyboard.press("ArrowLeft");
  assert.equal(await page.evaluate(() => document.activeElement.innerText), "Go");
  assert.match(await page.getByRole("tabpanel", { name: "Go" }).innerText(), /^package main/);
  await page.getByText("Raw request and answer").click();
  await page.getByText("What it may answer").click();
  await inspect(page, "explorer");
});

// codeOf reads the code that the page shows for the endpoint that is open.
async function codeOf(page) {
  const code = {};
  for (const tab of await page.getByRole("tablist", { name: "Language" }).getByRole("tab").all()) {
    await tab.click();
    const language = await tab.innerText();
    code[language] = await page.getByRole("tabpanel", { name: language }).innerText();
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

test("the code that the page shows likes posts", { timeout: 300_000 }, async (t) => {
  const page = await openPage(browser);
  const liker = user("erin");
  await openWith(page, liker.access_token);
  await bar(page).getByText("You call as @erin").waitFor();
  await page.getByRole("tab").first().waitFor();
  const languages = Object.keys(await codeOf(page));
  assert.deepEqual(languages, Object.keys(programs));
  for (const [i, language] of languages.entries()) {
    await t.test(language, async () => {
      const id = post(i);
      await page.getByRole("textbox", { name: "Request body" }).fill(JSON.stringify({ tweet_id: id }));
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
