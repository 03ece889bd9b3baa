// Elements of the page, made of text alone: nothing that comes from a catalogue is read as HTML.

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export function titled(item, id) {
  const parts = [item?.title || `Item ${id}`];
  if (item?.genres?.length) parts.push(element("span", { className: "genres" }, item.genres.join(", ")));
  return parts;
}

export function stars(score, model) {
  if (model.rating_max !== 5 || model.rating_min < 0) return [];
  const halves = Math.max(0, Math.min(10, Math.round(score * 2)));
  const text = "★".repeat(halves >> 1) + (halves % 2 ? "½" : "");
  return [element("span", { className: "stars", "aria-hidden": "true" }, text)];
}

// A menu of the ratings of a scale; `onRated` gets a number, or null for none.
export function ratingMenu(model, key, title, rating, onRated) {
  const menu = element("select", { "aria-label": `Rate ${title}`, "data-key": key });
  menu.append(element("option", { value: "" }, "–"));
  const span = model.rating_max - model.rating_min;
  const step = span <= 0 ? 1 : Number.isInteger(span) && span <= 10 ? 1 : span / 10;
  for (let value = model.rating_max; value >= model.rating_min - 1e-9; value -= step) {
    const shown = Number(value.toFixed(2));
    menu.append(element("option", { value: String(shown), selected: shown === rating }, String(shown)));
  }
  menu.addEventListener("change", () => onRated(menu.value === "" ? null : Number(menu.value)));
  return menu;
}

// Replaces what is inside, and puts the focus back to where it was.
export function replace(parent, ...children) {
  const key = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  parent.replaceChildren(...children);
  if (key === undefined) return true;
  const again = [...parent.querySelectorAll("[data-key]")].find((found) => found.dataset.key === key);
  again?.focus();
  return again !== undefined;
}

export function options(menu, entries, selected) {
  menu.replaceChildren(
    ...entries.map(([value, text]) => element("option", { value, selected: value === selected }, text)),
  );
}
