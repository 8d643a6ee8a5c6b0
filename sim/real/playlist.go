package real

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"weir/codecs/reception"
	"weir/protocols/pull"
	"weir/sim/oracle"
)

// reloads is how often a player asks for its playlist again, about half the duration of a segment (RFC 8216bis, 6.3.4).
const reloads = 1500 * time.Millisecond

// maxPlaylist bounds the bytes of an answer that is read.
const maxPlaylist = 32 << 20

// A segment is one entry of a playlist.
type segment struct {
	number int64
	url    *url.URL
}

// A mediaList is a media playlist. It has a segment at least.
type mediaList struct {
	segments        []segment
	discontinuities int64 // the discontinuity sequence number
}

func (l *mediaList) first() int64 { return l.segments[0].number }
func (l *mediaList) last() int64  { return l.segments[len(l.segments)-1].number }

// A reader judges the playlists that a viewer gets under one URL.
type reader struct {
	*oracle.Viewer
	newest *mediaList // nil before the first
	came   time.Time  // when that did
}

// reads judges a playlist.
func (r *reader) reads(v *viewer, l *mediaList) {
	now := time.Now()
	back, since := int64(0), r.came
	if r.newest != nil {
		back = r.newest.last() - l.last()
	}
	for _, wrong := range []string{r.Playlist(l.first(), l.last()), r.Discontinuities(l.discontinuities)} {
		if wrong != "" {
			v.mu.Lock()
			v.back(wentBack{at: now, since: since, numbers: back, what: wrong})
			v.mu.Unlock()
		}
	}
	r.newest, r.came = l, now
}

// playlist plays a stream over HLS: it reloads the playlist of the first variant, fetches each segment that is new, and reads
// its pictures. It ends when nothing has come for too long.
func (v *viewer) playlist(ctx context.Context, entry string, patience time.Duration) error {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	variant, err := variantOf(ctx, client, entry)
	if err != nil {
		return err
	}
	next := int64(-1)
	judge := &reader{Viewer: oracle.NewViewer(0)}
	for came := time.Now(); time.Since(came) < 2*segmentLength+patience; {
		list, err := mediaPlaylist(ctx, client, variant)
		if ended(err) || err != nil && v.strict {
			return err // the player begins anew
		}
		if err == nil {
			judge.reads(v, list)
			if next < 0 {
				next = max(list.first(), list.last()-1)
			}
		} else {
			list = &mediaList{}
		}
		for _, s := range list.segments {
			if s.number < next {
				continue
			}
			var body []byte
			if body, _, err = fetch(ctx, client, s.url.String()); err != nil {
				break
			}
			v.mu.Lock()
			v.begins, v.of = true, fmt.Sprintf(" in %s", s.url.Redacted())
			v.mu.Unlock()
			if err := pull.ReadTS(bytes.NewReader(body), 0, reception.Discard, v); !errors.Is(err, pull.ErrEnded) {
				return fmt.Errorf("reading segment %d: %w", s.number, err)
			}
			next, came = s.number+1, time.Now()
		}
		if !wait(ctx, reloads) {
			return ctx.Err()
		}
	}
	return errors.New("no segment came for too long")
}

// ended says whether the process that a player asks has ended.
func ended(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
}

// fetch reads a URL, and returns the one to which it was redirected, if it was.
func fetch(ctx context.Context, client *http.Client, from string) ([]byte, *url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = res.Body.Close() }() // it has been read
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPlaylist))
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New("the node answers " + res.Status)
	}
	return body, res.Request.URL, err
}

// lines calls a function for each line of a playlist that is not empty.
func lines(body []byte, each func(line string)) {
	for s := bufio.NewScanner(bytes.NewReader(body)); s.Scan(); {
		if l := strings.TrimSpace(s.Text()); l != "" {
			each(l)
		}
	}
}

// variantOf is the URL of the first variant of a multivariant playlist.
func variantOf(ctx context.Context, client *http.Client, from string) (first *url.URL, err error) {
	body, base, err := fetch(ctx, client, from)
	if err != nil {
		return nil, err
	}
	lines(body, func(l string) {
		if first == nil && !strings.HasPrefix(l, "#") {
			first, err = base.Parse(l)
		}
	})
	if first == nil && err == nil {
		err = errors.New("the playlist lists no variant")
	}
	return first, err
}

// mediaPlaylist reads a media playlist.
func mediaPlaylist(ctx context.Context, client *http.Client, from *url.URL) (*mediaList, error) {
	body, from, err := fetch(ctx, client, from.String())
	if err != nil {
		return nil, err
	}
	l, number := &mediaList{}, int64(0)
	lines(body, func(line string) {
		for tag, value := range map[string]*int64{"#EXT-X-MEDIA-SEQUENCE:": &number, "#EXT-X-DISCONTINUITY-SEQUENCE:": &l.discontinuities} {
			if n, ok := strings.CutPrefix(line, tag); ok && err == nil {
				*value, err = strconv.ParseInt(n, 10, 64)
			}
		}
		if strings.HasPrefix(line, "#") || err != nil {
			return
		}
		var at *url.URL
		if at, err = from.Parse(line); err == nil {
			l.segments = append(l.segments, segment{number, at})
			number++
		}
	})
	if err == nil && len(l.segments) == 0 {
		err = errors.New("the playlist lists no segment")
	}
	return l, err
}
