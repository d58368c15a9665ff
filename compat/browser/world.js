// What the tests stand on: the running server, a browser, and an app that people are sent back to.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, createHmac, randomBytes, randomInt } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const credentials = process.env.LIKED_CREDENTIALS;
assert.ok(credentials, "LIKED_CREDENTIALS names no file of credentials");
export const world = JSON.parse(readFileSync(credentials, "utf8"));
export const post = (n) => world.posts[n].id;
export const user = (name) => world.users.find((u) => u.username === name) ?? assert.fail(`there is no user ${name}`);

// A name that is not the browser's own machine by any rule: to it the server is any site on plain http.
export const elsewhere = "liked.test";
export const elsewhereURL = world.url.replace(/127\.0\.0\.1|localhost/, elsewhere);

// patience is how long anything may take, in milliseconds, that is there at once on a machine with nothing else to do.
export const patience = 60_000;

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";

export const openBrowser = () => {
  assert.ok(existsSync(executablePath), `there is no ${executablePath}: install Debian's chromium, or set CHROMIUM`);
  return chromium.launch({
    executablePath,
    timeout: patience,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", `--host-resolver-rules=MAP ${elsewhere} 127.0.0.1`],
  });
};

// openPage opens a page in a browser profile of its own. Anything that the browser refuses to load, run or go to because
// of a policy of the page ends up in page.refusals.
export async function openPage(browser) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  context.setDefaultTimeout(patience);
  const refusals = [];
  context.on("console", (message) => {
    if (/Content.Security.Policy|Refused to|violates/i.test(message.text())) refusals.push(message.text());
  });
  context.on("weberror", (e) => refusals.push(String(e.error())));
  const page = await context.newPage();
  return Object.assign(page, { refusals });
}

// comes resolves once the page has the text, if only for a moment. It is called before what brings the text, and awaited after.
export const comes = (page, text) => page.evaluate(([text, patience]) => new Promise((resolve, reject) => {
  const look = () => document.body.textContent.includes(text) && resolve();
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  setTimeout(() => reject(new Error(`"${text}" never comes`)), patience);
}), [text, patience]);

