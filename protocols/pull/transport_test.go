package pull_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/linear"
	"weir/codecs/mpegts"
	"weir/codecs/mpegts/mpegtstest"
	"weir/codecs/reception"
	"weir/protocols/pull"
)

// The PIDs of the streams that are made here.
const (
	pidTable   = 0x1000
	pidVideo   = 0x100
	pidAudio   = 0x101
	pidSecond  = 0x102
	perPicture = 3600 // ticks
)

// A sender writes a program, a picture at a time, each with what else is to be sent by then.
type sender struct {
	mpegtstest.Multiplex
	t     testing.TB
	video [][]byte // of 25 a second, a random access point every other second
	audio [][]byte // AAC, 1024 samples of 48 kHz
	sent  int      // of the sound
	ends  []int    // where the packets of each picture end
}

func newSender(t testing.TB, seconds int) *sender {
	t.Helper()
	p := must(fake.New(must(fake.Parse("size=320x180"))))
	units := must(linear.Excerpt(p, seconds+1))
	s := &sender{t: t}
	s.video = mpegtstest.Coded(p.Tracks(), units, 0)[:seconds*25]
	s.audio = mpegtstest.Coded(p.Tracks(), units, 1)
	return s
}

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

// tables sends those of one program.
func (s *sender) tables(list ...mpegtstest.ES) {
	s.Tables(0, s.Association(mpegtstest.Listed{Number: 1, PID: pidTable}))
	s.Tables(pidTable, s.ProgramMap(1, list...))
}

// picture sends one with its time, and sound sends the frames of AAC up to there, with the time of the first.
func (s *sender) picture(pid uint16, i int) {
	s.Split(pid, mpegtstest.PES(0xe0, int64(i)*perPicture, false, s.video[i]), 184)
}

func (s *sender) sound(pid uint16, i int) {
	first := s.sent
	for ; s.sent*1920 < (i+1)*perPicture; s.sent++ {
	}
	if s.sent > first {
		s.Split(pid, mpegtstest.PES(0xc0, int64(first)*1920, true, slices.Concat(s.audio[first:s.sent]...)), 184)
	}
}

// each sends tables and what a function sends for each picture.
func (s *sender) each(list []mpegtstest.ES, send func(i int)) []byte {
	for i := range s.video {
		if i%5 == 0 {
			s.tables(list...)
		}
		send(i)
		s.ends = append(s.ends, len(s.Out))
	}
	return s.Out
}

var (
	esVideo = mpegtstest.ES{Type: 0x1b, PID: pidVideo}
	esAudio = mpegtstest.ES{Type: 0x0f, PID: pidAudio}
)

// plain is a program of pictures and sound.
func plain(t testing.TB, seconds int) (*sender, []byte) {
	s := newSender(t, seconds)
	return s, s.each([]mpegtstest.ES{esVideo, esAudio}, func(i int) {
		s.picture(pidVideo, i)
		s.sound(pidAudio, i)
	})
}

// A watcher keeps what an input brings, and when.
type watcher struct {
	taker
	reception.Record
	changes []codecs.Tracks
	video   []*codecs.AccessUnit
	audio   []*codecs.AccessUnit
	started time.Duration // when the first access unit came
	since   time.Time
}

func (w *watcher) SetTracks(t codecs.Tracks) {
	w.taker.SetTracks(t)
	w.changes = append(w.changes, t)
}

func (w *watcher) Write(au *codecs.AccessUnit) error {
	if len(w.units) == 0 {
		w.started = time.Since(w.since)
	}
	if w.tracks[au.Track].Codec.Video() {
		w.video = append(w.video, au)
	} else {
		w.audio = append(w.audio, au)
	}
	return w.taker.Write(au)
}

// watch pulls a transport stream that is sent in real time, a picture each 40 ms, by a server of HTTP.
func watch(t *testing.T, b []byte, ends []int, program int) (w *watcher, err error) {
	t.Helper()
	w = &watcher{}
	synctest.Test(t, func(t *testing.T) {
		rt := over(func(c net.Conn) {
			defer c.Close()
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
			from := 0
			for _, end := range ends {
				if _, err := c.Write(b[from:end]); err != nil {
					return
				}
				from = end
				time.Sleep(40 * time.Millisecond)
			}
			_, _ = c.Write(b[from:])
		})
		w.since = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = pull.TS(ctx, "http://node/x", pull.Options{Transport: rt, Program: program, Report: &w.Record}, w)
	})
	return w, err
}

