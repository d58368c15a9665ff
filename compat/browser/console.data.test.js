// The console's data, in a real browser: any user likes any post in a click and sees the call, and whatever is kept is found,
// added, changed and deleted, without a script, too.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { inspect, openBrowser, openPage, patience, startServer } from "./world.js";

let browser, server, dir, known;
before(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), "console-data-"));
  const file = path.join(dir, "credentials.json");
  server = await startServer("dev", "--credentials", file);
  known = JSON.parse(await readFile(file, "utf8"));
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await rm(dir, { recursive: true, force: true });
});

const someone = (name) => known.users.find((u) => u.username === name);
const data = (where = "") => `${server.url}/console/data${where}`;
const row = (page, id) => page.locator(`#post-${id}`);

// likes is how many likes the API says that the post has.
async function likes(id) {
  const found = await fetch(`${server.url}/2/tweets/${id}?tweet.fields=public_metrics`,
    { headers: { authorization: `Bearer ${someone("alice").access_token}` } });
  return (await found.json()).data.public_metrics.like_count;
}

test("any user likes any post, and the call stands beside it", { timeout: 10 * patience }, async () => {
  const page = await openPage(browser);
  const { id } = known.posts[3];
  await page.goto(data());
  await row(page, id).getByRole("button", { name: `Like post ${id} as @alice` }).click();
  await page.getByRole("status").getByText("@alice likes the post.").waitFor();
  const call = row(page, id).getByRole("group", { name: "The call that was made" });
  await call.getByText(`"tweet_id": "${id}"`).waitFor();
  await call.getByText('"liked": true').waitFor();
  assert.equal(await likes(id), 1);
  await inspect(page, "console-data-liked");
  await page.reload();
  assert.equal(await likes(id), 1, "a reload liked again");
  assert.equal(await page.getByRole("status").count(), 0, "the notice is shown twice");

  await call.getByRole("link", { name: "Show it in Requests" }).click();
  await page.getByRole("heading", { level: 1, name: `POST /2/users/${someone("alice").id}/likes` }).waitFor();
  await page.goBack();
  await row(page, id).getByRole("button", { name: "Liked by @alice" }).click();
  await page.getByText("@alice does not like the post any more.").waitFor();
  assert.equal(await likes(id), 0);

  await row(page, id).getByRole("link", { name: id }).click();
  await page.getByLabel("User", { exact: true }).nth(1).fill("erin");
  await page.getByRole("button", { name: "Like", exact: true }).click();
  await page.getByRole("status").getByText("@erin likes the post.").waitFor();
  await page.getByRole("list").getByRole("link", { name: "Erin" }).waitFor();
  await inspect(page, "console-data-post");
  await page.getByRole("button", { name: "Take back the like of @erin" }).click();
  await page.getByText("Nobody likes it.").waitFor();
  assert.equal(await likes(id), 0);
  await page.context().close();
});

test("one switch says who likes, and a refusal says why", { timeout: 10 * patience }, async () => {
  const page = await openPage(browser);
  const { id } = known.posts[4];
  await page.goto(data("/users"));
  await page.getByRole("link", { name: "Bob" }).click();
  await page.getByRole("button", { name: "Call as @bob" }).click();
  await page.getByText("Calling as @bob").waitFor();
  await page.locator("summary", { hasText: "Change" }).click();
  await page.getByRole("radio", { name: /^Suspended/ }).check();
  await inspect(page, "console-data-user");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("status").getByText("@bob is changed.").waitFor();
  await page.getByText("suspended", { exact: true }).waitFor();

  await page.goto(data(`/posts/${id}`));
  await row(page, id).getByRole("button", { name: "Like" }).click();
  await page.getByRole("status").getByText("The like of @bob was refused with 403. The account is suspended").waitFor();
  await row(page, id).getByText('"status": 403').waitFor();

  await page.locator("summary", { hasText: "Calling as" }).click();
  await page.getByRole("radio", { name: "An app alone" }).check();
  await page.getByRole("button", { name: "Call as this one" }).click();
  await page.getByText("Calling as app demo").waitFor();
  await page.goto(data());
  await row(page, id).getByRole("link", { name: "as…" }).click();
  await page.getByRole("heading", { name: "Like it as any user" }).waitFor();
  await page.context().close();
});

