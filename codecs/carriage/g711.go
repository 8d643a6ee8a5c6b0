package carriage

import (
	"errors"
	"fmt"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/sdp"
)

// g711Rate is the only rate of G.711 that has a payload type of its own (RFC 3551, 6), and the one that cameras have.
const g711Rate = 8000

// errRTPOnly says where tracks of G.711 are missing.
var errRTPOnly = errors.New("only viewers over RTSP get it: no other protocol carries it to players")

// g711 is the row of one of the two laws, whose name in RTP is that of the codec. A sample is a byte.
func g711(c codecs.Codec) Row {
	track := codecs.Track{Codec: c, SampleRate: g711Rate, Channels: 1}
	return Row{
		Frame:  func(b []byte) (codecs.Track, int, error) { return track, len(b), nil },
		Length: func(codecs.Track) (samples, rate int, err error) { return 0, g711Rate, nil },
		Partly: errRTPOnly,
		Pack: func(codecs.Track, uint8) (Packing, error) {
			f := &format.G711{PayloadTyp: 8, SampleRate: g711Rate, ChannelCount: 1}
			if f.MULaw = c == codecs.PCMU; f.MULaw {
				f.PayloadTyp = 0
			}
			return Packing{Format: f, NewPacker: func() (Packer, error) {
				e, err := f.CreateEncoder()
				if err != nil {
					return nil, err
				}
				return func(units [][]byte) ([]*rtp.Packet, error) { return e.Encode(units[0]) }, nil
			}}, nil
		},
		Unpack: func(in *sdp.Format) (*Unpacking, error) {
			if in.Encoding != c.String() {
				return nil, nil
			}
			if in.Clock != g711Rate || in.Channels > 1 {
				return nil, &codecs.UnsupportedError{Name: fmt.Sprintf("%s of %d Hz and %d channels", in.Encoding, in.Clock, in.Channels)}
			}
			return &Unpacking{Codec: c, Clock: g711Rate, Frames: func(p *rtp.Packet, _ bool) ([][]byte, error) {
				if len(p.Payload) == 0 {
					return nil, nil
				}
				return [][]byte{p.Payload}, nil
			}}, nil
		},
	}
}
