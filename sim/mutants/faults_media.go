package mutants

const (
	hubFile       = "actors/hub/hub.go"
	readerFile    = "actors/hub/reader.go"
	writerFile    = "actors/hub/writer.go"
	rtmpConnFile  = "protocols/rtmp/conn.go"
	rtmpPubFile   = "protocols/rtmp/publish.go"
	rtmpPlayFile  = "protocols/rtmp/play.go"
	segmenterFile = "protocols/cmaf/segmenter.go"
	storeFile     = "protocols/cmaf/store.go"
	hlsFile       = "protocols/hls/stream.go"
	sessionFile   = "protocols/hls/session.go"
	edgeFile      = "protocols/hls/edge/reload.go"
	clientFile    = "protocols/hls/edge/client.go"
	cacheFile     = "protocols/hls/edge/cache.go"
	followFile    = "protocols/hls/playlist/numbering.go"
	repeatFile    = "protocols/hls/playlist/repeat.go"
	balancedFile  = "protocols/hls/balancer.go"
	renderFile    = "protocols/hls/playlist/render.go"
)

// mediaFaults are where media is carried.
var mediaFaults = []Mutant{
	// The ring of a stream.
	fault(Hub, "index-not-trimmed", "a random access point that has left the ring is still pointed at",
		hubFile, "Hub.append", `h.index.Trim(tail)`, ``),
	fault(Hub, "bytes-not-given-back", "the size of what has left the ring still counts",
		hubFile, "Hub.drop", `h.bytes -= len(u.Payload)`, ``),
	fault(Hub, "flush-armed-once", "viewers are woken by the timer once only",
		hubFile, "Hub.schedule", `h.waiting = false`, ``),
	fault(Hub, "end-of-stream-not-told", "viewers who wait are not told that the stream has ended",
		hubFile, "Hub.Close", `h.publish()`, ``),
	fault(Hub, "long-absence-resumed", "a viewer is given what it has missed however long it was away",
		hubFile, "Hub.startAfter", `newest-dts > resumable {`, `newest-dts > newest {`),
	fault(Hub, "past-resumed", "a viewer that turns here from another node gets the last pictures of a publisher that is silent",
		hubFile, "Hub.startAfter", `time.Since(h.wrote) >= idle`, `time.Since(h.wrote) < idle`),
	fault(Hub, "into-the-middle", "a viewer who was too slow goes on in the middle of a group of pictures",
		readerFile, "cursor.skip", `c.next, c.synced = to, false`, `c.next = to`),
	fault(Hub, "form-viewers-kept", "a wire form that nobody takes any more still counts its viewers",
		readerFile, "feed.Close", `f.form.viewers--`, ``),
	fault(Hub, "unit-lost-at-change", "the first access unit of new tracks is lost",
		readerFile, "unitFeed.Next", "f.next--\n", "\n"),
	fault(Hub, "missed-not-counted", "what a slow viewer misses is not counted",
		readerFile, "cursor.count", `c.h.dropped.Add(n)`, ``),
	fault(Hub, "discontinuity-dropped", "the first access unit of another input is no discontinuity",
		writerFile, "Writer.activate", `w.active, w.shift, w.broken = true, shift, broken`, `w.active, w.shift, w.broken = true, shift, false && broken`),
	fault(Hub, "discontinuity-of-video-dropped", "timestamps that go back are shifted without a discontinuity",
		writerFile, "Writer.put", "w.broken = true\n", "\n"),
	fault(Hub, "anybody-closes", "a writer that was replaced ends the one that replaced it",
		writerFile, "Writer.Close", `if w.h.writer == w {`, `if w.h.writer != nil {`),
	fault(Hub, "media-repeated-at-change", "media that was played is played again when the tracks change",
		writerFile, "Hub.adopt", `h.last[i] = max(h.last[i], old[j])`, `_ = old[j]`),
	fault(Hub, "two-writers", "the writer that was replaced goes on writing",
		writerFile, "Writer.activate", `old.gone = true`, ``),
	fault(Hub, "held-over-change", "access units that were held for a take-over are kept when the tracks change",
		writerFile, "Writer.SetTracks", `w.forget()`, ``),
	fault(Hub, "shifted-in-place", "an access unit that is shifted is changed for everybody who holds it",
		writerFile, "shifted", "moved := *au\n\tmoved.DTS += by\n\tmoved.PTS += by\n\treturn &moved", "au.DTS += by\n\tau.PTS += by\n\treturn au"),
	fault(Hub, "equal-rank-takes-over", "an input takes over from another of the same rank",
		writerFile, "Writer.takeOver", `old.cfg.Rank <= w.cfg.Rank {`, `old.cfg.Rank < w.cfg.Rank {`),

	fault(Hub, "held-over-sources", "access units of the last source are kept when a writer turns to another one",
		writerFile, "Writer.Rejoin", `w.forget()`, ``),

	// RTMP.
	fault(RTMP, "publication-kept", "a publisher whose connection is closed while its session restarts keeps the name",
		rtmpConnFile, "conn.Close", `p, c.publication = c.publication, nil`, `_ = p`),
	fault(RTMP, "publication-kept-at-the-end", "a publisher that has left keeps the name",
		rtmpConnFile, "conn.finish", `if p != nil {`, `if p != nil && !over {`),
	fault(RTMP, "connection-kept", "the connection of a client that has been served is not closed",
		rtmpConnFile, "conn.finish", "if over {\n\t\t_ = c.conn.Close()", "if !over {\n\t\t_ = c.conn.Close()"),
	fault(RTMP, "bad-tags-add-up", "malformed tags count in all, not in a row",
		rtmpPubFile, "conn.tag", `c.media.bad = 0`, ``),
	fault(RTMP, "one-bad-tag-fewer", "one malformed tag fewer than allowed ends a publisher",
		rtmpPubFile, "conn.malformed", `c.media.bad > maxBadTags`, `c.media.bad >= maxBadTags`),
	fault(RTMP, "silence-not-noticed", "a publisher may be silent for ever",
		rtmpConnFile, "conn.patience", `c.until(ctx, now.Add(d))`, `c.deadline = now.Add(d)`),
	fault(RTMP, "unpublish-does-not-free", "a publisher that says that it has ended keeps the name until it closes the connection",
		rtmpPubFile, "conn.unpublish", `p.Close()`, `_ = p`),
	fault(RTMP, "republish-without-end", "a publisher that has ended may stay connected for ever without publishing again",
		rtmpPubFile, "conn.unpublish", `, c.decide = true, phaseCommands, time.Now().Add(republishTimeout)`, ` = true, phaseCommands`),
	fault(RTMP, "media-of-the-last-name", "what was known of the media of the first publication counts for the next one",
		rtmpPubFile, "conn.unpublish", `c.media = publishState{}`, ``),
	fault(RTMP, "sending-is-silence", "media does not count as a sign that the publisher is there",
		rtmpPubFile, "conn.tag", `p.Heard()`, ``),
	fault(RTMP, "handshake-without-end", "a client that sends a little now and then never has to say what it wants",
		rtmpConnFile, "conn.commands", `c.until(ctx, c.decide)`, `c.until(ctx, time.Now().Add(handshakeTimeout))`),
	fault(RTMP, "restart-repeats", "a viewer whose session was restarted gets media again that it has had",
		rtmpPlayFile, "conn.carry", `c.play.feed = feed`, `_ = c.play.feed`),
	fault(RTMP, "interrupt-lost", "a read deadline that is set after the context has ended lets a client read on",
		rtmpConnFile, "conn.until", `if ctx.Err() != nil {`, `if ctx == nil {`),
	fault(RTMP, "acknowledged-for-ever", "after the first acknowledgement each message is acknowledged",
		"protocols/rtmp/control.go", "control.obey", `c.acked = in`, ``),
	fault(RTMP, "delta-not-repeated", "a chunk without a header does not add the last delta",
		"protocols/rtmp/read.go", "chunkReader.begin", `s.timestamp += s.field`, `s.timestamp += min(s.field, uint32(format)*0+s.field&0x7)`),
	fault(RTMP, "partial-not-given-back", "the room of a message that was finished still counts as taken",
		"protocols/rtmp/read.go", "chunkReader.forget", `c.partial -= cap(s.body)`, ``),

	// Segments.
	fault(HLS, "break-not-marked", "a segment after missing media is no discontinuity",
		segmenterFile, "Segmenter.interrupt", `s.broken, s.waiting = true, false`, `s.waiting = false`),
	fault(HLS, "break-after-end-not-marked", "the first segment after the end of a stream is no discontinuity",
		segmenterFile, "Segmenter.Flush", `s.broken = true`, ``),
	fault(HLS, "cut-after-target", "a segment is cut after its target, not at it",
		segmenterFile, "Segmenter.due", `have >= want ||`, `have > want ||`),
	fault(HLS, "jump-not-noticed", "a timeline that jumps ahead is taken for one long access unit",
		segmenterFile, "Segmenter.jumps", `|| au.DTS-s.maxLast > s.limit()`, ``),
	fault(HLS, "interrupted-twice", "a segment that was interrupted is closed at each mark",
		segmenterFile, "Segmenter.mark", "if h := s.interrupted; h != nil {\n\t\ts.interrupted = nil", "if h := s.interrupted; h != nil {"),
	fault(HLS, "short-credit-kept", "the credit of unmarked media is never used up",
		segmenterFile, "Segmenter.closeCounted", `s.credit = max(s.credit-s.shortest, 0)`, `s.credit = max(s.credit, 0)`),
	fault(HLS, "discontinuities-not-counted", "discontinuities are not counted",
		storeFile, "Store.Append", `r.Discontinuities++`, ``),
	fault(HLS, "first-discontinuity-counted", "a discontinuity at the first listed segment counts as one before it",
		storeFile, "Window.Discontinuities", `return first.discontinuities - 1`, `return first.discontinuities`),
	fault(HLS, "window-too-short", "a playlist lists two target durations instead of three",
		storeFile, "Store.full", `length >= 3*codecs.ClockRate`, `length >= 2*codecs.ClockRate`),
	fault(HLS, "overlap-not-noticed", "a segment that begins before the one before it ends is no discontinuity",
		storeFile, "apart", `|| end-start > slack`, ``),
	fault(HLS, "segment-without-wake-up", "who waits for a segment is not woken",
		storeFile, "Store.publish", `close(old.changed)`, `_ = old`),
	fault(HLS, "list-across-a-hole", "a playlist goes on across a number that is missing",
		storeFile, "Store.Append", "base = seg.Number\n", "_ = base\n"),

	// Playlists.
	fault(HLS, "lower-since-kept", "a playlist with lower numbers is served at once if there was one before",
		repeatFile, "Repeat.Take", `changed: now}`, `changed: now, lower: r.lower}`),
	fault(HLS, "shorter-playlist-served", "a playlist that ends before the last one is served",
		repeatFile, "Repeat.Take", `(first < r.first || last < r.last)`, `first < r.first`),
	fault(HLS, "repeated-for-ever", "the last playlist is repeated for ever",
		repeatFile, "Repeat.Repeats", `&& now.Sub(r.changed) < RepeatFor`, ``),
	fault(HLS, "store-kept", "the segments of a stream that has left are kept for ever",
		hlsFile, "stream.dropStore", `st.store = nil`, ``),
	fault(HLS, "viewer-not-refreshed", "a viewer has left three target durations after the first request",
		sessionFile, "viewers.seen", `w.until = now.Add(linger * target)`, "if enters {\n\t\tw.until = now.Add(linger * target)\n\t}"),
	fault(HLS, "viewers-after-the-end", "viewers enter although the server is closing",
		sessionFile, "viewers.admit", `|| v.closed ||`, `||`),
	fault(HLS, "limit-of-viewers", "one viewer more than allowed is counted",
		sessionFile, "viewers.admit", `len(v.all) >= v.limit`, `len(v.all) > v.limit`),
	fault(HLS, "cache-over-owner", "the playlist of the last owner is taken for that of the new one",
		edgeFile, "Reload.ask", `r.node, r.fresh, r.failed = node, time.Time{}, time.Time{}`, `r.node, r.failed = node, time.Time{}`),
	fault(HLS, "answer-of-last-owner", "an answer of the last owner that comes late is taken for the new one's",
		edgeFile, "Reload.ended", "case r.node != s.Node:\n\tcase err == nil:", "case err == nil:"),
	fault(HLS, "no-back-off-of-failed-owner", "a node that failed a moment ago is asked again by each viewer",
		edgeFile, "Reload.ended", `r.fresh, r.failed = time.Time{}, time.Now()`, `r.fresh = time.Time{}`),
	fault(HLS, "prefetch-once", "segments are fetched ahead until all of a playlist are there, and never again",
		edgeFile, "Client.prefetch", `r.prefetching = false`, ``),
	fault(HLS, "slow-node-is-silent", "a node that sends slowly is taken for silent",
		clientFile, "Client.get", `silence.Reset(c.silence)`, ``),
	fault(HLS, "oldest-kept", "the cache drops what was used last",
		cacheFile, "cache.put", `c.used.Remove(c.used.Back())`, `c.used.Remove(c.used.Front())`),
	fault(HLS, "cache-size-not-given-back", "what was dropped from the cache still counts",
		cacheFile, "cache.put", `c.size -= int64(len(oldest.body))`, `c.size -= min(c.size-c.limit, int64(len(oldest.body)))`),
	fault(HLS, "use-not-noted", "a file that is read does not count as used",
		cacheFile, "cache.get", `c.used.MoveToFront(e)`, ``),
	fault(HLS, "number-repeated-at-move", "a viewer that is moved to another server sees a number again",
		followFile, "Numbering.Follow", `offset:          last.Number + n.offset + 1 - first.Number`, `offset:          last.Number + n.offset - first.Number`),
	fault(HLS, "move-without-discontinuity", "a viewer that is moved to another server sees no discontinuity",
		followFile, "Numbering.breaks", `|| n.moved && s.Number == n.from`, ``),
	fault(HLS, "failures-kept", "a server that has answered keeps the failures from before",
		balancedFile, "position.show", `= server, p, n, 0, 0`, `= server, p, n, v.unavailable, 0`),
	fault(HLS, "behind-kept", "how often a server was behind is kept when it has gone on",
		balancedFile, "position.show", `= server, p, n, 0, 0`, `= server, p, n, 0, v.behind`),
	fault(HLS, "position-kept", "the position of a viewer that has left is kept for ever",
		balancedFile, "positions.sweep", `if now.After(v.until) {`, `if now.Before(v.until) && v.unavailable < 0 {`),
	fault(HLS, "own-discontinuity-counted", "the discontinuity at the first segment counts as one before it",
		renderFile, "Playlist.Render", "sequence-- // the number counts the discontinuities before the first segment's own", ""),
}
