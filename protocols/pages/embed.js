// @ts-check
// The player of one stream: a client of Media Source Extensions for the fragmented-MP4 playlists that weir makes, and nothing else.
// Everything comes from the node that served the page. It tries for ever, so that a stream that moves goes on without a click.
"use strict";
(() => {
	const asked = new URLSearchParams(location.search);
	const off = (/** @type {string|null} */ v) => v === "0" || v === "false" || v === "no" || v === "off";
	const video = /** @type {HTMLVideoElement} */ (document.querySelector("video"));
	const says = /** @type {HTMLElement} */ (document.querySelector("p"));
	const query = "?weir_here=1" + (asked.get("token") ? "&token=" + encodeURIComponent(asked.get("token") || "") : "");
	const wait = (/** @type {number} */ ms) => new Promise((r) => setTimeout(r, ms));
	const kept = 30, behind = 3; // seconds of what was played; segments before the newest at the start
	video.muted = asked.has("muted") && !off(asked.get("muted"));

	/** @param {string} [text] nothing while all is well */
	function tell(text) {
		const words = text ? text[0].toUpperCase() + text.slice(1) : "";
		if (says.textContent !== words) says.textContent = words;
		says.hidden = !words;
	}

	async function begin() {
		if (off(asked.get("autoplay"))) return;
		try { await video.play(); } catch {
			if (!asked.has("muted")) { // most browsers let pictures begin by themselves, and sound not
				video.muted = true;
				await video.play().catch(() => {});
			}
		}
	}

	/** Fetches a file; an error says in words what the node says.
	 * @param {string|URL} url */
	async function get(url) {
		const res = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(20000) }).catch(() => { throw new Error("The server does not answer."); });
		if (res.ok) return res;
		const text = (await res.text()).trim();
		throw new Error(res.status === 401 || res.status === 403 ? "You may not watch this stream. " + text : text || `The server answers ${res.status}.`);
	}

	/** Calls see with the kind and the content of each box.
	 * @param {DataView} d
	 * @param {(kind: string, content: DataView) => void} see */
	function boxes(d, see) {
		for (let at = 0; at + 8 <= d.byteLength;) {
			const size = Math.min(d.getUint32(at), d.byteLength - at);
			if (size < 8) return;
			see(String.fromCharCode(d.getUint8(at + 4), d.getUint8(at + 5), d.getUint8(at + 6), d.getUint8(at + 7)), new DataView(d.buffer, d.byteOffset + at + 8, size - 8));
			at += size;
		}
	}

	/** The units in a second of each track, by its number (ISO/IEC 14496-12, 8.3.2 and 8.4.2).
	 * @param {ArrayBuffer} init */
	function timescales(init) {
		/** @type {Map<number, number>} */
		const scales = new Map();
		let track = 0;
		const see = (/** @type {string} */ kind, /** @type {DataView} */ d) => {
			if (["moov", "trak", "mdia"].includes(kind)) boxes(d, see);
			if (kind === "tkhd") track = d.getUint32(d.getUint8(0) === 1 ? 20 : 12);
			if (kind === "mdhd") scales.set(track, d.getUint32(d.getUint8(0) === 1 ? 20 : 12));
		};
		boxes(new DataView(init), see);
		return scales;
	}

	/** When a segment begins, in seconds (8.8.12).
	 * @param {ArrayBuffer} segment
	 * @param {Map<number, number>} scales */
	function beginning(segment, scales) {
		let track = 0, first = Infinity;
		const see = (/** @type {string} */ kind, /** @type {DataView} */ d) => {
			if (kind === "moof" || kind === "traf") boxes(d, see);
			if (kind === "tfhd") track = d.getUint32(4);
			if (kind === "tfdt") first = Math.min(first, (d.getUint8(0) === 1 ? d.getUint32(4) * 2 ** 32 + d.getUint32(8) : d.getUint32(4)) / (scales.get(track) || 90000));
		};
		boxes(new DataView(segment), see);
		return first;
	}

	/** Reads a media playlist (RFC 8216, 4.3).
	 * @param {string} text
	 * @param {string} base */
	function parse(text, base) {
		let number = 0, map = "", breaks = false, target = 4;
		/** @type {{ number: number, url: string, map: string, breaks: boolean }[]} */
		const segments = [];
		for (const line of text.split("\n").map((l) => l.trim())) {
			const value = line.slice(line.indexOf(":") + 1);
			if (line.startsWith("#EXT-X-MEDIA-SEQUENCE:")) number = Number(value);
			else if (line.startsWith("#EXT-X-TARGETDURATION:")) target = Number(value);
			else if (line.startsWith("#EXT-X-MAP:")) map = new URL((/URI="([^"]*)"/.exec(line) || ["", ""])[1], base).href;
			else if (line === "#EXT-X-DISCONTINUITY") breaks = true;
			else if (line && !line.startsWith("#")) {
				segments.push({ number: number++, url: new URL(line, base).href, map, breaks });
				breaks = false;
			}
		}
		return { segments, target };
	}

	/** Plays until something ends the playing that a new beginning mends; it throws what is wrong then. */
	async function play() {
		const res = await get("index.fmp4.m3u8" + query), text = await res.text();
		const codecs = (/CODECS="([^"]*)"/.exec(text) || ["", ""])[1];
		const variant = new URL(text.split("\n").map((l) => l.trim()).filter((l) => l && !l.startsWith("#"))[0] || "", res.url).href;
		const kind = `video/mp4; codecs="${codecs}"`;
		if (!MediaSource.isTypeSupported(kind)) throw new Error(`This browser does not play what the stream carries (${codecs}).`);
		const source = new MediaSource();
		video.src = URL.createObjectURL(source);
		await new Promise((r) => source.addEventListener("sourceopen", r, { once: true }));
		URL.revokeObjectURL(video.src);
		const buffer = source.addSourceBuffer(kind);
		/** @param {() => void} change */
		const changed = (change) => new Promise((resolve, reject) => {
			buffer.addEventListener("updateend", resolve, { once: true });
			buffer.addEventListener("error", () => reject(new Error("A part of the stream cannot be decoded.")), { once: true });
			change();
		});
		let last = -1, map = "", anew = true, failures = 0;
		/** @type {Map<number, number>} */
		let scales = new Map();
		for (;;) {
			let list;
			try {
				list = parse(await (await get(variant)).text(), variant);
				failures = 0;
				tell();
			} catch (e) {
				if (++failures > 30) throw e; // the session is over, and a new one begins
				if (video.readyState < 3) tell(e instanceof Error ? e.message : String(e));
				await wait(1000);
				continue;
			}
			const newest = list.segments.length ? list.segments[list.segments.length - 1].number : last;
			if (newest < last) throw new Error("The stream begins anew.");
			if (last < 0) last = newest - behind;
			for (const s of list.segments.filter((s) => s.number > last)) {
				let media;
				try {
					if (s.map !== map) {
						const init = await (await get(s.map)).arrayBuffer();
						scales = timescales(init);
						await changed(() => buffer.appendBuffer(init));
						map = s.map;
						anew = true;
					}
					media = await (await get(s.url)).arrayBuffer();
				} catch { // it is gone, with the node that had it; what follows is joined to what was there
					last = s.number;
					anew = true;
					break;
				}
				const end = buffer.buffered.length ? buffer.buffered.end(buffer.buffered.length - 1) : 0;
				if (anew || s.breaks) buffer.timestampOffset = end - beginning(media, scales);
				anew = false;
				await changed(() => buffer.appendBuffer(media));
				if (last < newest - behind || end === 0) begin();
				last = s.number;
				keepUp(buffer);
				if (buffer.buffered.length && buffer.buffered.start(0) < video.currentTime - 2 * kept) await changed(() => buffer.remove(0, video.currentTime - kept));
			}
			await wait(Math.max(500, (list.target * 1000) / 4));
			if (video.error) throw new Error("The browser cannot go on with the stream.");
		}
	}

	/** Leads the player over a hole, and back to the live edge when it has fallen far behind.
	 * @param {SourceBuffer} buffer */
	function keepUp(buffer) {
		const b = buffer.buffered, now = video.currentTime;
		if (!b.length) return;
		const end = b.end(b.length - 1);
		if (end - now > 40) video.currentTime = end - 8;
		for (let i = 0; i < b.length; i++) if (b.start(i) > now && (i === 0 || b.end(i - 1) <= now + 0.2)) { video.currentTime = b.start(i) + 0.05; break; }
	}

	/** Safari plays HLS by itself. */
	async function native() {
		await get("index.m3u8" + query);
		video.src = "index.m3u8" + query;
		begin();
		await new Promise((_, reject) => {
			video.addEventListener("error", () => reject(new Error("The stream was interrupted.")), { once: true });
			video.addEventListener("ended", () => reject(new Error("The stream has ended.")), { once: true });
			video.addEventListener("playing", () => tell(), { once: true });
		});
	}

	(async () => {
		tell("Loading …");
		for (;;) {
			try {
				await ("MediaSource" in window ? play() : native());
			} catch (e) { tell(e instanceof Error ? e.message : String(e)); }
			await wait(1500);
		}
	})();
})();
