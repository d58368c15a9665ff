// An endpoint's form: what it asks for, sends and shows of the answer, and the call as code.
import { caller, doubt, identity } from "./caller.js";
import { languages, shell, tokenVariable, urlOf } from "./code.js";
import { copier, element, fold, pre, say, unreachable } from "./dom.js";

const ready = new WeakMap(); // to the function that shows an operation's code anew

// prepare makes an operation ready to be sent, once.
export function prepare(operation) {
  if (ready.has(operation)) return;
  const form = operation.querySelector("form");
  form.querySelectorAll(".choices").forEach(makeChoices);
  const answer = element("div", { className: "answers" }, say("quiet nothing"));
  const code = codeOf(() => callOf(operation));
  operation.querySelector(".comes").append(element("h4", { textContent: "Answer" }), answer, element("h4", { textContent: "Code" }), code.panel);
  operation.append(fold("documented", "What it may answer", () => documented(operation)));
  form.addEventListener("input", () => refresh(operation));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    sendNow(operation);
  });
  form.querySelector(".send").disabled = false;
  ready.set(operation, code.write);
  refresh(operation);
}

// refresh follows a change of who calls, or of what is filled in.
export function refresh(operation) {
  if (!ready.has(operation)) return;
  ready.get(operation)();
  const optional = operation.querySelector(".optional");
  if (optional) {
    const { query } = callOf(operation);
    const used = Object.keys(query).filter((name) => optional.querySelector(`[name="${name}"], [data-name="${name}"]`));
    optional.querySelector(".used").textContent = used.join(", ");
  }
  const nothing = operation.querySelector(".nothing");
  if (nothing) nothing.textContent = caller ? "Press Send to see it." : "Sign in or paste a token, then press Send.";
}

// makeChoices has a list show its words when it is opened, and say which are ticked.
function makeChoices(choices) {
  const say = () => (choices.querySelector(".ticked").textContent = wordsOf(choices).join(", ") || "none");
  choices.addEventListener("toggle", () => boxesOf(choices));
  choices.addEventListener("change", say);
  say();
}

// boxesOf are a list's words, which are in the page once for all endpoints.
function boxesOf(choices) {
  const words = choices.querySelector("fieldset");
  if (words.children.length === 1) words.append(document.getElementById(choices.dataset.choices).content.cloneNode(true));
  return [...words.querySelectorAll("input")];
}

export const wordsOf = (choices) => [...choices.querySelectorAll("input:checked")].map((box) => box.value);

// tick ticks words of a list.
export function tick(choices, words) {
  for (const box of boxesOf(choices)) box.checked = words.includes(box.value);
  choices.dispatchEvent(new Event("change"));
}

// callOf reads the form, as code.js wants it.
function callOf(operation) {
  const { method, path } = operation.dataset;
  const form = operation.querySelector("form");
  const call = { id: operation.id, method, path, base: location.origin, inPath: [], query: {}, body: form.elements.body?.value ?? "" };
  for (const control of form.querySelectorAll("[data-in], .choices")) {
    const name = control.dataset.name ?? control.name;
    if (control.dataset.in === "path") call.inPath.push([name, control.value]);
    else if (control.matches(".choices") || "list" in control.dataset) {
      const words = control.matches(".choices") ? wordsOf(control) : control.value.split(",").map((w) => w.trim()).filter(Boolean);
      if (words.length) call.query[name] = words;
    } else if (control.value) call.query[name] = control.inputMode === "numeric" && /^\d+$/.test(control.value) ? Number(control.value) : control.value;
  }
  return call;
}

const reading = new WeakMap(); // to what stops an operation that is being sent

// sendNow sends an operation, or stops it if it is being sent.
async function sendNow(operation, token) {
  if (reading.has(operation)) return reading.get(operation).abort();
  const stop = new AbortController();
  reading.set(operation, stop);
  const button = operation.querySelector(".send");
  const answer = operation.querySelector(".answers");
  button.textContent = operation.hasAttribute("data-stream") ? "Stop" : "Sending…";
  answer.ariaBusy = true;
  await send(operation, answer, stop.signal, token);
  answer.ariaBusy = null;
  button.textContent = "Send";
  reading.delete(operation);
}

