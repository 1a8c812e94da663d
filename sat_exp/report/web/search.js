// A search for models that forgives missing parts and mistakes of typing.

const letters = (text) => text.toLowerCase().normalize("NFKD").replace(/[^\p{L}\p{N}]+/gu, "");
const twos = (text) => [...text].slice(1).map((letter, place) => [...text][place] + letter);

// 0 for unlike, up to 5 for the same letters.
function likeness(query, name) {
  const [wanted, known] = [letters(query), letters(name)];
  if (!wanted) return name.toLowerCase().includes(query.trim().toLowerCase()) ? 2 : 0;
  if (known === wanted) return 5;
  if (known.startsWith(wanted)) return 4;
  if (known.includes(wanted)) return 3;
  const words = query.split(/[^\p{L}\p{N}]+/u).map(letters).filter(Boolean);
  const share = words.map((word) => {
    if (known.includes(word)) return 1;
    const parts = twos(word), all = new Set(twos(known));
    return parts.filter((part) => all.has(part)).length / Math.max(parts.length, 1);
  });
  return Math.min(...share) < 0.4 ? 0 : 2 * share.reduce((sum, one) => sum + one) / share.length;
}

const best = (query, most = 8) => models
  .map((model, index) => ({ index, score: Math.max(likeness(query, model.name), 0.5 * likeness(query, model.family)) }))
  .filter(({ score }) => score > 0)
  .sort((a, b) => b.score - a.score || models[a.index].name.length - models[b.index].name.length)
  .slice(0, most).map(({ index }) => index);

function startSearch() {
  const field = document.getElementById("find"), list = document.getElementById("found"), none = document.getElementById("none");
  let found = [], active = -1;
  const draw = () => {
    list.replaceChildren(...found.map((index, place) => create("li", {
      id: `found-${place}`, onpointerdown: (event) => { event.preventDefault(); choose(place); },
      aria: { role: "option", selected: String(place === active) },
    }, swatch(index), models[index].name, create("small", {}, ` ${models[index].family}`))));
    list.hidden = !found.length;
    field.setAttribute("aria-expanded", String(Boolean(found.length)));
    if (active >= 0) field.setAttribute("aria-activedescendant", `found-${active}`);
    else field.removeAttribute("aria-activedescendant");
  };
  const close = () => { [found, active] = [[], -1]; none.textContent = ""; draw(); };
  const choose = (place) => {
    const name = models[found[place]].name;
    field.value = "";
    close();
    location.hash = route("model", name);
  };
  field.addEventListener("input", () => {
    [found, active] = [field.value.trim() ? best(field.value) : [], -1];
    none.textContent = field.value.trim() && !found.length ? "No model has such a name." : found.length ? `${found.length} shown` : "";
    draw();
  });
  field.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && found.length) active = (active + step + found.length + (active < 0 && step < 0)) % found.length;
    else if (event.key === "Enter" && found.length) return choose(Math.max(active, 0));
    else if (event.key === "Escape") return close();
    else return undefined;
    event.preventDefault();
    return draw();
  });
  field.addEventListener("blur", close);
}
