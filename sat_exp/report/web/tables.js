// Tables: sorted by a click on a heading, filtered by words, downloaded as CSV. `frames` has their numbers.

const frames = await unpacked("frames") ?? {};
const quoted = (value) => (missing(value) ? "" : /[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
const csv = ({ columns, rows }) => [columns, ...rows].map((row) => row.map(quoted).join(",") + "\n").join("");
const csvButton = (name) => create("button", { type: "button", onclick: () => download(`${name}.csv`, csv(frames[name]), "text/csv") }, "CSV");

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
for (const place of document.querySelectorAll("[data-csv]")) if (frames[place.dataset.csv]) place.append(csvButton(place.dataset.csv));

// The table of a study is built when the reader opens it.

for (const details of document.querySelectorAll("details[data-frame]")) {
  details.addEventListener("toggle", () => {
    const name = details.dataset.frame, { columns, rows } = frames[name];
    const numeric = columns.map((_, column) => rows.every((row) => missing(row[column]) || typeof row[column] === "number"));
    const cell = (value, column) => {
      const made = create("td", { className: numeric[column] ? "" : "name" }, readable(value));
      made.dataset.v = missing(value) ? "" : value;
      return made;
    };
    const heading = (text, column) => create("th", { scope: "col", className: numeric[column] ? "" : "name" },
      create("button", { type: "button" }, text.replaceAll("_", " ")));
    const table = create("table", { className: "sortable" },
      create("thead", {}, create("tr", {}, ...columns.map(heading))),
      create("tbody", {}, ...rows.map((row) => create("tr", {}, ...row.map(cell)))));
    sortable(table);
    details.append(create("p", { className: "files" }, csvButton(name)),
      create("div", { className: "scroll", tabIndex: 0, aria: { role: "region", label: `${name} table` } }, table));
  }, { once: true });
}

// Figures: enlarged by a click, downloaded with the colours of the file, which are light.

const drawn = await unpacked("drawn") ?? {};
const svgOf = (image) => {
  const start = "data:image/svg+xml,";
  if (!image.src.startsWith(start)) return null;
  const text = decodeURIComponent(image.src.slice(start.length));
  return text.replace(/<style id="dark">[^<]*<\/style>/, "");
};
async function asPng(image) {
  const light = new Image(), svg = svgOf(image), scale = svg ? 2 : 1;
  light.src = svg ? `data:image/svg+xml,${encodeURIComponent(svg)}` : image.src;
  await light.decode();
  const canvas = create("canvas", { width: scale * light.naturalWidth, height: scale * light.naturalHeight });
  canvas.getContext("2d").drawImage(light, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => canvas.toBlob(done));
}

for (const figure of document.querySelectorAll("main > figure")) {
  const plot = figure.querySelector(".plot"), image = plot.firstElementChild;
  const toggle = () => plot.setAttribute("aria-pressed", image.classList.toggle("full"));
  plot.addEventListener("click", toggle);
  plot.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    toggle();
  });
  const name = figure.id, files = figure.querySelector(".files");
  const offer = (kind, content, type) => files.append(create("button", {
    type: "button", onclick: async () => download(`${name}.${kind.toLowerCase()}`, await content(), type),
  }, kind));
  offer("PNG", () => asPng(image), "image/png");
  if (image.src.startsWith("data:image/svg")) offer("SVG", () => svgOf(image), "image/svg+xml");
  offer("CSV", () => drawn[name], "text/csv");
}
