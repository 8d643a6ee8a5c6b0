package mpegts

import "weir/codecs"

// tablesInterval is how often a stream without video repeats its tables, in ticks; with video they precede each
// random access point.
const tablesInterval = codecs.ClockRate / 5

// NewEncoder makes the encoder of the endless form. Timestamps are those of the stream modulo 2^33, whatever base is.
//
// Prologue is PAT and PMT. A viewer that joins gets them with other counters than the tables that the stream itself
// repeats, so the repeated ones carry the discontinuity indicator (2.4.3.5) and no receiver reports a loss. Other PIDs
// count on as long as the encoder lives, over changes of tracks too.
func NewEncoder(base int64) codecs.Encoder { return &encoder{program: &program{}} }

type encoder struct {
	program *program
	muxer   muxer
	clock   clock

	toldTables bool
	tables     int64 // DTS at which the tables were written last
	unit       [1]*codecs.AccessUnit
}

// Prologue implements [codecs.Encoder].
func (e *encoder) Prologue(tracks codecs.Tracks) []byte {
	e.program = newProgram(tracks)
	e.clock, e.toldTables = clock{}, false
	if n := len(tracks) - len(e.muxer.tracks); n > 0 {
		e.muxer.tracks = append(e.muxer.tracks, make([]byte, n)...)
	}
	if e.program.clock == nil {
		return nil
	}
	m := muxer{out: make([]byte, 0, 2*packetSize)}
	m.tables(e.program, true)
	return m.out
}

// Encode implements [codecs.Encoder].
func (e *encoder) Encode(au *codecs.AccessUnit) []byte {
	if au.Track < 0 || au.Track >= len(e.program.byTrack) {
		return nil
	}
	track := e.program.byTrack[au.Track]
	if track == nil {
		return nil
	}
	e.unit[0] = au
	defer func() { e.unit[0] = nil }()
	p := pes{track: track, units: e.unit[:], size: track.size(au)}
	if p.size == 0 {
		return nil
	}
	e.clock.schedule(&p, e.program.clock)
	p.count()

	size := p.packets
	if p.clockFirst {
		size++
	}
	tables := e.tablesDue(track, au)
	if tables {
		size += 2
	}
	e.muxer.out = make([]byte, 0, size*packetSize)
	if tables {
		e.muxer.tables(e.program, true)
	}
	e.muxer.write(&p, e.program.clock)
	out := e.muxer.out
	e.muxer.out = nil
	return out
}

// tablesDue says whether the tables go before au, and remembers it.
func (e *encoder) tablesDue(track *elementary, au *codecs.AccessUnit) bool {
	if track != e.program.clock || !au.RandomAccess && track.video {
		return false
	}
	since := au.DTS - e.tables
	if !track.video && e.toldTables && since >= 0 && since < tablesInterval {
		return false
	}
	e.toldTables, e.tables = true, au.DTS
	return true
}