test("what is kept is found, added, changed and deleted", { timeout: 10 * patience }, async () => {
  const page = await openPage(browser);
  await page.goto(data("/users"));
  await page.locator("summary", { hasText: "Add a user" }).click();
  await page.getByLabel("Username", { exact: true }).fill("alice");
  await page.getByLabel("Name", { exact: true }).fill("Another Alice");
  await page.getByRole("button", { name: "Add the user" }).click();
  await page.getByRole("alert").getByText("taken").waitFor();
  assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "Another Alice", "what was typed is lost");
  assert.equal(await page.getByRole("alert").evaluate((e) => e === document.activeElement), true, "the error has not the focus");
  await inspect(page, "console-data-users");
  await page.getByLabel("Username", { exact: true }).fill("zoe");
  await page.getByRole("button", { name: "Add the user" }).click();
  await page.getByRole("heading", { level: 1, name: "Another Alice @zoe" }).waitFor();

  await page.locator("summary", { hasText: "Follow or block" }).click();
  await page.getByLabel("@zoe and this user").fill("carol");
  await page.getByRole("button", { name: "Follow", exact: true }).click();
  await page.getByRole("status").getByText("@zoe follows @carol.").waitFor();
  await page.getByRole("link", { name: "Following 1" }).click();
  await page.getByRole("button", { name: "Unfollow @carol" }).click();
  await page.getByText("This list is empty.").waitFor();

  await page.goto(data());
  await page.locator("summary", { hasText: "Add a post" }).click();
  await page.getByLabel("Author").fill("zoe");
  await page.getByLabel("Text", { exact: true }).fill("שלום\nan octopus");
  await page.getByRole("button", { name: "Add the post" }).click();
  await page.getByRole("searchbox", { name: "Text or id" }).fill("OCTOPUS");
  await page.getByRole("button", { name: "Find" }).click();
  await page.getByText("an octopus").waitFor();
  assert.equal(await page.locator(".posts > li").count(), 1);
  await page.locator(".posts .by a").nth(1).click();
  await page.locator("summary", { hasText: "Delete this post" }).click();
  await page.getByRole("button", { name: "Delete the post" }).click();
  await page.getByRole("status").getByText("is deleted").waitFor();
  assert.equal(await page.getByText("an octopus").count(), 0);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.goto(data("?text=octopus"));
  await page.getByText("an octopus").waitFor();

  await page.goto(data("/apps"));
  await page.locator("summary", { hasText: "Add an app" }).click();
  await page.getByLabel("Name", { exact: true }).fill("Shop");
  await page.getByRole("button", { name: "Add the app" }).click();
  const secret = await page.getByLabel("Client secret").inputValue();
  assert.ok(secret.length > 20, "no client secret is shown");
  await page.locator("summary", { hasText: "Change" }).click();
  await inspect(page, "console-data-app");
  await page.reload();
  assert.equal((await page.content()).includes(secret), false, "a secret is shown twice");
  await page.locator("summary", { hasText: "Delete this app" }).click();
  await page.getByRole("button", { name: "Delete the app" }).click();
  await page.getByRole("status").getByText("The app Shop is deleted.").waitFor();
  await page.goto(data("/posts/9"));
  await page.getByRole("heading", { level: 1, name: "Not found" }).waitFor();
  await page.context().close();
});

test("without scripts, with the keyboard", { timeout: 10 * patience }, async () => {
  const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 640, height: 400 } });
  const page = await context.newPage();
  const { id } = known.posts[2];
  await page.goto(data(`?text=${id}`));
  await row(page, id).getByRole("button", { name: `Like post ${id} as @alice` }).press("Enter");
  await row(page, id).getByText('"liked": true').waitFor();
  assert.equal(await likes(id), 1);
  await page.locator("summary", { hasText: "Add a post" }).press("Enter");
  await page.getByLabel("Text", { exact: true }).fill("written without a script");
  await page.getByRole("button", { name: "Add the post" }).press("Enter");
  await page.getByRole("status").getByText("The post is there.").waitFor();
  await page.getByRole("button", { name: "Reset" }).press("Enter");
  await page.goto(data());
  assert.equal(await page.getByText("written without a script").count(), 0);
  assert.equal(await likes(id), 0);
  await context.close();
});
