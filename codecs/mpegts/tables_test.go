package mpegts_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"weir/codecs/bytestream"
	"weir/codecs/mpegts"
	"weir/codecs/mpegts/mpegtstest"
)

// nothing takes everything and keeps nothing.
type nothing struct{}

func (nothing) Streams([]*mpegts.Stream)                    {}
func (nothing) Unit(*mpegts.Stream, *bytestream.Unit) error { return nil }
func (nothing) Scrambled(_ *mpegts.Stream, _ bool)          {}

// A programme is what a program of a multiplex brings.
type programme struct {
	number       int
	table        uint16
	kind         byte // of its pictures
	video, audio uint16
	scrambled    bool
	silent       bool
	late         int // pictures before its table comes
}

// broadcast sends a number of pictures and as many frames of each program.
func broadcast(t testing.TB, n int, list ...programme) []byte {
	m := &mpegtstest.Multiplex{}
	video, audio := coded(t, (n+24)/25, 0), coded(t, (n+24)/25, 1)
	var programs []mpegtstest.Listed
	for _, p := range list {
		programs = append(programs, mpegtstest.Listed{Number: p.number, PID: p.table})
	}
	send := func(p programme, pid uint16, packet []byte) {
		from := len(m.Out)
		m.Split(pid, packet, 184)
		for i := from; p.scrambled && i < len(m.Out); i += 188 {
			m.Out[i+3] |= 0x80
		}
	}
	for i := range n {
		if i%10 == 0 {
			m.Tables(0, m.Association(programs...))
			tables := map[uint16][][]byte{}
			for _, p := range list {
				if i >= p.late {
					tables[p.table] = append(tables[p.table], m.ProgramMap(p.number, mpegtstest.ES{Type: p.kind, PID: p.video}, mpegtstest.ES{Type: 0x0f, PID: p.audio}))
				}
			}
			for pid, sections := range tables {
				m.Tables(pid, sections...)
			}
		}
		for _, p := range list {
			if !p.silent {
				send(p, p.video, mpegtstest.PES(0xe0, int64(i)*3600, false, video[i]))
				send(p, p.audio, mpegtstest.PES(0xc0, int64(i)*3600, true, audio[i]))
			}
		}
	}
	return m.Out
}

func TestFirstProgramThatCanBePlayedIsRead(t *testing.T) {
	const n = 75
	first := programme{number: 10, table: 0x30, kind: 0x1b, video: 0x200, audio: 0x201}
	second := programme{number: 20, table: 0x30, kind: 0x1b, video: 0x210, audio: 0x211}
	with := func(p programme, change func(*programme)) programme {
		change(&p)
		return p
	}
	mpeg2 := func(p *programme) { p.kind = 2 }
	scrambled := func(p *programme) { p.scrambled = true }
	silent := func(p *programme) { p.silent = true }
	absent := func(p *programme) { p.late = 1000 }
	elsewhere := func(p *programme) { p.table = 0x31 }
	for _, tt := range []struct {
		name  string
		asked int
		list  []programme
		want  int
		least int // pictures
	}{
		{"one", 0, []programme{first}, 10, n},
		{"two on one PID", 0, []programme{first, second}, 10, n},
		{"two on two PIDs", 0, []programme{first, with(second, elsewhere)}, 10, n},
		{"the second is asked for", 20, []programme{first, second}, 20, n},
		{"a third is asked for", 30, []programme{first, second}, 0, 0},
		{"the first has MPEG-2 video", 0, []programme{with(first, mpeg2), second}, 20, n},
		{"the first is scrambled", 0, []programme{with(first, scrambled), second}, 20, n - 27},
		{"the first is silent", 0, []programme{with(first, silent), second}, 20, n - 27},
		{"the first has no table", 0, []programme{with(first, absent), with(second, elsewhere)}, 20, n - 27},
		{"the first has its table late", 0, []programme{with(first, func(p *programme) { p.late = 20 }), with(second, elsewhere)}, 10, n - 20},
		{"the scrambled one is asked for", 10, []programme{with(first, scrambled), second}, 10, 0},
		{"both have MPEG-2 video", 0, []programme{with(first, mpeg2), with(second, mpeg2)}, 10, 0},
		{"alone and scrambled", 0, []programme{with(first, scrambled)}, 10, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, d := read(t, broadcast(t, n, tt.list...), tt.asked, 1000)
			if d.Program() != tt.want || len(d.Programs()) != len(tt.list) {
				t.Fatalf("program %d of %v, want %d", d.Program(), d.Programs(), tt.want)
			}
			for _, p := range tt.list {
				got := len(k.units[p.video])
				if p.number != tt.want && got+len(k.units[p.audio]) > 0 {
					t.Errorf("%d pictures of program %d", got, p.number)
				}
				if p.number == tt.want && got < tt.least {
					t.Errorf("%d pictures, want at least %d", got, tt.least)
				}
			}
		})
	}
}

