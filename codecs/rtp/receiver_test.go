package rtp

import (
	"encoding/binary"
	"testing"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/fake"
	"weir/codecs/nal"
	"weir/codecs/reception"
	"weir/codecs/sdp"
)

// A taker keeps what is received.
type taker struct {
	tracks codecs.Tracks
	units  []*codecs.AccessUnit
}

func (k *taker) SetTracks(t codecs.Tracks) { k.tracks = t }

func (k *taker) Write(au *codecs.AccessUnit) error {
	k.units = append(k.units, au)
	return nil
}

// receive makes receivers of all media of a description that can be carried.
func receive(description string, out codecs.Writer, report reception.Report) (list []*Receiver) {
	j := elementary.New(out, report, 0)
	var s Session
	for _, m := range sdp.Parse([]byte(description)).Media {
		for i := range m.Formats {
			in, err := Unpack(&m.Formats[i])
			if err != nil {
				continue
			}
			stream, err := j.Join(in.Codec, in.Config, in.Sets...)
			if err != nil {
				continue
			}
			r := s.Receive(in, stream, report)
			r.PayloadType = m.Formats[i].PayloadType
			list = append(list, r)
			break
		}
	}
	return list
}

const pictureAndSound = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/48000/2\na=fmtp:97 config=1190\n"

