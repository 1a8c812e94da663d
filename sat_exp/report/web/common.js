const page = document.querySelector("main");
page.ariaBusy = "true";
const create = (tag, properties = {}, ...children) => {
  const { aria = {}, ...own } = properties;
  const node = Object.assign(document.createElement(tag), own);
  for (const [name, value] of Object.entries(aria)) node.setAttribute(name === "role" ? name : `aria-${name}`, value);
  node.append(...children.filter((child) => child !== null));
  return node;
};
async function unpacked(id) {
  const text = document.getElementById(id)?.textContent;
  if (!text) return null;
  const bytes = new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]);
  return new Response(bytes.stream().pipeThrough(new DecompressionStream("gzip"))).json();
}
const missing = (value) => value === null || value === undefined;
const fixed = (value, digits) => (missing(value) ? "–" : value.toFixed(digits));
const percent = (value) => (missing(value) ? "–" : `${(100 * value).toFixed(1)}%`);
const readable = (value) => {
  if (missing(value)) return "–";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
};
const clamped = (value, low, high) => Math.max(low, Math.min(high, value));

function download(name, content, type) {
  const link = create("a", { download: name, href: URL.createObjectURL(new Blob([content], { type })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// One tip serves the map and the plane.

const tip = document.body.appendChild(create("div", { id: "tip", hidden: true, aria: { role: "tooltip" } }));
let tipOf = null;
function placeTip() {
  if (!tipOf) return;
  const box = tipOf.getBoundingClientRect(), { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${clamped(box.left + box.width / 2 - width / 2, 4, innerWidth - width - 4)}px`;
  tip.style.top = `${box.top - height - 8 < 4 ? box.bottom + 8 : box.top - height - 8}px`;
}
function showTip(node, rows) {
  hideTip();
  tip.replaceChildren(...rows.map(([name, text]) => create("div", {}, create("span", {}, name), ` ${text}`)));
  tip.hidden = false;
  tipOf = node;
  node.setAttribute("aria-describedby", "tip");
  placeTip();
}
function hideTip() {
  tip.hidden = true;
  tipOf?.removeAttribute("aria-describedby");
  tipOf = null;
}
addEventListener("scroll", placeTip, { capture: true, passive: true });

// rowsOf: the element under a pointer or with focus → the rows of its tip, or null.
function tipsOf(parent, selector, rowsOf) {
  const show = (event) => {
    const node = event.target.closest(selector);
    if (node) showTip(node, rowsOf(node)); else hideTip();
  };
  parent.addEventListener("pointerover", show);
  parent.addEventListener("focusin", show);
  parent.addEventListener("pointerleave", hideTip);
  parent.addEventListener("focusout", hideTip);
}

// Of many elements one is a tab stop; arrow keys move to the others.
function moveFocus(from, to) {
  if (!to) return;
  from.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}