// tabled are streams whose tables are unusual or change.
var tabled = []stream{
	{name: "tables over many packets", make: func(t testing.TB) []byte {
		return tableStream(t, func(m *mpegtstest.Multiplex, pid uint16, s []byte) { m.Split(pid, append([]byte{0}, s...), 7) })
	}},
	{name: "tables behind a pointer", make: func(t testing.TB) []byte {
		return tableStream(t, func(m *mpegtstest.Multiplex, pid uint16, s []byte) {
			m.Packet(pid, true, append(append([]byte{50}, bytes.Repeat([]byte{0x5a}, 50)...), s...))
		})
	}},
	{name: "a table that begins in the packet in which another ends", make: func(t testing.TB) []byte {
		return tableStream(t, func(m *mpegtstest.Multiplex, pid uint16, s []byte) {
			other := m.Section(0x42, 7, 0, 0, bytes.Repeat([]byte{9}, 200))
			m.Packet(pid, true, append([]byte{0}, other[:150]...))
			m.Packet(pid, true, append(append([]byte{byte(len(other) - 150)}, other[150:]...), s[:10]...))
			m.Packet(pid, false, append(bytes.Clone(s[10:]), bytes.Repeat([]byte{0xff}, 30)...))
		})
	}},
	{name: "a table that ends in the packet in which another begins", make: func(t testing.TB) []byte {
		return tableStream(t, func(m *mpegtstest.Multiplex, pid uint16, s []byte) {
			m.Packet(pid, true, append([]byte{0}, s[:9]...))
			rest := append([]byte{byte(len(s) - 9)}, s[9:]...)
			m.Packet(pid, true, append(rest, m.Section(0x42, 7, 0, 0, []byte{1, 2, 3})...))
		})
	}},
	{name: "several sections in a packet", make: func(t testing.TB) []byte {
		return tableStream(t, func(m *mpegtstest.Multiplex, pid uint16, s []byte) {
			b := append([]byte{0}, m.Section(0x42, 7, 0, 0, []byte{1, 2, 3})...)
			m.Packet(pid, true, append(append(b, s...), bytes.Repeat([]byte{0xff}, 10)...))
		})
	}},
	{name: "a list of programs in two sections", make: func(t testing.TB) []byte {
		return tableStream(t, func(m *mpegtstest.Multiplex, pid uint16, s []byte) {
			if pid != 0 {
				m.Tables(pid, s)
				return
			}
			m.Tables(pid, m.Section(0, 1, 0, 1, []byte{0, 9, 0xe0, 0x99}), m.Section(0, 1, 1, 1, s[8:len(s)-4]))
		})
	}},
}

// tableStream is three seconds of a program whose tables are sent by a function, each second.
func tableStream(t testing.TB, send func(m *mpegtstest.Multiplex, pid uint16, section []byte)) []byte {
	m := &mpegtstest.Multiplex{}
	video, audio := coded(t, seconds, 0), coded(t, seconds, 1)
	for i, v := range video {
		if i%25 == 0 {
			send(m, 0, m.Association(mpegtstest.Listed{Number: 1, PID: table}))
			send(m, table, m.ProgramMap(1, mpegtstest.ES{Type: 0x1b, PID: pictures}, mpegtstest.ES{Type: 0x0f, PID: sound}))
		}
		m.Split(pictures, mpegtstest.PES(0xe0, int64(i)*3600, false, v), 184)
		m.Split(sound, mpegtstest.PES(0xc0, int64(i)*3600, true, audio[i]), 184)
	}
	return m.Out
}

