package elementary_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	oracle "github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/elementary"
	"weir/codecs/fake"
	"weir/codecs/h264"
	"weir/codecs/linear"
	"weir/codecs/nal"
	"weir/codecs/reception"
	"weir/codecs/timeline"
)

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

// A recorder keeps what a joiner gives out.
type recorder struct {
	tracks  []codecs.Tracks
	units   []*codecs.AccessUnit
	refuses error
}

func (r *recorder) SetTracks(t codecs.Tracks) { r.tracks = append(r.tracks, t) }

func (r *recorder) Write(au *codecs.AccessUnit) error {
	if len(r.tracks) == 0 {
		return errors.New("an access unit before the tracks")
	}
	r.units = append(r.units, au)
	return r.refuses
}

func (r *recorder) of(track int) (out []*codecs.AccessUnit) {
	for _, au := range r.units {
		if au.Track == track {
			out = append(out, au)
		}
	}
	return out
}

// picture is the distance of two pictures, and raw a stream as a container holds it: the parameter sets before each
// random access point, delimiters before each picture.
const picture = codecs.ClockRate / 25

type raw struct {
	dts, pts int64
	units    [][]byte
	random   bool
	payload  []byte
}

func pictures(t testing.TB, size string, n int) (sets [][]byte, track codecs.Track, out []raw) {
	t.Helper()
	c, err := fake.Parse("audio=none&size=" + size)
	if err != nil {
		t.Fatal(err)
	}
	p, err := fake.New(c)
	if err != nil {
		t.Fatal(err)
	}
	track = p.Tracks()[0]
	if sets, err = h264.Syntax.Carried(track.Config); err != nil {
		t.Fatal(err)
	}
	units, err := linear.Excerpt(p, n/25+1)
	if err != nil {
		t.Fatal(err)
	}
	for i, au := range units[:n] {
		r := raw{dts: int64(i) * picture, pts: int64(i) * picture, random: au.RandomAccess, payload: au.Payload}
		r.units = append(r.units, []byte{h264.TypeAUD, 0xf0})
		if au.RandomAccess {
			r.units = append(r.units, sets...)
		}
		for u := range nal.Units(au.Payload) {
			r.units = append(r.units, append(bytes.Clone(u), 0, 0)) // trailing zeros
		}
		out = append(out, r)
	}
	return sets, track, out
}

// lowAAC is an AudioSpecificConfig: AAC-LC, 48 kHz, stereo.
var lowAAC = []byte{0x11, 0x90}

