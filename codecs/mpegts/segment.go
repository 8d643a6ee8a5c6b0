package mpegts

import "weir/codecs"

const (
	// run is the modulus of the continuity counters.
	run = 16

	// groupTicks is the most audio in one PES packet of a segment. Grouping saves half a packet of stuffing for each
	// access unit; where audio carries the clock the groups are as short as a PCR must come.
	groupTicks = codecs.ClockRate / 5
)

// Segment makes an HLS segment: the access units of units in the order of their DTS, with PAT and PMT at the start and
// throughout. Access units of tracks that cannot be carried, and broken ones, are left out; it returns nil when no
// track can be carried, or none has anything.
//
// It is a function of its arguments, so that nodes which cut alike make identical bytes. And yet any segment follows
// any other without a break in the continuity counters (2.4.3.3), which count packets that neither node has seen: in
// every segment the number of packets with payload of each PID is a multiple of 16, so the counters go from 0 to 15.
// PAT and PMT come 16 times, spread evenly, which in a segment of four seconds is every 250 ms; each elementary
// stream spreads the data of its last PES packets over up to 15 packets more than would do. Since every PES packet has
// at least 16 bytes that always works out.
func Segment(tracks codecs.Tracks, units []*codecs.AccessUnit) []byte {
	prog := newProgram(tracks)
	if prog.clock == nil {
		return nil
	}
	all := merge(prog, group(prog, units))
	if len(all) == 0 {
		return nil
	}

	var c clock
	for i := range all {
		c.schedule(&all[i], prog.clock)
		all[i].count()
	}
	for _, e := range prog.byTrack {
		if e != nil {
			fillRun(all, e)
		}
	}
	packets := 2 * run
	for i := range all {
		packets += all[i].packets
		if all[i].clockFirst {
			packets++
		}
	}

	m := muxer{out: make([]byte, 0, packets*packetSize), tracks: make([]byte, len(tracks))}
	tables := 0
	for i := range all {
		for tables < run && tables*len(all)/run <= i {
			m.tables(prog, false)
			tables++
		}
		m.write(&all[i], prog.clock)
	}
	return m.out
}

// group makes the PES packets of each track, in the order in which the track has its access units.
func group(prog *program, units []*codecs.AccessUnit) [][]pes {
	out := make([][]pes, len(prog.byTrack))
	for i, e := range prog.byTrack {
		if e == nil {
			continue
		}
		units := ofTrack(units, i)
		out[i] = make([]pes, 0, len(units))
		limit := int64(groupTicks)
		if e == prog.clock {
			limit = pcrInterval
		}
		for len(units) > 0 {
			n, size := e.group(units, limit)
			if size > 0 {
				out[i] = append(out[i], pes{track: e, units: units[:n], size: size})
			}
			units = units[n:]
		}
	}
	return out
}

func ofTrack(units []*codecs.AccessUnit, track int) []*codecs.AccessUnit {
	n := 0
	for _, au := range units {
		if au.Track == track {
			n++
		}
	}
	own := make([]*codecs.AccessUnit, 0, n)
	for _, au := range units {
		if au.Track == track {
			own = append(own, au)
		}
	}
	return own
}

// group returns how many of units, at least one, go into one PES packet, and how many bytes of elementary stream they
// are. Only the first of them gets a timestamp, so the others must follow when a decoder expects them.
func (e *elementary) group(units []*codecs.AccessUnit, limit int64) (n, size int) {
	size = e.size(units[0])
	if e.video || e.rate <= 0 || size == 0 {
		return 1, size
	}
	tolerance := e.samples * codecs.ClockRate / e.rate / 4
	for n = 1; n < len(units); n++ {
		au, more := units[n], e.size(units[n])
		elapsed := int64(n) * e.samples * codecs.ClockRate / e.rate
		drift := au.DTS - units[0].DTS - elapsed
		end := elapsed + e.samples*codecs.ClockRate/e.rate
		if more == 0 || au.Discontinuity || end > limit || size+more > maxAudioPES || max(drift, -drift) > tolerance {
			break
		}
		size += more
	}
	return n, size
}

// merge puts the PES packets of all tracks into the order of their DTS, each track's own order kept; of equals the
// lower track comes first.
func merge(prog *program, byTrack [][]pes) []pes {
	total := 0
	for _, list := range byTrack {
		total += len(list)
	}
	all := make([]pes, 0, total)
	for len(all) < total {
		next := -1
		for i, list := range byTrack {
			if len(list) > 0 && (next < 0 || list[0].dts() < byTrack[next][0].dts()) {
				next = i
			}
		}
		all = append(all, byTrack[next][0])
		byTrack[next] = byTrack[next][1:]
	}
	return all
}

// fillRun adds packets to the last PES packets of e until e has a multiple of 16. Headers stay in one piece as long as
// there is enough data.
func fillRun(all []pes, e *elementary) {
	count := 0
	for i := range all {
		if all[i].track == e {
			count += all[i].packets
		}
	}
	missing := (run - count%run) % run
	for _, split := range []bool{false, true} {
		for i := len(all) - 1; i >= 0 && missing > 0; i-- {
			p := &all[i]
			if p.track != e {
				continue
			}
			most := p.size
			if split {
				most = p.total()
			}
			if add := min(missing, most-p.packets); add > 0 {
				p.packets += add
				p.extra = true
				missing -= add
			}
		}
	}
}
