// @ts-check
// The parts of which the pages are made, and how they ask the node. They know no page.

/** Makes an element. Children are elements or texts; what is null is left out.
 * @param {string} tag
 * @param {Record<string, any>} [set] attributes, and on… handlers
 * @param {...(Node|string|null|undefined)} children
 * @returns {any} */
export function el(tag, set, ...children) {
	const e = document.createElement(tag);
	for (const [name, value] of Object.entries(set || {})) {
		if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
		else if (value !== undefined && value !== null && value !== false) e.setAttribute(name, value === true ? "" : String(value));
	}
	e.append(...children.filter((c) => c !== null && c !== undefined && c !== "").map((c) => /** @type {Node|string} */ (c)));
	return e;
}

/** @param {string} kind good, warn, bad or plain
 * @param {string} text */
export const badge = (kind, text) => el("span", { class: "badge " + kind }, text);

/** A bar of a share of a whole.
 * @param {number} percent
 * @param {string} [text] shown beside it
 * @param {boolean} [alarming] a high share is a bad one */
export function bar(percent, text, alarming) {
	const part = el("b");
	part.style.width = Math.min(100, Math.max(0, percent)) + "%";
	return el("div", { class: "bar" + (alarming && percent >= 90 ? " high" : "") }, el("i", { "aria-hidden": "true" }, part), el("span", {}, text || percent.toFixed(0) + " %"));
}

/** The course of a figure while the page is open.
 * @param {number[]} values
 * @param {string} label
 * @param {number} [whole] the highest that it can be; the highest that it was, if it is not given */
export function sparkline(values, label, whole) {
	const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg"), line = document.createElementNS(ns, "polyline");
	const most = whole || Math.max(...values, 1e-9), last = Math.max(values.length - 1, 1);
	svg.setAttribute("class", "spark");
	svg.setAttribute("viewBox", "0 0 100 18");
	svg.setAttribute("preserveAspectRatio", "none");
	svg.setAttribute("role", "img");
	svg.setAttribute("aria-label", label);
	line.setAttribute("points", values.map((v, i) => `${((i * 100) / last).toFixed(1)},${(17 - (v * 16) / most).toFixed(1)}`).join(" "));
	line.setAttribute("fill", "none");
	line.setAttribute("stroke", "currentColor");
	line.setAttribute("stroke-width", "1.5");
	line.setAttribute("vector-effect", "non-scaling-stroke");
	svg.append(line);
	return values.length > 1 ? svg : null;
}

/** @typedef {{ name: string, title?: string, number?: boolean, whole?: boolean, sort?: string, cell: (row: any) => Node|string|null|(Node|string|null)[] }} Column */

/** A table whose rows are known by a key: a row that stays keeps its element, and with it the focus.
 * @param {Column[]} columns
 * @param {(row: any) => string} key
 * @param {string} caption
 * @param {{ by: string, set: (by: string) => void }} [order] the column that sorts, with - before it for downwards */
export function table(columns, key, caption, order) {
	const body = el("tbody"), shown = new Map();
	const head = el("tr", {}, ...columns.map((c) => {
		const button = c.sort && order ? el("button", { type: "button", onclick: () => order.set(order.by === c.sort ? "-" + c.sort : String(c.sort)) }, c.name) : c.name;
		return el("th", { scope: "col", class: c.number ? "number" : undefined, title: c.title, "data-sort": c.sort }, button);
	}));
	const node = el("div", { class: "scroll" }, el("table", { "aria-label": caption }, el("thead", {}, head), body));
	/** @param {any[]} rows */
	function update(rows) {
		const keep = new Set();
		node.hidden = rows.length === 0;
		rows.forEach((row, at) => {
			const k = key(row);
			keep.add(k);
			let tr = shown.get(k);
			if (!tr) shown.set(k, (tr = el("tr", {}, ...columns.map((c) => el("td", { "data-label": c.name, class: [c.number && "number", c.whole && "whole"].filter(Boolean).join(" ") || undefined })))));
			columns.forEach((c, i) => fill(tr.children[i], c.cell(row)));
			if (body.children[at] !== tr) body.insertBefore(tr, body.children[at] || null);
		});
		for (const [k, tr] of shown) if (!keep.has(k)) { tr.remove(); shown.delete(k); }
		for (const th of head.children) {
			const by = th.getAttribute("data-sort");
			if (by && order) th.setAttribute("aria-sort", order.by === by ? "ascending" : order.by === "-" + by ? "descending" : "none");
		}
	}
	return { node, update };
}

