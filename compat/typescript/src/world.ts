// What the tests know of the server: the file that `liked dev --credentials` wrote, and the three credentials with a
// fault that the test driver made.
import { readFileSync } from "node:fs";

interface App {
  bearer_token: string;
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
