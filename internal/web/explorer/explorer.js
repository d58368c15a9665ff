// The API explorer: the endpoints are in the page; this opens the one that the address names and brings their forms to life.
import { caller, startCaller } from "./caller.js";
import { kept } from "./dom.js";
import { prepare, refresh, tick, wordsOf } from "./send.js";

const known = document.getElementById("caller").dataset;
const operations = [...document.querySelectorAll(".operation")];

// fillIn puts the caller's name and ID where they are wanted, and leaves what somebody has typed.
function fillIn() {
  const user = caller?.user ?? { id: known.user, username: known.username };
  for (const control of document.querySelectorAll("[data-caller]")) {
    if (control.value !== control.defaultValue) continue;
    control.defaultValue = control.dataset.caller.replaceAll("{user}", user.id).replaceAll("{username}", user.username);
    control.value = control.defaultValue;
  }
  operations.forEach(refresh);
}

// What is typed and ticked is there again after a sign-in, which leads over other pages.
function remember() {
  const typed = [...document.querySelectorAll("form.asks :is(input[type=text], textarea, select)")].filter((c) => c.value !== c.defaultValue);
  const ticked = [...document.querySelectorAll(".choices")].map((c) => [c.id, wordsOf(c)]).filter(([, words]) => words.length);
  kept.set("typed", { open: location.hash, values: typed.map((c) => [c.id, c.value]), ticked });
}

function recall() {
  const { open, values, ticked } = kept.take("typed") ?? { values: [], ticked: [] };
  for (const [id, value] of values) document.getElementById(id).value = value;
  for (const [id, words] of ticked) tick(document.getElementById(id), words);
  if (open) history.replaceState(null, "", open);
}

// follow opens the endpoint that the address names: #usersIdLike, or #/Likes/usersIdLike as Swagger UI writes it.
function follow() {
  const id = location.hash.slice(1).split("/").at(-1);
  const unknown = document.getElementById("unknown");
  unknown.hidden = true;
  if (!id || id.startsWith("access_token=")) return;
  const target = document.getElementById(id);
  if (target && !operations.includes(target)) return; // such as the link that skips to the content
  for (const operation of operations) operation.open = operation === target;
  if (target) {
    target.scrollIntoView();
    target.querySelector("summary").focus({ preventScroll: true });
  } else {
    unknown.textContent = `There is no endpoint ${id} here. These are all that there are:`;
    unknown.hidden = false;
    unknown.scrollIntoView({ block: "center" });
  }
}

for (const operation of operations) {
  const start = () => operation.open && prepare(operation);
  start();
  operation.addEventListener("toggle", start);
  operation.querySelector("summary").addEventListener("click", () => {
    // The address follows what is open, in the entry of the history that there is: Back leads to the page before.
    history.replaceState(null, "", operation.open ? location.pathname : `#${operation.id}`);
  });
}
addEventListener("hashchange", follow);
if (new URLSearchParams(location.search).has("state")) {
  await startCaller(fillIn, remember);
  recall();
  fillIn();
  follow();
} else {
  follow();
  await startCaller(fillIn, remember);
}
