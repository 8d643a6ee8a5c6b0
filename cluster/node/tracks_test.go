package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/codecs"
	"weir/codecs/fake"
	"weir/codecs/flv"
	"weir/codecs/linear"
	"weir/protocols"
	"weir/protocols/rtmp"
)

// publishChanges publishes test patterns one after the other on one connection, each for so long as units of it are given, with
// timestamps that go on.
func publishChanges(t *testing.T, addr, stream string, each time.Duration, patterns ...fake.Config) {
	t.Helper()
	c, err := rtmp.Dial(t.Context(), "rtmp://"+addr+"/live/"+stream, rtmp.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Publish(); err != nil {
		t.Fatal(err)
	}
	var tags []flv.Tag
	m := flv.NewMuxer(0)
	for i, pattern := range patterns {
		p, err := fake.New(pattern)
		if err != nil {
			t.Fatal(err)
		}
		units, err := linear.Excerpt(p, int(each/time.Second))
		if err != nil {
			t.Fatal(err)
		}
		start := codecs.Ticks(int64(i)*each.Milliseconds(), 1000)
		for _, tag := range m.SetTracks(p.Tracks()) {
			tag.Timestamp = uint32(int64(i) * each.Milliseconds())
			tags = append(tags, tag)
		}
		for _, au := range units {
			moved := *au
			moved.DTS, moved.PTS = au.DTS-units[0].DTS+start, au.PTS-units[0].DTS+start
			if h, ok := m.Head(&moved); ok && moved.DTS < start+codecs.Ticks(each.Milliseconds(), 1000) {
				tags = append(tags, flv.Tag{Type: h.Type, Timestamp: h.Timestamp, Body: slices.Concat(h.Bytes(), au.Payload)})
			}
		}
	}
	began := time.Now()
	go func() {
		for _, tag := range tags {
			select {
			case <-time.After(time.Until(began.Add(time.Duration(tag.Timestamp) * time.Millisecond))):
			case <-t.Context().Done():
				return
			}
			if c.WriteTag(tag) != nil {
				return
			}
		}
	}()
	go func() { _ = c.Drain() }()
}

// A change of the size of the pictures in mid-stream reaches viewers of every protocol without an end; sound that is added does too, where
// the protocol can say so: a session of RTSP is set up for its media, and ends.
func TestChangesInMidStreamReachViewersOfEveryProtocol(t *testing.T) {
	t.Parallel()
	n := lone(t, "rtsp 127.0.0.1:0;\ntemplate live { prefix live; input publish://; }")
	at := addresses{n.httpAddr(), n.rtmpAddr(), n.Addresses()["rtsp"][0]}
	publishChanges(t, n.rtmpAddr(), "x", 5*time.Second,
		fake.Config{Width: 256, Height: 144, Rate: 10, GOP: 5, Audio: fake.None},
		fake.Config{Width: 320, Height: 180, Rate: 10, GOP: 5, Audio: fake.None},
		fake.Config{Width: 320, Height: 180, Rate: 10, GOP: 5, Audio: fake.Silence})
	within(t, "the stream is there", func() error {
		if width, code := plainPlay(t, at.rtmp, "live", "x"); width != 256 {
			return fmt.Errorf("a picture %d wide, %q", width, code)
		}
		return nil
	})
	viewers := map[protocols.Protocol]*watcher{}
	for _, p := range slices.Sorted(maps.Keys(watchers)) {
		viewers[p] = watch(t, p, at, "live/x")
	}
	for _, width := range []int{256, 320} {
		within(t, fmt.Sprintf("viewers see pictures %d wide", width), func() (err error) {
			for _, w := range viewers {
				err = errors.Join(err, w.sees(width))
			}
			return err
		})
	}
	playlist := ""
	within(t, "viewers hear the sound that is added", func() (err error) {
		for p, w := range viewers {
			w.mu.Lock()
			switch ended, heard := w.ended, w.tracks.Audio() >= 0; {
			case p == protocols.RTSP && ended == nil:
				err = errors.Join(err, errors.New("the session of RTSP goes on"))
			case p != protocols.RTSP && !heard:
				err = errors.Join(err, fmt.Errorf("%s hears nothing", p))
			case p != protocols.RTSP && ended != nil:
				err = errors.Join(err, fmt.Errorf("%s: %w", p, ended))
			}
			w.mu.Unlock()
		}
		playlist, _ = getBody(context.Background(), "http://"+at.http+"/live/x/ts.m3u8")
		return err
	})
	if got := strings.Count(playlist, "#EXT-X-DISCONTINUITY\n"); got != 3 {
		t.Errorf("%d discontinuities in the playlist, want one at the beginning and one for each change:\n%s", got, playlist)
	}
}