// steady says what is wrong with the times of a track: they rise by its interval, to a tick.
func steady(t *testing.T, units []*codecs.AccessUnit, interval int64) {
	t.Helper()
	for i := 1; i < len(units); i++ {
		if d := units[i].DTS - units[i-1].DTS; d < interval-2 || d > interval+2 || units[i].PTS < units[i].DTS || units[i].Discontinuity {
			t.Errorf("access unit %d of %d: %d ticks after the one before, PTS %d after its DTS, discontinuity %t",
				i, len(units), d, units[i].PTS-units[i].DTS, units[i].Discontinuity)
			return
		}
	}
}

// leftOut lists what is left out, with the codecs.
func (w *watcher) leftOut() (names []string) {
	for _, l := range w.LeftOut {
		names = append(names, l.Track+" "+l.Codec)
	}
	return names
}

func TestTrackThatIsAnnouncedAndBringsNothingIsLeftOut(t *testing.T) {
	const n = 150
	opus := mpegtstest.ES{Type: 6, PID: pidAudio, Descriptors: "\x05\x04Opus\x7f\x02\x80\x02"}
	for _, tt := range []struct {
		name          string
		list          []mpegtstest.ES
		sound         uint16 // the PID that sound is sent on, from a picture on; 0 for none
		from          int
		noPictures    bool
		leftOut       []string
		changes       int
		within        time.Duration // until the first access unit
		video, sounds int           // at least
	}{
		{"AAC", []mpegtstest.ES{esVideo, esAudio}, 0, 0, false, []string{"PID 257 AAC"}, 1, 1200 * time.Millisecond, n, 0},
		{"Opus, which the table describes", []mpegtstest.ES{esVideo, opus}, 0, 0, false, []string{"PID 257 Opus"}, 1, 1200 * time.Millisecond, n, 0},
		{"AAC that comes later", []mpegtstest.ES{esVideo, esAudio}, pidAudio, 100, false, nil, 2, 1200 * time.Millisecond, n, 90},
		{
			"the first of two",
			[]mpegtstest.ES{esVideo, esAudio, {Type: 0x0f, PID: pidSecond}},
			pidSecond, 0, false,
			[]string{"PID 257 AAC"},
			1, 1300 * time.Millisecond, n, 240,
		},
		{"pictures", []mpegtstest.ES{esVideo, esAudio}, pidAudio, 0, true, []string{"PID 256 H264"}, 1, 1300 * time.Millisecond, 0, 270},
		{"nothing but the first of two pictures", []mpegtstest.ES{{Type: 0x24, PID: pidSecond}, esVideo, esAudio}, pidAudio, 0, false, []string{"PID 258 H.265"}, 1, 2200 * time.Millisecond, n - 55, 180},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSender(t, n/25)
			b := s.each(tt.list, func(i int) {
				if !tt.noPictures {
					s.picture(pidVideo, i)
				}
				if tt.sound != 0 && i >= tt.from {
					s.sound(tt.sound, i)
				}
			})
			w, err := watch(t, b, s.ends, 0)
			if !errors.Is(err, pull.ErrEnded) {
				t.Errorf("TS = %v, want %v", err, pull.ErrEnded)
			}
			video, audio := w.video, w.audio
			if len(video) < tt.video || len(audio) < tt.sounds || len(w.changes) != tt.changes {
				t.Errorf("%d pictures, %d sounds, %d announcements; want %d, %d, %d", len(video), len(audio), len(w.changes), tt.video, tt.sounds, tt.changes)
			}
			if w.started > tt.within {
				t.Errorf("the first access unit after %v, want %v at most", w.started, tt.within)
			}
			if got := w.leftOut(); !slices.Equal(got, tt.leftOut) {
				t.Errorf("left out %q, want %q", got, tt.leftOut)
			}
			steady(t, video, perPicture)
		})
	}
}

