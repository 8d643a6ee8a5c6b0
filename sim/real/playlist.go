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
	judge := oracle.NewViewer(0)
	for came := time.Now(); time.Since(came) < 2*segmentLength+patience; {
		list, err := mediaPlaylist(ctx, client, variant)
		if ended(err) || err != nil && v.strict {
			return err // the player begins anew
		}
		if err == nil {
			if wrong := judge.Playlist(list[0].number, list[len(list)-1].number); wrong != "" {
				v.mu.Lock()
				v.back(wrong)
				v.mu.Unlock()
			}
		}
		if err == nil && next < 0 {
			next = list[max(0, len(list)-2)].number
		}
		for _, s := range list {
			if err != nil || s.number < next {
				continue
			}
			var body []byte
			if body, _, err = fetch(ctx, client, s.url.String()); err != nil {
				break
			}
			v.mu.Lock()
			v.begins = true
			v.mu.Unlock()
			if err := pull.ReadTS(bytes.NewReader(body), reception.Discard, v); !errors.Is(err, pull.ErrEnded) {
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

// mediaPlaylist reads the segments that a playlist lists; there is at least one if the error is nil.
func mediaPlaylist(ctx context.Context, client *http.Client, from *url.URL) (list []segment, err error) {
	body, from, err := fetch(ctx, client, from.String())
	if err != nil {
		return nil, err
	}
	number := int64(0)
	lines(body, func(l string) {
		if n, ok := strings.CutPrefix(l, "#EXT-X-MEDIA-SEQUENCE:"); ok {
			number, err = strconv.ParseInt(n, 10, 64)
		}
		if strings.HasPrefix(l, "#") || err != nil {
			return
		}
		var at *url.URL
		if at, err = from.Parse(l); err == nil {
			list = append(list, segment{number, at})
			number++
		}
	})
	if err == nil && len(list) == 0 {
		err = errors.New("the playlist lists no segment")
	}
	return list, err
}
