// The atlas: models, pairs and examples of the run; a view of every model and every pair.

const atlas = await unpacked("atlas");
const pictures = JSON.parse(document.getElementById("pictures")?.textContent ?? "[]");
const { models = [], pairs = { a: [], b: [] }, examples = null } = atlas ?? {};
const number = new Map(models.map((model, index) => [model.name, index]));
const at = new Map();
pairs.a.forEach((a, row) => { at.set(`${a}/${pairs.b[row]}`, row); at.set(`${pairs.b[row]}/${a}`, row); });
const value = (column, a, b) => pairs[column]?.[at.get(`${a}/${b}`)] ?? null;
const rate = (source, target, end = "") => {
  const row = at.get(`${source}/${target}`);
  return row === undefined ? null : pairs[`transfer_rate_${pairs.a[row] === source ? "ab" : "ba"}${end}`][row];
};
const route = (...names) => "#" + names.map(encodeURIComponent).join("/");
const swatch = (index) => {
  const mark = create("i", { className: "swatch" });
  mark.style.background = models[index].colour;
  return mark;
};
const toModel = (index) => create("a", { href: route("model", models[index].name) }, swatch(index), models[index].name);
const toPair = (a, b) => route("pair", models[a].name, models[b].name);
const withInterval = (text, low, high, show) => (missing(low) ? text : `${text} (${show(low)} to ${show(high)})`);
const facts = (rows) => create("table", { className: "plain" },
  ...rows.filter(Boolean).map(([name, ...values]) => create("tr", {}, create("th", { scope: "row" }, name),
    ...values.map((text) => create("td", {}, text)))));

const others = (index) => models.map((_, other) => other)
  .filter((other) => other !== index && value("sat", index, other) !== null)
  .sort((a, b) => value("sat", index, b) - value("sat", index, a));
const ranked = [...pairs.a.keys()]
  .filter((row) => pairs.a[row] !== pairs.b[row] && pairs.sat[row] !== null)
  .sort((a, b) => pairs.sat[b] - pairs.sat[a]);

const neighbours = (index, heading) => others(index).length ? create("div", {}, create("h3", {}, heading),
  create("ol", { className: "near" }, ...others(index).slice(0, 8).map((other) => create("li", {},
    create("a", { href: toPair(index, other) }, swatch(other), models[other].name), ` ${fixed(value("sat", index, other), 2)}`)))) : null;

const className = (label) => examples.classes[label] ?? `class ${label}`;
const picture = (index, ...captions) => {
  const image = create("img", { src: pictures[index], alt: captions[0] });
  image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth < 100));
  return create("figure", { className: "example" }, image, create("figcaption", {}, ...captions.flatMap((text) => [text, create("br")])));
};
const prediction = (target, item) => {
  const label = examples.predictions[`${item.image}/${item.model}`]?.[target];
  if (label === undefined) return `${models[target].name}: not evaluated`;
  return `${models[target].name}: ${className(label)} ${label === item.label ? "✓" : "✗"}`;
};
const title = (item) => `${item.known ? "true" : "clean"}: ${className(item.label)} (image ${item.id})`;

// The examples that were made on any of the chosen models, one image at a time.
function gallery(...chosen) {
  const items = examples?.items.filter((item) => chosen.includes(item.model)) ?? [];
  const images = [...new Set(items.map((item) => item.image))];
  if (!images.length) return null;
  let place = 0;
  const count = create("span", { aria: { role: "status" } }), shown = create("div", { className: "examples", aria: { live: "polite" } });
  const turn = (by) => {
    place = (place + by + images.length) % images.length;
    count.textContent = `image ${place + 1} of ${images.length}`;
    const made = chosen.map((model) => items.find((item) => item.model === model && item.image === images[place])).filter(Boolean);
    shown.replaceChildren(...new Set(made.map((item) => item.clean)).size === 1 ? [picture(made[0].clean, title(made[0]))] : [],
      ...made.flatMap((item, _, { length }) => [
        ...length > 1 && made.some((other) => other.clean !== item.clean) ? [picture(item.clean, title(item), `view of ${models[item.model].name}`)] : [],
        picture(item.adversarial, `made on ${models[item.model].name}`, ...new Set(chosen.map((target) => prediction(target, item)))),
      ]));
  };
  turn(0);
  const button = (text, by) => create("button", { type: "button", onclick: () => turn(by) }, text);
  return create("div", { className: "gallery" }, create("h3", {}, "Examples"),
    create("p", { className: "files" }, ...images.length > 1 ? [button("Previous", -1), button("Next", 1)] : [], count), shown);
}

function components(...chosen) {
  const known = chosen.map((index) => models[index].components);
  if (known.some((part) => !part)) return null;
  const rows = Object.keys(known[0]).map((name) => {
    const values = known.map((part) => part[name]);
    return create("tr", { className: new Set(values).size > 1 ? "differs" : "" }, create("th", { scope: "row" }, name.replaceAll("_", " ")),
      ...values.map((text) => create("td", {}, text)));
  });
  const differing = rows.filter((row) => row.className).length;
  const heading = chosen.length > 1 ? `Components: ${rows.length - differing} of ${rows.length} the same` : "Components";
  return create("div", {}, create("h3", {}, heading), create("table", { className: "plain" },
    chosen.length > 1 ? create("tr", {}, create("td"), ...chosen.map((index) => create("th", { scope: "col" }, models[index].name))) : null, ...rows));
}

