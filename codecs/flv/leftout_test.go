package flv_test

import (
	"testing"

	"weir/codecs/flv"
	"weir/codecs/flv/amf"
	"weir/codecs/reception"
)

// TestSoundThatCannotBeCarriedIsNamedOnce has an encoder announce sound in a codec that is left out, and tell it again. It is not waited
// for either.
func TestSoundThatCannotBeCarriedIsNamedOnce(t *testing.T) {
	metadata := flv.Tag{Type: flv.TypeScript, Body: amf.Append(nil, "onMetaData", amf.Object{{Key: "videocodecid", Value: 7.0}, {Key: "audiocodecid", Value: 7.0}})}
	report := &reception.Record{}
	d, r := flv.Demuxer{Report: report}, recorder{}
	for _, tag := range []flv.Tag{
		metadata, video(0, avcHeader), audio(0, []byte{0x72, 1, 2}), video(0, avcBody(true, 0, idr)), video(40, avcBody(false, 0, slice)),
		metadata, audio(40, []byte{0x72, 1, 2}), video(80, avcBody(false, 0, slice)),
	} {
		_ = d.Tag(tag, &r)
	}
	if l := report.LeftOut; len(l) != 1 || l[0].Codec != "G.711 A-law" {
		t.Errorf("left out are %+v, want G.711 once", l)
	}
	if len(r.units) != 3 {
		t.Errorf("%d pictures have come, want all 3 at once", len(r.units))
	}
}
