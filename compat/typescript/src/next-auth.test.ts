// next-auth signs people in with its Twitter providers, as a route of Next.js does.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import NextAuthModule, { type AuthOptions } from "next-auth";
import TwitterModule from "next-auth/providers/twitter";
import { did } from "./table.js";
import { appOf } from "./world.js";

const { default: NextAuth } = NextAuthModule; // the modules are CommonJS
const { default: Twitter } = TwitterModule;

const origin = "http://localhost:3000"; // of the app, where its callback is registered
process.env.NEXTAUTH_URL = origin;
const app = appOf("confidential");

// route calls the app's route /api/auth/[...nextauth] with a browser's cookies, which it keeps. Nothing listens at origin.
async function route(options: AuthOptions, jar: Map<string, string>, to: URL, form?: Record<string, string>) {
  const server = createServer((req, res) => {
    const query = { ...Object.fromEntries(to.searchParams), nextauth: to.pathname.split("/").slice(3) };
    const call = Object.assign(req, { query, body: form, cookies: Object.fromEntries(jar) });
    const answer = Object.assign(res, {
      status: (code: number) => Object.assign(answer, { statusCode: code }),
      send: (body: unknown) => res.end(typeof body === "string" ? body : JSON.stringify(body)),
      json: (body: unknown) => res.end(JSON.stringify(body)),
    });
    void NextAuth(call as never, answer as never, options);
  });
  await new Promise<void>((listens) => server.listen(0, "127.0.0.1", listens));
  const { port } = server.address() as { port: number };
  const answer = await fetch(`http://127.0.0.1:${port}/`, { method: form ? "POST" : "GET", redirect: "manual" });
  for (const cookie of answer.headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie)!;
    jar.set(name!, decodeURIComponent(value!));
  }
  const body = await answer.text();
  server.close();
  return { location: answer.headers.get("location") ?? "", body };
}

async function signIn(provider: AuthOptions["providers"][number]) {
  const options: AuthOptions = { providers: [provider], secret: "a secret of the app", session: { strategy: "jwt" } };
  const jar = new Map<string, string>();
  const at = (path: string) => new URL(`/api/auth/${path}`, origin);
  const { csrfToken } = JSON.parse((await route(options, jar, at("csrf"))).body);
  const { location: link } = await route(options, jar, at("signin/twitter"), { csrfToken, callbackUrl: origin });
  const consented = await fetch(link, { redirect: "manual" }); // as alice, for whom the server consents to everything
  assert.equal(consented.status, 302, `${link}: ${await consented.text()}`);
  const back = new URL(consented.headers.get("location")!);
  assert.equal(back.origin + back.pathname, `${origin}/api/auth/callback/twitter`);
  const { location } = await route(options, jar, back);
  assert.equal(location, origin, "next-auth sends people elsewhere when it cannot sign them in");
  return JSON.parse((await route(options, jar, at("session"))).body);
}

const picture = "https://abs.twimg.com/sticky/default_profile_images/default_profile"; // X's, without its size

for (const version of ["1.0A", "2.0"]) {
  test(`the Twitter provider, version ${version}`, async () => {
    const oauth1 = { clientId: app.api_key, clientSecret: app.api_secret };
    const oauth2 = { clientId: app.client_id, clientSecret: app.client_secret!, version: "2.0" };
    const { user } = await signIn(Twitter(version === "2.0" ? oauth2 : oauth1));
    assert.equal(user.name, "Alice");
    assert.ok(user.image.startsWith(picture), user.image);
    did("next-auth", version === "2.0" ? "OAuth 2.0" : "OAuth 1.0a");
  });
}