/** Puts content into an element unless it is the same as before.
 * @param {Element} e
 * @param {Node|string|null|undefined|(Node|string|null|undefined)[]} content */
export function fill(e, content) {
	const list = (Array.isArray(content) ? content : [content]).filter((c) => c !== null && c !== undefined && c !== "");
	const next = el("div", {}, ...list);
	if (next.innerHTML !== e.innerHTML) e.replaceChildren(...next.childNodes);
}

/** Asks whether something is meant that cannot be undone.
 * @param {string} question
 * @param {string} yes the word on the button
 * @returns {Promise<boolean>} */
export function confirmed(question, yes) {
	return new Promise((resolve) => {
		const d = el("dialog", { "aria-label": question, onclose: () => { resolve(d.returnValue === "yes"); d.remove(); } }, el("p", {}, question),
			el("form", { method: "dialog" }, el("button", { value: "no" }, "Cancel"), el("button", { value: "yes", class: "danger" }, yes)));
		document.body.append(d);
		d.showModal();
	});
}

/** Asks the API of the node.
 * @param {string} path below /streamer/api/v3
 * @param {RequestInit} [how]
 * @returns {Promise<any>} */
export async function ask(path, how) {
	const late = AbortSignal.timeout(8000), res = await fetch("/streamer/api/v3" + path, { signal: late, cache: "no-store", ...how });
	const text = await res.text();
	let answer = null;
	try { answer = JSON.parse(text); } catch { /* of a proxy, perhaps */ }
	if (!res.ok) throw new Error((answer && answer.error) || `the node answers ${res.status} ${res.statusText}`);
	return answer;
}

/** Calls run now and every two seconds while the page is seen, and says at the top whether the node answers.
 * @param {() => Promise<void>} run */
export function live(run) {
	const line = document.getElementById("live");
	let good = Date.now(), why = "";
	async function again() {
		if (!document.hidden) {
			try { await run(); good = Date.now(); why = ""; } catch (e) { why = e instanceof Error ? e.message : String(e); }
			tell();
		}
		setTimeout(again, 2000);
	}
	function tell() {
		if (!line) return;
		line.className = why ? "bad" : "";
		const text = why ? `This node has not answered for ${duration((Date.now() - good) / 1000)}: ${why}. What is below is old.` : "live";
		if (line.textContent !== text) line.textContent = text;
	}
	again();
}

/** @param {number} s seconds */
export function duration(s) {
	s = Math.max(0, Math.floor(s));
	if (s < 120) return `${s} s`;
	if (s < 7200) return `${Math.floor(s / 60)} min`;
	if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
	return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** @param {number} kbit per second */
export function rate(kbit) {
	if (kbit >= 1e6) return (kbit / 1e6).toFixed(1) + " Gbit/s";
	if (kbit >= 1e3) return (kbit / 1e3).toFixed(1) + " Mbit/s";
	return Math.round(kbit) + " kbit/s";
}

/** @param {number} n */
export function bytes(n) {
	for (const unit of ["B", "KB", "MB", "GB"]) {
		if (n < 1000) return (unit === "B" ? n : n.toFixed(1)) + " " + unit;
		n /= 1000;
	}
	return n.toFixed(1) + " TB";
}

/** @param {number} n
 * @param {string} one
 * @param {string} [many] */
export const count = (n, one, many) => `${n} ${n === 1 ? one : many || one + "s"}`;

/** Joins words as in a sentence.
 * @param {string[]} words */
export const list = (words) => (words.length < 2 ? words.join("") : words.slice(0, -1).join(", ") + " and " + words[words.length - 1]);

/** @param {string} state of a node or a stream */
export function kindOf(state) {
	if (state === "alive" || state === "running") return "good";
	if (["stale", "down", "failed", "unauthorised", "never seen"].includes(state)) return "bad";
	if (["draining", "drifted", "moving", "starting"].includes(state)) return "warn";
	return "plain";
}

/** @param {string} name of a stream */
export const streamPage = (name) => "/streamer/pages/stream?name=" + encodeURIComponent(name);
