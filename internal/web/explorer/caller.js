// Who calls: the part of the page that says so and lets one change it, and signing in.
import { element, kept, say, unreachable } from "./dom.js";

const section = document.getElementById("caller");
const { client } = section.dataset;
const origins = section.dataset.origins.trim().split(" ");
const here = location.origin + location.pathname; // the redirect URI, too
const canSignIn = client && origins.includes(location.origin);

// caller is {token, how, user, status} of whoever calls, or null. The status is what the server said of the token; without a
// user it says why there is none.
export let caller = null;

// identity is as whom one calls on a development server, in the console as here: {user, app, token, app_token, users, apps}.
// It is null where there is no console, or where it wants the admin token first. A token of one's own comes before it.
export let identity = null;
const hasConsole = "console" in section.dataset;

// offered is the caller whose token the address holds. Whoever made the address chose the account, so that nobody calls as
// it before they say so.
let offered = null;

let changed; // what is told of a change
let beforeLeaving; // what is told before another page takes this one's place

// startCaller finds out who calls.
export async function startCaller(onChange, onLeave) {
  [changed, beforeLeaving] = [onChange, onLeave];
  let trouble;
  try {
    trouble = await offerLinked();
    await identify();
    use(await whoCalls(), trouble);
  } catch (error) {
    use(kept.get("caller") ?? acting(), error.message);
  }
}

// identify asks as whom one calls, or, with a form, changes it.
async function identify(form) {
  if (!hasConsole) return;
  const answer = await reach("/console/identity", form ? { method: "POST", body: new URLSearchParams(form) } : { cache: "no-store" });
  if (answer.status === 403) {
    identity = null; // the admin token was not entered in this browser
    return;
  }
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  identity = said;
}

const acting = () => (identity?.token ? { token: identity.token, how: "acting", user: identity.user && { id: identity.user.id, username: identity.user.name }, status: identity.user ? 200 : 403 } : null);

// Who calls may have been changed in the console, in another tab.
document.addEventListener("visibilitychange", async () => {
  if (document.hidden || !identity || (caller && caller.how !== "acting")) return;
  await identify().catch(() => {});
  if (acting()?.token !== caller?.token) use(acting());
});

async function begin(token, how) {
  if (!/^[\x20-\x7e]+$/.test(token)) throw new Error("This is no token: it holds characters that no token has.");
  const answer = await reach("/2/users/me", { headers: { authorization: `Bearer ${token}` }, cache: "no-store" });
  const { data } = await answer.json().catch(() => ({})); // a rule of faults may answer anything
  return { token, how, user: data, status: answer.status };
}

async function reach(address, options) {
  try {
    return await fetch(address, options);
  } catch {
    throw new Error(unreachable);
  }
}

const tokenIn = ({ hash }) => new URLSearchParams(hash.slice(1)).get("access_token");

// offerLinked takes a token out of the address, and returns what is wrong with it.
async function offerLinked() {
  const linked = tokenIn(location);
  if (!linked) return;
  history.replaceState(null, "", here);
  const next = await begin(linked, "link");
  if (next.status === 401) return "The server does not know the token in the address, or it has expired.";
  offered = next;
}

addEventListener("hashchange", async () => {
  if (!tokenIn(location)) return;
  const trouble = await offerLinked().catch((error) => error.message);
  show(trouble);
});

async function whoCalls() {
  const query = new URLSearchParams(location.search);
  if (query.has("state")) {
    history.replaceState(null, "", here);
    return begin(await redeem(query), "signed in");
  }
  const before = kept.get("caller");
  return before ? again(before) : acting();
}

// again asks once more about a caller. Of one whose token is no longer good the user stays known.
async function again(before) {
  const now = await begin(before.token, before.how);
  return now.status === 401 ? { ...before, status: 401 } : now;
}

// doubt looks whether the caller's token is still good, after the server has refused it.
export async function doubt() {
  const asked = caller;
  if (!asked || asked.status === 401) return;
  const now = await again(asked);
  if (asked !== caller || now.status !== 401) return;
  if (asked.how !== "acting") return use(now);
  await identify({}); // another token is made
  use(acting());
  section.prepend(element("p", { className: "notice", role: "status", textContent: "The token was no longer good: it was revoked, or the server began anew. Another one was made: press Send once more." }));
}

// Signing in is the authorization code flow with PKCE (RFC 7636), by way of this very page.

const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

async function signIn() {
  const asked = { state: random(), verifier: random() };
  kept.set("asked", asked);
  const { components } = await (await reach("/2/openapi.json")).json();
  const { scopes } = components.securitySchemes.OAuth2UserToken.flows.authorizationCode;
  // Browsers compute hashes on secure origins only. Elsewhere whoever listens reads the code and the verifier anyway.
  const digest = crypto.subtle && base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(asked.verifier))));
  beforeLeaving();
  location.assign("/i/oauth2/authorize?" + new URLSearchParams({
    response_type: "code", client_id: client, redirect_uri: here, state: asked.state,
    scope: Object.keys(scopes).filter((scope) => scope !== "offline.access").join(" "),
    code_challenge: digest ?? asked.verifier, code_challenge_method: digest ? "S256" : "plain",
  }));
}

async function redeem(query) {
  const asked = kept.take("asked");
  if (!asked || asked.state !== query.get("state")) throw new Error("This sign-in was not begun in this tab. Sign in again.");
  if (query.has("error")) throw new Error("You did not give access. Nothing has changed.");
  const answer = await reach("/2/oauth2/token", {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "authorization_code", code: query.get("code"), client_id: client, redirect_uri: here, code_verifier: asked.verifier,
    }),
  });
  const token = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(`The sign-in could not be finished: ${token.error_description ?? `the server answered ${answer.status}.`}`);
  return token.access_token;
}