function pairView(a, b) {
  const interval = (source, target) => withInterval(percent(rate(source, target)), rate(source, target, "_low"), rate(source, target, "_high"), percent);
  const position = ranked.indexOf(at.get(`${a}/${b}`));
  const sat = withInterval(fixed(value("sat", a, b), 3), value("sat_low", a, b), value("sat_high", a, b), (end) => end.toFixed(3));
  const numbers = facts([
    value("sat", a, b) !== null && [`SAT (${atlas.interval})`, sat],
    position >= 0 && ["rank among pairs", `${position + 1} of ${ranked.length}`],
    a === b && rate(a, a) !== null && ["white-box success", interval(a, a)],
    a !== b && rate(a, b) !== null && [`images of ${models[a].name} fool ${models[b].name}`, interval(a, b)],
    a !== b && rate(b, a) !== null && [`images of ${models[b].name} fool ${models[a].name}`, interval(b, a)],
    !missing(value("images", a, b)) && ["common images", value("images", a, b).toLocaleString("en")],
    ...Object.entries(atlas.more).filter(([column]) => value(column, a, b) !== null)
      .map(([column, words]) => [words, fixed(value(column, a, b), 3)]),
  ]);
  return [
    create("h2", {}, toModel(a), a === b ? " with itself" : " and ", a === b ? null : toModel(b)),
    create("div", { className: "columns" }, create("div", {}, create("h3", {}, "Transfer"), numbers), components(...new Set([a, b]))),
    gallery(...new Set([a, b])),
    a === b ? null : create("div", { className: "columns" },
      neighbours(a, `Most similar to ${models[a].name}`), neighbours(b, `Most similar to ${models[b].name}`)),
  ];
}

function modelView(index) {
  const model = models[index], count = models.length;
  const numbers = facts([
    ["family", model.family],
    model.parameters !== undefined && ["parameters", `${(model.parameters / 1e6).toFixed(2)} million`],
    model.clean_accuracy !== undefined && ["clean accuracy", percent(model.clean_accuracy)],
    model.white_box_success !== undefined && ["white-box success", percent(model.white_box_success)],
    model.mean_sat !== undefined && ["mean SAT with others", `${fixed(model.mean_sat, 2)}, rank ${model.rank} of ${count}`],
    model.nearest_to !== undefined && ["nearest model of", `${model.nearest_to} models`],
    model.fools !== undefined && ["mean transfer rate as a source", `${percent(model.fools)}, rank ${model.fools_rank} of ${count}`],
    model.fooled !== undefined && ["mean transfer rate as a target", `${percent(model.fooled)}, rank ${model.fooled_rank} of ${count}`],
    atlas.clusters && ["cluster", String(atlas.clusters[index])],
  ]);
  return [
    create("h2", {}, swatch(index), model.name),
    create("div", { className: "columns" }, create("div", {}, create("h3", {}, "Model"), numbers),
      neighbours(index, "Most similar"), components(index)),
    gallery(index),
  ];
}

// The address chooses the view. It takes the focus when it opens and gives it back when it closes.

const detail = document.getElementById("detail");
let opener = null;
function selection() {
  const [kind, ...names] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const chosen = names.map((name) => number.get(name));
  return { pair: 2, model: 1 }[kind] === chosen.length && chosen.every((index) => index !== undefined) ? chosen : [];
}
function markSelection() {
  const [a, b] = selection();
  for (const node of document.querySelectorAll("#map [data-a], #map [data-model], #plane [data-model]")) {
    const { a: source, b: target, model } = node.dataset;
    if (a !== undefined && (b === undefined ? model === `${a}` : source === `${a}` && target === `${b}`)) node.setAttribute("aria-current", "true");
    else node.removeAttribute("aria-current");
  }
}
function show() {
  const chosen = selection();
  markSelection();
  if (!chosen.length) {
    const open = !detail.hidden;
    detail.hidden = true;
    if (open && !location.hash) (opener?.isConnected ? opener : document.querySelector("main")).focus();
    return;
  }
  if (detail.hidden) opener = document.activeElement;
  hideTip();
  const view = chosen.length === 2 ? pairView(...chosen) : modelView(...chosen);
  detail.replaceChildren(create("button", { type: "button", className: "close", onclick: close }, "× close"), ...view.filter(Boolean));
  detail.hidden = false;
  const heading = Object.assign(detail.querySelector("h2"), { id: "detail-heading", tabIndex: -1 });
  heading.focus({ preventScroll: true });
  detail.scrollIntoView({ block: "start" });
}
function close() {
  history.pushState(null, "", "#");
  show();
}
if (atlas) {
  addEventListener("hashchange", show);
  detail.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
}