// freePort is one that nobody listens on. It is none of those that the system gives to who wants any: other tests do, all the time.
export async function freePort() {
  for (;;) {
    const port = randomInt(20_000, 30_000);
    const server = createServer();
    const free = await new Promise((resolve) => server.on("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true)));
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

// startServer starts another server, with the arguments, on free ports unless they name some. It listens when this returns,
// and what a development server prints is there, with its credentials.
export async function startServer(command, ...args) {
  const bin = process.env.LIKED_BIN ?? assert.fail("LIKED_BIN is not set: start these tests with go test ./compat");
  const ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-format", "json"];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("LIKED_"))); // which are settings of it
  const server = spawn(bin, [command, ...ports, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => server.on("exit", resolve));
  let printed = "";
  server.stdout.on("data", (text) => (printed += text));
  const url = await new Promise((resolve, reject) => {
    let last;
    createInterface({ input: server.stderr }).on("line", (line) => {
      last = line;
      if (line.includes('"msg":"listening"')) resolve(JSON.parse(line).url);
    });
    ended.then((status) => reject(new Error(`the server ended with ${status}: ${last}`)));
  });
  while (command === "dev" && !printed.includes("Stop with Ctrl-C.")) {
    assert.equal(server.exitCode, null, `the server ended, and printed ${printed}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    url,
    printed: () => printed,
    async stop() {
      server.kill("SIGTERM");
      assert.equal(await ended, 0, "the server did not end well");
    },
  };
}

// App is a server of an app: every visit to one of its pages is kept.
export class App {
  visits = [];
  page = "<!doctype html><title>The app</title><h1>Back in the app</h1>";

  async listen(host = "127.0.0.1") {
    this.server = createServer((req, res) => {
      const url = new URL(req.url, this.url);
      if (url.pathname === "/favicon.ico") {
        res.writeHead(404).end();
        return;
      }
      this.visits.push({ url, referer: req.headers.referer });
      if (url.pathname === "/onward") {
        res.writeHead(302, { location: this.onward }).end();
        return;
      }
      res.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(this.page);
    });
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.url = `http://${host}:${this.server.address().port}`;
    return this;
  }

  get last() {
    return this.visits.at(-1) ?? assert.fail("nobody came to the app");
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

// Receiver is an endpoint of an app for webhooks. It keeps the likes that come with a right signature.
export class Receiver {
  likes = [];
  honest = true; // whether challenges are answered right

  async listen(secret) {
    const sign = (text) => "sha256=" + createHmac("sha256", secret).update(text).digest("base64");
    this.server = createServer(async (req, res) => {
      const token = new URL(req.url, this.url).searchParams.get("crc_token");
      if (token !== null) {
        res.end(JSON.stringify({ response_token: sign(this.honest ? token : "something else") }));
        return;
      }
      let body = "";
      for await (const text of req.setEncoding("utf8")) body += text;
      const good = req.headers["x-twitter-webhooks-signature"] === sign(body);
      if (good) this.likes.push(JSON.parse(body).data.payload.liked_tweet_id);
      res.writeHead(good ? 200 : 403).end();
    });
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

// authorizeURL is where an app sends people, with what it has to remember.
export function authorizeURL(app, redirect, scope, base = world.url) {
  const verifier = randomBytes(32).toString("base64url");
  const state = `s-${randomBytes(8).toString("hex")}`;
  const url = `${base}/i/oauth2/authorize?` + new URLSearchParams({
    response_type: "code", client_id: app.clientID, redirect_uri: redirect, scope, state,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256",
  });
  return { url, state, verifier };
}

const basic = (id, secret) => "Basic " + Buffer.from(`${id}:${secret}`).toString("base64");

// redeem asks for tokens with a code.
export async function redeem(app, redirect, verifier, code) {
  const response = await fetch(`${world.url}/2/oauth2/token`, {
    method: "POST",
    headers: { authorization: basic(app.clientID, app.clientSecret) },
    body: new URLSearchParams({ grant_type: "authorization_code", code, redirect_uri: redirect, code_verifier: verifier }),
  });
  return { status: response.status, body: await response.json() };
}

// like likes a post for a user with an OAuth 2.0 token, or with the OAuth 1.0a credentials that sign gives.
export async function like(name, postID, authorization) {
  const url = `${world.url}/2/users/${user(name).id}/likes`;
  if (typeof authorization === "function") authorization = authorization("POST", url);
  const response = await fetch(url, {
    method: "POST",
    headers: { authorization, "content-type": "application/json" },
    body: JSON.stringify({ tweet_id: postID }),
  });
  await response.text(); // an answer that nobody reads holds its connection, and this process, for a minute
  return response.status;
}

export async function me(token) {
  return (await fetch(`${world.url}/2/users/me`, { headers: { authorization: `Bearer ${token}` } })).status;
}

const encode = (s) => encodeURIComponent(s).replace(/[!'()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());

// signer returns a function that makes the Authorization header of OAuth 1.0a (RFC 5849, 3).
export const signer = (app, token = "", secret = "", extra = {}) => (method, url) => {
  const oauth = {
    oauth_consumer_key: app.apiKey, oauth_nonce: randomBytes(16).toString("hex"), oauth_signature_method: "HMAC-SHA1",
    oauth_timestamp: String(Math.floor(Date.now() / 1000)), oauth_version: "1.0", ...(token && { oauth_token: token }), ...extra,
  };
  const params = Object.entries(oauth).map(([k, v]) => `${encode(k)}=${encode(v)}`).sort().join("&");
  oauth.oauth_signature = createHmac("sha1", `${encode(app.apiSecret)}&${encode(secret)}`)
    .update([method, url, params].map(encode).join("&")).digest("base64");
  return "OAuth " + Object.entries(oauth).map(([k, v]) => `${encode(k)}="${encode(v)}"`).join(", ");
};

// oauth1 calls one of the OAuth 1.0a endpoints.
export async function oauth1(endpoint, sign) {
  const url = `${world.url}/oauth/${endpoint}`;
  const response = await fetch(url, { method: "POST", headers: { authorization: sign("POST", url) } });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return Object.fromEntries(new URLSearchParams(text));
}

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const screenshots = process.env.SCREENSHOTS;
if (screenshots) await mkdir(screenshots, { recursive: true });

// picture takes a picture for the README, where make screenshot asks for them.
export async function picture(page, name) {
  if (!process.env.README_PICTURES) return;
  await page.setViewportSize({ width: 1180, height: 1010 });
  await page.evaluate("scrollTo(0, 0)");
  await page.screenshot({ path: path.join(process.env.README_PICTURES, `${name}.png`) });
}

// inspect holds the page that is open to what every page is held to, by day and by night, on a phone and on a desk: axe
// finds nothing of any impact, nothing is cut off, also on the smallest phone and on a desk at 200 % zoom, and the browser
// has refused nothing.
export async function inspect(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const [width, height] of [[390, 844], [1280, 800]]) {
      await fits(page, name, width, height);
      const where = `${name}, ${colorScheme}, ${width} px`;
      await page.evaluate(axe);
      const { violations, passes } = await page.evaluate("axe.run()");
      assert.ok(passes.length > 10, `${where}: axe looked at next to nothing`);
      assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`), [], where);
      if (screenshots) {
        await page.screenshot({ path: path.join(screenshots, `${name}-${colorScheme}-${width}.png`), fullPage: true });
      }
    }
  }
  await page.emulateMedia({ colorScheme: null });
  for (const [width, height] of [[360, 740], [640, 400], [1280, 800]]) await fits(page, name, width, height);
  assert.deepEqual(page.refusals, [], `${name}: refused by the browser`);
}

// fits gives the page a window, which it is to be no wider than.
async function fits(page, name, width, height) {
  await page.setViewportSize({ width, height });
  const beyond = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
  assert.equal(beyond, 0, `${name}, ${width} px: the page is wider than the window`);
}