func TestPicturesAndSoundBecomeOneStream(t *testing.T) {
	_, track, in := pictures(t, "640x360", 50)
	r := &recorder{}
	j := elementary.New(r, reception.Discard, 1<<33)
	a, err := j.Join(codecs.AAC, lowAAC)
	if err != nil {
		t.Fatal(err)
	}
	v, err := j.Join(codecs.H264, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range in {
		if err := a.Add(timeline.Presented(p.pts), []byte{1, byte(i)}, []byte{2, byte(i)}); err != nil {
			t.Fatal(err)
		}
		if err := v.Add(timeline.At(p.dts, p.pts), p.units...); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.tracks) != 1 || len(r.tracks[0]) != 2 || !r.tracks[0][0].Equal(track) || r.tracks[0][1].SampleRate != 48000 {
		t.Fatalf("tracks %+v, want the picture's and AAC, once", r.tracks)
	}
	video := r.of(0)
	if len(video) != len(in) {
		t.Fatalf("%d pictures, want %d", len(video), len(in))
	}
	for i, au := range video {
		if au.DTS != in[i].dts || au.RandomAccess != in[i].random || !bytes.Equal(au.Payload, in[i].payload) || au.Discontinuity {
			t.Fatalf("picture %d at %d, random access %t, %d bytes, discontinuity %t; want %d, %t, %d, false",
				i, au.DTS, au.RandomAccess, len(au.Payload), au.Discontinuity, in[i].dts, in[i].random, len(in[i].payload))
		}
	}
	for i, au := range r.of(1) {
		at := int64(i/2)*picture + int64(i%2)*1024*codecs.ClockRate/48000
		if au.DTS != at || au.RandomAccess {
			t.Errorf("sound %d at %d, random access %t, want %d, false", i, au.DTS, au.RandomAccess, at)
		}
	}
}

func TestTimestampsGoForwardOverWrapsAndJumps(t *testing.T) {
	const wrap = int64(1) << 33
	_, _, in := pictures(t, "640x360", 50)
	for _, tt := range []struct {
		name  string
		wrap  int64
		shift func(i int) int64 // what picture i is off
		jumps []int             // pictures that are marked
		last  int64             // from the first to the last
	}{
		{"as they are", wrap, func(int) int64 { return 5 }, nil, 49 * picture},
		{"over the end of 33 bits", wrap, func(int) int64 { return wrap - 10*picture }, nil, 49 * picture},
		{"back by an hour", wrap, func(i int) int64 {
			if i < 20 {
				return 3600 * codecs.ClockRate
			}
			return 0
		}, []int{21}, 49 * picture},
		{"ahead by a minute, without wraps", 0, func(i int) int64 {
			if i < 30 {
				return 0
			}
			return 60 * codecs.ClockRate
		}, []int{31}, 49 * picture},
		{"a pause of five seconds stays one", 0, func(i int) int64 {
			if i < 30 {
				return 0
			}
			return 5 * codecs.ClockRate
		}, nil, 49*picture + 5*codecs.ClockRate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{}
			j := elementary.New(r, reception.Discard, tt.wrap)
			v, _ := j.Join(codecs.H264, nil)
			for i, p := range in {
				dts := p.dts + tt.shift(i)
				if tt.wrap > 0 {
					dts &= wrap - 1
				}
				if err := v.Add(timeline.At(dts, dts), p.units...); err != nil {
					t.Fatal(err)
				}
			}
			var jumps []int
			for i, au := range r.units {
				if au.Discontinuity {
					jumps = append(jumps, i)
				}
				if i > 0 && au.DTS <= r.units[i-1].DTS {
					t.Fatalf("picture %d at %d follows %d", i, au.DTS, r.units[i-1].DTS)
				}
			}
			if got := r.units[len(r.units)-1].DTS - r.units[0].DTS; got != tt.last || !slices.Equal(jumps, tt.jumps) {
				t.Errorf("the last picture is %d after the first and %v are marked, want %d and %v", got, jumps, tt.last, tt.jumps)
			}
		})
	}
}

func TestNewParameterSetsAreANewTrack(t *testing.T) {
	_, small, first := pictures(t, "640x360", 25)
	_, large, second := pictures(t, "1280x720", 25)
	r := &recorder{}
	j := elementary.New(r, reception.Discard, 0)
	v, _ := j.Join(codecs.H264, nil)
	for i, p := range slices.Concat(first, second) {
		at := int64(i) * picture
		if err := v.Add(timeline.At(at, at), p.units...); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.tracks) != 2 || !r.tracks[0][0].Equal(small) || !r.tracks[1][0].Equal(large) {
		t.Errorf("tracks %+v, want those of both sizes, once each", r.tracks)
	}
	if len(r.units) != 50 {
		t.Errorf("%d pictures, want 50", len(r.units))
	}
}

func TestParameterSetsOfTheContainerWillDo(t *testing.T) {
	sets, track, in := pictures(t, "640x360", 5)
	r := &recorder{}
	j := elementary.New(r, reception.Discard, 0)
	v, _ := j.Join(codecs.H264, nil, append(sets, nil, []byte{0}, []byte{0x65, 1})...)
	for _, p := range in {
		if err := v.Add(timeline.At(p.dts, p.pts), p.units[len(p.units)-1]); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.tracks) != 1 || !r.tracks[0][0].Equal(track) || len(r.units) != 5 {
		t.Errorf("tracks %+v and %d pictures, want the track and 5", r.tracks, len(r.units))
	}
}

func TestVideoThatNobodyCanDecodeIsAnError(t *testing.T) {
	_, _, in := pictures(t, "640x360", 2)
	j := elementary.New(&recorder{}, reception.Discard, 0)
	v, _ := j.Join(codecs.H264, nil)
	var err error
	for i := int64(0); err == nil && i < 11*25; i++ {
		err = v.Add(timeline.At(i*picture, i*picture), in[1].units...)
	}
	if !errors.Is(err, elementary.ErrNoParameterSets) {
		t.Errorf("Add = %v after 10 s, want %v", err, elementary.ErrNoParameterSets)
	}
}

