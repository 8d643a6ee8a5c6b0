package node

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/linear"
	"weir/codecs/mpegts"
	"weir/protocols/api"
)

// A transmitter serves a transport stream of a picture of 320 × 180 and sound over HTTP, as it is made. Each access unit goes through
// edit, which is given the time since the beginning.
func transmitter(t *testing.T, edit func(at time.Duration, sound bool, packets []byte) []byte) (host string) {
	t.Helper()
	p, err := fake.New(fake.Config{Width: 320, Height: 180, Rate: 10, Audio: fake.Silence})
	if err != nil {
		t.Fatal(err)
	}
	units, err := linear.Excerpt(p, 30)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		base, began := units[0].DTS, time.Now()
		e := mpegts.NewEncoder(base)
		_, _ = w.Write(e.Prologue(p.Tracks()))
		for _, au := range units {
			at := time.Duration(au.DTS-base) * time.Second / codecs.ClockRate
			select {
			case <-time.After(time.Until(began.Add(at))):
			case <-r.Context().Done():
				return
			}
			if _, err := w.Write(edit(at, !p.Tracks()[au.Track].Codec.Video(), e.Encode(au))); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(s.CloseClientConnections)
	return strings.TrimPrefix(s.URL, "http://")
}

// inputs asks the API for the inputs of a stream.
func (n *Node) inputs(t *testing.T, stream string) []api.Input {
	t.Helper()
	res, err := http.Get("http://" + n.httpAddr() + "/streamer/api/v3/streams/" + stream)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var s api.Stream
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		t.Fatalf("%s: %v", res.Status, err)
	}
	return s.Inputs
}

func TestTrackThatIsAnnouncedAndComesLateIsLeftOutUntilThen(t *testing.T) {
	t.Parallel()
	host := transmitter(t, func(at time.Duration, sound bool, b []byte) []byte {
		if sound && at < 4*time.Second {
			return nil
		}
		return b
	})
	n := lone(t, "stream cam { input tshttp://"+host+"/x; }")
	within(t, "the pictures are played, and the sound is named", func() error {
		in := n.inputs(t, "cam")
		if len(in) != 1 || in[0].State != "running" || in[0].Reason == "" || len(in[0].TracksLeftOut) != 1 ||
			in[0].TracksLeftOut[0].Codec != "AAC" || !strings.HasPrefix(in[0].TracksLeftOut[0].Track, "PID ") {
			return fmt.Errorf("inputs %+v", in)
		}
		return nil
	})
	within(t, "the sound is added, and all is well", func() error {
		in := n.inputs(t, "cam")
		if in[0].State != "running" || in[0].Reason != "" || len(in[0].TracksLeftOut) != 0 {
			return fmt.Errorf("inputs %+v", in)
		}
		return nil
	})
	if in := n.inputs(t, "cam"); in[0].Bytes == 0 || in[0].Restarts != 0 || in[0].Counters.ContinuityErrors != 0 {
		t.Errorf("inputs %+v, want bytes, and no failures", in)
	}
}

func TestScrambledInputSaysSoAndGivesWayToTheNext(t *testing.T) {
	t.Parallel()
	host := transmitter(t, func(at time.Duration, sound bool, b []byte) []byte {
		for p := range slices.Chunk(b, 188) {
			if pid := int(p[1]&0x1f)<<8 | int(p[2]); at > 2*time.Second && pid >= 0x100 && pid != 0x1000 && p[3]&0x10 != 0 {
				p[3] |= 0x80 // transport_scrambling_control (ISO/IEC 13818-1, 2.4.3.3)
				for i := 4; i < len(p) && p[3]&0x20 == 0; i++ {
					p[i] ^= 0x5a
				}
			}
		}
		return b
	})
	n := lone(t, "stream cam { input tshttp://"+host+"/x source_timeout=3; input fake://pattern; }")
	for _, state := range []string{"running", "scrambled"} {
		within(t, "the input is "+state, func() error {
			if in := n.inputs(t, "cam"); in[0].State != state || (state == "running") != (in[0].Reason == "") {
				return fmt.Errorf("inputs %+v", in)
			}
			return nil
		})
	}
	within(t, "the next input takes over", func() error {
		if in := n.inputs(t, "cam"); !in[1].Active || !strings.Contains(in[0].Error, "scrambled") {
			return fmt.Errorf("inputs %+v", in)
		}
		return nil
	})
}