// packed are the packets of a few seconds of the test pattern, by medium, and the reports before them.
func packed(t testing.TB, seconds int) (packets [2][][]byte, reports [2][][]byte) {
	t.Helper()
	pattern, err := fake.New(fake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := packetizer(pattern.Tracks())
	units, err := pattern.Segment(440_000_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, au := range units {
		if au.DTS-units[0].DTS > int64(seconds)*codecs.ClockRate {
			break
		}
		medium, list, rs, err := p.Pack(au)
		if err != nil {
			t.Fatal(err)
		}
		for m, r := range rs {
			reports[m] = append(reports[m], r)
		}
		for _, packet := range list {
			b, err := packet.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			packets[medium] = append(packets[medium], b)
		}
	}
	return packets, reports
}

// Sound that a server begins to send two seconds late lies where the sender's reports put it; without any, where it arrives.
func TestSoundLiesWhereTheReportsOfTheSenderPutIt(t *testing.T) {
	const late = 3 * codecs.ClockRate // a second of pictures, and two until the sound
	for _, tt := range []struct {
		name     string
		reports  bool
		ntp      func(ntp uint64, medium int) uint64
		from, to int64 // how far the first sound is behind the first picture, in ticks
	}{
		{"reports", true, func(n uint64, _ int) uint64 { return n }, -9000, 9000},
		{"no reports", false, nil, late - 9000, late + 9000},
		{"reports of clocks that are hours apart", true, func(n uint64, m int) uint64 { return n + uint64(m)*7200<<32 }, late - 9000, late + 9000},
		{"reports without a clock", true, func(uint64, int) uint64 { return 0 }, late - 9000, late + 9000},
	} {
		packets, reports := packed(t, 1)
		k := &taker{}
		media := receive(pictureAndSound, k, reception.Discard)
		for m := range media {
			if tt.reports {
				r := reports[m][0]
				binary.BigEndian.PutUint64(r[8:], tt.ntp(binary.BigEndian.Uint64(r[8:]), m))
				media[m].Control(r, 0)
			}
		}
		for i, medium := range []int{0, 1} { // the pictures in one go, the sound two seconds later
			for _, b := range packets[medium] {
				if err := media[medium].Take(b, int64(i)*2*codecs.ClockRate); err != nil {
					t.Fatal(err)
				}
			}
		}
		var first [2]int64
		for i := len(k.units) - 1; i >= 0; i-- {
			first[k.units[i].Track] = k.units[i].DTS
		}
		if off := first[1] - first[0]; len(k.tracks) != 2 || off < tt.from || off > tt.to {
			t.Errorf("%s: the first of %d tracks' sound is %d ticks behind the picture, want %d to %d", tt.name, len(k.tracks), off, tt.from, tt.to)
		}
	}
}

// Another source, whose timestamps have nothing to do with those before, goes on when it arrives.
func TestAnotherSourceLiesWhereItArrives(t *testing.T) {
	packets, _ := packed(t, 2)
	k := &taker{}
	r := receive(pictureAndSound[:50], k, reception.Discard)[0]
	half := len(packets[0]) / 2
	for half > 0 && packets[0][half-1][1]&0x80 == 0 { // between two pictures
		half++
	}
	now := int64(0)
	for i, b := range packets[0] {
		if i == half {
			now += 5 * codecs.ClockRate
		}
		if i >= half {
			b[8]++
			binary.BigEndian.PutUint32(b[4:], binary.BigEndian.Uint32(b[4:])+1<<31+12345)
		}
		if err := r.Take(b, now); err != nil {
			t.Fatal(err)
		}
	}
	longest := int64(0)
	for i := 1; i < len(k.units); i++ {
		longest = max(longest, k.units[i].DTS-k.units[i-1].DTS)
	}
	if want := int64(5 * codecs.ClockRate); longest < want-9000 || longest > want+9000 {
		t.Errorf("the other source is %d ticks behind the one before, want %d", longest, want)
	}
}

func TestReceiverReportsSayWhatWasLost(t *testing.T) {
	packets, reports := packed(t, 1)
	media := receive(pictureAndSound, &taker{}, reception.Discard)
	r := media[0]
	if b := r.Report(0); b != nil {
		t.Errorf("a report before the first packet: %x", b)
	}
	r.Control(reports[0][0], 0)
	for i, b := range packets[0][:40] {
		if i%4 != 3 {
			if err := r.Take(b, int64(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := r.Report(codecs.ClockRate)
	if len(b) != 32 || b[1] != 201 {
		t.Fatalf("report %x, want a receiver report with one block", b)
	}
	lost, fraction := int(binary.BigEndian.Uint32(b[12:])&0xffffff), int(b[12])
	if lost != 9 || fraction != 256*9/39 {
		t.Errorf("%d packets lost, %d of 256, want 9 and %d", lost, fraction, 256*9/39)
	}
	if delay := binary.BigEndian.Uint32(b[28:]); delay != 65536 {
		t.Errorf("the report came %d/65536 s ago, want 1 s", delay)
	}
}

func TestDatagramsComeIntoOrder(t *testing.T) {
	for _, tt := range []struct {
		name     string
		in, want []int
	}{
		{"in order", []int{1, 2, 3}, []int{1, 2, 3}},
		{"swapped", []int{1, 3, 2, 4}, []int{1, 2, 3, 4}},
		{"twice", []int{1, 2, 2, 1, 3}, []int{1, 2, 3}},
		{"over the wrap", []int{65534, 0, 65535, 1}, []int{65534, 65535, 0, 1}},
		{"a gap that is too long to wait for", []int{1, 500, 501}, []int{1, 500, 501}},
		{"another start", []int{5000, 5001, 20, 21}, []int{5000, 5001, 20, 21}},
	} {
		var o Reorderer
		var got []int
		for _, n := range tt.in {
			b := make([]byte, 12)
			binary.BigEndian.PutUint16(b[2:], uint16(n))
			for _, due := range o.Push(b) {
				got = append(got, int(binary.BigEndian.Uint16(due[2:])))
			}
		}
		if len(got) != len(tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
			continue
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
				break
			}
		}
	}
	var o Reorderer // one that never comes is waited for until enough others have
	due := 0
	for n := range uint16(60) {
		b := make([]byte, 12)
		binary.BigEndian.PutUint16(b[2:], n)
		if n != 10 {
			due += len(o.Push(b))
		}
	}
	if due != 59 {
		t.Errorf("%d packets of 59 are due, want all once the missing one is given up", due)
	}
}

// FuzzReceive gives a description, and packets cut from bytes, to receivers. What comes out has whole payloads and times that rise.
func FuzzReceive(f *testing.F) {
	packets, reports := packed(f, 1)
	var all []byte
	add := func(medium byte, b []byte) {
		all = append(binary.BigEndian.AppendUint16(append(all, medium), uint16(len(b))), b...)
	}
	add(2, reports[0][0])
	for i, b := range packets[0][:3] {
		add(0, b)
		add(1, packets[1][i])
	}
	f.Add(pictureAndSound, all)
	f.Add("m=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\na=fmtp:96 sprop-max-don-diff=2\nm=audio 0 RTP/AVP 14\n", all)
	f.Fuzz(func(t *testing.T, description string, in []byte) {
		k := &taker{}
		media := receive(description, k, &reception.Record{})
		for now := int64(0); len(in) > 3 && len(media) > 0; now += 900 {
			m, n := int(in[0]), min(int(binary.BigEndian.Uint16(in[1:])), len(in)-3)
			b := in[3 : 3+n : 3+n]
			in = in[3+n:]
			r := media[m%len(media)]
			if m&2 != 0 {
				r.Control(b, now)
				continue
			}
			if r.Take(b, now) != nil {
				break
			}
			r.Report(now)
		}
		last := map[int]int64{}
		for _, au := range k.units {
			if before, any := last[au.Track]; any && au.DTS <= before || au.PTS < au.DTS {
				t.Fatalf("DTS %d, PTS %d follow %d", au.DTS, au.PTS, before)
			}
			last[au.Track] = au.DTS
			if c := k.tracks[au.Track].Codec; carriage.Of(c).NAL != nil {
				if units, err := nal.Split(au.Payload, 4); err != nil || len(units) == 0 {
					t.Fatalf("payload %x is not whole", au.Payload)
				}
			}
		}
	})
}