func TestTablesAreReadHoweverTheyAreSent(t *testing.T) {
	for _, tt := range tabled {
		t.Run(tt.name, func(t *testing.T) {
			k, d := read(t, tt.make(t), 0, 1000)
			want := seconds * 25
			if tt.name == "a list of programs in two sections" {
				want -= 27 // the program without a table is waited for
			}
			if got := len(k.units[pictures]); got < want || len(k.units[sound]) < want || d.Program() != 1 {
				t.Errorf("program %d, %d pictures, %d sounds, want %d: %+v", d.Program(), got, len(k.units[sound]), want, d.Counters())
			}
			if c := d.Counters(); c.BadSections != 0 || c.ContinuityErrors != 0 {
				t.Errorf("counted %+v", c)
			}
		})
	}
}

func TestStreamsComeGoAndMove(t *testing.T) {
	const n = 25 // pictures between two changes
	video, audio := coded(t, 4, 0), coded(t, 4, 1)
	m := &mpegtstest.Multiplex{}
	steps := []struct {
		list []mpegtstest.ES
		want []string
	}{
		{[]mpegtstest.ES{{Type: 0x1b, PID: 0x100}}, []string{"256 H.264"}},
		{[]mpegtstest.ES{{Type: 0x1b, PID: 0x100}, {Type: 0x0f, PID: 0x101}}, []string{"256 H.264", "257 AAC"}},
		{[]mpegtstest.ES{{Type: 0x1b, PID: 0x200}, {Type: 0x0f, PID: 0x101, Descriptors: "\x05\x04none"}}, []string{"512 H.264", "257 AAC"}},
		{[]mpegtstest.ES{{Type: 0x0f, PID: 0x101}, {Type: 0x86, PID: 0x105}}, []string{"257 AAC", "261 SCTE-35 splice information"}},
	}
	for step, s := range steps {
		m.Version = byte(step / 2) // some senders forget to count
		m.Tables(0, m.Association(mpegtstest.Listed{Number: 1, PID: table}))
		m.Tables(table, m.ProgramMap(1, s.list...))
		for i := range n {
			at := step*n + i
			for _, e := range s.list {
				switch e.Type {
				case 0x1b:
					m.Split(e.PID, mpegtstest.PES(0xe0, int64(at)*3600, false, video[at]), 184)
				case 0x0f:
					m.Split(e.PID, mpegtstest.PES(0xc0, int64(at)*3600, true, audio[at]), 184)
				}
			}
		}
	}
	k, d := read(t, m.Out, 0, 1000)
	if len(k.lists) != len(steps) {
		t.Fatalf("%d lists of streams, want %d", len(k.lists), len(steps))
	}
	for i, s := range steps {
		var got []string
		for _, e := range k.lists[i] {
			got = append(got, fmt.Sprintf("%d %s", e.PID, e.Name))
		}
		if !slices.Equal(got, s.want) {
			t.Errorf("list %d = %q, want %q", i, got, s.want)
		}
	}
	if k.lists[1][0] != k.lists[0][0] || k.lists[2][1] != k.lists[1][1] {
		t.Error("a stream that goes on has another pointer")
	}
	if a, b, c := len(k.units[0x100]), len(k.units[0x200]), len(k.units[0x101]); a != 2*n || b != n || c != 3*n || d.Counters().Damaged != 0 {
		t.Errorf("%d and %d pictures, %d sounds, %d damaged; want %d, %d, %d, 0", a, b, c, d.Counters().Damaged, 2*n, n, 3*n)
	}
}

