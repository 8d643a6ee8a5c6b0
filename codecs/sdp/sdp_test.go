package sdp

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// descriptions are shared with the fuzz target. What is read of each is written as: control of the session, then for each
// medium its kind, control and formats.
var descriptions = []struct {
	name, in, want string
}{
	{
		"as it should be", "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; Sprop-Parameter-Sets=Z0I=,aM4=\r\na=control:trackID=0\r\nm=audio 0 RTP/AVP 8\r\na=control:trackID=1\r\n",
		"* | video trackID=0 96:H264/90000/0 packetization-mode=1 sprop-parameter-sets=Z0I=,aM4= | audio trackID=1 8:PCMA/8000/1",
	},
	{"lines end with LF", "v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H265/90000\na=control:x\n", " | video x 96:H265/90000/0"},
	{"lines end with CR", "v=0\rm=video 0 RTP/AVP 96\ra=rtpmap:96 H265/90000\r", " | video  96:H265/90000/0"},
	{"bad lines", "nonsense\r\nv=7\r\no=\r\nc=IN\r\nt=now\r\nb=AS\r\nm=video 0 RTP/AVP 96\r\na\r\na=\r\na=rtpmap:\r\na=rtpmap:96 H264/90000\r\nz=?\r\na=fmtp\r\n", " | video  96:H264/90000/0"},
	{"ports that are not zero", "m=video 49170/2 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n", " | video  96:H264/90000/0"},
	{"no formats", "m=video 0\r\na=rtpmap:97 H264/90000\r\n", " | video  97:H264/90000/0"},
	{"a format that is no number", "m=video 0 RTP/AVP smart/1/90000\r\na=rtpmap:98 H264/90000\r\n", " | video  98:H264/90000/0"},
	{"no space, no clock", "m=video 0 RTP/AVP 96\r\na=rtpmap:96H264\r\n", " | video  96:H264/90000/0"},
	{"rtpmap without a payload type", "m=audio 0 RTP/AVP 97\r\na=rtpmap:opus/48000/2\r\n", " | audio  97:OPUS/48000/2"},
	{
		"broken rtpmap, given away by parameters", "m=video 0 RTP/AVP 96\r\na=rtpmap:96\r\na=fmtp:96 sprop-parameter-sets=Z0I=\r\nm=video 0 RTP/AVP 97\r\na=fmtp:97 sprop-sps=QgE=\r\nm=audio 0 RTP/AVP 98\r\na=fmtp:98 SizeLength=13\r\n",
		" | video  96:H264/90000/0 sprop-parameter-sets=Z0I= | video  97:H265/90000/0 sprop-sps=QgE= | audio  98:MPEG4-GENERIC/0/0 sizelength=13",
	},
	{
		"lines of media before the media", "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:rtsp://a/b\r\nm=video 0 RTP/AVP 96\r\n",
		"rtsp://a/b | video  96:H264/90000/0 packetization-mode=1",
	},
	{
		"unknown codecs", "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 G726-32/8000\r\nm=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:meta\r\nm=video 0 RTP/AVP 26\r\n",
		" | audio  97:G726-32/8000/0 | application meta 107:VND.ONVIF.METADATA/90000/0 | video  26:JPEG/90000/0",
	},
	{"frame rates", "m=video 0 RTP/AVP 96\r\na=framerate:29.97\r\nm=video 0 RTP/AVP 97\r\na=x-framerate: 15\r\nm=video 0 RTP/AVP 98\r\na=framerate:fast\r\n", " | video at 29.97  96:/90000/0 | video at 15  97:/90000/0 | video  98:/90000/0"},
	{"a back channel", "m=video 0 RTP/AVP 96\r\nm=audio 0 RTP/AVP 0\r\na=sendonly\r\n", " | video  96:/90000/0 | audio back  0:PCMU/8000/1"},
	{"all are back channels, which cannot be", "m=video 0 RTP/AVP 96\r\na=sendonly\r\n", " | video  96:/90000/0"},
	{"empty", "", ""},
}

func written(s Session) string {
	var b strings.Builder
	b.WriteString(s.Control)
	for _, m := range s.Media {
		kind := m.Kind
		if m.Back {
			kind += " back"
		}
		if m.FrameRate > 0 {
			kind += fmt.Sprintf(" at %g", m.FrameRate)
		}
		fmt.Fprintf(&b, " | %s %s", kind, m.Control)
		for _, f := range m.Formats {
			fmt.Fprintf(&b, " %d:%s/%d/%d", f.PayloadType, f.Encoding, f.Clock, f.Channels)
			var names []string
			for n, v := range f.Parameters {
				names = append(names, " "+n+"="+v)
			}
			slices.Sort(names)
			b.WriteString(strings.Join(names, ""))
		}
	}
	return b.String()
}

func TestDescriptionsOfCamerasAreRead(t *testing.T) {
	for _, d := range descriptions {
		if got := written(Parse([]byte(d.in))); got != d.want {
			t.Errorf("%s: Parse = %q, want %q", d.name, got, d.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, d := range descriptions {
		f.Add(d.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s := Parse([]byte(in))
		if len(s.Media) > maxMedia {
			t.Fatalf("%d media", len(s.Media))
		}
		for _, m := range s.Media {
			for _, f := range m.Formats {
				if len(m.Formats) > maxFormats || len(f.Parameters) > maxFormats || f.PayloadType > 127 {
					t.Fatalf("%d formats, payload type %d with %d parameters", len(m.Formats), f.PayloadType, len(f.Parameters))
				}
			}
		}
	})
}