// send sends what is in the form, and shows the answer as it comes.
async function send(operation, into, signal, token = caller?.token) {
  const call = callOf(operation);
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (call.body) headers["Content-Type"] = "application/json";
  const began = performance.now();
  let response;
  let body = "";
  try {
    response = await fetch(urlOf(call), { method: call.method, headers, body: call.body || undefined, cache: "no-store", signal });
    const took = performance.now() - began;
    const stream = operation.hasAttribute("data-stream") && response.ok;
    const text = pre("Body of the answer", "");
    const shown = text.querySelector("pre");
    const show = () => showIn(into, answerOf(response, took, text, () => rawOf(call, headers, response, body), stream && call.query.partition));
    if (stream) show();
    const decoder = new TextDecoder();
    for await (const piece of pieces(response.body)) {
      body += decoder.decode(piece, { stream: true });
      if (!stream) continue;
      if (body.length > most) body = body.slice(body.indexOf("\n", body.length - most) + 1);
      shown.textContent = body.trim();
      shown.scrollTop = shown.scrollHeight;
    }
    if (!stream) {
      shown.textContent = indented(body);
      show();
    } else into.append(say("fine", "The server has ended the stream."));
  } catch (error) {
    if (signal.aborted) {
      if (response) into.append(say("fine", "You have stopped the stream."));
      else into.replaceChildren(say("fine", "You have stopped it before it was answered."));
    } else if (response) into.append(say("error", `The connection broke before the answer was complete. ${unreachable}`));
    else into.replaceChildren(element("p", { className: "error", role: "alert", textContent: unreachable }));
  }
  if (response?.status === 401) await doubt().catch(() => {});
  if (response?.status === 403 && operation.dataset.accepts === "BearerToken" && caller?.user && caller.how === "acting") {
    into.querySelector("[role=status]").append(say("asapp", "Only apps may call it. ",
      element("button", { type: "button", className: "main", textContent: `Send it as the app ${identity.app.name}`, onclick: () => sendNow(operation, identity.app_token) })));
  }
}

// showIn shows an answer, and moves the page to it if it is not in sight.
function showIn(into, answer) {
  into.replaceChildren(answer);
  const { top } = answer.getBoundingClientRect();
  if (top < 0 || top > 0.75 * innerHeight) answer.scrollIntoView();
}

const most = 200_000; // characters of a stream that are kept

// pieces reads a body; browsers differ in whether a stream can be iterated.
async function* pieces(body) {
  const reader = body.getReader();
  for (let piece; !(piece = await reader.read()).done; ) yield piece.value;
}

// answerOf is what the server said: first what it means, then the request and the answer as they were on the wire.
function answerOf(response, took, body, raw, partition) {
  const { status, headers } = response;
  const why = headers.get("x-liked-explain");
  return element("div", { className: `answer ${status < 400 ? "good" : "bad"}` },
    element("div", { role: "status" },
      say("status", element("strong", { textContent: status }), ` ${reasonOf(response)}`, element("span", { className: "quiet", textContent: ` · ${Math.ceil(took)} ms` })),
      why && say("why", element("strong", { textContent: "Why: " }), why),
      status === 401 && !caller ? say("why", identity ? "You call as nobody: choose who calls at the top of this page." : "Nobody is signed in: sign in or paste a token at the top of this page.") : null,
      partition ? say("fine", `Partition ${partition} is read. Its likes appear here as they happen, until you press Stop.`) : null),
    body, limitsOf(headers), fold("wire", "Raw request and answer", raw));
}

const reasonOf = (response) => response.statusText || (reason[response.status] ?? "");

// rawOf is what went over the wire, as far as browsers tell. The token is for nobody who looks over a shoulder.
function rawOf(call, headers, response, body) {
  const url = new URL(urlOf(call));
  const protocol = performance.getEntriesByType("navigation")[0]?.nextHopProtocol === "h2" ? "HTTP/2" : "HTTP/1.1";
  const lines = (all) => all.map(([name, value]) => `${name}: ${/^authorization$/i.test(name) ? "Bearer ••••••••" : value}`);
  return [
    pre("Raw request", [`${call.method} ${url.pathname}${url.search} ${protocol}`, `Host: ${url.host}`, ...lines(Object.entries(headers)), "", call.body].join("\n")),
    pre("Raw answer", [`${protocol} ${response.status} ${reasonOf(response)}`, ...lines([...response.headers]), "", body].join("\n")),
  ];
}

