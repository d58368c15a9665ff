// The API explorer: who calls, and Swagger UI with our plugin, started on what the server says of itself.
import { plugin } from "./plugin.js";

const root = document.getElementById("explorer");
const { client, user, post, token: given } = root.dataset;
const here = location.origin + location.pathname; // the redirect URI, too
const canSignIn = root.dataset.origins.split(" ").includes(location.origin);

// What is kept lives as long as the tab does.
const kept = {
  get: (name) => JSON.parse(sessionStorage.getItem(`liked.${name}`)),
  set: (name, value) => sessionStorage.setItem(`liked.${name}`, JSON.stringify(value)),
  remove: (name) => sessionStorage.removeItem(`liked.${name}`),
};

// element makes an element; text is shown as text, whatever it holds.
function element(name, properties = {}, ...children) {
  const e = Object.assign(document.createElement(name), properties);
  e.append(...children);
  return e;
}

// caller is {token, how, user, status} of whoever calls, or null. Without a user the status says why there is none.
let caller = null;

// offered is the caller whose token the address holds. Whoever made the address chose the account, so that nobody calls as
// it before they say so.
let offered = null;

async function begin(token, how) {
  const answer = await fetch("/2/users/me", { headers: { authorization: `Bearer ${token}` } });
  const { data } = await answer.json();
  return { token, how, user: data, status: answer.status };
}

const tokenIn = ({ hash }) => new URLSearchParams(hash.slice(1)).get("access_token");

async function whoCalls() {
  const linked = tokenIn(location) ?? kept.get("linked");
  const query = new URLSearchParams(location.search);
  if (linked || query.has("state")) history.replaceState(null, "", here);
  kept.remove("linked");
  if (linked) offered = await begin(linked, "link");
  if (query.has("state")) return begin(await redeem(query), "signed in");
  const before = kept.get("caller");
  if (before && (before.how !== "given" || before.token === given)) return before;
  return given && !kept.get("signed out") ? begin(given, "given") : null;
}

// Signing in is the authorization code flow with PKCE (RFC 7636), by way of this very page.

const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

async function signIn(scopes) {
  const asked = { state: random(), verifier: random() };
  kept.set("asked", asked);
  // Browsers compute hashes on secure origins only. Elsewhere whoever listens reads the code and the verifier anyway.
  const digest = crypto.subtle && base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(asked.verifier))));
  location.assign("/i/oauth2/authorize?" + new URLSearchParams({
    response_type: "code", client_id: client, redirect_uri: here, scope: scopes, state: asked.state,
    code_challenge: digest ?? asked.verifier, code_challenge_method: digest ? "S256" : "plain",
  }));
}

async function redeem(query) {
  const asked = kept.get("asked");
  kept.remove("asked");
  if (!asked || asked.state !== query.get("state")) throw new Error("This sign-in was not begun in this tab. Sign in again.");
  if (query.has("error")) throw new Error("You did not give access. Nothing has changed.");
  const answer = await fetch("/2/oauth2/token", {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "authorization_code", code: query.get("code"), client_id: client, redirect_uri: here, code_verifier: asked.verifier,
    }),
  });
  const token = await answer.json();
  if (!answer.ok) throw new Error(`The sign-in could not be finished: ${token.error_description}`);
  return token.access_token;
}

async function signOut() {
  if (caller.how === "signed in") {
    await fetch("/2/oauth2/revoke", {
      method: "POST", body: new URLSearchParams({ client_id: client, token: caller.token, token_type_hint: "access_token" }),
    });
  }
  use(null);
}

// bar is the part of the page that says who calls, and lets one change it.
function bar(scopes, trouble) {
  const say = element("p", { className: "says" });
  const actions = element("p", { className: "does" });
  const button = (label, onclick, className = "") => actions.append(element("button", { type: "button", textContent: label, onclick, className }));
  const paste = element("details", { className: "paste" },
    element("summary", { textContent: caller ? "Use another token" : "Paste a token" }),
    element("form", { onsubmit: pasted },
      element("label", { htmlFor: "token", textContent: "OAuth 2.0 access token, or an app’s bearer token" }),
      element("input", { id: "token", type: "password", required: true, autocomplete: "off", spellcheck: false }),
      element("button", { className: "main", textContent: "Use it" })));
  if (caller?.user) {
    say.append("You call as ", element("strong", { textContent: `@${caller.user.username}` }), element("span", { className: "quiet", textContent: ` · id ${caller.user.id}` }));
  } else if (caller) {
    say.append({
      401: "The server does not know this token, or it has expired.",
      403: "You call as an app, for nobody in particular. To like a post takes a user’s token.",
    }[caller.status] ?? `The server did not say whose token this is: it answered ${caller.status}.`);
  } else {
    say.append(element("strong", { textContent: "Nobody is signed in. " }), "Sign in or paste a token, then press Send.");
  }
  if (caller) button("Sign out", signOut, "plain");
  else if (canSignIn) button("Sign in", () => signIn(scopes), "main");
  if (!caller && given) button("Take the ready token", async () => use(await begin(given, "given")));
  const section = element("section", { className: "card caller" }, say, actions, paste);
  if (offered) {
    const offer = element("p", { className: "offer" },
      "The address that you opened holds an access token of ", element("strong", { textContent: offered.user ? `@${offered.user.username}` : "an app" }),
      ". With it, what you send is done in that name. Use it only if you expected it. ",
      element("button", { type: "button", className: "main", textContent: "Use this token", onclick: () => use(offered) }), " ",
      element("button", { type: "button", className: "plain", textContent: "Ignore it", onclick: () => offer.remove() }));
    section.prepend(offer);
  }
  section.setAttribute("aria-label", "Who calls");
  if (!caller && !canSignIn) {
    const [first] = root.dataset.origins.split(" ");
    section.append(element("p", { className: "hint" },
      "You can sign in at ", element("a", { href: `${first}/explorer`, textContent: `${first}/explorer` }),
      `. For this address, start the server with --public-url ${location.origin}`));
  }
  if (trouble) section.prepend(Object.assign(element("p", { className: "error", textContent: trouble }), { role: "alert" }));
  return section;
}

