package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/cluster/srs/srstest"
	"weir/codecs"
	"weir/codecs/reception"
	"weir/protocols"
	"weir/protocols/pull"
	"weir/protocols/rtmp"
	"weir/protocols/rtsp"
)

// absence is how long a name has no publisher before it is published elsewhere.
const absence = 2 * time.Second

// A watcher is a viewer that keeps its connection, or its playlist, and notes each picture that it gets.
type watcher struct {
	protocol protocols.Protocol
	stream   string

	mu     sync.Mutex
	tracks codecs.Tracks
	width  int   // of the newest pictures
	last   int64 // DTS of the newest picture
	count  int   // pictures of that width
	back   error // the first picture whose DTS was not above the one before
	ended  error
}

// SetTracks implements [codecs.Writer].
func (w *watcher) SetTracks(tracks codecs.Tracks) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tracks = tracks
	if v := tracks.Video(); v >= 0 && tracks[v].Width != w.width {
		w.width, w.count = tracks[v].Width, 0
	}
}

// Write implements [codecs.Writer].
func (w *watcher) Write(au *codecs.AccessUnit) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if au.Track != w.tracks.Video() {
		return nil
	}
	if w.last != 0 && au.DTS <= w.last && w.back == nil {
		w.back = fmt.Errorf("a picture at %d follows one at %d", au.DTS, w.last)
	}
	w.last = au.DTS
	w.count++
	return nil
}

// watchers has a function for each protocol, which plays a stream of a node until ctx ends.
var watchers = map[protocols.Protocol]func(ctx context.Context, at addresses, stream string, w codecs.Writer) error{
	protocols.RTMP: func(ctx context.Context, at addresses, stream string, w codecs.Writer) error {
		return rtmp.Pull(ctx, "rtmp://"+at.rtmp+"/"+stream, rtmp.ClientConfig{Plain: true, Silence: time.Minute}, nil, w)
	},
	protocols.FLV: func(ctx context.Context, at addresses, stream string, w codecs.Writer) error {
		return pull.FLV(ctx, "http://"+at.http+"/"+stream+".flv", pull.Options{Connect: patience, Silence: time.Minute}, w)
	},
	protocols.TS: func(ctx context.Context, at addresses, stream string, w codecs.Writer) error {
		return pull.TS(ctx, "http://"+at.http+"/"+stream+"/mpegts", pull.Options{Connect: patience, Silence: time.Minute}, w)
	},
	protocols.HLS: playPlaylist,
	protocols.RTSP: func(ctx context.Context, at addresses, stream string, w codecs.Writer) error {
		return rtsp.Pull(ctx, "rtsp://"+at.rtsp+"/"+stream, rtsp.PullConfig{Timeout: time.Minute}, w)
	},
}

// playPlaylist reloads a playlist, and gets each segment once. After the first answer the playlist must always be answered, and its
// numbers must not go back.
func playPlaylist(ctx context.Context, at addresses, stream string, w codecs.Writer) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	url := "http://" + at.http + "/" + stream + "/ts.m3u8"
	first, last := 0, 0
	for {
		text, err := getBody(ctx, url)
		switch {
		case err != nil && last > 0:
			return err
		case err == nil:
			number, uris := segmentsOf(text)
			if number < first {
				return fmt.Errorf("the playlist begins with segment %d after %d", number, first)
			}
			first = number
			for i, uri := range uris {
				if number+i <= last {
					continue
				}
				last = number + i
				if !strings.Contains(uri, "://") {
					uri = strings.TrimSuffix(url, "ts.m3u8") + uri
				}
				if segment, err := getBody(ctx, uri); err != nil {
					return err
				} else if err := pull.ReadTS(strings.NewReader(segment), 0, reception.Discard, w); !errors.Is(err, pull.ErrEnded) {
					return err
				}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func getBody(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", url, res.Status, body)
	}
	return string(body), err
}

// segmentsOf reads a media playlist: the number of its first segment, and the URIs of all.
func segmentsOf(text string) (first int, uris []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if number, ok := strings.CutPrefix(line, "#EXT-X-MEDIA-SEQUENCE:"); ok {
			first, _ = strconv.Atoi(number)
		} else if line != "" && line[0] != '#' {
			uris = append(uris, line)
		}
	}
	return first, uris
}

// addresses are those of a node's listeners.
type addresses struct{ http, rtmp, rtsp string }

// watch plays a stream in one protocol until the test ends.
func watch(t *testing.T, protocol protocols.Protocol, at addresses, stream string) *watcher {
	t.Helper()
	w := &watcher{protocol: protocol, stream: stream}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-done
	})
	go func() {
		defer close(done)
		err := watchers[protocol](ctx, at, stream, w)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended = err
	}()
	return w
}

