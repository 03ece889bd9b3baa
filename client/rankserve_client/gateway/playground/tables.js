// Tables of ranked items and of what a user has rated.

import { element, ratingMenu, stars, titled } from "./elements.js";

const header = (text, className = "") => element("th", { scope: "col", className }, text);

const shownNumber = (value) => (value === undefined || value === null ? "–" : value.toFixed(2));

// What the model predicts, and what means alone would: in a cell of its own, or below where there is no room for one.
function predictions(score, mean, model) {
  const below = element("span", { className: "narrow" }, `means ${shownNumber(mean)}`);
  return [
    element("td", { className: "number" }, shownNumber(score), ...stars(score, model), below),
    element("td", { className: "number wide" }, shownNumber(mean)),
  ];
}

// How likely an item is chosen, as a share of how likely the likeliest one is.
function share(likelihood) {
  return element("td", { className: "number wide" }, `${Math.round(likelihood * 100)} %`);
}

// How an item has moved since the ranking before; nothing where there was none.
function movement(place, before, id) {
  if (!before) return [];
  const earlier = before.get(id);
  if (earlier === undefined) return [element("span", { className: "moved up" }, "new")];
  if (earlier === place) return [];
  const up = earlier > place;
  const steps = Math.abs(earlier - place);
  const mark = element("span", { "aria-hidden": "true" }, up ? "▲" : "▼");
  const text = element("span", { "aria-label": `${up ? "up" : "down"} ${steps}` }, ` ${steps}`);
  return [element("span", { className: `moved ${up ? "up" : "down"}` }, mark, text)];
}

export function rankingTable(shown, before, ratings, onRated) {
  const { model, ranking, items, means, times } = shown;
  const canRate = model.abilities.history;
  const spent = times.gateway === null ? "" : `, ${times.gateway.toFixed(1)} of them in the gateway and the server`;
  const caption = element(
    "caption",
    {},
    `${ranking.model_name}, version ${ranking.model_version} `,
    element("small", {}, `${times.here.toFixed(1)} ms${spent}`),
  );
  const choices = ranking.choice_scores;
  const best = choices ? Math.max(...choices) : 0;
  const head = [header("#", "place"), header("Item")];
  if (choices) head.push(header("Choice", "number wide"));
  head.push(header("Predicted", "number"), header("Means alone", "number wide"));
  if (canRate) head.push(header("Rate"));
  const rows = ranking.item_ids.map((id, place) => {
    const item = items.get(id);
    const moved = movement(place, before, id);
    const row = element("tr", { className: moved.length ? "changed" : "" });
    row.append(
      element("td", { className: "place" }, String(place + 1), ...moved),
      element("th", { scope: "row" }, ...titled(item, id)),
      ...(choices ? [share(Math.exp(choices[place] - best))] : []),
      ...predictions(ranking.scores[place], means?.[place], model),
    );
    if (canRate) {
      const title = item?.title || `item ${id}`;
      const key = `rank-${model.version}-${id}`;
      const rated = ratings.get(id)?.rating;
      row.append(element("td", {}, ratingMenu(model, key, title, rated, (rating) => onRated(id, title, rating))));
    }
    return row;
  });
  const body = element("tbody", {}, ...rows);
  return element("table", {}, caption, element("thead", {}, element("tr", {}, ...head)), body);
}

export function historyTable(model, seen, scores, means) {
  const head = [header("Item"), header("Ratings", "number"), header("Predicted", "number"), header("Means alone", "number wide")];
  const rows = seen.map((item, place) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, ...titled(item, item.item_id)),
      element("td", { className: "number" }, String(item.rating_count)),
      ...predictions(scores[place], means?.[place], model),
    ),
  );
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}
