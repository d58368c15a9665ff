// Pieces of the page that its other scripts are made of.

// element makes an element; text is shown as text, whatever it holds.
export function element(name, properties = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role") e.setAttribute(key, value);
    else e[key] = value;
  }
  e.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return e;
}

// say is a paragraph.
export const say = (className, ...children) => element("p", { className }, ...children);

// pre is text under a name; it can be scrolled by keyboard.
export const pre = (label, text) => element("figure", {}, element("figcaption", { textContent: label }),
  element("pre", { tabIndex: 0, role: "region", "aria-label": label, textContent: text }));

// fold makes what is in it each time that it is opened.
export function fold(className, summary, make) {
  const inside = element("div");
  return element("details", { className, ontoggle: async (event) => inside.replaceChildren(...(event.target.open ? [await make()].flat() : [])) },
    element("summary", { textContent: summary }), inside);
}

// copier is a button that copies what text returns.
export function copier(label, text) {
  const done = element("span", { role: "status" });
  const copy = async () => {
    await toClipboard(text());
    done.textContent = "Copied";
    setTimeout(() => (done.textContent = ""), 2000);
  };
  return element("span", { className: "copying" }, element("button", { type: "button", className: "plain", textContent: label, onclick: copy }), done);
}

// toClipboard copies, on plain http too, where browsers have no navigator.clipboard.
async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = element("textarea", { value: text });
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

// What is kept lives as long as the tab does.
export const kept = {
  get: (name) => JSON.parse(sessionStorage.getItem(`liked.${name}`)),
  set: (name, value) => sessionStorage.setItem(`liked.${name}`, JSON.stringify(value)),
  take(name) {
    const value = kept.get(name);
    sessionStorage.removeItem(`liked.${name}`);
    return value;
  },
};

export const unreachable = `No answer came from ${location.origin}. Is the server running? Start it again, then try once more.`;
