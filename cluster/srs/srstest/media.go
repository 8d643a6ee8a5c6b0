package srstest

import (
	"slices"
	"testing"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/flv"
)

// Tags are four seconds of a test picture of that width, as an encoder sends them: what the tracks are like first.
func Tags(t testing.TB, width int) []flv.Tag {
	t.Helper()
	p, err := fake.New(fake.Config{Width: width, Height: 144, Rate: 10})
	if err != nil {
		t.Fatal(err)
	}
	units, err := p.Segment(0)
	if err != nil {
		t.Fatal(err)
	}
	m := flv.NewMuxer(units[0].DTS)
	tags := m.SetTracks(p.Tracks())
	for _, au := range units {
		if h, ok := m.Head(au); ok {
			tags = append(tags, flv.Tag{Type: h.Type, Timestamp: h.Timestamp, Body: slices.Concat(h.Bytes(), au.Payload)})
		}
	}
	return tags
}

// Width is the width of the picture in tags; zero if they do not tell.
func Width(tags []flv.Tag) int {
	var d flv.Demuxer
	for _, t := range tags {
		_ = d.Tag(t, discard{})
	}
	for _, t := range tags { // once more, so late that the sound is no longer waited for
		t.Timestamp += 2000
		_ = d.Tag(t, discard{})
	}
	if list := d.Tracks(); len(list) > 0 && list.Video() >= 0 {
		return list[list.Video()].Width
	}
	return 0
}

type discard struct{}

func (discard) SetTracks(codecs.Tracks)        {}
func (discard) Write(*codecs.AccessUnit) error { return nil }
