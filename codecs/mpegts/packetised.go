package mpegts

import (
	"errors"

	"weir/codecs/bytestream"
)

// maxHeld bounds the access units that are not complete, in bytes.
const maxHeld = 20 << 20

// A reader reads the PES packets of an elementary stream.
type reader struct {
	d        *Demuxer
	stream   *Stream
	splitter *bytestream.Splitter // nil as long as it is not known what the stream holds

	sample  []byte          // what it has brought so far, from the beginning of a PES packet on
	sampled bytestream.Mark // of that PES packet
	samples int

	header []byte // of a PES packet, as far as it has come
	within int    // where the packets are
	left   int    // bytes that the PES packet still has; negative if it does not say
	random bool   // the PES packet begins with a random access point

	epoch     int // that of the last PES packet
	scrambled bool
}

// Where a reader is.
const (
	outside = iota // up to the next PES packet nothing can be read
	inHeader
	inPayload
)

func newReader(d *Demuxer, s *Stream) *reader {
	r := &reader{d: d, stream: s, epoch: d.epoch}
	if s.Form != 0 {
		r.split()
	}
	return r
}

func (r *reader) split() {
	r.splitter = bytestream.NewSplitter(r.stream.Form, func(u *bytestream.Unit) error {
		if r.scrambled {
			r.scrambled = false
			r.d.receiver.Scrambled(r.stream, false)
		}
		return r.d.receiver.Unit(r.stream, u)
	})
}

// payload reads that of a packet. start says that a PES packet begins in it.
func (r *reader) payload(b []byte, start, random bool) error {
	if start {
		r.within, r.random, r.header = inHeader, random, r.header[:0]
	}
	switch r.within {
	case outside:
		return nil
	case inPayload:
		return r.data(b)
	}
	h := b
	if len(r.header) > 0 {
		r.header = append(r.header, b...)
		h = r.header
	}
	n := 9
	if len(h) >= n {
		n += int(h[8])
	}
	switch {
	case len(h) >= 3 && (h[0] != 0 || h[1] != 0 || h[2] != 1), len(h) >= 7 && h[6]&0xc0 != 0x80:
		r.d.counters.Unreadable++
		r.within = outside
		return nil
	case len(h) < n:
		if len(r.header) == 0 {
			r.header = append(r.header, h...)
		}
		return nil
	case h[6]&0x30 != 0: // PES_scrambling_control
		r.d.counters.Scrambled++
		return r.scramble()
	}
	if r.left = -1; h[4] != 0 || h[5] != 0 {
		r.left = int(h[4])<<8 + int(h[5]) + 6 - n
	}
	r.within = inPayload
	m := r.mark(h[:n])
	if r.splitter == nil {
		return r.probe(m, h[n:])
	}
	r.splitter.Mark(m)
	return r.data(h[n:])
}

// mark says what the header of a PES packet tells of the access unit that begins first in it.
func (r *reader) mark(h []byte) bytestream.Mark {
	m := bytestream.Mark{Key: r.random, Break: r.epoch != r.d.epoch}
	r.epoch = r.d.epoch
	switch flags := h[7] >> 6; {
	case flags == 3 && len(h) >= 19:
		m.Timed, m.PTS, m.DTS = true, timestamp(h[9:]), timestamp(h[14:])
	case flags >= 2 && len(h) >= 14:
		m.Timed, m.PTS = true, timestamp(h[9:])
		m.DTS = m.PTS
	}
	return m
}

// timestamp reads a PTS or DTS (2.4.3.7).
func timestamp(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
}

// data hands on what a PES packet holds. What goes on behind the length that it states is taken too: some senders state a wrong
// one, and a correct PES packet ends with its last packet.
func (r *reader) data(b []byte) error {
	if r.left > 0 {
		r.left = max(0, r.left-len(b))
	}
	if r.splitter == nil {
		return r.probe(bytestream.Mark{}, b)
	}
	before := r.splitter.Held()
	err := r.splitter.Write(b)
	r.d.held += r.splitter.Held() - before
	if r.d.held > maxHeld {
		return r.gap()
	}
	return err
}

// How much of a stream is looked at to find out what it holds, and how often.
const (
	sampleSize = 16 << 10
	maxSamples = 16
)

// probe looks at what a stream holds of which the table does not tell it: muxers for discs write AAC so.
func (r *reader) probe(m bytestream.Mark, b []byte) error {
	if r.samples == maxSamples {
		return nil
	}
	if len(r.sample) == 0 {
		r.sampled = m
	}
	r.sample = append(r.sample, b...)
	form := bytestream.Recognise(r.sample)
	if form == 0 {
		if len(r.sample) > sampleSize {
			r.sample, r.within = nil, outside
			r.samples++
		}
		return nil
	}
	r.stream = r.d.found(r.stream, form)
	r.split()
	r.splitter.Mark(r.sampled)
	b, r.sample = r.sample, nil
	return r.data(b)
}

// gap says that packets are missing. The rest of the PES packet is read: an access unit may begin in it.
func (r *reader) gap() error {
	if r.splitter == nil {
		r.sample, r.within = nil, outside
		return nil
	}
	before := r.splitter.Held()
	var err error
	if r.left == 0 {
		err = r.splitter.Flush() // it was complete
	}
	err = errors.Join(err, r.splitter.Gap())
	r.d.held += r.splitter.Held() - before
	if r.within == inHeader {
		r.within = outside
	}
	r.left = -1
	return err
}

// finish says that nothing follows. An access unit is complete unless its PES packet is not.
func (r *reader) finish() error {
	if r.splitter == nil {
		return r.gap()
	}
	before := r.splitter.Held()
	var err error
	if r.left > 0 {
		err = r.splitter.Gap()
	}
	err = errors.Join(err, r.splitter.Flush())
	r.d.held += r.splitter.Held() - before
	r.within, r.left = outside, -1
	return err
}

// scramble says that a packet is scrambled.
func (r *reader) scramble() error {
	err := r.gap()
	r.within = outside
	if !r.scrambled {
		r.scrambled = true
		r.d.receiver.Scrambled(r.stream, true)
	}
	return err
}

// damaged counts access units that were left out.
func (r *reader) damaged() uint64 {
	if r.splitter == nil {
		return 0
	}
	return uint64(r.splitter.Damaged())
}
