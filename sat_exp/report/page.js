"use strict";

const create = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child !== null));
  return node;
};
const embedded = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");
const missing = (value) => value === null || value === undefined;
const fixed = (value, digits) => (missing(value) ? "–" : value.toFixed(digits));
const percent = (value) => (missing(value) ? "–" : `${(100 * value).toFixed(1)} %`);
const readable = (value) => {
  if (missing(value)) return "–";
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
};

// Tables: sorted by a click on a heading, filtered by words.

const valueOf = (cell) => (cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v);
function compare(a, b) {
  if (a === "" || b === "") return (a === "") - (b === "");
  return isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
}

function sortable(table) {
  const body = table.tBodies[0], rows = [...body.rows], headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.addEventListener("click", () => {
    const number = rows.some((row) => valueOf(row.cells[column]) !== "" && !isNaN(valueOf(row.cells[column])));
    const sorted = heading.getAttribute("aria-sort");
    const down = sorted ? sorted === "ascending" : number;
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows.map((row) => [valueOf(row.cells[column]), row]);
    keyed.sort(([a], [b]) => (a === "" || b === "" || !down ? 1 : -1) * compare(a, b));
    body.append(...keyed.map(([, row]) => row));
  }));
}

function filtered(table) {
  const rows = [...table.tBodies[0].rows];
  const search = document.querySelector(`input[data-table="${table.id}"]`);
  const itself = document.querySelector(`input[data-self="${table.id}"]`);
  const count = document.querySelector(`[data-count="${table.id}"]`);
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let visible = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = (itself && !itself.checked && row.classList.contains("self")) || !words.every((word) => text.includes(word));
      visible += !row.hidden;
    }
    count.textContent = `${visible.toLocaleString("en")} rows`;
  };
  search?.addEventListener("input", filter);
  itself?.addEventListener("input", filter);
}

for (const table of document.querySelectorAll("table.sortable")) {
  sortable(table);
  filtered(table);
}

// The table of a study is built when the reader opens it.

const frames = embedded("frames") ?? {};
for (const details of document.querySelectorAll("details[data-frame]")) {
  details.addEventListener("toggle", () => {
    const { columns, rows } = frames[details.dataset.frame];
    const numeric = columns.map((_, column) => rows.every((row) => missing(row[column]) || typeof row[column] === "number"));
    const cell = (value, column) => {
      const made = create("td", { className: numeric[column] ? "" : "name" }, readable(value));
      made.dataset.v = missing(value) ? "" : value;
      return made;
    };
    const heading = (name, column) => create("th", { scope: "col", className: numeric[column] ? "" : "name" },
      create("button", { type: "button" }, name.replaceAll("_", " ")));
    const table = create("table", { className: "sortable" },
      create("thead", {}, create("tr", {}, ...columns.map(heading))),
      create("tbody", {}, ...rows.map((row) => create("tr", {}, ...row.map(cell)))));
    sortable(table);
    details.append(create("div", { className: "scroll", tabIndex: 0 }, table));
  }, { once: true });
}

for (const plot of document.querySelectorAll(".plot")) {
  const toggle = () => plot.firstElementChild.classList.toggle("full");
  plot.addEventListener("click", toggle);
  plot.addEventListener("keydown", (event) => { if (event.key === "Enter") toggle(); });
}

// The atlas: an interactive heat map and plane of models, a view for every model and every pair.

