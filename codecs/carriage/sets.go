package carriage

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/Eyevinn/mp4ff/hevc"
	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/bluenviron/gortsplib/v5/pkg/format"

	"weir/codecs"
	"weir/codecs/h264"
	"weir/codecs/h265"
	"weir/codecs/nal"
	"weir/codecs/sdp"
)

// setsBox puts the decoder configuration into a box as it is, with extensions that weir does not know.
func setsBox(s *nal.Syntax, name string) func(codecs.Track) (mp4.Box, error) {
	return func(t codecs.Track) (mp4.Box, error) {
		if _, err := s.Carried(t.Config); err != nil {
			return nil, err
		}
		return configBox(name, t.Config), nil
	}
}

func configBox(name string, config []byte) mp4.Box {
	return mp4.CreateUnknownBox(name, uint64(8+len(config)), config)
}

// setsTS demands a delimiter in each access unit, as ISO/IEC 13818-1 does (2.14.1 and 2.17.1).
func setsTS(s *nal.Syntax, streamType byte) func(codecs.Track) (TS, error) {
	delimiter := nal.AppendAnnexB(nil, s.Delimiter)
	return func(t codecs.Track) (TS, error) {
		sets, err := s.Carried(t.Config)
		return TS{
			StreamType: streamType, StreamID: 0xe0,
			Delimiter: delimiter, Parameters: nal.AppendAnnexB(nil, sets...),
		}, err
	}
}

func h264Name(c []byte) string { return fmt.Sprintf("avc1.%02x%02x%02x", c[1], c[2], c[3]) }

// h265Name follows ISO/IEC 14496-15, annex E.3.
func h265Name(config []byte) string {
	r, err := hevc.DecodeHEVCDecConfRec(config)
	if err != nil {
		return "hvc1" // not for a configuration that was carried
	}
	return hevc.CodecString("hvc1", &hevc.SPS{ProfileTierLevel: hevc.ProfileTierLevel{
		GeneralProfileSpace: r.GeneralProfileSpace, GeneralTierFlag: r.GeneralTierFlag,
		GeneralProfileIDC: r.GeneralProfileIDC, GeneralLevelIDC: r.GeneralLevelIDC,
		GeneralProfileCompatibilityFlags: r.GeneralProfileCompatibilityFlags,
		GeneralConstraintIndicatorFlags:  r.GeneralConstraintIndicatorFlags,
	}})
}

func packH264(t codecs.Track, payloadType uint8) (Packing, error) {
	sets, err := h264.Syntax.Carried(t.Config)
	if err != nil {
		return Packing{}, err
	}
	by := nal.ByType(h264.Syntax.Type, sets)
	f := &format.H264{PayloadTyp: payloadType, PacketizationMode: 1, SPS: by[h264.TypeSPS][0], PPS: by[h264.TypePPS][0]}
	return Packing{Format: f, Sets: sets, NewPacker: packer(f.CreateEncoder)}, nil
}

func unpackH264(in *sdp.Format) (*Unpacking, error) {
	if in.Encoding != "H264" {
		return nil, nil
	}
	return &Unpacking{
		Codec: codecs.H264, Clock: in.Clock, Sets: parameterSets(in, "sprop-parameter-sets"), Fragment: fragmentH264,
	}, nil
}

// parameterSets are those that an fmtp repeats. Any that cannot be read are left out: the media has them too.
func parameterSets(in *sdp.Format, names ...string) (sets [][]byte) {
	for _, name := range names {
		for s := range strings.SplitSeq(in.Parameters[name], ",") {
			s = strings.TrimRight(strings.TrimSpace(s), "=")
			if b, err := base64.RawStdEncoding.DecodeString(s); err == nil {
				sets = append(sets, nal.SplitStartCodes(b)...)
			}
		}
	}
	return sets
}

func packH265(t codecs.Track, payloadType uint8) (Packing, error) {
	sets, err := h265.Syntax.Carried(t.Config)
	if err != nil {
		return Packing{}, err
	}
	by := nal.ByType(h265.Syntax.Type, sets)
	f := &format.H265{PayloadTyp: payloadType, VPS: by[h265.TypeVPS][0], SPS: by[h265.TypeSPS][0], PPS: by[h265.TypePPS][0]}
	return Packing{Format: f, Sets: sets, NewPacker: packer(f.CreateEncoder)}, nil
}

func unpackH265(in *sdp.Format) (*Unpacking, error) {
	if in.Encoding != "H265" && in.Encoding != "HEVC" {
		return nil, nil
	}
	return &Unpacking{
		Codec: codecs.H265, Clock: in.Clock, Sets: parameterSets(in, "sprop-vps", "sprop-sps", "sprop-pps"),
		Fragment: fragmentH265(in.Integer("sprop-max-don-diff", 0) > 0),
	}, nil
}
