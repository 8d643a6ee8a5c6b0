// Package relay carries the media of a stream from one node to another: weir's own framing of tracks and access units
// in an endless HTTP body, the handler that serves it and the client that pulls it.
//
// It does not know where a stream is or which node may have it: the [listen.Router] of the asked node decides. Nor does
// it prove the identity of the two nodes: the http.Handler around it and the http.RoundTripper of the client do.
//
// The body begins with eight bytes, the letters of magic and the version. Records follow:
//
//	kind (1 byte), length of the body (uvarint), body
//
//	tracks     count, then for each: codec (1 byte), width, height, sample rate, channels, length of config, config
//	unit       track, flags (1 byte), DTS (zigzag), PTS-DTS (zigzag), duration, cut if flagged, payload to the end
//	keep-alive nothing
//	end        reason (1 byte)
//	rates      for each track of the next record of tracks: pictures in a thousand seconds, 0 if not known
//
// Numbers are varints of encoding/binary. A reader passes over unknown kinds from 128 on; everything else that is not
// of this form ends the relay.
package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"weir/codecs"
	"weir/codecs/carriage"
)

const (
	magic   = "WEIRRLY"
	version = 1
)

// header begins each body.
const header = magic + string(rune(version))

// The kinds of records.
const (
	kindTracks    = 1
	kindUnit      = 2
	kindKeepAlive = 3
	kindEnd       = 4

	kindOptional = 128 // a reader passes over unknown kinds from here on
	kindRates    = 128
)

// The flags of a unit.
const (
	flagRandomAccess  = 1 << iota // a decoder can start here
	flagDiscontinuity             // timestamps or parameters do not follow from before
	flagCut                       // a cut number follows the duration

	flagsKnown = flagRandomAccess | flagDiscontinuity | flagCut
)

// The limits of what a reader takes, and an encoder makes.
const (
	MaxTracks = 16       // in a stream
	MaxConfig = 64 << 10 // bytes of decoder configuration in a track
	MaxUnit   = 16 << 20 // bytes of payload in an access unit

	maxSide   = 1 << 16 // samples in a side of a picture
	maxRate   = 1 << 24 // Hz
	maxTracks = MaxTracks * (MaxConfig + 64)
	maxHead   = 64 // bytes of a unit's body before its payload
	maxOther  = 64 << 10
)

// ErrMalformed says that a body is not of this framing, or beyond its limits.
var ErrMalformed = errors.New("malformed relay")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// keepAlive is the record of a node that lives and has no media. It is shared and never changed.
var keepAlive = []byte{kindKeepAlive, 0}

// An end says why a relay ends in order.
type end byte

const (
	endStream end = 1 // the stream has ended
	endMoved  end = 2 // the stream is no longer captured here; look it up again
)

func (e end) record() []byte { return []byte{kindEnd, 1, byte(e)} }

// err is what a reader returns for it. A reason of a later version means at least that looking again is in order.
func (e end) err() error {
	if e == endStream {
		return ErrEnded
	}
	return ErrMoved
}

// appendRecord appends a record's head; its body must follow.
func appendRecord(b []byte, kind byte, size int) []byte {
	return binary.AppendUvarint(append(b, kind), uint64(size))
}

// appendTracks appends a tracks record. Tracks beyond the limits, which no parser of ours makes, are refused.
func appendTracks(b []byte, tracks codecs.Tracks) ([]byte, error) {
	if len(tracks) > MaxTracks {
		return nil, fmt.Errorf("%d tracks, more than %d", len(tracks), MaxTracks)
	}
	body := binary.AppendUvarint(nil, uint64(len(tracks)))
	for i, t := range tracks {
		if len(t.Config) > MaxConfig {
			return nil, fmt.Errorf("track %d has %d bytes of configuration, more than %d", i, len(t.Config), MaxConfig)
		}
		body = append(body, byte(t.Codec))
		for _, v := range []int{t.Width, t.Height, t.SampleRate, t.Channels, len(t.Config)} {
			body = binary.AppendUvarint(body, uint64(max(v, 0)))
		}
		body = append(body, t.Config...)
	}
	b = appendRates(b, tracks)
	return append(appendRecord(b, kindTracks, len(body)), body...), nil
}

// appendRates appends the rates of pictures, which containers tell and configurations may not.
func appendRates(b []byte, tracks codecs.Tracks) []byte {
	var body []byte
	any := false
	for _, t := range tracks {
		rate := max(0, math.Round(codecs.PlausibleRate(t.FrameRate)*1000))
		any = any || rate > 0
		body = binary.AppendUvarint(body, uint64(rate))
	}
	if !any {
		return b
	}
	return append(appendRecord(b, kindRates, len(body)), body...)
}

