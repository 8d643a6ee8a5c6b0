package rtsp

import (
	"context"
	"encoding/binary"
	"errors"

	"weir/protocols/listen"
)

// errChanged says that the stream has other tracks than the session was set up for; the client must describe it anew.
var errChanged = errors.New("the stream's tracks have changed")

// A route says on which channels a session wants its media, by medium; -1 for a medium that it did not set up.
type route [maxMedia]int

// plain says that the shared packets can be sent as they are.
func (r *route) plain(media int) bool {
	for i := range media {
		if r[i] != 2*i {
			return false
		}
	}
	return true
}

// layoutFeed is the feed of a session: it takes the notes about the layout out of the shared bytes and obeys them.
type layoutFeed struct {
	listen.Feed
	signature uint64
	route     *route // nil: the packets are sent as they are
}

// Next implements [listen.Feed]. The error is errChanged when the layout is no longer that of the signature; what
// precedes it in bufs still belongs to the session.
func (f *layoutFeed) Next(ctx context.Context, bufs [][]byte) ([][]byte, error) {
	start := len(bufs)
	bufs, err := f.Feed.Next(ctx, bufs)
	kept := start
	for _, b := range bufs[start:] {
		if len(b) > 0 && b[0] == layoutMagic {
			if len(b) != 9 || binary.BigEndian.Uint64(b[1:]) != f.signature {
				err = errChanged
				break
			}
			continue
		}
		if f.route != nil {
			if b = f.route.rewrite(b); len(b) == 0 {
				continue
			}
		}
		bufs[kept] = b
		kept++
	}
	clear(bufs[kept:])
	return bufs[:kept], err
}

// rewrite copies the packets of the media that were set up, onto the channels that were asked for.
func (r *route) rewrite(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for channel, packet := range split(b) {
		if m := channel / 2; m < maxMedia && r[m] >= 0 {
			out = appendHead(out, byte(r[m]+channel%2), len(packet))
			out = append(out, packet...)
		}
	}
	return out
}

// split yields the packets of shared bytes with the channels that they are on.
func split(b []byte) func(yield func(channel int, packet []byte) bool) {
	return func(yield func(int, []byte) bool) {
		for len(b) >= frameHead {
			n := frameHead + int(binary.BigEndian.Uint16(b[2:]))
			if n > len(b) || !yield(int(b[1]), b[frameHead:n]) {
				return
			}
			b = b[n:]
		}
	}
}