func TestSoundThatNeverComesIsNotWaitedForLong(t *testing.T) {
	_, _, in := pictures(t, "640x360", 100)
	r := &recorder{}
	j := elementary.New(r, reception.Discard, 0)
	v, _ := j.Join(codecs.H264, nil)
	a, _ := j.Join(codecs.MP3, nil)
	for _, p := range in {
		if err := v.Add(timeline.At(p.dts, p.pts), p.units...); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.tracks) != 1 || len(r.tracks[0]) != 1 || len(r.units) != 100 {
		t.Fatalf("tracks %+v and %d pictures, want video alone and 100", r.tracks, len(r.units))
	}
	if err := a.Add(timeline.Presented(4*codecs.ClockRate), mp3); err != nil {
		t.Fatal(err)
	}
	if len(r.tracks) != 2 || len(r.tracks[1]) != 2 || len(r.of(1)) != 1 {
		t.Errorf("tracks %+v and %d sounds, want both and one once it has come", r.tracks, len(r.of(1)))
	}
}

var (
	// mp3 begins as a frame of MPEG-1 layer III, 128 kbit/s, 44.1 kHz, stereo; mp2 as one of layer II.
	mp3 = append([]byte{0xff, 0xfb, 0x90, 0x00}, make([]byte, 413)...)
	mp2 = append([]byte{0xff, 0xfd, 0x90, 0x00}, make([]byte, 413)...)
	// ac3 begins as a frame of 48 kHz, 32 kbit/s, two channels.
	ac3 = append([]byte{0x0b, 0x77, 0, 0, 0x00, 0x40, 0x40}, make([]byte, 121)...)
	// opus is a packet of 20 ms.
	opus = []byte{0xfc, 1, 2, 3}
)

func TestFramesDescribeThemselves(t *testing.T) {
	for _, tt := range []struct {
		name   string
		add    func(*elementary.Joiner) (*elementary.Stream, error)
		frame  []byte
		want   codecs.Track
		second int64 // DTS of the second of two frames
	}{
		{
			"MP3", func(j *elementary.Joiner) (*elementary.Stream, error) { return j.Join(codecs.MP3, nil) }, mp3,
			codecs.Track{Codec: codecs.MP3, SampleRate: 44100, Channels: 2},
			1152 * codecs.ClockRate / 44100,
		},
		{
			"AC-3", func(j *elementary.Joiner) (*elementary.Stream, error) { return j.Join(codecs.AC3, nil) }, ac3,
			codecs.Track{Codec: codecs.AC3, SampleRate: 48000, Channels: 2},
			1536 * codecs.ClockRate / 48000,
		},
		{
			"Opus", func(j *elementary.Joiner) (*elementary.Stream, error) {
				return j.Join(codecs.Opus, must(carriage.OpusConfig(2)))
			}, opus,
			codecs.Track{Codec: codecs.Opus, SampleRate: 48000, Channels: 2, Config: []byte{0, 2, 0x0f, 0, 0, 0, 0xbb, 0x80, 0, 0, 0}},
			1800,
		},
	} {
		r := &recorder{}
		a, err := tt.add(elementary.New(r, reception.Discard, 0))
		if err != nil {
			t.Fatal(err)
		}
		damaged := []byte{1}
		if tt.want.Codec == codecs.Opus {
			damaged = []byte{3, 0} // no frames
		}
		if err := a.Add(timeline.Presented(0), tt.frame, nil, damaged, tt.frame); err != nil {
			t.Fatal(err)
		}
		if len(r.tracks) != 1 || !r.tracks[0].Equal(codecs.Tracks{tt.want}) {
			t.Errorf("%s: tracks %+v, want %+v", tt.name, r.tracks, tt.want)
		}
		if n := len(r.units); n != 2 || r.units[n-1].DTS != tt.second || !r.units[0].RandomAccess {
			t.Errorf("%s: %d frames, want two, the last at %d, and each a random access point", tt.name, n, tt.second)
		}
	}
}

func TestCodecThatIsNotCarriedIsNamed(t *testing.T) {
	var unsupported *codecs.UnsupportedError
	if _, err := elementary.New(nil, reception.Discard, 0).Join(codecs.AV1, nil); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "AV1") {
		t.Errorf("Join(AV1) = %v, want an error that names it", err)
	}
	a, err := elementary.New(&recorder{}, reception.Discard, 0).Join(codecs.MP3, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Add(timeline.Presented(0), mp2); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "layer 2") {
		t.Errorf("Add of layer II = %v, want an error that names it", err)
	}
	if _, err := carriage.OpusConfig(6); err == nil {
		t.Error("Opus with six channels is taken")
	}
}

