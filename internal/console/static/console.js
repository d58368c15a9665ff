// What the console does by itself: the list of requests that grows as calls are made. Without it every page shows how things
// were when it was loaded.
const table = document.getElementById("requests");
if (table?.dataset.live) liveList(table);

function liveList(table) {
  const state = document.getElementById("live");
  const pause = document.getElementById("pause");
  const body = table.tBodies[0];
  const most = 200; // rows: older ones are on the next pages
  let source;
  let paused = false;
  let waiting = [];

  const say = (text, live) => {
    state.textContent = text;
    state.classList.toggle("on", live);
  };

  // add shows what has arrived since the last frame. The row of a stream that has ended replaces the one of its beginning.
  function add() {
    const rows = waiting;
    waiting = [];
    const template = document.createElement("template");
    template.innerHTML = rows.join("");
    for (const row of [...template.content.children]) {
      const before = body.querySelector(`[data-id="${CSS.escape(row.dataset.id)}"]`);
      if (before) before.replaceWith(row);
      else {
        row.classList.add("moved");
        body.prepend(row);
      }
    }
    while (body.children.length > most) body.lastElementChild.remove();
    table.parentElement.hidden = body.children.length === 0;
    document.getElementById("none").hidden = body.children.length > 0;
  }

  function connect() {
    source = new EventSource(table.dataset.live);
    source.addEventListener("ready", () => say("Live", true));
    source.addEventListener("request", (event) => {
      if (waiting.length === 0) requestAnimationFrame(add);
      waiting.push(event.data);
      if (waiting.length > most) waiting.shift();
    });
    source.onerror = () => {
      say("Waiting for the server", false);
      if (source.readyState === EventSource.CLOSED) {
        source = undefined;
        setTimeout(look, 5_000);
      }
    };
  }

  // look is live while somebody can see the page.
  function look() {
    if (paused || document.hidden) {
      source?.close();
      source = undefined;
      say("Paused", false);
    } else if (!source) {
      connect();
    }
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    look();
  });
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", () => source?.close());
  look();
}