func TestPicturesWithoutTimesAreKept(t *testing.T) {
	const n = 150
	for _, tt := range []struct {
		name  string
		timed func(i int) bool
		group int // pictures in a PES packet
	}{
		{"every second one", func(i int) bool { return i%2 == 0 }, 1},
		{"all but random access points", func(i int) bool { return i%50 == 0 }, 1},
		{"all but the first", func(i int) bool { return i == 0 || i == 25 }, 1},
		{"three in a PES packet", func(int) bool { return true }, 3},
		{"five in a PES packet, and every second of these without", func(i int) bool { return i%10 == 0 }, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSender(t, n/25)
			b := s.each([]mpegtstest.ES{esVideo, esAudio}, func(i int) {
				if i%tt.group == 0 {
					pts := int64(i) * perPicture
					if !tt.timed(i) {
						pts = -1
					}
					s.Split(pidVideo, mpegtstest.PES(0xe0, pts, false, slices.Concat(s.video[i:i+tt.group]...)), 184)
				}
				s.sound(pidAudio, i)
			})
			w, _ := watch(t, b, s.ends, 0)
			if got := w.video; len(got) != n {
				t.Errorf("%d pictures, want %d", len(got), n)
			}
			steady(t, w.video, perPicture)
			steady(t, w.audio, 1920)
			if video, audio := w.video, w.audio; video[0].DTS != audio[0].DTS {
				t.Errorf("pictures begin %d ticks after sound", video[0].DTS-audio[0].DTS)
			}
		})
	}
}

// ac3Frame is one of AC-3: 48 kHz, 64 kbit/s, stereo.
var ac3Frame = append([]byte{0x0b, 0x77, 0, 0, 0x08, 8 << 3, 0x40}, bytes.Repeat([]byte{7}, 256-7)...)

// mpegFrame is one of MPEG audio of a layer: 48 kHz, 64 kbit/s.
func mpegFrame(layer int) []byte {
	if layer == 3 {
		return append([]byte{0xff, 0xfb, 0x54, 0xc0}, bytes.Repeat([]byte{7}, 192-4)...)
	}
	return append([]byte{0xff, 0xfd, 0x44, 0xc0}, bytes.Repeat([]byte{7}, 192-4)...)
}

