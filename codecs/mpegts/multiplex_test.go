package mpegts_test

import (
	"bytes"
	"testing"

	"weir/codecs"
	"weir/codecs/bytestream"
	"weir/codecs/fake"
	"weir/codecs/linear"
	"weir/codecs/mpegts"
	"weir/codecs/mpegts/mpegtstest"
)

// A taker keeps what a demuxer finds.
type taker struct {
	lists     [][]*mpegts.Stream
	units     map[uint16][]taken
	scrambled map[uint16][]bool
	refuses   error
}

// A taken is a unit, copied.
type taken struct {
	bytestream.Mark
	parts   [][]byte
	config  []byte
	refused error
}

func newTaker() *taker {
	return &taker{units: map[uint16][]taken{}, scrambled: map[uint16][]bool{}}
}

func (k *taker) Streams(list []*mpegts.Stream) { k.lists = append(k.lists, list) }

func (k *taker) Scrambled(s *mpegts.Stream, scrambled bool) {
	k.scrambled[s.PID] = append(k.scrambled[s.PID], scrambled)
}

func (k *taker) Unit(s *mpegts.Stream, u *bytestream.Unit) error {
	n := taken{Mark: u.Mark, config: bytes.Clone(u.Config), refused: u.Refused}
	for _, p := range u.Parts {
		n.parts = append(n.parts, bytes.Clone(p))
	}
	k.units[s.PID] = append(k.units[s.PID], n)
	return k.refuses
}

// read has a demuxer read b in pieces of so many bytes.
func read(t testing.TB, b []byte, program, size int) (*taker, *mpegts.Demuxer) {
	t.Helper()
	k := newTaker()
	d := mpegts.NewDemuxer(k, program)
	for len(b) > 0 {
		n := min(size, len(b))
		if _, err := d.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	return k, d
}

// excerpt is some seconds of pictures of 25 a second, a random access point every other second, and AAC.
func excerpt(t testing.TB, seconds int) (codecs.Tracks, []*codecs.AccessUnit) {
	t.Helper()
	p := must(fake.New(must(fake.Parse("size=320x180"))))
	return p.Tracks(), must(linear.Excerpt(p, seconds))
}

// The PIDs of our writer.
const (
	pictures = 0x100
	sound    = 0x101
	table    = 0x1000
)

// written is an excerpt in packets of our writer, and how many access units of each track it has.
func written(t testing.TB, seconds int) (b []byte, video, audio int) {
	tracks, units := excerpt(t, seconds)
	e := mpegts.NewEncoder(0)
	b = e.Prologue(tracks)
	for _, au := range units {
		b = append(b, e.Encode(au)...)
		if au.Track == 0 {
			video++
		} else {
			audio++
		}
	}
	return b, video, audio
}

// coded are the access units of a track of an excerpt as elementary streams have them.
func coded(t testing.TB, seconds, track int) [][]byte {
	tracks, units := excerpt(t, seconds)
	return mpegtstest.Coded(tracks, units, track)
}
