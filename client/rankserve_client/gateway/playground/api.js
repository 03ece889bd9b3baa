// The gateway's API, as the page needs it. Ids are strings throughout: numbers of 64 bits would be rounded.

let token = "";

export function setToken(text) {
  token = text.trim();
}

// What the gateway has refused, in its own words.
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function call(path, { query = {}, body, signal } = {}) {
  const parameters = new URLSearchParams({ ...query, string_ids: "true" });
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const options = { headers, signal };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  const started = performance.now();
  let response;
  try {
    response = await fetch(`../api/v1/${path}?${parameters}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The gateway does not answer. Is it still running?");
  }
  const answer = await response.json().catch(() => ({ detail: response.statusText }));
  if (!response.ok) throw new Refused(response.status, answer.detail);
  const timing = /gateway;dur=([\d.]+)/.exec(response.headers.get("Server-Timing") ?? "");
  const times = { here: performance.now() - started, gateway: timing ? Number(timing[1]) : null };
  return { answer, times };
}

export async function models(signal) {
  return (await call("models", { signal })).answer.models;
}

export function rank(request, signal) {
  return call("rank", { body: request, signal });
}

// Predictions from means alone, one for each item; null where the version holds none.
export async function baseline(model, request, signal) {
  if (!model.abilities.baseline || !request.item_ids.length) return null;
  return (await call("baseline", { body: request, signal })).answer.scores;
}

export async function itemsById(model, ids, signal) {
  if (!ids.length) return new Map();
  const query = { ids: ids.join(","), version: model.version };
  const { answer } = await call(`models/${encodeURIComponent(model.name)}/items`, { query, signal });
  return new Map(answer.items.map((item) => [item.item_id, item]));
}

export async function search(model, text, limit, signal) {
  const query = { search: text, limit, version: model.version };
  return (await call(`models/${encodeURIComponent(model.name)}/items`, { query, signal })).answer.items;
}

export async function user(model, userId, limit, signal) {
  const path = `models/${encodeURIComponent(model.name)}/users/${encodeURIComponent(userId)}`;
  return (await call(path, { query: { limit, version: model.version }, signal })).answer;
}