func TestAccessUnitsNeedNotMatchPackets(t *testing.T) {
	const n = 100
	adts := newSender(t, n/25+1).audio[:200]
	for _, tt := range []struct {
		name     string
		es       mpegtstest.ES
		frame    func(i int) []byte
		interval int64
		size     int // of the payload of a PES packet; 0 for one frame
		codec    codecs.Codec
	}{
		{"one AC-3 frame", mpegtstest.ES{Type: 0x81, PID: pidAudio}, func(int) []byte { return ac3Frame }, 2880, 256, codecs.AC3},
		{"several AC-3 frames", mpegtstest.ES{Type: 0x81, PID: pidAudio}, func(int) []byte { return ac3Frame }, 2880, 5 * 256, codecs.AC3},
		{"AC-3 frames that are split", mpegtstest.ES{Type: 6, PID: pidAudio, Descriptors: "\x6a\x01\x00"}, func(int) []byte { return ac3Frame }, 2880, 1000, codecs.AC3},
		{"MP3 frames that are split", mpegtstest.ES{Type: 3, PID: pidAudio}, func(int) []byte { return mpegFrame(3) }, 2160, 700, codecs.MP3},
		{"AAC frames that are split", esAudio, func(i int) []byte { return adts[i] }, 1920, 100, codecs.AAC},
		{"AAC frames in pieces", esAudio, func(i int) []byte { return adts[i] }, 1920, 5, codecs.AAC},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSender(t, n/25)
			var data []byte
			var begins []int // where frames begin
			frames := 0
			for ; int64(frames)*tt.interval < n*perPicture; frames++ {
				begins = append(begins, len(data))
				data = append(data, tt.frame(frames)...)
			}
			sent := 0
			b := s.each([]mpegtstest.ES{esVideo, tt.es}, func(i int) {
				s.picture(pidVideo, i)
				for ; sent < len(data); sent += tt.size {
					next := slices.IndexFunc(begins, func(at int) bool { return at >= sent })
					pts := int64(-1)
					if next >= 0 {
						if pts = int64(next) * tt.interval; pts > int64(i)*perPicture {
							return
						}
						if begins[next] >= sent+tt.size {
							pts = -1 // no frame begins in the packet
						}
					}
					s.Split(pidAudio, mpegtstest.PES(0xbd, pts, true, data[sent:min(len(data), sent+tt.size)]), 184)
				}
			})
			if sent < len(data) {
				s.Split(pidAudio, mpegtstest.PES(0xbd, -1, true, data[sent:]), 184)
				b = s.Out
			}
			w, _ := watch(t, b, s.ends, 0)
			if got := w.audio; len(got) != frames || len(w.video) != n || w.tracks[1].Codec != tt.codec {
				t.Errorf("tracks %v, %d pictures, %d frames, want %d of %v", w.tracks, len(w.video), len(got), frames, tt.codec)
			}
			for i, au := range w.audio {
				if want := tt.frame(i); !bytes.HasSuffix(want, au.Payload) || len(au.Payload) < len(want)-7 {
					t.Fatalf("frame %d is not as it was sent", i)
				}
			}
			steady(t, w.audio, tt.interval)
			steady(t, w.video, perPicture)
		})
	}
	for _, size := range []int{100, 1000, 60000} {
		t.Run(fmt.Sprintf("pictures in packets of %d bytes", size), func(t *testing.T) {
			s := newSender(t, n/25)
			var data []byte
			var begins []int
			for _, v := range s.video {
				begins = append(begins, len(data))
				data = append(data, v...)
			}
			s.tables(esVideo)
			for at := 0; at < len(data); at += size {
				pts := int64(-1)
				if next := slices.IndexFunc(begins, func(b int) bool { return b >= at }); next >= 0 && begins[next] < at+size {
					pts = int64(next) * perPicture
				}
				s.Split(pidVideo, mpegtstest.PES(0xe0, pts, true, data[at:min(len(data), at+size)]), 184)
			}
			w, _ := watch(t, s.Out, nil, 0)
			if got := w.video; len(got) != n {
				t.Errorf("%d pictures, want %d", len(got), n)
			}
			steady(t, w.video, perPicture)
		})
	}
}

