// What the console does by itself: the list of requests that grows as calls are made and is filtered as one types, and a
// request as code. Without it every page shows how things were when it was loaded.
if (document.getElementById("list")) liveList();
if (document.getElementById("code")) writeCode(document.getElementById("code"));

function liveList() {
  const form = document.getElementById("filters");
  const state = document.getElementById("live");
  const pause = document.getElementById("pause");
  const most = 200; // rows: older ones are on the next pages
  let source;
  let paused = false;
  let waiting = [];
  let typed; // the timer until the list is read again

  const say = (text, live) => {
    state.textContent = text;
    state.classList.toggle("on", live);
  };

  // arrived shows what has come since the last frame.
  function arrived() {
    const template = document.createElement("template");
    template.innerHTML = waiting.join("");
    waiting = [];
    add([...template.content.children]);
  }

  // add shows rows, the newest last. The row of a stream that has ended replaces the one of its beginning.
  function add(rows) {
    const body = document.querySelector("#requests tbody");
    for (const row of rows) {
      const before = body.querySelector(`[data-id="${CSS.escape(row.dataset.id)}"]`);
      if (before) before.replaceWith(row);
      else {
        row.classList.add("moved");
        body.prepend(row);
      }
    }
    while (body.children.length > most) body.lastElementChild.remove();
    body.closest(".scroll").hidden = body.children.length === 0;
    document.getElementById("none").hidden = body.children.length > 0;
  }

  function connect(live) {
    source = new EventSource(live);
    source.addEventListener("ready", async () => {
      say("Live", true);
      const mine = source;
      const list = await read(); // what was called before the source was there
      if (mine === source && list) add([...list.querySelectorAll("#requests tbody tr")].reverse());
    });
    source.addEventListener("request", (event) => {
      if (waiting.length === 0) requestAnimationFrame(arrived);
      waiting.push(event.data);
      if (waiting.length > most) waiting.shift();
    });
    source.addEventListener("cleared", show);
    source.addEventListener("lost", () => { // too many at once: the list is read again when that second is over
      clearTimeout(typed);
      typed = setTimeout(show, 1_500);
    });
    source.onerror = () => {
      say("Waiting for the server", false);
      if (source?.readyState === EventSource.CLOSED) {
        source = undefined;
        setTimeout(look, 5_000);
      }
    };
  }

  // look is live while somebody can see the page, if it is the newest one of the list.
  function look() {
    const { live } = document.getElementById("requests").dataset;
    if (!live || paused || document.hidden) {
      source?.close();
      source = undefined;
      say(live ? "Paused" : "", false);
    } else if (!source) {
      connect(live);
    }
  }

  // address is that of the list as the filters say.
  function address() {
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim()));
    return query.size ? `/console?${query}` : "/console";
  }

  async function read() {
    const response = await fetch(address());
    return new DOMParser().parseFromString(await response.text(), "text/html").getElementById("list");
  }

  // show shows the list anew.
  let asked = 0;
  async function show() {
    const mine = ++asked;
    const list = await read();
    if (mine !== asked || !list) return;
    history.replaceState(null, "", address());
    source?.close();
    source = undefined;
    waiting = [];
    document.getElementById("list").replaceWith(list);
    look();
  }

  form.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(show, 250);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show();
  });
  const narrow = matchMedia("(max-width: 48rem)");
  const more = document.getElementById("more");
  const fold = () => (more.open = !narrow.matches || [...more.querySelectorAll("input, select")].some((field) => field.value));
  narrow.addEventListener("change", fold);
  fold();
  form.querySelector(":scope > button").hidden = true; // which the list does not wait for
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    if (paused) look();
    else show(); // with what came meanwhile
  });
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", () => source?.close());
  look();
}

// writeCode shows a call in the languages of the API explorer, once somebody wants to see it.
function writeCode(details) {
  details.addEventListener("toggle", async () => {
    const { languages } = await import("/console/code.js");
    const call = JSON.parse(details.dataset.call);
    for (const { id, write } of languages) document.getElementById(`code-${id}`).textContent = write(call);
  }, { once: true });
}
