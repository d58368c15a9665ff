// What the tests say of the clients, for the table in docs/clients.md.
import { appendFileSync, readFileSync } from "node:fs";
import { env } from "./world.js";

const pointed = {
  "@xdevplatform/xdk": "`baseUrl`; its sign-in through the proxy (undici's global dispatcher)",
  "next-auth": "the proxy (an agent for Node's https)",
  "simple-oauth2": "`auth.tokenHost` and the paths beside it",
  "twitter-api-sdk": "`base_url`; its authorize link through the proxy",
  "twitter-api-v2": "the proxy (`httpAgent`)",
  "twitter-lite": "the proxy (an agent for Node's https)",
};

// did notes what a client did: the last line of a test, since the table has what works.
export function did(client: keyof typeof pointed, what: string) {
  const { version } = JSON.parse(readFileSync(`node_modules/${client}/package.json`, "utf8"));
  const line = JSON.stringify({ client, version, from: "npm", did: what, pointed: pointed[client] });
  appendFileSync(`${env("LIKED_TEMP")}/clients.jsonl`, line + "\n");
}