func TestOneStreamOfAKind(t *testing.T) {
	j := elementary.New(&recorder{}, reception.Discard, 0)
	if _, err := j.Join(codecs.H264, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Join(codecs.H265, nil); err == nil {
		t.Error("a second video stream is taken")
	}
	if _, err := j.Join(codecs.AAC, lowAAC); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Join(codecs.AAC, lowAAC); err == nil {
		t.Error("a second audio stream is taken")
	}
}

// FuzzUnits gives arbitrary NAL units and frames to a joiner. Whatever comes out has whole payloads and timestamps that
// go forward.
func FuzzUnits(f *testing.F) {
	_, _, in := pictures(f, "640x360", 2)
	for _, p := range in {
		f.Add([]byte(nil), annexB(p.units), int64(0), false)
	}
	f.Add(mp3, []byte{0, 0, 1, 0x40, 1, 0, 0, 1, 0x26}, int64(1)<<33-1, true)
	f.Add(ac3, []byte{0, 0, 1, 0x67, 0x42}, int64(-5), false)
	f.Fuzz(func(t *testing.T, frame, stream []byte, at int64, hevc bool) {
		for _, wrap := range []int64{0, 1 << 33} {
			r := &recorder{}
			j := elementary.New(r, reception.Discard, wrap)
			codec := codecs.H264
			if hevc {
				codec = codecs.H265
			}
			v, _ := j.Join(codec, nil)
			kind := codecs.MP3
			if len(stream)%2 == 0 {
				kind = codecs.AC3
			}
			a, _ := j.Join(kind, nil)
			var units oracle.AnnexB
			_ = units.Unmarshal(stream)
			for i := range int64(4) {
				dts := (at>>2)*i/3 + i
				if v.Add(timeline.At(dts, dts+i), units...) != nil || a.Add(timeline.Presented(dts), frame, frame) != nil {
					break
				}
			}
			last := map[int]int64{}
			for _, au := range r.units {
				if before, any := last[au.Track]; any && au.DTS <= before {
					t.Fatalf("%d follows %d", au.DTS, before)
				}
				last[au.Track] = au.DTS
				tracks := r.tracks[len(r.tracks)-1]
				if au.Track >= len(tracks) || au.PTS < au.DTS {
					t.Fatalf("access unit of track %d of %d, PTS %d, DTS %d", au.Track, len(tracks), au.PTS, au.DTS)
				}
				if units, err := nal.Split(au.Payload, 4); tracks[au.Track].Codec.Video() && (err != nil || len(units) == 0) {
					t.Fatalf("payload %x is not whole", au.Payload)
				}
			}
		}
	})
}

func annexB(units [][]byte) (b []byte) {
	for _, u := range units {
		b = append(append(b, 0, 0, 1), u...)
	}
	return b
}

func TestStreamThatBringsNothingIsLeftOutUntilItDoes(t *testing.T) {
	_, track, in := pictures(t, "640x360", 75)
	for _, silent := range []codecs.Codec{codecs.AAC, codecs.Opus, codecs.MP3} {
		t.Run(silent.String(), func(t *testing.T) {
			r, report := &recorder{}, &reception.Record{}
			j := elementary.New(r, report, 1<<33)
			config := map[codecs.Codec][]byte{codecs.AAC: lowAAC, codecs.Opus: must(carriage.OpusConfig(2))}[silent]
			frame := map[codecs.Codec][]byte{codecs.AAC: {1, 2}, codecs.Opus: {0xfc, 1}, codecs.MP3: append([]byte{0xff, 0xfb, 0x90, 0xc0}, make([]byte, 413)...)}[silent]
			v, a := must(j.Join(codecs.H264, nil)), must(j.Join(silent, config))
			a.Name = "PID 257"
			for i, p := range in {
				if err := v.Add(timeline.At(p.dts, p.pts), p.units...); err != nil {
					t.Fatal(err)
				}
				if i == 24 && len(r.tracks) != 0 {
					t.Fatalf("tracks %v after 0.96 s, want the sound to be waited for", r.tracks)
				}
				if i == 25 && (len(r.tracks) != 1 || !r.tracks[0].Equal(codecs.Tracks{track}) || len(r.units) != 26) {
					t.Fatalf("tracks %v and %d pictures after a second, want the picture's alone and 26", r.tracks, len(r.units))
				}
				if l := report.LeftOut; i == 25 && (len(l) != 1 || l[0].Track != "PID 257" || l[0].Codec != silent.String()) {
					t.Errorf("left out %+v, want PID 257", l)
				}
				if i == 49 {
					if err := a.Add(timeline.Presented(p.pts), frame); err != nil {
						t.Fatal(err)
					}
				}
			}
			if n := len(r.tracks); n != 2 || len(r.tracks[1]) != 2 || len(r.of(1)) != 1 || len(r.of(0)) != len(in) {
				t.Errorf("tracks %v, %d pictures, %d sounds; want the sound to come later", r.tracks, len(r.of(0)), len(r.of(1)))
			}
			if len(report.LeftOut) > 0 {
				t.Errorf("left out %+v when all bring something", report.LeftOut)
			}
		})
	}
}

func TestPicturesThatNeverComeDoNotKeepSoundFromStarting(t *testing.T) {
	r := &recorder{}
	j := elementary.New(r, reception.Discard, 1<<33)
	_, a := must(j.Join(codecs.H264, nil)), must(j.Join(codecs.AAC, nil))
	if err := a.Configure(lowAAC); err != nil {
		t.Fatal(err)
	}
	for i := range int64(60) {
		if err := a.Add(timeline.Presented(i*1920), []byte{1, byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.tracks) != 1 || len(r.tracks[0]) != 1 || len(r.units) != 60 || !r.units[59].RandomAccess {
		t.Errorf("tracks %v, %d sounds after 1.3 s; want sound alone", r.tracks, len(r.units))
	}
}

func TestStreamGoesOnInThePlaceOfOneThatLeft(t *testing.T) {
	_, _, small := pictures(t, "320x180", 50)
	_, _, large := pictures(t, "640x360", 50)
	for _, tt := range []struct {
		name   string
		second codecs.Codec // of the sound that follows; 0 for none
		tracks int          // how often they are announced
		last   int          // how many there are at the end
	}{
		{"the same sound", codecs.AAC, 1, 2},
		{"another sound", codecs.Opus, 2, 2},
		{"no sound", 0, 2, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{}
			j := elementary.New(r, reception.Discard, 1<<33)
			v, a := must(j.Join(codecs.H264, nil)), must(j.Join(codecs.AAC, lowAAC))
			frame := []byte{1, 2}
			for i, p := range small {
				if i == 25 {
					j.Leave(a)
					if a = nil; tt.second != 0 {
						config := lowAAC
						if tt.second == codecs.Opus {
							config, frame = must(carriage.OpusConfig(2)), []byte{0xfc, 1}
						}
						a = must(j.Join(tt.second, config))
					}
				}
				if err := v.Add(timeline.At(p.dts, p.pts), p.units...); err != nil {
					t.Fatal(err)
				}
				if a == nil {
					continue
				}
				if err := a.Add(timeline.Presented(p.pts), frame); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(r.tracks); n != tt.tracks || len(r.tracks[n-1]) != tt.last || len(r.of(0)) != 50 {
				t.Errorf("tracks %v, %d pictures; want %d announcements, %d tracks at the end, 50 pictures", r.tracks, len(r.of(0)), tt.tracks, tt.last)
			}
		})
	}
	t.Run("other pictures", func(t *testing.T) {
		r := &recorder{}
		j := elementary.New(r, reception.Discard, 1<<33)
		v, a := must(j.Join(codecs.H264, nil)), must(j.Join(codecs.AAC, lowAAC))
		for i := range 50 {
			p := small[i]
			if i >= 25 {
				p.units = large[i-25].units
			}
			if i == 25 {
				j.Leave(v)
				v = must(j.Join(codecs.H264, nil))
			}
			if err := errors.Join(a.Add(timeline.Presented(p.pts), []byte{1, 2}), v.Add(timeline.At(p.dts, p.pts), p.units...)); err != nil {
				t.Fatal(err)
			}
		}
		if len(r.tracks) != 2 || len(r.tracks[1]) != 2 || r.tracks[1][0].Width != 640 || len(r.of(0)) != 50 || len(r.of(1)) != 50 {
			t.Errorf("tracks %v, %d pictures, %d sounds; want all, and a change of size", r.tracks, len(r.of(0)), len(r.of(1)))
		}
		for i, au := range r.of(0)[1:] {
			if d := au.DTS - r.of(0)[i].DTS; d != picture || au.Discontinuity {
				t.Fatalf("picture %d is %d ticks after the one before, discontinuity %t", i+1, d, au.Discontinuity)
			}
		}
	})
}
