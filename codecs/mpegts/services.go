package mpegts

import (
	"slices"

	"weir/codecs/bytestream"
)

// A service is a program that the PAT lists. Program is the word for those that this package writes.
type service struct {
	number int
	table  uint16 // the PID of its PMT

	section []byte // its PMT; nil until one has come
	streams []*Stream
	clock   uint16 // the PID of its PCR

	// What it has brought as long as no program is chosen.
	starts int   // PES packets
	first  int64 // the first timestamp in them, or -1
	span   int64 // the time from there to the last
}

// maxServices bounds the programs of a transport stream.
const maxServices = 256

// enough is how much of its media a program brings before those that bring nothing are passed over: ticks, and PES packets if
// they have no timestamps.
const (
	enoughTicks  = 90000
	enoughStarts = 50
)

// precedence orders programs: those to be played whole, those with sound but pictures that cannot be carried, those with nothing. A
// program whose table has not come may be any.
func (s *service) precedence() int {
	var pictures, carriedPictures, carriedSound bool
	for _, e := range s.streams {
		pictures = pictures || e.Kind == Video
		carriedPictures = carriedPictures || e.Kind == Video && e.Form != 0
		carriedSound = carriedSound || e.Kind == Audio && e.Form != 0
	}
	switch {
	case s.section == nil, carriedPictures, !pictures && carriedSound:
		return 0
	case carriedSound:
		return 1
	}
	return 2
}

// offer takes the programs that the PAT lists from now on.
func (d *Demuxer) offer(list []*service) {
	for _, s := range d.services {
		if !slices.Contains(list, s) {
			d.unwatch(s)
		}
	}
	d.services = list
	for _, p := range d.pids {
		if p.number != pidPAT {
			p.table = nil
		}
	}
	for _, s := range list {
		p := d.look(s.table)
		if p.table == nil {
			p.table = &assembler{take: func(section []byte) { d.programMap(p.number, section) }}
		}
	}
	if d.chosen != nil && !slices.Contains(list, d.chosen) {
		d.chosen = nil
		d.release()
		for _, s := range list {
			d.watch(s)
		}
	}
	d.choose()
}

// watch looks at the streams by which a program is chosen.
func (d *Demuxer) watch(s *service) {
	d.unwatch(s)
	s.starts, s.first, s.span = 0, -1, 0
	if d.chosen != nil {
		return
	}
	pictures := slices.ContainsFunc(s.streams, func(e *Stream) bool { return e.Kind == Video && e.Form != 0 })
	for _, e := range s.streams {
		if p := d.look(e.PID); e.Form != 0 && (e.Kind == Video) == pictures && p.watch == nil {
			p.watch = s
		}
	}
}

func (d *Demuxer) unwatch(s *service) {
	for _, p := range d.pids {
		if p.watch == s {
			p.watch = nil
		}
	}
}

// sign takes a PES packet as a sign that a program brings something.
func (d *Demuxer) sign(s *service, b []byte) {
	if len(b) < 14 || b[0] != 0 || b[1] != 0 || b[2] != 1 || b[6]&0x30 != 0 {
		return
	}
	s.starts++
	if b[7]&0x80 != 0 {
		at := timestamp(b[9:])
		if s.first < 0 {
			s.first = at
		}
		if span := (at - s.first) & (modulus - 1); span < modulus/2 {
			s.span = max(s.span, span)
		}
	}
	d.choose()
}

// choose chooses a program if it can.
func (d *Demuxer) choose() {
	if d.chosen != nil {
		return
	}
	if d.number != 0 || len(d.services) == 1 {
		for _, s := range d.services {
			if s.section != nil && (d.number == 0 || s.number == d.number) {
				d.pick(s)
			}
		}
		return
	}
	order := slices.Clone(d.services)
	slices.SortStableFunc(order, func(a, b *service) int { return a.precedence() - b.precedence() })
	passed, unknown := false, false
	for _, s := range order {
		unknown = unknown || s.section == nil
		switch {
		case s.starts == 0 || s.precedence() == 2:
			passed = true
		case !passed, s.span >= enoughTicks, s.starts >= enoughStarts:
			d.pick(s)
			return
		}
	}
	// If there is nothing to be had, the receiver is told of what there is.
	if len(order) > 0 && !unknown && order[0].precedence() == 2 {
		d.pick(order[0])
	}
}

func (d *Demuxer) pick(s *service) {
	d.chosen = s
	for _, other := range d.services {
		d.unwatch(other)
	}
	d.apply()
}

// apply reads the streams of the chosen program from now on, and no others.
func (d *Demuxer) apply() {
	d.release()
	d.look(d.chosen.clock)
	if !d.told || !slices.Equal(d.listed, d.chosen.streams) {
		d.told, d.listed = true, d.chosen.streams
		d.receiver.Streams(d.listed)
	}
	for _, e := range d.chosen.streams {
		if p := d.look(e.PID); (e.Form != 0 || e.Untold) && p.reader == nil {
			p.reader = newReader(d, e)
		}
	}
}

// release stops reading streams that the program does not have.
func (d *Demuxer) release() {
	for _, p := range d.pids {
		if p.reader == nil || d.chosen != nil && slices.Contains(d.chosen.streams, p.reader.stream) {
			continue
		}
		if err := p.reader.finish(); d.err == nil {
			d.err = err
		}
		d.counters.Damaged += p.reader.damaged()
		p.reader = nil
	}
}

// found says what a stream holds of which the table does not tell it, and returns the stream in whose place it goes on.
func (d *Demuxer) found(s *Stream, form bytestream.Form) *Stream {
	found := s.guess(form)
	d.chosen.streams = slices.Clone(d.chosen.streams) // the receiver has the old list
	for i, e := range d.chosen.streams {
		if e == s {
			d.chosen.streams[i] = found
		}
	}
	d.listed = d.chosen.streams
	d.receiver.Streams(d.listed)
	return found
}