// parseRates reads the body of a record of rates.
func parseRates(b []byte) (rates []float64, err error) {
	p := parser{b: b}
	for len(p.b) > 0 && len(rates) < MaxTracks {
		rates = append(rates, float64(p.number("rate", codecs.MaxFrameRate*1000))/1000)
	}
	return rates, p.err
}

// parseTracks reads the body of a tracks record. The configurations are copies.
func parseTracks(b []byte) (codecs.Tracks, error) {
	p := parser{b: b}
	count := p.number("tracks", MaxTracks)
	tracks := make(codecs.Tracks, 0, count)
	for range count {
		t := codecs.Track{Codec: codecs.Codec(p.octet())}
		t.Width = int(p.number("width", maxSide))
		t.Height = int(p.number("height", maxSide))
		t.SampleRate = int(p.number("sample rate", maxRate))
		t.Channels = int(p.number("channels", 255))
		if config := p.bytes(int(p.number("configuration", MaxConfig))); len(config) > 0 {
			t.Config = append([]byte(nil), config...)
		}
		if describe := carriage.Of(t.Codec).Describe; p.err == nil && t.Codec.Video() && describe != nil {
			if d, err := describe(t.Config); err == nil {
				t.FrameRate = d.FrameRate
			}
		}
		tracks = append(tracks, t)
	}
	if p.err == nil && len(p.b) > 0 {
		return nil, malformed("%d bytes after the last track", len(p.b))
	}
	if p.err != nil {
		return nil, p.err
	}
	return tracks, nil
}

// appendHead appends the body of a unit record up to its payload.
func appendHead(b []byte, au *codecs.AccessUnit) []byte {
	var flags byte
	if au.RandomAccess {
		flags |= flagRandomAccess
	}
	if au.Discontinuity {
		flags |= flagDiscontinuity
	}
	if au.Cut != 0 {
		flags |= flagCut
	}
	b = binary.AppendUvarint(b, uint64(au.Track))
	b = append(b, flags)
	b = binary.AppendVarint(b, au.DTS)
	b = binary.AppendVarint(b, au.PTS-au.DTS)
	b = binary.AppendUvarint(b, uint64(max(au.Duration, 0)))
	if au.Cut != 0 {
		b = binary.AppendVarint(b, au.Cut)
	}
	return b
}

// parseHead reads what stands before the payload and returns the number of bytes that it takes.
func parseHead(b []byte, tracks int) (au codecs.AccessUnit, size int, err error) {
	p := parser{b: b}
	if tracks == 0 {
		return au, 0, malformed("an access unit before any track")
	}
	au.Track = int(p.number("track", uint64(tracks-1)))
	flags := p.octet()
	if flags&^flagsKnown != 0 {
		return au, 0, malformed("unknown flags %#x", flags)
	}
	au.RandomAccess = flags&flagRandomAccess != 0
	au.Discontinuity = flags&flagDiscontinuity != 0
	au.DTS = p.signed()
	au.PTS = au.DTS + p.signed()
	au.Duration = int64(p.number("duration", 1<<62))
	if flags&flagCut != 0 {
		if au.Cut = p.signed(); au.Cut == 0 && p.err == nil {
			return au, 0, malformed("a cut without number")
		}
	}
	return au, len(b) - len(p.b), p.err
}

// A parser consumes b; after the first error everything reads as zero.
type parser struct {
	b   []byte
	err error
}

func (p *parser) fail(err error) {
	if p.err == nil {
		p.err, p.b = err, nil
	}
}

func (p *parser) octet() byte {
	if len(p.b) == 0 {
		p.fail(malformed("a record is too short"))
		return 0
	}
	x := p.b[0]
	p.b = p.b[1:]
	return x
}

func (p *parser) number(what string, most uint64) uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 {
		p.fail(malformed("a record ends in the number of its %s", what))
		return 0
	}
	if v > most {
		p.fail(malformed("%s %d is more than %d", what, v, most))
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) signed() int64 {
	v, n := binary.Varint(p.b)
	if n <= 0 {
		p.fail(malformed("a record ends in a timestamp"))
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) bytes(n int) []byte {
	if n > len(p.b) {
		p.fail(malformed("a record ends in a configuration"))
		return nil
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}
