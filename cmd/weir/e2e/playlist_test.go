//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A playlist is what the tests need of a media playlist.
type playlist struct {
	first           int64
	segments        []string // URIs
	discontinuities int
}

func parsePlaylist(text []byte) (p playlist, err error) {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#EXT-X-MEDIA-SEQUENCE:"):
			p.first, err = strconv.ParseInt(strings.TrimPrefix(line, "#EXT-X-MEDIA-SEQUENCE:"), 10, 64)
		case line == "#EXT-X-DISCONTINUITY":
			p.discontinuities++
		case line != "" && !strings.HasPrefix(line, "#"):
			p.segments = append(p.segments, line)
		}
	}
	if !strings.HasPrefix(string(text), "#EXTM3U") {
		return p, fmt.Errorf("no playlist: %.100q", text)
	}
	return p, err
}

func (p playlist) last() int64 { return p.first + int64(len(p.segments)) - 1 }

// variant returns the URL of the first media playlist of a multivariant one.
func variant(multivariant string) (string, error) {
	body, err := get(multivariant)
	if err != nil {
		return "", err
	}
	p, err := parsePlaylist(body)
	if err != nil {
		return "", err
	}
	if len(p.segments) == 0 {
		return "", fmt.Errorf("%s names no variant: %s", multivariant, body)
	}
	base, err := url.Parse(multivariant)
	if err != nil {
		return "", err
	}
	ref, err := base.Parse(p.segments[0])
	if err != nil {
		return "", err
	}
	return ref.String(), nil
}

// A reader reloads a media playlist as a player does and remembers what it showed.
type reader struct {
	url  string
	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex
	lists  []playlist
	errors []error
}

func watchPlaylist(t *testing.T, multivariant string) *reader {
	t.Helper()
	r := &reader{stop: make(chan struct{}), done: make(chan struct{})}
	eventually(t, 15*time.Second, "a playlist at "+multivariant, func() (err error) {
		if r.url, err = variant(multivariant); err != nil {
			return err
		}
		_, err = get(r.url)
		return err
	})
	go func() {
		defer close(r.done)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			r.load()
			select {
			case <-r.stop:
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(r.end)
	return r
}

func (r *reader) load() {
	body, err := get(r.url)
	var p playlist
	if err == nil {
		p, err = parsePlaylist(body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.errors = append(r.errors, err)
		return
	}
	r.lists = append(r.lists, p)
}

func (r *reader) end() {
	select {
	case <-r.stop:
	default:
		close(r.stop)
	}
	<-r.done
}

// check fails if a reload failed, if the media sequence ever went back, if a segment was never shown, or if there was a
// discontinuity.
func (r *reader) check(t *testing.T) {
	t.Helper()
	r.consecutive(t)
	for _, p := range r.lists {
		if p.discontinuities > 0 {
			t.Errorf("%s: segments %d–%d hold a discontinuity", r.url, p.first, p.last())
		}
	}
}

// consecutive fails if a reload failed, if the media sequence ever went back, or if a segment was never shown.
func (r *reader) consecutive(t *testing.T) {
	t.Helper()
	if n := r.ascending(t); n > 0 {
		t.Errorf("%s: %d segments in a row were never shown", r.url, n)
	}
}

// ascending fails if a reload failed or if the media sequence ever went back, and returns how many segments in a row were
// never shown at most.
func (r *reader) ascending(t *testing.T) (skipped int64) {
	t.Helper()
	r.end()
	for _, err := range r.errors {
		t.Errorf("reload of %s: %v", r.url, err)
	}
	for i := 1; i < len(r.lists); i++ {
		before, now := r.lists[i-1], r.lists[i]
		if now.first < before.first || now.last() < before.last() {
			t.Errorf("%s: segments %d–%d after %d–%d: the media sequence went back", r.url, now.first, now.last(), before.first, before.last())
		}
		skipped = max(skipped, now.first-before.last()-1)
	}
	t.Logf("%s: %d reloads, segments %d to %d", r.url, len(r.lists), r.lists[0].first, r.lists[len(r.lists)-1].last())
	return skipped
}

// segments fetches what a media playlist lists, by number.
func segments(media string) (map[int64][]byte, error) {
	body, err := get(media)
	if err != nil {
		return nil, err
	}
	p, err := parsePlaylist(body)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(media)
	if err != nil {
		return nil, err
	}
	out := map[int64][]byte{}
	for i, uri := range p.segments {
		ref, err := base.Parse(uri)
		if err != nil {
			return nil, err
		}
		if out[p.first+int64(i)], err = get(ref.String()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// same fails unless both hold some segments of the same numbers, and those are equal.
func same(t *testing.T, what string, a, b map[int64][]byte) (compared int) {
	t.Helper()
	for n, x := range a {
		if y, ok := b[n]; ok {
			compared++
			if !bytes.Equal(x, y) {
				t.Errorf("%s: segment %d differs between two nodes: %d and %d bytes", what, n, len(x), len(y))
			}
		}
	}
	if compared < 3 {
		t.Errorf("%s: only %d segments are on both nodes, want at least 3", what, compared)
	}
	return compared
}