func TestTracksThatCanBeCarriedArePlayedBesideOthers(t *testing.T) {
	const n = 100
	eac3 := append([]byte{0x0b, 0x77, 0, 127, 0x34, 16 << 3}, bytes.Repeat([]byte{1}, 256-6)...)
	mp2 := func(i int) []byte { return mpegFrame(2) }
	for _, tt := range []struct {
		name    string
		es      []mpegtstest.ES
		frames  map[uint16]func(i int) []byte
		codecs  []codecs.Codec
		leftOut []string
	}{
		{"MP2", []mpegtstest.ES{esVideo, {Type: 3, PID: pidAudio}}, map[uint16]func(int) []byte{pidAudio: mp2}, []codecs.Codec{codecs.H264}, []string{"PID 257 MPEG audio"}},
		{"E-AC-3", []mpegtstest.ES{esVideo, {Type: 0x87, PID: pidAudio}}, nil, []codecs.Codec{codecs.H264}, []string{"PID 257 E-AC-3"}},
		{
			"E-AC-3 that is announced as AC-3",
			[]mpegtstest.ES{esVideo, {Type: 0x81, PID: pidAudio}},
			map[uint16]func(int) []byte{pidAudio: func(int) []byte { return eac3 }},
			[]codecs.Codec{codecs.H264},
			[]string{"PID 257 AC-3"},
		},
		{"MP2 before AAC", []mpegtstest.ES{esVideo, {Type: 4, PID: pidSecond}, esAudio}, map[uint16]func(int) []byte{pidSecond: mp2}, []codecs.Codec{codecs.H264, codecs.AAC}, []string{"PID 258 MPEG audio"}},
		{"two languages", []mpegtstest.ES{esVideo, esAudio, {Type: 0x0f, PID: pidSecond}}, nil, []codecs.Codec{codecs.H264, codecs.AAC}, []string{"PID 258 AAC"}},
		{"MPEG-2 video", []mpegtstest.ES{{Type: 2, PID: pidSecond}, esAudio}, nil, []codecs.Codec{codecs.AAC}, []string{"PID 258 MPEG-2 video"}},
		{
			"subtitles, teletext, splices and metadata",
			[]mpegtstest.ES{
				esVideo, esAudio,
				{Type: 6, PID: 0x110, Descriptors: "\x59\x08deu\x10\x00\x01\x00\x01"},
				{Type: 6, PID: 0x111, Descriptors: "\x56\x00"},
				{Type: 0x86, PID: 0x112},
				{Type: 0x15, PID: 0x113, Descriptors: "\x05\x04ID3 "},
			},
			nil,
			[]codecs.Codec{codecs.H264, codecs.AAC},
			[]string{"PID 272 DVB subtitles", "PID 273 teletext", "PID 274 SCTE-35 splice information", "PID 275 metadata"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSender(t, n/25)
			b := s.each(tt.es, func(i int) {
				for _, e := range tt.es {
					switch frame := tt.frames[e.PID]; {
					case frame != nil:
						s.Split(e.PID, mpegtstest.PES(0xc0, int64(i)*perPicture, true, frame(i)), 184)
					case e.PID == pidVideo:
						s.picture(e.PID, i)
					case e.PID == pidAudio && e.Type == 0x0f:
						s.sound(e.PID, i)
					}
				}
			})
			w, err := watch(t, b, s.ends, 0)
			if !errors.Is(err, pull.ErrEnded) {
				t.Errorf("TS = %v, want %v", err, pull.ErrEnded)
			}
			var got []codecs.Codec
			for _, track := range w.tracks {
				got = append(got, track.Codec)
			}
			if !slices.Equal(got, tt.codecs) || !slices.Equal(w.leftOut(), tt.leftOut) {
				t.Errorf("tracks %v, left out %q; want %v, %q", got, w.leftOut(), tt.codecs, tt.leftOut)
			}
			if video := w.video; slices.Contains(tt.codecs, codecs.H264) && len(video) != n {
				t.Errorf("%d pictures, want %d", len(video), n)
			}
		})
	}
}

func TestScrambledStreamIsReported(t *testing.T) {
	const n, from = 150, 75
	packets := func(pids ...uint16) func([]byte) []byte {
		return func(b []byte) []byte {
			return mpegtstest.Each(b, func(_ int, pid uint16, p []byte) []byte {
				if slices.Contains(pids, pid) {
					p[3] |= 0xc0
				}
				return p
			})
		}
	}
	for _, tt := range []struct {
		name      string
		scramble  func([]byte) []byte
		until     int
		condition string
		video     int // pictures, two more or less
		audio     int
	}{
		{"everything, by packets", packets(pidVideo, pidAudio), n, "PID 256 (H.264) is scrambled", from, 140},
		{"pictures alone", packets(pidVideo), n, "PID 256 (H.264) is scrambled", from, 281},
		{"sound alone", packets(pidAudio), n, "PID 257 (AAC) is scrambled", n, 140},
		{"PES packets", func(b []byte) []byte {
			return mpegtstest.Each(b, func(_ int, pid uint16, p []byte) []byte {
				if i := bytes.Index(p, []byte{0, 0, 1, 0xe0}); pid == pidVideo && p[1]&0x40 != 0 && i >= 0 {
					p[i+6] |= 0x30
				}
				return p
			})
		}, n, "PID 256 (H.264) is scrambled", from, 281},
		{"for a while", packets(pidVideo, pidAudio), 100, "", n - 25, 235},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, b := plain(t, n/25)
			at, end := s.ends[from-1], s.ends[tt.until-1]
			b = slices.Concat(b[:at], tt.scramble(b[at:end]), b[end:])
			w, _ := watch(t, b, s.ends, 0)
			if got := w.Conditions[reception.Scrambled]; !strings.HasPrefix(got, tt.condition) || (got == "") != (tt.condition == "") {
				t.Errorf("condition %q, want %q", got, tt.condition)
			}
			video, audio := len(w.video), len(w.audio)
			if max(video-tt.video, tt.video-video) > 2 || max(audio-tt.audio, tt.audio-audio) > 5 {
				t.Errorf("%d pictures, %d sounds, want some %d and %d", video, audio, tt.video, tt.audio)
			}
			if n := w.Counts[reception.ContinuityErrors]; n != 0 {
				t.Errorf("%d continuity errors", n)
			}
		})
	}
}