func TestWhatTablesSayIsNamed(t *testing.T) {
	for _, tt := range []struct {
		kind       byte
		descriptor string
		name       string
		medium     mpegts.Kind
		carried    bool
	}{
		{0x02, "", "MPEG-2 video", mpegts.Video, false},
		{0x1b, "", "H.264", mpegts.Video, true},
		{0x24, "", "H.265", mpegts.Video, true},
		{0x33, "", "H.266", mpegts.Video, false},
		{0x06, "\x05\x04HEVC", "H.265", mpegts.Video, true},
		{0x06, "\x05\x04AV01", "AV1", mpegts.Video, false},
		{0x03, "", "MPEG audio", mpegts.Audio, true},
		{0x0f, "\x0a\x04deu\x00", "AAC", mpegts.Audio, true},
		{0x11, "", "AAC in LATM", mpegts.Audio, true},
		{0x81, "", "AC-3", mpegts.Audio, true},
		{0x06, "\x6a\x01\x00", "AC-3", mpegts.Audio, true},
		{0x06, "\x05\x04AC-3", "AC-3", mpegts.Audio, true},
		{0x06, "\x7a\x01\x00", "E-AC-3", mpegts.Audio, false},
		{0x87, "", "E-AC-3", mpegts.Audio, false},
		{0x06, "\x05\x04Opus\x7f\x02\x80\x02", "Opus", mpegts.Audio, true},
		{0x06, "\x05\x04Opus", "Opus", mpegts.Audio, true},
		{0x06, "\x05\x04Opus\x7f\x02\x80\x06", "found Opus with 6 channels, expected one or two", mpegts.Audio, false},
		{0x06, "\x56\x00", "teletext", mpegts.Data, false},
		{0x06, "\x59\x08deu\x10\x00\x01\x00\x01", "DVB subtitles", mpegts.Data, false},
		{0x06, "\x05\x04KLVA", "KLV metadata", mpegts.Data, false},
		{0x06, "\x05\xffbroken", "private data", mpegts.Data, false},
		{0x86, "", "SCTE-35 splice information", mpegts.Data, false},
		{0x99, "", "stream type 0x99", mpegts.Data, false},
		{0xdb, "", "encrypted H.264 (SAMPLE-AES)", mpegts.Video, false},
	} {
		m := &mpegtstest.Multiplex{}
		m.Tables(0, m.Association(mpegtstest.Listed{Number: 1, PID: table}))
		m.Tables(table, m.ProgramMap(1, mpegtstest.ES{Type: tt.kind, PID: 0x100, Descriptors: tt.descriptor}))
		k, _ := read(t, m.Out, 0, 188)
		if len(k.lists) != 1 || len(k.lists[0]) != 1 {
			t.Fatalf("%#x: lists %v", tt.kind, k.lists)
		}
		s := k.lists[0][0]
		if s.Name != tt.name || s.Kind != tt.medium || (s.Form != 0) != tt.carried {
			t.Errorf("type %#x, descriptors %q: %q of kind %d, form %d; want %q, %d, carried: %t", tt.kind, tt.descriptor, s.Name, s.Kind, s.Form, tt.name, tt.medium, tt.carried)
		}
		if tt.kind == 0x0f && s.Language != "deu" {
			t.Errorf("language %q, want deu", s.Language)
		}
	}
}

func TestSoundInPrivateDataIsFound(t *testing.T) {
	video, audio := coded(t, 2, 0), coded(t, 2, 1)
	m := &mpegtstest.Multiplex{}
	for i, v := range video {
		m.Version = byte(i / 25)
		if i%25 == 0 {
			m.Tables(0, m.Association(mpegtstest.Listed{Number: 1, PID: table}))
			m.Tables(table, m.ProgramMap(1, mpegtstest.ES{Type: 0x1b, PID: pictures}, mpegtstest.ES{Type: 0x06, PID: sound}))
		}
		m.Split(pictures, mpegtstest.PES(0xe0, int64(i)*3600, false, v), 184)
		m.Split(sound, mpegtstest.PES(0xbd, int64(i)*3600, true, slices.Concat(audio[2*i%90], audio[2*i%90+1])), 184)
	}
	k, _ := read(t, m.Out, 0, 1000)
	if n := len(k.lists); n != 2 || k.lists[0][1].Form != 0 || k.lists[1][1].Name != "AAC" {
		t.Fatalf("%d lists of streams, want a second one with AAC", n)
	}
	if got := k.units[sound]; len(got) != 100 || !got[0].Timed || got[0].PTS != 0 {
		t.Errorf("%d frames, want 100", len(got))
	}
}
