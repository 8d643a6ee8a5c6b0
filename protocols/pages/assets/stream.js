// @ts-check
// One stream: its picture, why it is where it is, its inputs, its viewers, its URLs, its history.
import { ask, badge, bytes, confirmed, count, duration, el, fill, kindOf, live, rate, table } from "./parts.js";

const name = new URLSearchParams(location.search).get("name") || "";
const path = "/streams/" + encodeURIComponent(name);
const main = /** @type {HTMLElement} */ (document.querySelector("main"));
const state = el("p", { role: "status" }), facts = el("dl"), why = el("ul"), note = el("p", { class: "wrong", role: "alert" });

const inputs = table([
	{ name: "Input", whole: true, cell: (i) => el("code", {}, i.url) },
	{ name: "State", whole: true, cell: (i) => [badge(kindOf(i.state), i.state), i.error || i.reason ? el("small", {}, i.error || i.reason) : null] },
	{ name: "In use", cell: (i) => (i.active ? "yes" : "no") },
	{ name: "Brought", number: true, cell: (i) => bytes(i.bytes) },
	{ name: "Begun anew", number: true, cell: (i) => `${i.restarts} ×` },
], (i) => i.url, "Inputs");

const sessions = table([
	{ name: "Client", whole: true, cell: (s) => [s.ip, s.country ? el("small", {}, s.country) : null] },
	{ name: "What", cell: (s) => `${{ play: "plays", publish: "publishes", relay: "another node" }[/** @type {"play"} */ (s.type)] || s.type} by ${s.proto}` },
	{ name: "For", number: true, cell: (s) => duration(s.duration) },
	{ name: "Bytes", number: true, cell: (s) => bytes(s.bytes) },
	{ name: "", cell: (s) => el("button", { type: "button", class: "danger", "data-id": s.id, "aria-label": `End the session of ${s.ip}` }, "End") },
], (s) => s.id, "Sessions");
sessions.node.addEventListener("click", async (/** @type {any} */ e) => {
	const id = e.target.dataset && e.target.dataset.id;
	if (!id || !(await confirmed("End this session? The client may come again.", "End it"))) return;
	try {
		await ask("/sessions/" + encodeURIComponent(id), { method: "DELETE" });
		fill(note, null);
	} catch (err) { fill(note, `The session was not ended: ${err instanceof Error ? err.message : err}`); }
});

const events = table([
	{ name: "When", cell: (e) => new Date(e.time).toLocaleString() },
	{ name: "What", whole: true, cell: (e) => e.text },
	{ name: "From", cell: (e) => e.from || "–" },
	{ name: "To", cell: (e) => e.to || "–" },
	{ name: "Why", whole: true, cell: (e) => e.reason || "–" },
], (e) => String(e.id), "What happened");

const urls = /** @type {HTMLElement} */ (document.getElementById("urls"));
for (const dd of urls.querySelectorAll("dd")) {
	const copy = el("button", { type: "button", "aria-label": "Copy the URL" }, "Copy");
	copy.addEventListener("click", async () => {
		try { await navigator.clipboard.writeText(dd.dataset.copy || ""); copy.textContent = "Copied"; } catch { copy.textContent = "Select it, and copy it yourself"; }
		setTimeout(() => { copy.textContent = "Copy"; }, 2000);
	});
	dd.append(" ", copy);
}
const none = el("p", { class: "faint" }), quiet = el("p", { class: "faint" });

const player = el("iframe", { src: "/" + name.split("/").map(encodeURIComponent).join("/") + "/embed.html?muted=1", title: "The picture of " + name, allow: "autoplay; fullscreen" });
main.append(state, note, player, el("div", { class: "pair" },
	el("section", {}, el("h2", {}, "Why it is where it is"), why, facts),
	el("section", {}, el("h2", {}, "URLs at this node"), urls)),
el("h2", {}, "Inputs"), inputs.node, el("h2", {}, "Clients of this node"), sessions.node, none, el("h2", {}, "What happened, the newest first"), events.node, quiet);

live(async () => {
	const q = encodeURIComponent(name);
	const known = await ask("/streams?limit=1&select=name&name=" + q);
	if (!known.streams.length) {
		main.replaceChildren(el("h1", {}, name), el("p", { class: "wrong", role: "alert" }, `There is no stream ${name}, as far as this node knows: no file has it, and nobody publishes it.`),
			el("p", {}, el("a", { href: "/streamer/pages/streams" }, "All streams")));
		return;
	}
	const [s, x, seen, past] = await Promise.all([
		ask(path), ask("/cluster/explain?stream=" + q).catch(() => ({ why: [] })), ask("/sessions?limit=200&name=" + q), ask("/events?limit=20&sort=-id&stream=" + q),
	]);
	fill(state, [badge(kindOf(s.state), s.state), ` for ${duration(s.since)}`, s.owner ? ` on ${s.owner}` : "", s.title ? `. ${s.title}` : "", s.error ? `. ${s.error}` : ""]);
	fill(why, x.why.map((/** @type {string} */ w) => el("li", {}, w)));
	const tracks = (s.stats.media_info || []).map((/** @type {any} */ t) => t.codec + (t.width ? ` ${t.width}×${t.height}` : "") + (t.sample_rate ? ` ${t.sample_rate} Hz` : "")).join(", ");
	fill(facts, [["Clients", `${s.clients} in the cluster`], ["Media", tracks || "–"], ["Bit rate", s.stats.input_kbit ? rate(s.stats.input_kbit) : "–"],
		["Media without a break", s.stats.uptime ? duration(s.stats.uptime) : "–"], ["Inputs begun anew", `${s.restarts} ×`]].flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]));
	inputs.update(s.inputs);
	sessions.update(seen.sessions);
	fill(none, seen.sessions.length ? `${count(seen.estimated_count, "client")} of this node; other nodes show theirs.` : "Nobody watches it at this node.");
	events.update(past.events);
	fill(quiet, past.events.length ? null : "Nothing, as far as this node remembers.");
});
