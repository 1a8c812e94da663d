// The plane: one point per model. Arrow keys move from point to point, Enter opens a model.

const svg = (tag, attributes = {}, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, text] of Object.entries(attributes)) node.setAttribute(name, text);
  node.append(...children);
  return node;
};
const MARKERS = { // the markers of the figures, by matplotlib's letters
  o: "M5 0A5 5 0 1 1-5 0A5 5 0 1 1 5 0Z", s: "M-4.5-4.5h9v9h-9Z", "^": "M0-5.5L5.2 4.2H-5.2Z", v: "M0 5.5L5.2-4.2H-5.2Z",
  D: "M0-6L6 0L0 6L-6 0Z", P: "M-2-5.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5Z",
  X: "M-5-2.5L-2.5-5L0-2.5L2.5-5L5-2.5L2.5 0L5 2.5L2.5 5L0 2.5L-2.5 5L-5 2.5L-2.5 0Z",
};
const HIGH = 14; // pixels of a line of text
const MARGIN = 24;

// Where each label is drawn, and where the line from its point ends: the first free place around the point; null where
// there is no room.
function placed(points, widths, width, height) {
  const taken = points.map(([x, y]) => [x - 6, y - 6, x + 6, y + 6]);
  const free = ([left, up, right, down]) => left >= 0 && up >= 0 && right <= width && down <= height
    && taken.every((box) => left >= box[2] || right <= box[0] || up >= box[3] || down <= box[1]);
  return points.map(([x, y], index) => {
    const wide = widths[index];
    for (const far of [8, 16, 26]) for (const [across, down] of [[1, 0], [-1, 0], [0, -1], [0, 1], [1, -1], [1, 1], [-1, -1], [-1, 1]]) {
      const left = across > 0 ? x + far : across < 0 ? x - far - wide : x - wide / 2;
      const up = y - HIGH / 2 + down * (across ? far - 2 : far + HIGH / 2 - 2);
      const box = [left, up, left + wide, up + HIGH];
      if (!free(box)) continue;
      taken.push(box);
      const end = far > 8 ? [clamped(x, left, left + wide), clamped(y, up, up + HIGH)] : [x, y];
      return [left, up + HIGH - 3, ...end];
    }
    return null;
  });
}

function drawPlane() {
  const methods = Object.keys(atlas.places), box = document.getElementById("plane"), chooser = document.getElementById("method");
  chooser.append(...methods.map((method) => create("option", { value: method }, method)));
  const hidden = new Set(), measure = create("canvas").getContext("2d");
  measure.font = "12px system-ui, sans-serif";
  const widths = models.map((model) => measure.measureText(model.name).width + 4);

  const update = () => {
    const width = box.clientWidth, { x, y } = atlas.places[chooser.value];
    const present = models.map((_, index) => index).filter((index) => !missing(x[index]) && !missing(y[index]) && !hidden.has(models[index].family));
    const span = (axis) => [Math.min(...present.map((index) => axis[index])), Math.max(...present.map((index) => axis[index]))];
    const [[left, right], [low, high]] = present.length ? [span(x), span(y)] : [[0, 1], [0, 1]];
    const height = Math.round(clamped((width - 2 * MARGIN) * (high - low) / (right - left || 1) + 2 * MARGIN, 260, Math.max(340, 0.62 * width)));
    const scale = Math.min((width - 2 * MARGIN) / (right - left || 1), (height - 2 * MARGIN) / (high - low || 1));
    const points = present.map((index) => [width / 2 + scale * (x[index] - (left + right) / 2), height / 2 - scale * (y[index] - (low + high) / 2)]);
    const labels = placed(points, present.map((index) => widths[index]), width, height);
    const links = present.map((index, place) => {
      const { name, family, colour, marker } = models[index], [across, up] = points[place];
      const [start, down, endX = across, endY = up] = labels[place] ?? [clamped(across + 9, 0, Math.max(0, width - widths[index])), clamped(up - 9, HIGH, height - 3)];
      const group = atlas.clusters ? `, cluster ${atlas.clusters[index]}` : "";
      return svg("a", { href: route("model", name), class: labels[place] ? "" : "unlabelled", tabindex: -1, "aria-label": `${name}, ${family}${group}`, "data-model": index },
        svg("line", { x1: across, y1: up, x2: endX, y2: endY }),
        svg("path", { class: "point", d: MARKERS[marker], fill: colour, transform: `translate(${across} ${up})` }),
        svg("text", { x: start, y: down }, name));
    });
    links[0]?.setAttribute("tabindex", 0);
    box.replaceChildren(svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": `Plane of ${present.length} models, ${chooser.value}` }, ...links));
    markSelection();
  };

  const colours = new Map(models.map((model) => [model.family, model]));
  document.getElementById("families").append(...[...colours].sort(([a], [b]) => a.localeCompare(b)).map(([family, { colour, marker }]) => create("button", {
    type: "button", aria: { pressed: "true" },
    onclick: ({ currentTarget }) => {
      if (!hidden.delete(family)) hidden.add(family);
      currentTarget.setAttribute("aria-pressed", String(!hidden.has(family)));
      update();
    },
  }, svg("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" }, svg("path", { class: "point", d: MARKERS[marker], fill: colour })), family)));

  chooser.addEventListener("change", update);
  new ResizeObserver(() => { if (box.clientWidth !== Number(box.firstElementChild?.getAttribute("width"))) update(); }).observe(box);
  update();
  tipsOf(box, "a", (link) => {
    const model = models[link.dataset.model], group = atlas.clusters?.[link.dataset.model], [near] = others(Number(link.dataset.model));
    return [["model", model.name], ["family", model.family], ...missing(group) ? [] : [["cluster", group]],
      ...near === undefined ? [] : [["most similar", `${models[near].name} (${fixed(value("sat", Number(link.dataset.model), near), 2)})`]]];
  });
  box.addEventListener("keydown", (event) => {
    const axis = { ArrowRight: ["left", 1], ArrowLeft: ["left", -1], ArrowDown: ["top", 1], ArrowUp: ["top", -1] }[event.key];
    const link = event.target.closest("a");
    if (event.key === "Escape") hideTip();
    if (!axis || !link) return;
    event.preventDefault();
    const along = (one) => one.querySelector(".point").getBoundingClientRect()[axis[0]];
    const sorted = [...box.querySelectorAll("a")].sort((a, b) => along(a) - along(b));
    moveFocus(link, sorted[sorted.indexOf(link) + axis[1]]);
  });
}
