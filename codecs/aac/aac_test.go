package aac_test

import (
	"bytes"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"weir/codecs"
	"weir/codecs/aac"
)

var configTests = []struct {
	name           string
	config         []byte
	rate, channels int // rate zero: no track can be made
	core           int // sample rate of ADTS; zero: ADTS cannot carry it
}{
	{"LC, 48 kHz, stereo", []byte{0x11, 0x90}, 48000, 2, 48000},
	{"LC, 44.1 kHz, mono", []byte{0x12, 0x08}, 44100, 1, 44100},
	{"LC, 48 kHz, 7.1", []byte{0x11, 0xb8}, 48000, 8, 48000},
	{"HE, 24 to 48 kHz", []byte{0x2b, 0x11, 0x88, 0}, 48000, 2, 24000},
	{"HE version 2, mono to stereo", []byte{0xeb, 0x09, 0x88, 0}, 48000, 2, 24000},
	{"960 samples", []byte{0x11, 0x94}, 48000, 2, 0},
	{"a rate without an index", []byte{0x17, 0x80, 0x61, 0xa8, 0x10}, 50000, 2, 0},
	{"nothing", nil, 0, 0, 0},
	{"cut off", []byte{0x11}, 0, 0, 0},
	{"Main", []byte{0x09, 0x90}, 0, 0, 0},
}

func TestTrackIsMadeOfAConfiguration(t *testing.T) {
	for _, test := range configTests {
		got, err := aac.Track(test.config)
		want := codecs.Track{Codec: codecs.AAC, Config: test.config, SampleRate: test.rate, Channels: test.channels}
		if (err == nil) != (test.rate > 0) || err == nil && !got.Equal(want) {
			t.Errorf("Track(%s) = %+v, %v, want %+v", test.name, got, err, want)
		}
	}
}

func TestAccessUnitsHave1024SamplesOr960(t *testing.T) {
	for _, test := range configTests {
		want := 1024
		if test.name == "960 samples" {
			want = 960
		}
		samples, rate, err := aac.Length(test.config)
		if (err == nil) != (test.rate > 0) || err == nil && (samples != want || rate == 0) {
			t.Errorf("Length(%s) = %d at %d Hz, %v, want %d", test.name, samples, rate, err, want)
		}
	}
}

func TestHeadersAreReadByAnotherParser(t *testing.T) {
	for _, test := range configTests {
		a, err := aac.NewADTS(test.config)
		if (err == nil) != (test.core > 0) {
			t.Errorf("NewADTS(%s): %v", test.name, err)
		}
		if err != nil {
			continue
		}
		var b []byte
		sizes := []int{1, 300, 1017, 5000}
		for _, n := range sizes {
			h := a.Header(n)
			b = append(append(b, h[:]...), bytes.Repeat([]byte{byte(n)}, n)...)
		}
		var packets mpeg4audio.ADTSPackets
		if err := packets.Unmarshal(b); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for i, p := range packets {
			if _, rate, err := aac.Length(test.config); err != nil || p.SampleRate != test.core || rate != test.core || p.Type != 2 || len(p.AU) != sizes[i] {
				t.Errorf("%s: packet %+v, want %d Hz and %d bytes", test.name, p, test.core, sizes[i])
			}
		}
	}
}

func FuzzConfig(f *testing.F) {
	for _, test := range configTests {
		f.Add(test.config)
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		track, err := aac.Track(config)
		if err == nil && (track.SampleRate <= 0 || track.Channels < 0) {
			t.Errorf("Track(%x) = %+v", config, track)
		}
		if _, err := aac.NewADTS(config); err == nil && track.SampleRate == 0 {
			t.Errorf("NewADTS(%x) works, but there is no track", config)
		}
	})
}