func TestPacketsOfOtherSizesAreRead(t *testing.T) {
	const n = 100
	disc := func(i int, _ uint16, p []byte) []byte {
		return append([]byte{byte(i >> 14), byte(i >> 6), byte(i << 2), 1}, p...)
	}
	checked := func(_ int, _ uint16, p []byte) []byte { return append(p, bytes.Repeat([]byte{0xa5}, 16)...) }
	for _, tt := range []struct {
		name   string
		change func(int, uint16, []byte) []byte
		sound  byte // its stream type
	}{
		{"192 bytes", disc, 0x0f},
		{"192 bytes, and AAC in private data", disc, 6},
		{"204 bytes", checked, 0x0f},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSender(t, n/25)
			b := s.each([]mpegtstest.ES{esVideo, {Type: tt.sound, PID: pidAudio}}, func(i int) {
				s.picture(pidVideo, i)
				s.sound(pidAudio, i)
			})
			b = mpegtstest.Each(b, tt.change)
			w, err := watch(t, b, nil, 0)
			if video, audio := len(w.video), len(w.audio); !errors.Is(err, pull.ErrEnded) || video != n || audio < 185 {
				t.Errorf("TS = %v, %d pictures, %d sounds", err, video, audio)
			}
			name := "x.ts"
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := pull.OpenFile(dir, name, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if got := f.Clip.Length(); len(f.Clip.Tracks()) != 2 || got != n*perPicture {
				t.Errorf("the file has %d tracks and %d ticks, want 2 and %d", len(f.Clip.Tracks()), got, n*perPicture)
			}
		})
	}
}

func TestProgramIsChosen(t *testing.T) {
	const n = 100
	for _, tt := range []struct {
		name    string
		first   byte // the stream type of the pictures of program 10
		asked   int
		want    uint16 // the PID of the pictures, 0 for none
		says    string
		mangled bool // the packets of program 10 are scrambled
	}{
		{"the first", 0x1b, 0, 0x200, "", false},
		{"the second, since the first has MPEG-2 video", 2, 0, 0x210, "", false},
		{"the second, since the first is scrambled", 0x1b, 0, 0x210, "", true},
		{"the second, which is asked for", 0x1b, 20, 0x210, "", false},
		{"one that is not there", 0x1b, 30, 0, "[10 20]", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSender(t, n/25)
			for i := range s.video {
				if i%5 == 0 {
					s.Tables(0, s.Association(mpegtstest.Listed{Number: 10, PID: 0x30}, mpegtstest.Listed{Number: 20, PID: 0x30}))
					s.Tables(0x30, s.ProgramMap(10, mpegtstest.ES{Type: tt.first, PID: 0x200}), s.ProgramMap(20, mpegtstest.ES{Type: 0x1b, PID: 0x210}))
				}
				s.picture(0x200, i)
				s.picture(0x210, i)
				s.ends = append(s.ends, len(s.Out))
			}
			b := mpegtstest.Each(s.Out, func(_ int, pid uint16, p []byte) []byte {
				if tt.mangled && pid == 0x200 {
					p[3] |= 0x80
				}
				return p
			})
			w, err := watch(t, b, s.ends, tt.asked)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("TS = %v, want %q", err, tt.says)
			}
			switch video := w.video; {
			case tt.want == 0 && len(video) > 0:
				t.Errorf("%d pictures of a program that was not asked for", len(video))
			case tt.want != 0 && len(video) < n-55:
				t.Errorf("%d pictures, want most of %d", len(video), n)
			}
		})
	}
}