// sees returns nil once the watcher has had some pictures of that width.
func (w *watcher) sees(width int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.ended != nil:
		return fmt.Errorf("the viewer of %s by %s was not kept: %w", w.stream, w.protocol, w.ended)
	case w.back != nil:
		return fmt.Errorf("the viewer of %s by %s: %w", w.stream, w.protocol, w.back)
	case w.width != width || w.count < 10:
		return fmt.Errorf("the viewer of %s by %s has %d pictures %d wide, want some %d wide", w.stream, w.protocol, w.count, w.width, width)
	}
	return nil
}

// A move is the way of a name: the servers at which it is published, one after the other, with an absence in between. A and B are
// origins of SRS, the others are nodes of weir.
type move []string

// moved makes each move with a stream of its own while viewers watch it at a node. Some keep connections and some reload playlists,
// of different streams: each request for a playlist makes the node look for the stream, which would help the others.
func moved(t *testing.T, servers map[string]string, at addresses, moves []move) {
	t.Helper()
	type story struct {
		move
		stream  string
		viewers []*watcher
		stop    context.CancelFunc
	}
	var stories []*story
	for _, m := range moves {
		for _, how := range []string{"kept", "playlist"} {
			stories = append(stories, &story{move: m, stream: strings.Join(m, "-") + "-" + how})
		}
	}
	steps := 0
	for _, s := range stories {
		steps = max(steps, len(s.move))
	}
	for step := range steps {
		width := 256 + 64*step
		if step > 0 {
			for _, s := range stories {
				if step < len(s.move) {
					s.stop()
				}
			}
			<-time.After(absence)
		}
		for _, s := range stories {
			if step < len(s.move) {
				within(t, "publishing "+s.stream, func() (err error) {
					s.stop, err = publish(t, servers[s.move[step]], "live", s.stream, width)
					return err
				})
			}
		}
		for _, s := range stories {
			if step > 0 {
				continue
			}
			within(t, "the node that is asked has heard of "+s.stream, func() error {
				if got, code := plainPlay(t, at.rtmp, "live", s.stream); got != width {
					return fmt.Errorf("a picture %d wide, %q", got, code)
				}
				return nil
			})
			for _, p := range slices.Sorted(maps.Keys(watchers)) {
				if strings.HasSuffix(s.stream, "playlist") == (p == protocols.HLS) {
					s.viewers = append(s.viewers, watch(t, p, at, "live/"+s.stream))
				}
			}
		}
		for _, s := range stories {
			if step >= len(s.move) {
				continue
			}
			within(t, "viewers get the media of "+s.move[step], func() (err error) {
				for _, w := range s.viewers {
					err = errors.Join(err, w.sees(width))
				}
				return err
			})
			if got, code := plainPlay(t, at.rtmp, "live", s.stream); got != width {
				t.Errorf("a viewer of %s that comes now gets a picture %d wide, %q; want %d", s.stream, got, code, width)
			}
		}
	}
}

func TestViewersAreKeptWhenANameMovesBetweenServers(t *testing.T) {
	t.Parallel()
	a, b := srstest.Start(t, srstest.Config{}), srstest.Start(t, srstest.Config{})
	n := lone(t, originCluster(a.API, b.API))
	a.Know(n.httpAddr(), b.API)
	b.Know(n.httpAddr(), a.API)
	at := addresses{n.httpAddr(), n.rtmpAddr(), n.Addresses()["rtsp"][0]}
	moved(t, map[string]string{"A": a.RTMP, "B": b.RTMP, "W": at.rtmp}, at, []move{
		{"W", "A"}, {"A", "W"}, {"A", "B"}, {"A", "A"}, {"W", "W"}, {"W", "A", "W"}, {"A", "W", "B"},
	})
}

// Viewers are at a node at which nothing is published.
func TestViewersAreKeptWhenANameMovesBetweenServersAndAGroup(t *testing.T) {
	t.Parallel()
	a, b := srstest.Start(t, srstest.Config{}), srstest.Start(t, srstest.Config{})
	nodes := threeNodes(t, func([3]string) string { return "relay flv mpegts rtmp rtsp;\n" + originCluster(a.API, b.API) })
	a.Know(nodes[0].http, b.API)
	b.Know(nodes[0].http, a.API)
	at := addresses{nodes[2].http, nodes[2].rtmp, nodes[2].rtsp}
	moved(t, map[string]string{"A": a.RTMP, "B": b.RTMP, "W": nodes[0].rtmp, "V": nodes[1].rtmp}, at, []move{
		{"W", "A"}, {"A", "W"}, {"W", "V"}, {"A", "B"}, {"W", "V", "A"}, {"A", "W", "A"}, {"W", "A", "W"},
	})
}
