// Moves the numbers and the posts of the page as likes arrive. Without it the page shows how things were when it was
// loaded. Each event holds everything, so that none is missed.
const board = document.getElementById("board");
const row = document.getElementById("row").content.firstElementChild;
const state = document.getElementById("live");
const count = (n) => n.toLocaleString("en-US");
let source;

// set writes text where it is another, and reports whether it was.
function set(node, text) {
  if (node.textContent === text) return false;
  node.textContent = text;
  return true;
}

function show(now) {
  for (const name of ["users", "posts", "likes"]) {
    if (now.known) set(document.getElementById(`n-${name}`), count(now[name]));
  }
  set(document.getElementById("n-rate"), now.rate);
  document.getElementById("none").hidden = now.board.length > 0;
  now.board.forEach((post, i) => {
    let item = board.children[i];
    if (!item) item = board.appendChild(row.cloneNode(true));
    const same = item.dataset.post === post.id;
    if (!same) {
      item.dataset.post = post.id;
      for (const id of item.querySelectorAll(".id")) id.textContent = post.id;
      item.querySelector("button")?.setAttribute("formaction", `/console/data/posts/${post.id}/like`);
    }
    set(item.querySelector(".text"), post.text);
    set(item.querySelector(".name"), post.name);
    set(item.querySelector(".username"), `@${post.username}`);
    const moved = set(item.querySelector(".n"), count(post.likes));
    set(item.querySelector(".unit"), post.likes === 1 ? "like" : "likes");
    if (moved || !same) pulse(item);
  });
  while (board.children.length > now.board.length) board.lastElementChild.remove();
}

function pulse(item) {
  item.classList.remove("moved");
  void item.offsetWidth; // so that it starts again
  item.classList.add("moved");
}

// A like by a button is a form to the console, which leads there and says what was done. Here that is said on this page.
document.getElementById("like")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { target: form, submitter } = event;
  const outcome = document.getElementById("outcome");
  outcome.replaceChildren("…");
  try {
    const response = await fetch(submitter.formAction, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const main = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("main");
    outcome.replaceChildren(...(main.querySelector(".notice p, .error")).childNodes);
  } catch {
    outcome.textContent = "The server does not answer. Is it still running?";
  }
});

function say(text, live) {
  state.textContent = text;
  state.classList.toggle("on", live);
}

function connect() {
  source = new EventSource("/home/live");
  source.onopen = () => say("Live", true);
  source.onmessage = (event) => show(JSON.parse(event.data));
  source.onerror = () => {
    say("Waiting for the server", false);
    if (source.readyState === EventSource.CLOSED) { // refused: there are enough viewers for now
      source = undefined;
      setTimeout(look, 30_000);
    }
  };
}

// look is live while somebody can see the page.
function look() {
  if (document.hidden) {
    source?.close();
    source = undefined;
    say("Paused", false);
  } else if (!source) {
    connect();
  }
}

document.addEventListener("visibilitychange", look);
addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", (event) => {
  if (event.persisted) {
    source = undefined;
    look();
  }
});
look();