async function pasted(event) {
  event.preventDefault();
  use(await begin(event.target.elements.token.value.trim(), "pasted"));
}

// use starts the page anew with a caller, or with nobody.
function use(next) {
  kept.set("caller", next);
  kept.set("signed out", !next);
  location.reload();
}

// prepare puts what the page knows in place of the examples of the description, with which the forms start.
function prepare(description) {
  const { schemas } = description.components;
  const known = { UserID: caller?.user?.id ?? user, PostID: post, Username: caller?.user?.username ?? schemas.Username.example };
  let text = JSON.stringify(description);
  for (const [name, value] of Object.entries(known)) text = text.replaceAll(`"${schemas[name].example}"`, `"${value ?? ""}"`);
  const prepared = JSON.parse(text);
  for (const operation of Object.values(prepared.paths).flatMap((path) => Object.values(path))) {
    for (const parameter of operation.parameters ?? []) {
      if (!parameter.required) delete parameter.schema.default; // what is not sent has its default, too
    }
  }
  return prepared;
}

// Streams have no end. What comes within this time is the answer that is shown.
const glimpseFor = 10_000; // ms

async function glimpse(url, options) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), glimpseFor);
  const answer = await fetch(url, { ...options, signal: stop.signal });
  const decoder = new TextDecoder();
  let text = "";
  try {
    const reader = answer.body.getReader();
    for (let piece; !(piece = await reader.read()).done; ) text += decoder.decode(piece.value, { stream: true });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
  clearTimeout(timer);
  return new Response(text, { status: answer.status, headers: answer.headers });
}

async function start() {
  let trouble;
  try {
    caller = await whoCalls();
    kept.set("caller", caller);
    if (offered?.status === 401) trouble = "The server does not know the token in the address, or it has expired.";
    if (offered?.status === 401 || offered?.token === caller?.token) offered = null;
  } catch (error) {
    trouble = error.message;
    caller = kept.get("caller");
  }
  const description = await (await fetch("/2/openapi.json")).json();
  const { scopes } = description.components.securitySchemes.OAuth2UserToken.flows.authorizationCode;
  const wanted = Object.keys(scopes).filter((scope) => scope !== "offline.access").join(" ");
  const list = element("div", { id: "operations" });
  root.replaceChildren(bar(wanted, trouble), list);
  const streams = Object.keys(description.paths).filter((path) => description.paths[path].get?.["x-twitter-streaming"]);
  const first = ["usersIdUnlike", "usersIdLike"]; // the last of them before all
  const rank = (operation) => -first.indexOf(operation.getIn(["operation", "operationId"]));
  const ui = window.SwaggerUIBundle({
    domNode: list, spec: prepare(description), plugins: [plugin({ origin: location.origin, caller })],
    layout: "ExplorerLayout", deepLinking: true, tryItOutEnabled: true, docExpansion: "list", defaultModelsExpandDepth: -1,
    operationsSorter: (a, b) => rank(a) - rank(b), validatorUrl: null, queryConfigEnabled: false,
    requestInterceptor: (request) => {
      if (caller) request.headers.Authorization = `Bearer ${caller.token}`;
      if (streams.includes(new URL(request.url, here).pathname)) request.userFetch = glimpse;
      return request;
    },
  });
  if (!location.hash) ui.layoutActions.show(["operations", description.paths["/2/users/{id}/likes"].post.tags[0], "usersIdLike"], true);
}

// An address with a token, in a tab that has the page already, loads nothing by itself. Until the page is loaded again
// Swagger UI may read the address, which it must not take for one of its own, and write another.
addEventListener("hashchange", ({ newURL }) => {
  const token = tokenIn(new URL(newURL));
  if (!token) return;
  kept.set("linked", token);
  history.replaceState(null, "", here);
  location.reload();
});

start().catch((error) => {
  root.replaceChildren(element("p", { className: "error", textContent: `The explorer did not start: ${error.message}` }));
});
