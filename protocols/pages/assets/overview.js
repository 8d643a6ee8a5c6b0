// @ts-check
// Overview: what is wrong, in words; the nodes; the balancers.
import { ask, badge, bar, count, duration, el, fill, kindOf, live, rate, sparkline, streamPage, table } from "./parts.js";

const named = (/** @type {any} */ p) => p.name || p.hostname;

/** The last figures of each node, by node and figure.
 * @type {Map<string, number[]>} */
const past = new Map();
const kept = 90;

/** Notes a figure and draws its course.
 * @param {any} p
 * @param {string} what
 * @param {number} value
 * @param {number} [whole] the highest that it can be */
function course(p, what, value, whole) {
	const key = named(p) + " " + what, values = past.get(key) || [];
	values.push(value);
	if (values.length > kept) values.shift();
	past.set(key, values);
	return sparkline(values, `${what} of ${named(p)} in the last ${duration(values.length * 2)}`, whole);
}

const unknown = (/** @type {any} */ p) => p.status === "stale" || p.status === "down" || p.status === "never seen" || p.status === "unauthorised";
/** @param {(p: any) => any} cell */
const known = (cell) => (/** @type {any} */ p) => (unknown(p) ? el("span", { class: "faint" }, "–") : cell(p));

const nodes = table([
	{ name: "Node", whole: true, cell: (p) => [el("strong", {}, named(p)), p.self ? el("small", {}, "you are asking this one") : null] },
	{ name: "Status", whole: true, cell: (p) => [badge(kindOf(p.status), p.status), el("small", {}, "for " + duration(p.since))] },
	{ name: "CPU", cell: known((p) => [bar(p.stats.cpu_usage, "", true), course(p, "CPU", p.stats.cpu_usage, 100)]) },
	{ name: "Memory", cell: known((p) => [bar(p.stats.memory_usage, "", true), course(p, "Memory", p.stats.memory_usage, 100)]) },
	{ name: "Clients", number: true, cell: known((p) => [String(p.stats.total_clients), course(p, "Clients", p.stats.total_clients)]) },
	{ name: "Streams captured", number: true, cell: known((p) => String(p.stats.online_streams)) },
	{ name: "Output", number: true, cell: known((p) => [rate(p.stats.output_kbit), course(p, "Output", p.stats.output_kbit)]) },
	{ name: "Interface load", cell: known((p) => bar(p.stats.interface_load, "", true)) },
	{ name: "Uptime", number: true, cell: known((p) => duration(p.stats.uptime)) },
	{ name: "Round trip", number: true, cell: known((p) => (p.self ? "–" : p.stats.rtt.toFixed(1) + " ms")) },
	{ name: "Version", cell: known((p) => el("span", { title: p.stats.server_version }, (p.stats.server_version || "–").replace(/^weir /, "").replace(/ \(unknown revision\)| go\d.*$/g, ""))) },
], (p) => p.hostname, "Nodes");

/** What a node is about that is neither well nor wrong, in words; null if it is nothing. What is wrong the alarms say.
 * @param {any} p */
function about(p) {
	const name = named(p), since = duration(p.since);
	switch (p.status) {
	case "draining":
		return `${name} has been draining for ${since}: it gives its streams to the others, and ends when its ${count(p.stats.total_clients, "client")} have left.`;
	case "starting":
		return `${name} has been starting for ${since}. It captures no streams yet.`;
	}
	return null;
}

/** An alarm that is about media or nodes that are gone is worse than the others.
 * @param {any} a */
const alarm = (a) => el("li", { class: a.kind.startsWith("node ") ? "bad" : "warn" }, `${a.text[0].toUpperCase()}${a.text.slice(1)}.`, el("small", {}, ` ${a.kind}, for ${duration(a.since)}`));

const failed = (/** @type {any[]} */ streams, /** @type {number} */ total) => {
	const some = streams.slice(0, 3).flatMap((s, i) => [i ? ", " : "", el("a", { href: streamPage(s.name) }, s.name), s.error ? ` (${s.error})` : ""]);
	return el("li", { class: "bad" }, `${count(total, "stream has", "streams have")} no media, because the inputs fail: `, ...some,
		...(total > 3 ? [", ", el("a", { href: "/streamer/pages/streams?state=failed" }, `and ${total - 3} more`)] : []), ". Every input is tried again and again.");
};

/** @param {any} b */
function balancer(b) {
	const rows = table([
		{ name: "Server", whole: true, cell: (s) => [el("strong", {}, s.name || s.server), s.self ? el("small", {}, "this node") : null] },
		{ name: "Share", whole: true, cell: (s) => bar(s.share) },
		{ name: "Clients", number: true, cell: (s) => String(s.clients) },
		{ name: "Output", number: true, cell: (s) => rate(s.bitrate / 1000) },
		{ name: "Cap", number: true, cell: (s) => (s.max_bitrate ? [rate(s.max_bitrate / 1000), el("small", {}, s.usage.toFixed(0) + " % used")] : "none") },
		{ name: "Countries", cell: (s) => [...(s.countries || []), ...(s.countries_default ? ["all others"] : [])].join(", ") || "all" },
		{ name: "Gets new clients", whole: true, cell: (s) => (s.excluded ? [badge("bad", "no"), el("small", {}, s.excluded + (s.error ? ": " + s.error : ""))] : badge("good", "yes")) },
	], (s) => s.server, "Servers of " + b.name);
	rows.update(b.servers);
	return [el("h2", {}, `Balancer ${b.name}`),
		el("p", { class: "faint" }, `Divides clients by ${b.mode}. This node has sent ${count(b.chosen, "client")} to servers, and found none for ${b.refused}.`), rows.node];
}

const main = /** @type {HTMLElement} */ (document.querySelector("main"));
const wrongs = el("ul", { class: "wrong", "aria-live": "polite" }), balancers = el("div");
main.append(wrongs, el("h2", {}, "Nodes"), nodes.node, balancers);

live(async () => {
	const [peers, alarms, bad, all, divided] = await Promise.all([
		ask("/cluster/peers?limit=1000"), ask("/cluster/alarms"), ask("/streams?limit=3&state=failed&select=name,error"),
		ask("/streams?limit=1&state=running&select=name"), ask("/cluster/balancers?limit=100"),
	]);
	const items = alarms.alarms.filter((/** @type {any} */ a) => a.kind !== "streams failed").map(alarm);
	if (bad.estimated_count) items.push(failed(bad.streams, bad.estimated_count));
	items.push(...peers.peers.map(about).filter(Boolean).map((/** @type {string} */ text) => el("li", { class: "plain" }, text)));
	if (!items.length) items.push(el("li", { class: "good" }, `All is well: ${count(peers.peers.length, "node answers", "nodes answer")} and ${count(all.estimated_count, "stream runs", "streams run")}.`));
	fill(wrongs, items);
	nodes.update(peers.peers.sort((/** @type {any} */ a, /** @type {any} */ b) => named(a).localeCompare(named(b), undefined, { numeric: true })));
	fill(balancers, divided.balancers.flatMap(balancer));
});
