// What the page holds, and what happens when something is chosen.

import * as api from "./api.js";
import { element, options, ratingMenu, replace, titled } from "./elements.js";
import { historyTable, rankingTable } from "./tables.js";

const SEEN_SHOWN = 20;
const FOUND_SHOWN = 8;
const STRANGER = "0";
const NONE = "none";
const PAUSE_MS = 200;
const RETRY_MS = 2000;
const MAY_PASS = [0, 502, 503, 504];

const at = (id) => document.getElementById(id);

let models = [];
// By item: its title and rating, in the order in which they were given.
const ratings = new Map();
// By version: the places of items in the ranking that is shown.
let places = new Map();
let asking = new AbortController();
let waiting;
let searching = new AbortController();

const versionsOf = (name) => models.filter((model) => model.name === name && model.state === "ready");
const chosen = () => versionsOf(at("model").value).find((model) => String(model.version) === at("version").value);
const beside = () => versionsOf(at("model").value).find((model) => String(model.version) === at("beside").value);
const isStranger = () => at("kind-stranger").checked;

function trouble(error) {
  if (error?.name === "AbortError") return;
  const login = error?.status === 401 ? " Give a token below." : "";
  at("trouble").textContent = `${error.message}${login}`;
  at("trouble").hidden = false;
}

// Where nothing is wrong with what was asked: the server may be about to start.
function againLater(error, action) {
  clearTimeout(waiting);
  if (MAY_PASS.includes(error.status)) waiting = setTimeout(action, RETRY_MS);
}

function history(model) {
  if (!ratings.size || !model.abilities.history) return undefined;
  return { item_ids: [...ratings.keys()], ratings: [...ratings.values()].map((entry) => entry.rating) };
}

function about(model) {
  const userId = isStranger() ? STRANGER : at("user-id").value.trim();
  return { user_id: userId, model: { name: model.name, version: model.version }, history: history(model) };
}

async function ranked(model, signal) {
  const by = at("rank-by").value;
  const request = {
    ...about(model),
    top_k: Number(at("top-k").value),
    exclude_seen: at("exclude-seen").checked,
    rank_by: by === "choice" && !model.abilities.choice ? "default" : by,
  };
  const { answer: ranking, times } = await api.rank(request, signal);
  const [items, means] = await Promise.all([
    api.itemsById(model, ranking.item_ids, signal),
    api.baseline(model, { ...about(model), item_ids: ranking.item_ids }, signal),
  ]);
  return { model, ranking, times, items, means };
}

function says(shown, change) {
  const { ranking } = shown[0];
  const basis = {
    known: "by what the model knows of this user",
    "known+history": "by what the model knows of this user and your ratings",
    history: "by your ratings alone",
    average: "as the average user: nothing is known",
  }[ranking.user_basis];
  const whom = isStranger() ? "a stranger" : `user ${at("user-id").value.trim()}`;
  const before = places.get(shown[0].model.version);
  const text = `The ${ranking.item_ids.length} best for ${whom}, ${basis ?? ranking.user_basis}.`;
  if (!change || !before) return text;
  const fresh = ranking.item_ids.filter((id) => !before.has(id)).length;
  const moved = ranking.item_ids.filter((id, place) => before.has(id) && before.get(id) !== place).length;
  return `${change} ${fresh} of them are new, ${moved} have moved. ${text}`;
}

// Asks anew. `change` says what was rated: then the ranking is compared with the one before.
async function refresh(change = "") {
  asking.abort();
  clearTimeout(waiting);
  asking = new AbortController();
  const { signal } = asking;
  const model = chosen();
  if (!model || (!isStranger() && !at("user-id").checkValidity())) return;
  showRatings(model);
  at("ranking").setAttribute("aria-busy", "true");
  const versions = [model, beside()].filter((each, place, all) => each && all.indexOf(each) === place);
  try {
    const shown = await Promise.all(versions.map((each) => ranked(each, signal)));
    at("trouble").hidden = true;
    at("said").textContent = says(shown, change);
    const tables = shown.map((each) => {
      const before = change ? places.get(each.model.version) : undefined;
      return element("div", {}, rankingTable(each, before, ratings, rate));
    });
    // What was rated may have left the ranking: then the focus goes to where it is now.
    if (!replace(at("tables"), ...tables)) at("rated-title").focus();
    places = new Map(
      shown.map(({ model: { version }, ranking }) => [version, new Map(ranking.item_ids.map((id, place) => [id, place]))]),
    );
    await showHistory(model, signal);
  } catch (error) {
    trouble(error);
    againLater(error, () => Promise.all([refresh(change), find()]));
  }
  // Where it was aborted, another one is under way.
  if (!signal.aborted) at("ranking").setAttribute("aria-busy", "false");
}