func TestTracksThatChangeReachTheWriter(t *testing.T) {
	const n, at = 150, 75
	for _, tt := range []struct {
		name   string
		before []mpegtstest.ES
		after  []mpegtstest.ES
		want   []int // how many tracks each announcement has
		audio  int   // frames, at least
	}{
		{"sound is added", []mpegtstest.ES{esVideo}, []mpegtstest.ES{esVideo, esAudio}, []int{1, 2}, 135},
		{"sound goes", []mpegtstest.ES{esVideo, esAudio}, []mpegtstest.ES{esVideo}, []int{2, 1}, 0},
		{"other PIDs", []mpegtstest.ES{esVideo, esAudio}, []mpegtstest.ES{{Type: 0x1b, PID: 0x200}, {Type: 0x0f, PID: 0x201}}, []int{2}, 275},
		{"AC-3 instead of AAC", []mpegtstest.ES{esVideo, esAudio}, []mpegtstest.ES{esVideo, {Type: 0x81, PID: pidAudio}}, []int{2, 2}, 70},
		{"E-AC-3 instead of AAC", []mpegtstest.ES{esVideo, esAudio}, []mpegtstest.ES{esVideo, {Type: 0x87, PID: pidAudio}}, []int{2, 1}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSender(t, n/25)
			for i := range s.video {
				list := tt.before
				if i >= at {
					list, s.Version = tt.after, 1
				}
				if i%5 == 0 {
					s.tables(list...)
				}
				for _, e := range list {
					switch e.Type {
					case 0x1b:
						s.picture(e.PID, i)
					case 0x0f:
						s.sound(e.PID, i)
					default:
						s.Split(e.PID, mpegtstest.PES(0xbd, int64(i)*perPicture, true, ac3Frame), 184)
					}
				}
				if len(list) == 1 {
					for ; s.sent*1920 < (i+1)*perPicture; s.sent++ {
					}
				}
				s.ends = append(s.ends, len(s.Out))
			}
			w, _ := watch(t, s.Out, s.ends, 0)
			var got []int
			for _, list := range w.changes {
				got = append(got, len(list))
			}
			video := w.video
			if !slices.Equal(got, tt.want) || len(video) != n || len(w.audio) < tt.audio {
				t.Errorf("announcements of %v tracks, %d pictures, %d sounds; want %v, %d, %d", got, len(video), len(w.audio), tt.want, n, tt.audio)
			}
			steady(t, video, perPicture)
		})
	}
}

func TestBreakOfTheTimeBaseIsAJumpHoweverSmall(t *testing.T) {
	for _, tt := range []struct {
		name  string
		told  bool
		jumps int // pictures that are marked
		far   bool
	}{
		{"three seconds, told", true, 1, false},
		{"three seconds, not told", false, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tracks, units := excerptOf(t, 4)
			e := mpegts.NewEncoder(0)
			b := e.Prologue(tracks)
			for i, au := range units {
				moved := *au
				if i >= len(units)/2 {
					moved.DTS += 3 * codecs.ClockRate
					moved.PTS += 3 * codecs.ClockRate
				}
				moved.Discontinuity = tt.told && i == len(units)/2
				b = append(b, e.Encode(&moved)...)
			}
			w := &watcher{}
			if err := pull.ReadTS(bytes.NewReader(b), 0, w, w); !errors.Is(err, pull.ErrEnded) {
				t.Fatal(err)
			}
			marked, far := 0, false
			for i, au := range w.video {
				if au.Discontinuity {
					marked++
				}
				far = far || i > 0 && au.DTS-w.video[i-1].DTS > codecs.ClockRate
			}
			if marked != tt.jumps || far != tt.far {
				t.Errorf("%d pictures marked, a hole: %t; want %d, %t", marked, far, tt.jumps, tt.far)
			}
		})
	}
}

// excerptOf is some seconds of the test pattern, of which half is before a random access point.
func excerptOf(t *testing.T, seconds int) (codecs.Tracks, []*codecs.AccessUnit) {
	t.Helper()
	p := must(fake.New(must(fake.Parse("size=320x180"))))
	units := must(linear.Excerpt(p, seconds))
	at := slices.IndexFunc(units, func(au *codecs.AccessUnit) bool { return au.RandomAccess && au.DTS > units[0].DTS })
	return p.Tracks(), units[:2*at]
}