// limitsOf puts the x-…-limit headers into words.
function limitsOf(headers) {
  const kinds = [["x-rate-limit-", 15, "15 minutes"], ["x-user-limit-24hour-", 24 * 60, "24 hours"], ["x-app-limit-24hour-", 24 * 60, "24 hours, of the app"]];
  const found = kinds.filter(([prefix]) => headers.has(`${prefix}limit`));
  if (!found.length) return null;
  return element("ul", { className: "limits", "aria-label": "Rate limits" }, found.map(([prefix, minutes, of]) => {
    const [limit, remaining, reset] = ["limit", "remaining", "reset"].map((name) => Number(headers.get(prefix + name)));
    const used = element("span");
    used.style.width = `${(100 * remaining) / limit}%`;
    const wait = reset - Date.now() / 1000;
    const clocksAgree = wait > -60 && wait < (minutes + 1) * 60; // that of a development server can be moved
    const at = new Date(reset * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
    return element("li", {}, element("strong", { textContent: `${remaining.toLocaleString("en")} of ${limit.toLocaleString("en")}` }), ` left in ${of}`,
      element("span", { className: "gauge", "aria-hidden": true }, used),
      element("span", { className: "quiet", textContent: `resets at ${at}${clocksAgree ? `, ${inWords(wait)}` : ""}` }));
  }));
}

function inWords(seconds) {
  if (seconds < 90) return `in ${Math.max(0, Math.round(seconds))} seconds`;
  return seconds < 5400 ? `in ${Math.round(seconds / 60)} minutes` : `in ${Math.round(seconds / 3600)} hours`;
}

function indented(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body || "(no body)";
  }
}

// codeOf shows a call in one language at a time, and copies it.
let tablists = 0;
function codeOf(call) {
  const id = `code-${++tablists}`;
  let chosen = languages[0];
  const panel = element("pre", { role: "tabpanel", id, tabIndex: 0 });
  const tabs = languages.map((language) => element("button", {
    type: "button", role: "tab", id: `${id}-${language.id}`, "aria-controls": id, textContent: language.name, onclick: () => choose(language),
  }));
  const write = () => {
    panel.textContent = chosen.write(call());
    token.hidden = !caller;
  };
  const choose = (language) => {
    chosen = language;
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", languages[i] === language);
      tab.tabIndex = languages[i] === language ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", `${id}-${language.id}`);
    write();
  };
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    choose(languages[(languages.indexOf(chosen) + step + languages.length) % languages.length]);
    tabs[languages.indexOf(chosen)].focus();
  };
  const token = say("fine", "The token is read from ", element("code", { textContent: tokenVariable }), ". ",
    copier("Copy the line that sets it", () => `export ${tokenVariable}=${shell(caller.token)}\n`));
  choose(chosen);
  return {
    write,
    panel: element("div", { className: "code" },
      element("div", { className: "tabs" }, element("div", { role: "tablist", "aria-label": "Language", onkeydown: move }, tabs), copier("Copy", () => panel.textContent)),
      panel, token),
  };
}

let description; // of the API, once it is asked for

// documented is what the description says of the answers, in the order of their status.
async function documented({ dataset: { path, method } }) {
  try {
    description ??= await (await fetch("/2/openapi.json")).json();
  } catch {
    return say("error", unreachable);
  }
  const { responses } = description.paths[path][method.toLowerCase()];
  return element("dl", {}, Object.entries(responses).flatMap(([status, response]) => {
    const schema = response.content?.["application/json"]?.schema;
    return [element("dt", {}, element("strong", { textContent: status }), ` ${reason[status] ?? ""}`),
      element("dd", {}, response.description, schema && status < 400 ? pre(`Example of ${status}`, JSON.stringify(exampleOf(schema), null, 2)) : null)];
  }));
}

// exampleOf makes a value that a schema describes. What holds itself is left out.
function exampleOf(schema, within = []) {
  const name = schema.$ref?.split("/").at(-1);
  if (within.includes(name)) return undefined;
  if (name) return exampleOf(description.components.schemas[name], [...within, name]);
  if (schema.example !== undefined) return schema.example;
  if (schema.enum) return schema.enum[0];
  switch (schema.type) {
    case "object":
      return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([member, of]) => [member, exampleOf(of, within)]));
    case "array":
      return [exampleOf(schema.items, within)].filter((item) => item !== undefined);
    case "string":
      return schema.format === "date-time" ? "2026-03-01T12:00:00.000Z" : "string";
    case "integer":
      return schema.minimum ?? 0;
    case "boolean":
      return true;
  }
  return {};
}

// Over HTTP/2 a status comes without its reason.
const reason = {
  200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
  408: "Request Timeout", 413: "Content Too Large", 415: "Unsupported Media Type", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable",
};