async function showHistory(model, signal) {
  at("history").hidden = isStranger();
  if (isStranger()) return;
  const known = await api.user(model, at("user-id").value.trim(), SEEN_SHOWN, signal);
  const seen = known.seen_items;
  at("history-said").textContent = !known.known
    ? "The model does not know this user."
    : `${known.seen_count} items, of which those with the most ratings are shown. A version holds what was rated, not how.`;
  if (!seen.length) return at("history-table").replaceChildren();
  const ids = seen.map((item) => item.item_id);
  const request = { ...about(model), candidate_ids: ids, order: "as_sent", rank_by: "rating" };
  const [{ answer }, means] = await Promise.all([
    api.rank(request, signal),
    api.baseline(model, { ...about(model), item_ids: ids }, signal),
  ]);
  at("history-table").replaceChildren(historyTable(model, seen, answer.scores, means));
}

function rate(id, title, rating) {
  if (rating === null) ratings.delete(id);
  else ratings.set(id, { title, rating });
  refresh(rating === null ? `Without a rating of ${title}:` : `With ${title} rated ${rating}:`);
  find();
}

function showRatings(model) {
  const canRate = model.abilities.history;
  at("rating").hidden = !canRate;
  at("no-rating").hidden = canRate;
  at("no-ratings").hidden = ratings.size > 0;
  at("forget").hidden = ratings.size === 0;
  const entries = [...ratings].map(([id, { title, rating }]) =>
    element(
      "li",
      {},
      element("span", {}, title),
      ratingMenu(model, `rated-${id}`, title, rating, (value) => rate(id, title, value)),
      element(
        "button",
        { type: "button", className: "plain", "aria-label": `Forget ${title}`, onclick: () => rate(id, title, null) },
        "✕",
      ),
    ),
  );
  replace(at("rated"), ...entries);
}

async function find() {
  searching.abort();
  searching = new AbortController();
  const model = chosen();
  if (!model?.abilities.history) return;
  try {
    const wanted = FOUND_SHOWN + ratings.size;
    const found = await api.search(model, at("search").value, Math.min(100, wanted), searching.signal);
    const entries = found
      .filter((item) => !ratings.has(item.item_id))
      .slice(0, FOUND_SHOWN)
      .map((item) => {
        const title = item.title || `item ${item.item_id}`;
        const menu = ratingMenu(model, `found-${item.item_id}`, title, undefined, (value) =>
          rate(item.item_id, title, value),
        );
        return element("li", {}, element("span", {}, ...titled(item, item.item_id)), menu);
      });
    const nothing = element("li", { className: "quiet" }, "Nothing has these words in its title.");
    // What has just been rated is not here any more: on to the next one.
    if (!replace(at("found"), ...(entries.length ? entries : [nothing]))) {
      (at("found").querySelector("select") ?? at("search")).focus();
    }
  } catch (error) {
    trouble(error);
  }
}

function showVersions() {
  const versions = versionsOf(at("model").value);
  const text = (model) => `${model.version}${model.is_current ? " (current)" : ""}${model.aliases.map((a) => ` ${a}`).join("")}`;
  const entries = versions.map((model) => [String(model.version), text(model)]);
  const current = versions.find((model) => model.is_current) ?? versions[0];
  options(at("version"), entries, String(current?.version));
  options(at("beside"), [[NONE, "nothing"], ...entries], NONE);
  places = new Map();
  showFacts();
}

function showFacts() {
  const model = chosen();
  if (!model) return;
  const figures = [
    `${model.user_count.toLocaleString("en")} users`,
    `${model.item_count.toLocaleString("en")} items`,
    `ratings from ${model.rating_min} to ${model.rating_max}`,
  ];
  if (model.metrics.test_rmse !== undefined) {
    figures.push(`RMSE ${model.metrics.test_rmse.toFixed(3)} on ratings that were held out`);
  }
  at("facts").textContent = `${model.name}, version ${model.version} (${model.preset}): ${figures.join(", ")}.`;
}

function pausing(action) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, PAUSE_MS);
  };
}

function listen() {
  const again = () => {
    showFacts();
    refresh();
  };
  const onKind = () => {
    at("user-choice").hidden = isStranger();
    places = new Map();
    refresh();
  };
  at("model").addEventListener("change", () => {
    showVersions();
    refresh();
    find();
  });
  for (const id of ["version", "beside", "rank-by", "top-k", "exclude-seen"]) at(id).addEventListener("change", again);
  at("version").addEventListener("change", find);
  for (const id of ["kind-known", "kind-stranger"]) at(id).addEventListener("change", onKind);
  at("settings").addEventListener("submit", (event) => event.preventDefault());
  at("who").addEventListener("submit", (event) => {
    event.preventDefault();
    onKind();
  });
  at("search").addEventListener("input", pausing(find));
  at("forget").addEventListener("click", () => {
    ratings.clear();
    refresh("Without your ratings:");
    find();
    at("rated-title").focus();
  });
  at("login").addEventListener("submit", (event) => {
    event.preventDefault();
    api.setToken(at("token").value);
    start();
  });
}

async function start() {
  try {
    models = (await api.models()).filter((model) => model.state === "ready");
    if (!models.length) throw new api.Refused(503, "The server serves no model yet.");
  } catch (error) {
    trouble(error);
    againLater(error, start);
    return;
  }
  const names = [...new Set(models.map((model) => model.name))];
  const first = models.find((model) => model.is_default)?.name ?? names[0];
  options(at("model"), names.map((name) => [name, name]), first);
  showVersions();
  await Promise.all([refresh(), find()]);
}

listen();
start();