async function signOut() {
  if (caller.how === "signed in") {
    await reach("/2/oauth2/revoke", {
      method: "POST", body: new URLSearchParams({ client_id: client, token: caller.token, token_type_hint: "access_token" }),
    });
  }
  return acting();
}

// use makes somebody, or nobody, the one who calls.
function use(next, trouble) {
  caller = next;
  kept.set("caller", next?.how === "acting" ? null : next);
  if (offered?.token === next?.token) offered = null;
  show(trouble);
  changed();
}

// choose does the same once next, a function, has found out who that is, because somebody has asked for it.
const choose = (next) => async (event) => {
  event?.preventDefault();
  try {
    use(await next(event));
  } catch (error) {
    show(error.message);
  }
  section.focus(); // what was pressed is gone
};

// whoIsIt says who calls.
function whoIsIt() {
  const through = identity?.app && element("span", { className: "quiet", textContent: ` through the app ${identity.app.name}` });
  if (identity && !caller) return ["Calling as ", element("strong", { textContent: "nobody" }), ": without a token."];
  if (!caller) return [element("strong", { textContent: "Nobody is signed in. " }), "Sign in or paste a token, then press Send."];
  const { user, how, status } = caller;
  if (user && status === 401) {
    return [element("strong", { textContent: `The token of @${user.username} is no longer good: ` }), "it was revoked, or has expired. Sign in again or paste another to go on."];
  }
  const id = user && element("span", { className: "quiet", textContent: ` · id ${user.id}` });
  if (how === "acting") return user ? ["Calling as ", element("strong", { textContent: `@${user.username}` }), through, id] : ["Calling as the ", element("strong", { textContent: `app ${identity.app.name}` })];
  if (user) return ["Calling as ", element("strong", { textContent: `@${user.username}` }), how === "signed in" ? "" : ", with a token of your own", id];
  return [{
    401: "The server does not know this token, or it has expired.",
    403: "Calling as an app, for nobody in particular. To like a post takes a user’s token.",
  }[status] ?? `The server did not say whose token this is: it answered ${status}.`];
}

// chooser is the form that changes the identity, here and in the console.
function chooser() {
  const as = (value, label) => element("button", { name: "as", value, textContent: label, className: value === "user" ? "main" : "" });
  const change = choose(async (event) => {
    await identify([...new FormData(event.target, event.submitter)]);
    return acting();
  });
  return element("details", { className: "paste" }, element("summary", { textContent: "Call as another" }),
    element("form", { className: "acting", onsubmit: change, autocomplete: "off" },
      element("div", { className: "field" }, element("label", { htmlFor: "acting-user", textContent: "User" }),
        listed(element("input", { id: "acting-user", name: "user", type: "text", autocapitalize: "off", spellcheck: false, value: identity.user?.name ?? "" }), "acting-users"),
        element("datalist", { id: "acting-users" }, identity.users.map((name) => element("option", { value: name })))),
      element("div", { className: "field" }, element("label", { htmlFor: "acting-app", textContent: "App" }),
        element("select", { id: "acting-app", name: "app" }, identity.apps.map(({ id, name }) => element("option", { value: id, textContent: name, selected: id === identity.app?.id })))),
      say("does", as("user", "Call as the user"), as("app", "Call as the app"), as("nobody", "Call as nobody"))));
}

function listed(input, list) {
  input.setAttribute("list", list);
  return input;
}

function show(trouble) {
  const button = (label, next, className = "") => element("button", { type: "button", textContent: label, onclick: choose(next), className });
  const own = caller && caller.how !== "acting";
  const good = caller && caller.status !== 401;
  const actions = say("does");
  if ((own ? !good : !identity) && canSignIn) actions.append(element("button", { type: "button", className: "main", textContent: "Sign in", onclick: () => signIn().catch((error) => show(error.message)) }));
  if (own) actions.append(button("Sign out", good ? signOut : acting, "plain"));
  const paste = element("details", { className: "paste" },
    element("summary", { textContent: own ? "Use another token" : identity ? "Use a token of your own" : "Paste a token" }),
    element("form", { onsubmit: choose((event) => begin(event.target.elements.token.value.trim(), "pasted")) },
      element("label", { htmlFor: "token", textContent: "OAuth 2.0 access token, or an app’s bearer token" }),
      element("input", { id: "token", type: "password", required: true, autocomplete: "off", spellcheck: false }),
      element("button", { className: "main", textContent: "Use it" })));
  section.classList.toggle("lost", Boolean(caller?.user && !good));
  section.replaceChildren(say("says", ...whoIsIt()), actions, identity && !own ? chooser() : "", paste);
  if (offered) {
    section.prepend(say("offer", "The address that you opened holds an access token of ", element("strong", { textContent: offered.user ? `@${offered.user.username}` : "an app" }),
      ". With it, what you send is done in that name. Use it only if you expected it. ",
      button("Use this token", () => offered, "main"), " ",
      element("button", { type: "button", className: "plain", textContent: "Ignore it", onclick: () => { offered = null; show(); section.focus(); } })));
  }
  if (!caller && !identity && !canSignIn && origins[0]) {
    const elsewhere = client ? ["You can sign in at ", element("a", { href: `${origins[0]}/explorer`, textContent: `${origins[0]}/explorer` }), ". For this address,"] : ["To sign in here,"];
    section.append(say("hint", ...elsewhere, ` start the server with --public-url ${location.origin}`));
  }
  if (hasConsole && !identity) {
    section.append(say("hint", "To call as anybody, enter the admin token in the ", element("a", { href: "/console", textContent: "console" }), "."));
  }
  if (trouble) section.prepend(element("p", { className: "error", role: "alert", textContent: trouble }));
}
