package fake

import (
	"encoding/base64"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"weir/codecs"
	"weir/codecs/aac"
	"weir/codecs/linear"
)

// unit is the number of audio samples in an access unit of AAC-LC.
const unit = 1024

const channels = 2

// silence is a raw_data_block (ISO/IEC 14496-3, 4.4.2.1) of a channel pair without a spectrum.
var silence = []byte{0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c}

// beep holds the raw data blocks of a tone of 1 kHz that rises and falls within 107 ms as a squared sine, at 48 kHz.
// Silence goes before and after, with the same window, so that they can stand anywhere in it. At 44.1 kHz the tone is
// a little lower; the scale factor bands are the same (ISO/IEC 14496-3, Table 4.110). Encoded with ffmpeg's aac from
// 0.35*sin(2*PI*1000*t)*pow(sin(PI*t/0.1067),2) without TNS, PNS and intensity stereo.
var beep = unpack(`
IRbTZcoKRF/f7J7e/6f27//H9+V/P3/PE859oggsGpmmiKBElDy7rbm3sL8TdwCM6QSr1SJ0kmxPTbqIo4JLITcCQxOBITSwUlYwuQYMmC4zIR
n4/h0JAopntPx3xPeXdPZXZPG3nPnXbvMTCxMLFv3f2/d1aJ0UikikilJlSZUmVJlSZUmVyeVyet1et1etY2VjZWNlY2U88888888888888888
88887Y4rZKRIv7/ZPb3/T+3f/4/vyv5+/54nnPtEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABw

IRbT8iLKTimvWa+P7v9J4u7lySWkASEhIT9Ju3fydybfOWlBIZDxMR5r4tJ7iNeEtjzjMTpdzCpKLzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz
zzzzzzzzzzzzzzzzz8aLHIhcUvxmvj+78efF3cuSS0gAAAAAAAAAAAAAAAAOA=

IRbTcxrOjnvzky49/t/1njXMu5LkuQJLCwsLPLPKtuCN6s1NyS7Sei5kT5n4lJfhAqk6Q6HgVLW7y5DNlNzBD4Z8s+WfLPlk00000000000000
0000000000000000000000000000000zdKbG4Tc9+cmXHv9v+s8a5l3JclyAAAAAAAAAAAAAAAAAAAOA==

IRbT6hrOjiqrOs4/s/nXd3LlyXOMoAwMDAwMDMLEwtWK5yUSIcCR4f7nIfRf4Vkp2Slw9DDfjG9N1SYWIGBgYGBgYGBgYGBgYGBgYGBgYGBgYG
BgYGBgYGBgYGBgb5N8m+TfJvkwMDAwMblllllllfZTYzeVVZ1nH9n8su5cuS5xlAAAAAAAAAAAAAAAAAAA4A==

IRbTyhrOyiI3VTfnxx/R/tr1er6u7l8yWAaWWUDA2BzoFPkGeT2AgwThpHxn6yI8bxXRv53irr0f1RIcMdawsLCwsLCwsWXWXWRZdZdZdZdZdZ
dZdZdZdZdZdZdZdZdZdZdZc88888888888888888888888qmxSI3N1U3l59n+1c61fV3cvmSwAAAAAAAAAAAAAAAAH

IRbTwh7KjxfjK68fo/57865uXJJJIAkJCflM0yRbdjHIinKRSU/DkspjiVh2c8gE4PR0B1SE/KdE/Kfuk00000000000000000000000000000
0000000000000000zw6bGbxfjK68fo/57865uXJJJIAAAAAAAAAAAAAAAAAADg

`)

// unpack decodes base64 blocks that are separated by empty lines.
func unpack(text string) (blocks [][]byte) {
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(block, "\n", ""))
		if err != nil {
			panic("fake: " + err.Error()) // the text above is wrong
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// audioTrack describes the sound at a sample rate that Parse admits.
func audioTrack(rate int) (codecs.Track, error) {
	config, err := mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: rate, ChannelConfig: channels}.Marshal()
	if err != nil {
		return codecs.Track{}, err
	}
	return aac.Track(config)
}

// sound returns the payload of audio unit u: a beep starts with the first unit of each second.
func (p *Pattern) sound(u int64) []byte {
	if p.config.Audio != Beep {
		return silence
	}
	second := p.grid.At(u) / codecs.ClockRate
	if n := u - p.grid.First(second*codecs.ClockRate); n < int64(len(beep)) {
		return beep[n]
	}
	return silence
}

var _ linear.Timeline = (*Pattern)(nil)
