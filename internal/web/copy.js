// Puts a button beside each value and command that copies it, and selects the value that a page is about.
const said = document.body.appendChild(document.createElement("p"));
said.className = "unseen";
said.setAttribute("aria-live", "polite");

const take = async (source) => {
  const text = source.value ?? source.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch { // on plain http from another machine there is none
    const chosen = getSelection();
    if (source.select) source.select();
    else chosen.selectAllChildren(source);
    document.execCommand("copy");
  }
};

for (const source of document.querySelectorAll(".copy, .command")) {
  const button = document.createElement("button");
  const name = source.labels?.[0].textContent ?? source.dataset.name;
  const what = Object.assign(document.createElement("span"), { className: "unseen", textContent: ` ${name}` });
  const show = (word) => button.replaceChildren(word, what);
  button.type = "button";
  button.onclick = async () => {
    await take(source);
    show("Copied");
    said.textContent = `${name} is copied`;
    setTimeout(() => {
      show("Copy");
      said.textContent = "";
    }, 2000);
  };
  show("Copy");
  source.after(button);
}

document.querySelector("[data-selected]")?.select();
