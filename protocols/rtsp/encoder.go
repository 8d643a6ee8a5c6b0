package rtsp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"strconv"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"

	"weir/codecs"
	"weir/codecs/rtp"
	"weir/protocols"
)

// form is RTP packets, each behind the four bytes of interleaving (RFC 2326, 10.12), medium i on channels 2i (RTP) and
// 2i+1 (RTCP), as almost every client that interleaves asks. A session with other channels, or over UDP, takes them
// apart.
var form = protocols.Of(protocols.RTSP).Form

// maxMedia is the most media of a session: the channels of interleaved packets have one byte, and each takes two.
const maxMedia = 16

const (
	frameMagic  = '$'
	frameHead   = 4
	layoutMagic = '!' // begins a note, of which the rest is the signature of the layout; it never reaches a client
)

// An encoder makes the interleaved packets of one stream. It implements [codecs.Encoder].
type encoder struct {
	stream  string
	log     *slog.Logger
	packets rtp.Packetizer
	failed  uint64
}

func newEncoder(stream string, log *slog.Logger) *encoder {
	return &encoder{stream: stream, log: log.With(slog.String("stream", stream))}
}

// Prologue implements [codecs.Encoder]: the result is a note to the sessions, which tells them whether what follows is
// what they were set up for.
func (e *encoder) Prologue(tracks codecs.Tracks) []byte {
	l := rtp.LayoutOf(e.stream, tracks, maxMedia)
	for _, err := range l.Left {
		e.log.Warn("track is left out of RTSP", slog.Any("err", err))
	}
	e.packets.SetLayout(l, len(tracks))
	return binary.BigEndian.AppendUint64([]byte{layoutMagic}, l.Signature)
}

// Encode implements [codecs.Encoder].
func (e *encoder) Encode(au *codecs.AccessUnit) []byte {
	medium, packets, reports, err := e.packets.Pack(au)
	if err != nil {
		if e.failed++; e.failed&(e.failed-1) == 0 { // the 1st, 2nd, 4th, …
			e.log.Warn("access units cannot be packetised", slog.Any("err", err), slog.Uint64("dropped", e.failed))
		}
		return nil
	}
	if len(packets) == 0 {
		return nil
	}
	size := 0
	for _, r := range reports {
		size += frameHead + len(r)
	}
	for _, p := range packets {
		size += frameHead + p.MarshalSize()
	}
	b := make([]byte, 0, size)
	for i, r := range reports {
		b = append(appendHead(b, byte(2*i+1), len(r)), r...)
	}
	for _, p := range packets {
		n := p.MarshalSize()
		b = appendHead(b, byte(2*medium), n)
		if _, err := p.MarshalTo(b[len(b) : len(b)+n]); err != nil {
			return nil // not for packets of the library's own encoders
		}
		b = b[:len(b)+n]
	}
	return b
}

func appendHead(b []byte, channel byte, size int) []byte {
	return append(b, frameMagic, channel, byte(size>>8), byte(size))
}

// describe is the description of a layout for a client that addressed the stream so.
func describe(l rtp.Layout, at *resource) *description.Session {
	d := &description.Session{Title: "weir"}
	for i, m := range l.Media {
		kind := description.MediaTypeAudio
		if m.Codec.Video() {
			kind = description.MediaTypeVideo
		}
		d.Medias = append(d.Medias, &description.Media{
			Type:    kind,
			Control: at.control(i),
			Profile: headers.TransportProfileAVP,
			Formats: []format.Format{m.Format},
		})
	}
	return d
}

// marshal writes a description. Players show and use the size and the rate of pictures before they have one (RFC 6064, 6.2; RFC 8866, 6.11).
func marshal(l rtp.Layout, tracks codecs.Tracks, at *resource) ([]byte, error) {
	body, err := describe(l, at).Marshal()
	if err != nil {
		return nil, err
	}
	var out []byte
	medium, told := -1, true
	for line := range bytes.Lines(body) {
		switch {
		case bytes.HasPrefix(line, []byte("m=")):
			medium, told = medium+1, false
		case bytes.HasPrefix(line, []byte("a=")) && !told && medium < len(l.Media):
			told = true
			t := tracks[l.Media[medium].Track]
			if t.FrameRate > 0 {
				out = fmt.Appendf(out, "a=framerate:%s\r\n", strconv.FormatFloat(math.Round(t.FrameRate*1000)/1000, 'f', -1, 64))
			}
			if t.Width > 0 && t.Height > 0 {
				out = fmt.Appendf(out, "a=framesize:%d %d-%d\r\n", l.Media[medium].Format.PayloadType(), t.Width, t.Height)
			}
		}
		out = append(out, line...)
	}
	return out, nil
}
