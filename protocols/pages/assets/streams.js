// @ts-check
// Streams: all of the cluster, a page at a time, as the node filters and sorts them.
import { ask, badge, count, duration, el, fill, kindOf, list, live, rate, streamPage, table } from "./parts.js";

const pageSize = 50;
const asked = new URLSearchParams(location.search);
const view = { name: asked.get("name") || "", state: asked.get("state") || "", owner: asked.get("owner") || "", sort: asked.get("sort") || "name" };
/** The places where the pages before this one begin. @type {string[]} */
let before = [];
let cursor = "", next = "";

/** Why a stream is where it is, as a person says it.
 * @param {any} s */
function reason(s) {
	switch (s.reason) {
	case "pinned": return "pinned there by capture_at";
	case "home": return "its usual node";
	case "spill": return `in place of ${s.spill_of || "a dead node"}`;
	case "fallback": return "the node of capture_at is not there";
	case "full elsewhere": return "the others are full";
	case "published here": return "published there";
	case "on demand": return "while clients want it";
	case "not clustered": return "every node captures it";
	}
	return s.reason || "";
}

/** @param {any} s */
function inputs(s) {
	const active = s.inputs.find((/** @type {any} */ i) => i.active), first = active || s.inputs[0];
	if (!first) return "–";
	const others = s.inputs.length - 1; // another node's list does not say which one is in use
	const which = active ? "in use" : others && s.state === "running" ? "or another: its page says which is in use" : "";
	return [el("code", {}, first.url), el("small", {}, [which, others && (active || !which) ? count(others, "other input") : ""].filter(Boolean).join(", "))];
}

const order = { by: view.sort, set: (/** @type {string} */ by) => { order.by = view.sort = by; first(); } };
const rows = table([
	{ name: "Stream", whole: true, sort: "name", cell: (s) => [el("a", { href: streamPage(s.name) }, s.name), s.title ? el("small", {}, s.title) : null] },
	{ name: "State", whole: true, sort: "state", cell: (s) => [badge(kindOf(s.state), s.state), el("small", {}, (s.since ? "for " + duration(s.since) : "") + (s.error ? ": " + s.error : ""))] },
	{ name: "Node", sort: "owner", cell: (s) => [s.owner || "–", el("small", {}, s.owner ? reason(s) : "")] },
	{ name: "Input", whole: true, cell: inputs },
	{ name: "Clients", number: true, sort: "clients", cell: (s) => String(s.clients) },
	{ name: "Bit rate", number: true, sort: "stats.input_kbit", cell: (s) => (s.stats.input_kbit ? rate(s.stats.input_kbit) : "–") },
], (s) => s.name, "Streams", order);

/** @param {string} label
 * @param {any} control */
const labelled = (label, control) => el("label", {}, label, control);
const owners = el("select", { onchange: () => { view.owner = owners.value; first(); } }, el("option", { value: "" }, "any"));
const states = el("select", { onchange: () => { view.state = states.value; first(); } },
	...["", "running", "starting", "waiting", "failed", "moving", "disabled"].map((s) => el("option", { value: s, selected: s === view.state }, s || "any")));
const name = el("input", { type: "search", value: view.name, autocomplete: "off", oninput: () => { view.name = name.value; first(); } });
const summary = el("p", { class: "faint", role: "status" });
const back = el("button", { type: "button", disabled: true, onclick: () => { cursor = before.pop() || ""; now(); } }, "Previous");
const forth = el("button", { type: "button", disabled: true, onclick: () => { before.push(cursor); cursor = next; now(); } }, "Next");
const main = /** @type {HTMLElement} */ (document.querySelector("main"));
main.append(el("form", { class: "row", role: "search", onsubmit: (/** @type {Event} */ e) => e.preventDefault() },
	labelled("Name contains", name), labelled("State", states), labelled("Node", owners)), summary, rows.node, el("form", { class: "row" }, back, forth));

function first() {
	before = [];
	cursor = "";
	const q = new URLSearchParams(Object.entries(view).filter(([k, v]) => v && !(k === "sort" && v === "name")));
	history.replaceState(null, "", location.pathname + (q.size ? "?" + q : ""));
	now();
}

let turn = 0;
async function load() {
	const mine = ++turn, q = new URLSearchParams({ limit: String(pageSize), sort: view.sort, select: "name,title,owner,state,reason,spill_of,error,inputs,since,clients,stats" });
	if (view.name) q.set("name_like", view.name);
	if (view.state) q.set("state", view.state);
	if (view.owner) q.set("owner", view.owner);
	if (cursor) q.set("cursor", cursor);
	const found = await ask("/streams?" + q);
	if (mine !== turn) return; // something else was asked for meanwhile
	rows.update(found.streams);
	next = found.next || "";
	back.disabled = before.length === 0;
	forth.disabled = !next;
	const from = before.length * pageSize;
	fill(summary, found.estimated_count === 0 ? "No stream is like that." : `${count(found.estimated_count, "stream")}${found.estimated_count > pageSize ? `, of which ${from + 1} to ${from + found.streams.length} are shown` : ""}`);
}
const now = () => { load().catch(() => { /* the next round tells */ }); };

async function nodes() {
	const peers = (await ask("/cluster/peers?limit=1000&select=name")).peers.map((/** @type {any} */ p) => p.name).filter(Boolean).sort();
	if (list(peers) === owners.dataset.has) return;
	owners.dataset.has = list(peers);
	owners.replaceChildren(el("option", { value: "" }, "any"), ...peers.map((/** @type {string} */ p) => el("option", { value: p, selected: p === view.owner }, p)));
}
live(async () => { await Promise.all([nodes(), load()]); });
