// The map: a table of all pairs in the colour of a number. Arrow keys move in it, Enter opens a pair or a model.

const NUMBERS = {
  sat: { of: (a, b) => value("sat", a, b), text: (shown) => shown.toFixed(2) },
  rate: { of: (a, b) => (rate(a, b) === null ? null : 100 * rate(a, b)), text: (shown) => shown.toFixed(0) },
  residual: { of: (a, b) => value("residual", a, b), text: (shown) => (shown < 0 ? "−" : "+") + Math.abs(shown).toFixed(2) },
};
const luminance = (hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16) / 255)
  .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  .reduce((sum, part, channel) => sum + part * [0.2126, 0.7152, 0.0722][channel], 0);
const inkOn = (hex) => (luminance(hex) > 0.179 ? "#000" : "#fff");
const WITH_TEXT = 30; // pixels of a cell from which its number is visible

function scaleOf(kind) {
  const known = models.flatMap((_, a) => models.map((__, b) => (a === b ? null : NUMBERS[kind].of(a, b)))).filter((shown) => !missing(shown));
  if (!known.length) return null;
  const ends = known.reduce(([low, high], shown) => [Math.min(low, shown), Math.max(high, shown)], [Infinity, -Infinity]);
  const most = Math.max(...ends.map(Math.abs));
  const [low, high] = kind === "residual" ? [-most, most] : ends, palette = atlas.palettes[kind];
  const colour = (shown) => palette[clamped(Math.floor((shown - low) / (high - low || 1) * palette.length), 0, palette.length - 1)];
  return { low, high, palette, colour };
}

function tipOfCell(cell) {
  const [a, b] = [Number(cell.dataset.a), Number(cell.dataset.b)], directed = document.getElementById("colour").value === "rate";
  return [
    [directed ? "source (row)" : "model", models[a].name],
    [directed ? "target (column)" : "model", models[b].name],
    ["SAT", fixed(value("sat", a, b), 3)],
    ...[[a, b], ...a === b ? [] : [[b, a]]].filter((way) => rate(...way) !== null)
      .map(([source, target]) => [`${models[source].name} → ${models[target].name}`, percent(rate(source, target))]),
    ...missing(value("residual", a, b)) ? [] : [["beyond hubs", fixed(value("residual", a, b), 2)]],
    ...missing(value("images", a, b)) ? [] : [["common images", value("images", a, b).toLocaleString("en")]],
  ];
}

function mapTable(order, kind, scale) {
  const cell = (a, b, row, column) => {
    const shown = NUMBERS[kind].of(a, b), known = !missing(shown);
    const made = create("td", { tabIndex: -1, className: known ? "" : "missing", aria: { role: "gridcell", rowindex: row + 2, colindex: column + 2 } },
      known ? NUMBERS[kind].text(shown) : "");
    if (known) Object.assign(made.style, { background: scale.colour(shown), color: inkOn(scale.colour(shown)) });
    else made.setAttribute("aria-label", "not measured");
    Object.assign(made.dataset, { a, b });
    return made;
  };
  const header = (index, role, row, column) => {
    const made = create("th", { tabIndex: -1, title: models[index].name, aria: { role, rowindex: row, colindex: column } },
      create("span", {}, swatch(index), models[index].name));
    made.dataset.model = index;
    return made;
  };
  const top = create("tr", { aria: { role: "row", rowindex: 1 } }, create("td", { className: "corner", aria: { role: "presentation" } }),
    ...order.map((index, column) => header(index, "columnheader", 1, column + 2)));
  const rows = order.map((a, row) => create("tr", { aria: { role: "row", rowindex: row + 2 } }, header(a, "rowheader", row + 2, 1),
    ...order.map((b, column) => cell(a, b, row, column))));
  return [create("thead", { aria: { role: "rowgroup" } }, top), create("tbody", { aria: { role: "rowgroup" } }, ...rows)];
}

function drawMap() {
  const box = document.getElementById("map"), colour = document.getElementById("colour"), order = document.getElementById("order");
  const size = document.getElementById("size"), legend = document.getElementById("legend"), words = document.getElementById("map-words");
  const scales = Object.fromEntries(Object.keys(NUMBERS).map((kind) => [kind, scaleOf(kind)]).filter(([, scale]) => scale));
  colour.append(...Object.keys(scales).map((kind) => create("option", { value: kind }, atlas.colours[kind].name)));
  order.append(...Object.keys(atlas.orders).map((name) => create("option", { value: name }, name)));
  const table = create("table", { aria: { role: "grid", rowcount: models.length + 1, colcount: models.length + 1 } });
  const update = () => {
    const kind = colour.value, scale = scales[kind], { name, words: reading } = atlas.colours[kind], { text } = NUMBERS[kind];
    table.setAttribute("aria-label", `${name} of all pairs`);
    table.replaceChildren(...mapTable(atlas.orders[order.value], kind, scale));
    table.querySelector('[role="gridcell"]').tabIndex = 0;
    markSelection();
    words.textContent = reading;
    const bar = create("i", { className: "bar" });
    bar.style.background = `linear-gradient(to right, ${scale.palette.join()})`;
    legend.replaceChildren(create("span", {}, name), create("span", {}, text(scale.low)), bar, create("span", {}, text(scale.high)));
    if (table.querySelector(".missing")) legend.append(create("i", { className: "swatch missing" }), create("span", {}, "not measured"));
  };
  const resize = () => {
    table.style.setProperty("--cell", `${size.value}px`);
    table.classList.toggle("bare", size.value < WITH_TEXT);
  };
  const least = models.length > 40 ? 11 : 24;
  size.value = clamped(Math.floor((box.clientWidth - 170) / models.length) - 1, least, 46);
  for (const choice of [colour, order]) choice.addEventListener("change", update);
  size.addEventListener("input", resize);
  box.append(table);
  update();
  resize();
  tipsOf(table, '[role="gridcell"]', tipOfCell);
  const open = (cell) => {
    if (cell?.dataset.model) location.hash = route("model", models[cell.dataset.model].name);
    else if (cell?.dataset.a) location.hash = toPair(cell.dataset.a, cell.dataset.b);
  };
  table.addEventListener("click", (event) => {
    const cell = event.target.closest("td, th"), before = table.querySelector('[tabindex="0"]');
    if (cell.tabIndex !== -1 && cell !== before || cell.classList.contains("corner")) return;
    moveFocus(before, cell);
    open(cell);
  });
  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td, th"), row = cell.parentElement.rowIndex, column = cell.cellIndex, last = models.length;
    const end = event.ctrlKey || event.metaKey;
    const to = {
      ArrowRight: [row, column + 1], ArrowLeft: [row, column - 1], ArrowDown: [row + 1, column], ArrowUp: [row - 1, column],
      Home: [end ? 1 : row, 1], End: [end ? last : row, last],
      PageDown: [Math.min(row + 10, last), column], PageUp: [Math.max(row - 10, 1), column],
    }[event.key];
    if (event.key === "Escape") return hideTip();
    if (event.key === "Enter" || event.key === " ") open(cell);
    else if (!to) return undefined;
    else if (to[0] + to[1] > 0) moveFocus(cell, table.rows[to[0]]?.cells[to[1]]);
    return event.preventDefault();
  });
}
