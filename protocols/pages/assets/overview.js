// @ts-check
// Overview: what is wrong, in words; the nodes; the balancers.
import { ask, badge, bar, count, duration, el, fill, kindOf, list, live, rate, sparkline, streamPage, table } from "./parts.js";

const holddown = Number(document.body.dataset.holddown);
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

/** Where the streams of a node run that is gone.
 * @param {string} node */
async function elsewhere(node) {
	const at = await ask("/streams?limit=1000&select=name,owner&spill_of=" + encodeURIComponent(node));
	/** @type {Map<string, number>} */
	const by = new Map();
	for (const s of at.streams) by.set(s.owner || "no node yet", (by.get(s.owner || "no node yet") || 0) + 1);
	return at.estimated_count === 0 ? "None of its streams has had to move. "
		: `Its ${count(at.estimated_count, "stream")} ${at.estimated_count === 1 ? "runs" : "run"} on ${list([...by].sort().map(([n, k]) => `${n} (${k})`))}; ` +
			`${at.estimated_count === 1 ? "it goes" : "they go"} back ${duration(holddown)} after it returns. `;
}

/** What is wrong with a node, in words, and how bad that is; null if nothing is.
 * @param {any} p */
async function wrong(p) {
	const name = named(p), since = duration(p.since), last = p.error ? ` The last attempt says: ${p.error}.` : "";
	switch (p.status) {
	case "alive":
		return null;
	case "stale":
		return ["bad", `${name} does not answer and has counted as dead for ${since}. ${await elsewhere(name)}${last}`];
	case "down":
		return ["bad", `${name} is down: its machine has refused connections for ${since}. ${await elsewhere(name)}`];
	case "unauthorised":
		return ["bad", `${name} and this node have refused each other for ${since}: their files have different cluster keys. Write the same cluster_key into both.`];
	case "never seen":
		return ["bad", `${name} has not answered since this node started ${since} ago. Is it running, and is its address right?${last}`];
	case "draining":
		return ["warn", `${name} has been draining for ${since}: it gives its streams to the others, and ends when its ${count(p.stats.total_clients, "client")} have left.`];
	case "starting":
		return ["plain", `${name} has been starting for ${since}. It captures no streams yet.`];
	case "drifted":
		return ["warn", `${name} has run with another configuration than this node for ${since}. Streams may be placed unevenly until their files are the same.`];
	}
	return ["warn", `${name} is ${p.status} for ${since}.${last}`];
}

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
	const found = (await Promise.all(peers.peers.map(wrong))).filter(Boolean);
	const items = found.map(([kind, text]) => el("li", { class: kind }, text));
	if (bad.estimated_count) items.push(failed(bad.streams, bad.estimated_count));
	for (const a of alarms.alarms) items.push(el("li", { class: "warn" }, `${a.node ? a.node + ": " : ""}${a.text}${a.since ? ` (for ${duration(a.since)})` : ""}`));
	if (!items.length) items.push(el("li", { class: "good" }, `All is well: ${count(peers.peers.length, "node answers", "nodes answer")} and ${count(all.estimated_count, "stream runs", "streams run")}.`));
	fill(wrongs, items);
	nodes.update(peers.peers.sort((/** @type {any} */ a, /** @type {any} */ b) => named(a).localeCompare(named(b), undefined, { numeric: true })));
	fill(balancers, divided.balancers.flatMap(balancer));
});