const atlas = embedded("atlas");
if (atlas) {
  const { models, pairs, examples } = atlas;
  const number = new Map(models.map((model, index) => [model.name, index]));
  const at = new Map();
  pairs.a.forEach((a, row) => { at.set(`${a}/${pairs.b[row]}`, row); at.set(`${pairs.b[row]}/${a}`, row); });
  const value = (column, a, b) => pairs[column]?.[at.get(`${a}/${b}`)] ?? null;
  const rate = (source, target, end = "") => {
    const row = at.get(`${source}/${target}`);
    return row === undefined ? null : pairs[`transfer_rate_${pairs.a[row] === source ? "ab" : "ba"}${end}`][row];
  };
  const route = (...names) => "#" + names.map(encodeURIComponent).join("/");
  const toModel = (index) => create("a", { href: route("model", models[index].name) }, swatch(index), models[index].name);
  const toPair = (a, b) => route("pair", models[a].name, models[b].name);
  const swatch = (index) => {
    const mark = create("i", { className: "swatch" });
    mark.style.background = models[index].colour;
    return mark;
  };
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
    const image = create("img", { src: examples.pictures[index], alt: captions[0] });
    image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth < 100));
    return create("figure", { className: "example" }, image, create("figcaption", {}, ...captions.flatMap((text) => [text, create("br")])));
  };
  const prediction = (target, item) => {
    const label = examples.predictions[`${item.image}/${item.model}`]?.[target];
    if (label === undefined) return `${models[target].name}: not evaluated`;
    return `${models[target].name}: ${className(label)} ${label === item.label ? "✓" : "✗"}`;
  };
  const ofModel = (index) => examples.items.filter((item) => item.model === index);
  const title = (item) => `${item.known ? "true" : "clean"}: ${className(item.label)} (image ${item.id})`;

  function pairExamples(a, b) {
    if (!examples) return null;
    const lines = ofModel(a).map((first) => {
      const second = ofModel(b).find((item) => item.image === first.image);
      return create("div", { className: "examples" },
        picture(first.clean, title(first)),
        picture(first.adversarial, `made on ${models[a].name}`, ...new Set([prediction(a, first), prediction(b, first)])),
        second && b !== a ? picture(second.adversarial, `made on ${models[b].name}`, prediction(a, second), prediction(b, second)) : null);
    });
    return lines.length ? create("div", {}, create("h3", {}, "Examples"), ...lines) : null;
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
    return create("div", {}, create("h3", {}, heading), create("table", { className: "plain" }, ...rows));
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
      pairExamples(a, b),
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
    const own = examples ? ofModel(index) : [];
    return [
      create("h2", {}, swatch(index), model.name),
      create("div", { className: "columns" }, create("div", {}, create("h3", {}, "Model"), numbers),
        neighbours(index, "Most similar"), components(index)),
      own.length ? create("div", {}, create("h3", {}, "Examples"), create("div", { className: "examples" },
        ...own.flatMap((item) => [picture(item.clean, title(item)), picture(item.adversarial, "adversarial", prediction(index, item))]))) : null,
    ];
  }

  const detail = document.getElementById("detail");
  function show() {
    const [kind, ...names] = location.hash.slice(1).split("/").map(decodeURIComponent);
    const chosen = names.map((name) => number.get(name));
    const known = { pair: 2, model: 1 }[kind] === chosen.length && chosen.every((index) => index !== undefined);
    detail.hidden = !known;
    if (!known) return;
    const view = kind === "pair" ? pairView(...chosen) : modelView(...chosen);
    detail.replaceChildren(create("a", { className: "close", href: "#map-section" }, "× close"), ...view.filter(Boolean));
    detail.scrollIntoView({ block: "start" });
  }
  addEventListener("hashchange", show);

  const search = document.getElementById("find");
  document.getElementById("names").append(...models.map((model) => create("option", { value: model.name })));
  search.addEventListener("change", () => { if (number.has(search.value)) location.hash = route("model", search.value); });

  show();
  const libraries = [...document.querySelectorAll("script.library")];
  if (libraries.length) addEventListener("load", () => setTimeout(() => { // after the rest of the page
    for (const library of libraries) document.head.append(create("script", { textContent: library.textContent }));
    drawMap();
    drawPlane();
  }));

  function drawMap() {
    const names = models.map((model) => model.name);
    const cells = { source: [], target: [], sat: [], rate: [], residual: [], images: [] };
    for (let a = 0; a < names.length; a++) for (let b = 0; b < names.length; b++) {
      if (!at.has(`${a}/${b}`)) continue;
      cells.source.push(names[a]);
      cells.target.push(names[b]);
      cells.sat.push(value("sat", a, b) ?? NaN);
      cells.rate.push(100 * (rate(a, b) ?? NaN));
      cells.residual.push(value("residual", a, b) ?? NaN);
      cells.images.push(value("images", a, b) ?? NaN);
    }
    const source = new Bokeh.ColumnDataSource({ data: cells });
    const off = (column) => cells[column].filter((entry, row) => !isNaN(entry) && cells.source[row] !== cells.target[row]);
    const range = (column) => {
      const known = off(column), most = Math.max(...known), least = Math.min(...known);
      return column === "residual" ? { low: -Math.max(most, -least), high: Math.max(most, -least) } : { low: least, high: most };
    };
    const words = { sat: "SAT", rate: "transfer rate from row to column, in %", residual: atlas.more.residual };
    const kinds = Object.keys(words).filter((column) => off(column).length);
    const mappers = Object.fromEntries(kinds.map((column) => [column, new Bokeh.LinearColorMapper({ palette: atlas.palettes[column], ...range(column), nan_color: "#e6e6e6" })]));
    const width = Math.min(document.getElementById("map").clientWidth, 1150);
    const size = names.length > 40 ? "7pt" : "9pt";
    const map = Bokeh.Plotting.figure({
      x_range: names, y_range: names, width, height: Math.round(0.93 * width), toolbar_location: "above",
      tools: "box_zoom,wheel_zoom,pan,reset,save", active_drag: "box_zoom",
    });
    map.toolbar.logo = null;
    const squares = map.rect({ field: "target" }, { field: "source" }, 1, 1, { source, line_color: null, fill_color: "#e6e6e6" });
    squares.nonselection_glyph = null;
    const bar = new Bokeh.ColorBar({ color_mapper: mappers[kinds[0]], width: 10 });
    map.add_layout(bar, "right");
    map.add_tools(new Bokeh.HoverTool({ renderers: [squares], tooltips: [
      [atlas.directed ? "source (row)" : "model", "@source"], [atlas.directed ? "target (column)" : "model", "@target"],
      ["SAT", "@sat{0.000}"], ...(atlas.directed ? [["transfer rate", "@rate{0.0} %"]] : []),
      ...(kinds.includes("residual") ? [["beyond hubs", "@residual{+0.00}"]] : []),
      ...(atlas.directed ? [["common images", "@images{0,0}"]] : [])] }));
    map.add_tools(new Bokeh.TapTool({ renderers: [squares] }));
    for (const axis of [...map.xaxes, ...map.yaxes]) Object.assign(axis, { major_label_text_font_size: size, major_tick_line_color: null, axis_line_color: null });
    map.xaxes[0].major_label_orientation = Math.PI / 2;
    map.xgrid.visible = map.ygrid.visible = false;
    source.selected.change.connect(() => {
      const [cell] = source.selected.indices;
      if (cell !== undefined) location.hash = route("pair", cells.source[cell], cells.target[cell]);
    });
    const choose = { colour: document.getElementById("colour"), order: document.getElementById("order") };
    choose.colour.append(...kinds.map((column) => create("option", { value: column }, words[column])));
    choose.order.append(...Object.keys(atlas.orders).map((name) => create("option", { value: name }, name)));
    const update = () => {
      const order = atlas.orders[choose.order.value].map((index) => names[index]);
      map.x_range.factors = order;
      map.y_range.factors = [...order].reverse();
      squares.glyph.fill_color = { field: choose.colour.value, transform: mappers[choose.colour.value] };
      bar.color_mapper = mappers[choose.colour.value];
    };
    choose.colour.addEventListener("change", update);
    choose.order.addEventListener("change", update);
    update();
    Bokeh.Plotting.show(map, document.getElementById("map"));
  }

  function drawPlane() {
    const methods = Object.keys(atlas.places);
    if (!methods.length) return;
    const chooser = document.getElementById("method");
    chooser.append(...methods.map((method) => create("option", { value: method }, method)));
    const groups = [...new Set(models.map((model) => model.family))].sort();
    const width = Math.min(document.getElementById("plane").clientWidth, 1150);
    const plane = Bokeh.Plotting.figure({
      x_range: new Bokeh.DataRange1d({ range_padding: 0.25 }), width, height: Math.round(0.68 * width), toolbar_location: "above", tools: "box_zoom,wheel_zoom,pan,reset,save", active_drag: "box_zoom",
    });
    plane.toolbar.logo = null;
    const markers = ["circle", "square", "triangle", "diamond", "inverted_triangle", "plus", "x"];
    const drawn = groups.map((family, group) => {
      const members = models.map((_, index) => index).filter((index) => models[index].family === family);
      const source = new Bokeh.ColumnDataSource({ data: {
        x: [], y: [], name: members.map((index) => models[index].name), family: members.map(() => family),
        cluster: members.map((index) => (atlas.clusters ? atlas.clusters[index] : "")),
      } });
      const style = { source, marker: markers[group % markers.length], size: 9, fill_color: models[members[0]].colour, line_color: models[members[0]].colour };
      const points = plane.scatter({ field: "x" }, { field: "y" }, { ...style, legend_label: family });
      plane.text({ field: "x" }, { field: "y" }, { field: "name" }, { source, x_offset: 6, y_offset: 4, text_font_size: "8pt", text_color: "#444" });
      source.selected.change.connect(() => {
        const [index] = source.selected.indices;
        if (index !== undefined) location.hash = route("model", source.data.name[index]);
      });
      return { members, source, points };
    });
    const renderers = drawn.map(({ points }) => points);
    const clusters = atlas.clusters ? [["cluster", "@cluster"]] : [];
    plane.add_tools(new Bokeh.HoverTool({ renderers, tooltips: [["model", "@name"], ["family", "@family"], ...clusters] }));
    plane.add_tools(new Bokeh.TapTool({ renderers }));
    plane.legend.click_policy = "hide";
    plane.legend.label_text_font_size = "8pt";
    plane.add_layout(plane.legend, "right");
    plane.xgrid.visible = plane.ygrid.visible = false;
    for (const axis of [...plane.xaxes, ...plane.yaxes]) axis.visible = false;
    const update = () => {
      const { x, y } = atlas.places[chooser.value];
      for (const { members, source } of drawn) {
        source.data = { ...source.data, x: members.map((index) => x[index] ?? NaN), y: members.map((index) => y[index] ?? NaN) };
      }
    };
    chooser.addEventListener("change", update);
    update();
    Bokeh.Plotting.show(plane, document.getElementById("plane"));
  }
}
