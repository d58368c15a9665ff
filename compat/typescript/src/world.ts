// What the tests know of the server: the file that `liked dev --credentials` wrote, and the three credentials with a
// fault that the test driver made.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export interface App {
  type: "confidential" | "public";
  client_id: string;
  client_secret?: string;
  api_key: string;
  api_secret: string;
  bearer_token: string;
  redirect_uris: string[];
}

export interface User {
  id: string;
  username: string;
  access_token: string;
}

interface World {
  url: string;
  apps: App[];
  users: User[];
  posts: { id: string; author_id: string }[];
}

export function env(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: start these tests with go test ./compat`);
  return value;
}

export const world: World = JSON.parse(readFileSync(env("LIKED_CREDENTIALS"), "utf8"));

export function user(username: string): User {
  const found = world.users.find((u) => u.username === username);
  if (!found) throw new Error(`the server has no user ${username}`);
  return found;
}

export function userByID(id: string): User {
  const found = world.users.find((u) => u.id === id);
  if (!found) throw new Error(`the server has no user ${id}`);
  return found;
}

// appOf returns the first app of the type.
export function appOf(type: App["type"]): App {
  const found = world.apps.find((a) => a.type === type);
  if (!found) throw new Error(`the server has no ${type} app`);
  return found;
}

export const callback = (() => {
  const [first] = appOf("confidential").redirect_uris;
  if (!first) throw new Error("the app has no callback");
  return first;
})();

// consent follows the link as alice does, for whom the server consents to everything, and returns where it leads.
export async function consent(link: string): Promise<URL> {
  const response = await fetch(link, { redirect: "manual" });
  assert.equal(response.status, 302, await response.text());
  const to = new URL(response.headers.get("location") ?? "");
  assert.equal(to.origin + to.pathname, callback);
  return to;
}

// parameter returns a parameter of the place that consent led to.
export function parameter(at: URL, name: string): string {
  const value = at.searchParams.get(name);
  assert.ok(value, `no ${name} in ${at}`);
  return value;
}

// readPIN follows the link to the page with the PIN.
export async function readPIN(link: string): Promise<string> {
  const response = await fetch(link, { redirect: "manual" });
  const page = await response.text();
  const pin = / value="(\d{7})"/.exec(page)?.[1];
  assert.ok(pin, `${response.status} ${page}`);
  return pin;
}

export const otherPIN = (pin: string): string => String((Number(pin) + 1) % 1e7).padStart(7, "0");
