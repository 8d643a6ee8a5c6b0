package soaktest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"weir/codecs"
	"weir/codecs/flv"
	"weir/protocols/pull"
	"weir/protocols/rtmp"
)

// watch reads a stream until the context ends, over HTTP-FLV, RTMP or HTTP MPEG-TS by which.
func watch(ctx context.Context, at addresses, stream string, which int, m *material, r *record) error {
	switch which % 3 {
	case 0:
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.http+"/"+stream+".flv", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("HTTP-FLV: %s", res.Status)
		}
		return tags(flv.NewReader(res.Body).Next, m, r)
	case 1:
		c, err := rtmp.Play(ctx, "rtmp://"+at.rtmp+"/live/"+stream, rtmp.ClientConfig{Silence: time.Minute})
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		defer stop()
		return tags(c.ReadTag, m, r)
	}
	return pull.TS(ctx, "http://"+at.http+"/"+stream+"/mpegts", pull.Options{}, &eyes{m: m, r: r})
}

// tags reads FLV tags.
func tags(next func() (flv.Tag, error), m *material, r *record) error {
	for {
		tag, err := next()
		switch {
		case err != nil:
			return err
		case tag.Type == flv.TypeVideo && len(tag.Body) > 5 && tag.Body[1] == 1: // not its configuration
			r.see(m, tag.Body[5:])
		case tag.Type == flv.TypeAudio && len(tag.Body) > 2 && tag.Body[1] == 1:
			r.hear()
		}
	}
}

func (r *record) hear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard++
}

// An eyes is a writer that notes what it gets.
type eyes struct {
	m      *material
	r      *record
	tracks codecs.Tracks
	last   [2]int64  // DTS of each track
	gap    time.Time // when the timestamps of a track left a second out
}

// SetTracks implements [codecs.Writer].
func (e *eyes) SetTracks(t codecs.Tracks) { e.tracks = t }

// Write implements [codecs.Writer].
func (e *eyes) Write(au *codecs.AccessUnit) error {
	if au.Track < len(e.last) {
		if before := e.last[au.Track]; before > 0 && au.DTS-before > second {
			e.gap = time.Now()
			e.r.note(fmt.Sprintf("track %d leaves %d ms out", au.Track, (au.DTS-before)*1000/second))
		}
		e.last[au.Track] = au.DTS
	}
	switch {
	case au.Track >= len(e.tracks):
		return errors.New("an access unit of no track")
	case e.tracks[au.Track].Codec.Video():
		e.r.see(e.m, au.Payload)
	default:
		e.r.hear()
	}
	return nil
}

type addresses struct{ http, rtmp string }
