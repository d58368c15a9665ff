// What Swagger UI shows, in our own form: it reads the description, keeps the values of the forms and sends the requests;
// the components here say how that looks, and add the code to copy and the limits that are left.
import { languages, tokenVariable } from "./code.js";

export const plugin = ({ origin, caller }) => (system) => {
  const { React, Im } = system;
  const h = React.createElement;
  const { useState, useRef, useId } = React;

  const Layout = ({ getComponent }) => h(getComponent("operations", true));

  // Group is the endpoints of one tag.
  function Group({ tag, tagObj, layoutSelectors, layoutActions, children }) {
    const thing = ["operations-tag", tag];
    const open = layoutSelectors.isShown(thing, true);
    const about = tagObj.getIn(["tagDetails", "description"]);
    return h("section", { className: "group", "aria-label": tag },
      h("h2", null, h("button", { type: "button", "aria-expanded": open, onClick: () => layoutActions.show(thing, !open) }, tag)),
      open ? [about ? h("p", { key: "about", className: "quiet" }, about) : null, children] : null);
  }

  // Operation is one endpoint: its line, and behind it what one asks on the left and what comes of it on the right.
  function Operation(props) {
    const { operation, toggleShown, getComponent, specSelectors, specActions, oas3Selectors, oas3Actions, response, onExecute } = props;
    const { path, method, operationId, isShown, executeInProgress } = operation.toJS();
    const op = operation.get("op");
    const id = useId();
    const head = h("h3", { className: "endpoint" },
      h("button", { type: "button", onClick: toggleShown, "aria-expanded": isShown, "aria-controls": id },
        h("span", { className: `method ${method}` }, method.toUpperCase()),
        h("code", null, path.split("/").flatMap((part, i) => (i ? [h("wbr", { key: i }), "/" + part] : [part]))),
        h("span", { className: "summary" }, operation.get("summary"))));
    if (!isShown || !op.get("responses")) return h("section", { className: "operation" }, head);

    const at = [path, method];
    const parameters = op.get("parameters", Im.List());
    const shared = { specSelectors, specActions, oas3Selectors, oas3Actions, getComponent, path, method };
    const Parameters = getComponent("parameters");
    const Send = getComponent("execute");
    const call = callOf(operationId, at, parameters, specSelectors, oas3Selectors);
    return h("section", { className: "operation open" }, head,
      h("div", { id, className: "body" },
        h("div", { className: "asks" },
          h("h4", null, "Request"),
          parameters.size || op.get("requestBody") ? h(Parameters, {
            ...props, ...shared, parameters, operation: op, specPath: props.specPath.push("parameters"), onChangeKey: at, pathMethod: at,
            tryItOutEnabled: true, allowTryItOut: true,
          }) : h("p", { className: "quiet" }, "It takes no parameters."),
          h("p", { className: "actions" }, h(Send, { ...shared, operation: op, onExecute, disabled: executeInProgress })),
          h(Needs, { op, specSelectors })),
        h("div", { className: "comes" },
          h("h4", null, "Answer"),
          h("div", { role: "status" }, response ? h(Answer, { response, sent: specSelectors.mutatedRequestFor(path, method) }) : h("p", { className: "quiet nothing" }, caller ? "Press Send to see it." : "Sign in or paste a token, then press Send.")),
          h("h4", null, "Code"),
          h(Code, { call }))),
      h(Fold, { className: "documented", summary: "What it may answer" }, () => h(Documented, { responses: op.get("responses"), fn: props.fn })));
  }

  // Fold makes what is in it when it is opened.
  function Fold({ className, summary, children }) {
    const [open, setOpen] = useState(false);
    return h("details", { className, onToggle: (e) => setOpen(e.currentTarget.open) }, h("summary", null, summary), open ? children() : null);
  }

  // Documented is what the description says of the answers, in the order of their status.
  function Documented({ responses, fn }) {
    return h("dl", null, responses.entrySeq().toArray().sort().map(([status, response]) => {
      const schema = response.getIn(["content", "application/json", "schema"]);
      return h(React.Fragment, { key: status },
        h("dt", null, h("strong", null, status), ` ${reason[status] ?? ""}`),
        h("dd", null, response.get("description"),
          schema && status < 400 ? h(Pre, { label: "Example", text: indented(fn.getSampleSchema(schema.toJS(), "application/json", { includeReadOnly: true })) }) : null));
    }));
  }

  // callOf reads the form, as code.js wants it.
  function callOf(id, [path, method], parameters, specSelectors, oas3Selectors) {
    const call = { id, path, method: method.toUpperCase(), base: origin, inPath: [], query: {}, body: oas3Selectors.requestBodyValue(path, method) ?? "" };
    for (const parameter of parameters) {
      const value = specSelectors.parameterWithMetaByIdentity([path, method], parameter)?.get("value");
      const plain = Im.List.isList(value) ? value.toJS() : value;
      if (parameter.get("in") === "path") call.inPath.push([parameter.get("name"), plain ?? ""]);
      else if (plain?.length) call.query[parameter.get("name")] = parameter.getIn(["schema", "type"]) === "integer" && /^\d+$/.test(plain) ? Number(plain) : plain;
    }
    return call;
  }

  // Needs says which credentials will do.
  function Needs({ op }) {
    const kinds = op.get("security", Im.List()).flatMap((kind) => kind.entrySeq());
    if (!kinds.size) return h("p", { className: "fine" }, "Anybody may call it.");
    const words = { OAuth2UserToken: "a user’s OAuth 2.0 token", UserToken: "OAuth 1.0a", BearerToken: "an app’s bearer token" };
    return h("p", { className: "fine" }, "Takes ", kinds.toArray().map(([name, scopes], i) => h(React.Fragment, { key: name },
      i ? " or " : "", words[name] ?? name, scopes.size ? [" with ", scopes.toArray().map((scope) => h("code", { key: scope, className: "scope" }, scope))] : null)), ".");
  }

  // Answer is what the server said: first what it means, then the request and the answer as they were on the wire.
  function Answer({ response, sent }) {
    const headers = response.get("headers")?.toJS() ?? {};
    const status = response.get("status");
    const body = response.get("text") ?? "";
    if (!status) return h("p", { className: "error" }, `It was not sent, or no answer came: ${response.get("message") ?? response.getIn(["err", "message"]) ?? "the server cannot be reached"}`);
    const took = performance.getEntriesByName(response.get("url")).at(-1)?.duration; // of the request alone
    const why = headers["x-liked-explain"];
    const wire = Object.entries(headers).map(([name, value]) => `${name}: ${value}`).join("\n");
    return h("div", { className: `answer ${status < 400 ? "good" : "bad"}` },
      h("p", { className: "status" }, h("strong", null, status), ` ${reason[status] ?? ""}`, h("span", { className: "quiet" }, took ? ` · ${Math.ceil(took)} ms` : "")),
      why ? h("p", { className: "why" }, h("strong", null, "Why: "), why) : null,
      status === 401 && !caller ? h("p", { className: "why" }, "Nobody is signed in: sign in or paste a token at the top of this page.") : null,
      h(Pre, { label: "Body of the answer", text: indented(body) }),
      h(Limits, { headers }),
      h(Fold, { className: "wire", summary: "Raw request and answer" }, () => [
        h(Pre, { key: "request", label: "Raw request", text: rawRequest(sent) }),
        h(Pre, { key: "answer", label: "Raw answer", text: `HTTP/1.1 ${status} ${reason[status] ?? ""}\n${wire}\n\n${body}` })]));
  }

  // rawRequest is what was sent, of which the browser adds more. The token is for nobody who looks over a shoulder.
  function rawRequest(request) {
    const url = new URL(request.get("url"), origin);
    const headers = request.get("headers", Im.Map()).entrySeq().toArray().map(([name, value]) => `${name}: ${/^authorization$/i.test(name) ? "Bearer ••••••••" : value}`);
    return [`${request.get("method").toUpperCase()} ${url.pathname}${url.search} HTTP/1.1`, `Host: ${url.host}`, ...headers, "", request.get("body") ?? ""].join("\n");
  }

  // Limits puts the x-…-limit headers into words.
  function Limits({ headers }) {
    const kinds = [["x-rate-limit-", "15 minutes"], ["x-user-limit-24hour-", "24 hours"], ["x-app-limit-24hour-", "24 hours, of the app"]];
    const known = kinds.filter(([prefix]) => headers[`${prefix}limit`]);
    if (!known.length) return null;
    return h("ul", { className: "limits", "aria-label": "Rate limits" }, known.map(([prefix, of]) => {
      const [limit, remaining, reset] = ["limit", "remaining", "reset"].map((name) => Number(headers[prefix + name]));
      const at = new Date(reset * 1000);
      return h("li", { key: prefix },
        h("strong", null, `${remaining.toLocaleString("en")} of ${limit.toLocaleString("en")}`), ` left in ${of}`,
        h("span", { className: "gauge", "aria-hidden": true }, h("span", { style: { width: `${(100 * remaining) / limit}%` } })),
        h("span", { className: "quiet" }, `resets at ${at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })}, ${inWords(reset - Date.now() / 1000)}`));
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

  const Pre = ({ label, text }) => h("figure", null, h("figcaption", null, label), h("pre", { tabIndex: 0, "aria-label": label }, text));

  // Code shows the call in one language at a time, and copies it.
  function Code({ call }) {
    const [chosen, choose] = useState("curl");
    const id = useId();
    const tabs = useRef(null);
    const shown = languages.find((l) => l.id === chosen);
    const move = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = (languages.indexOf(shown) + step + languages.length) % languages.length;
      choose(languages[next].id);
      tabs.current.children[next].focus();
    };
    const text = shown.write(call);
    return h("div", { className: "code" },
      h("div", { className: "tabs" },
        h("div", { role: "tablist", "aria-label": "Language", ref: tabs, onKeyDown: move }, languages.map((l) => h("button", {
          key: l.id, type: "button", role: "tab", id: `${id}${l.id}`, "aria-selected": l === shown, "aria-controls": `${id}panel`,
          tabIndex: l === shown ? 0 : -1, onClick: () => choose(l.id),
        }, l.name))),
        h(Copy, { text, label: "Copy" })),
      h("pre", { role: "tabpanel", id: `${id}panel`, "aria-labelledby": `${id}${chosen}`, tabIndex: 0 }, text),
      caller ? h("p", { className: "fine" }, "The token is read from ", h("code", null, tokenVariable), ". ",
        h(Copy, { text: `export ${tokenVariable}='${caller.token}'\n`, label: "Copy the line that sets it" })) : null);
  }

  function Copy({ text, label }) {
    const [done, say] = useState("");
    const copy = async () => {
      await toClipboard(text);
      say("Copied");
      setTimeout(say, 2000, "");
    };
    return h("span", { className: "copying" }, h("button", { type: "button", className: "plain", onClick: copy }, label), h("span", { role: "status" }, done));
  }

  // Field is the control of a parameter, labelled with its name.
  function Field({ schema, value, onChange, description: name, required }) {
    const label = required ? `${name}, required` : name;
    const items = schema.get("items");
    const words = items?.get("enum") ?? schema.get("enum");
    const list = Im.List.isList(value) ? value.toJS() : value ? [value].flat() : [];
    if (items && words) {
      const toggle = (word) => onChange(Im.List(list.includes(word) ? list.filter((w) => w !== word) : [...list, word]));
      return h("details", { className: "choices" }, h("summary", { "aria-label": `${label}: ${list.join(", ") || "none"}` }, list.join(", ") || h("span", { className: "quiet" }, "none")),
        h("fieldset", null, h("legend", { className: "hidden" }, label), words.toArray().map((word) => h("label", { key: word },
          h("input", { type: "checkbox", checked: list.includes(word), onChange: () => toggle(word) }), word))));
    }
    if (items) return h(Line, { label, value: list.join(","), onChange: (line) => onChange(Im.List(line.split(",").map((w) => w.trim()).filter(Boolean))), hint: "with commas between" });
    if (words) {
      return h("select", { "aria-label": label, value: value ?? "", onChange: (e) => onChange(e.target.value) },
        required ? null : h("option", { value: "" }, "none"), words.toArray().map((word) => h("option", { key: word }, word)));
    }
    return h(Line, { label, value: value ?? "", onChange, number: schema.get("type") === "integer", hint: rangeOf(schema) });
  }

  const rangeOf = (schema) => (schema.has("maximum") ? `${schema.get("minimum")} to ${schema.get("maximum")}` : "");

  function Line({ label, value, onChange, number, hint }) {
    const [typed, type] = useState(null); // while it is being edited; a list is not what was typed
    return h("input", {
      type: "text", "aria-label": label, value: typed ?? value, placeholder: hint, spellCheck: false, autoComplete: "off", inputMode: number ? "numeric" : undefined,
      onChange: (e) => { type(e.target.value); onChange(e.target.value); }, onBlur: () => type(null),
    });
  }

  return {
    components: {
      ExplorerLayout: Layout, OperationTag: Group, operation: Operation, JsonSchemaForm: Field,
    },
    wrapComponents: {
      // What is wrong in the form is sent, too: to see how the server refuses it is what one is here for.
      execute: (Execute) => class Send extends Execute {
        render() {
          const { disabled, operation } = this.props;
          const busy = operation.get("x-twitter-streaming") ? "Reading for ten seconds…" : "Sending…";
          return h("button", { type: "button", className: "main send", disabled, onClick: this.handleValidationResultPass }, disabled ? busy : "Send");
        }
      },
      TextArea: (TextArea) => (props) => h(TextArea, { ...props, "aria-label": "Request body, JSON", spellCheck: false, rows: Math.max(3, String(props.value).split("\n").length) }),
    },
  };
};

// toClipboard copies, on plain http too, where browsers have no navigator.clipboard.
async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

const reason = {
  200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
  408: "Request Timeout", 413: "Content Too Large", 415: "Unsupported Media Type", 429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable",
};
