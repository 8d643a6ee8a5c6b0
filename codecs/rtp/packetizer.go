package rtp

import (
	"github.com/pion/rtp"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/nal"
)

// The least and the most time between sender reports, in ticks. In between they are sent at random access points, so
// that a new viewer can synchronise its media at once.
const (
	reportLeast = codecs.ClockRate / 2
	reportMost  = 5 * codecs.ClockRate
)

// A Packetizer makes the packets of one stream. The zero Packetizer has no media. It belongs to one goroutine.
type Packetizer struct {
	signature uint64
	byTrack   []*sender // nil for tracks that are left out
	senders   []*sender // by medium
	reported  int64     // DTS of the last sender reports
	started   bool
	units     [][]byte // reused
}

// A sender is one medium and what its reports count.
type sender struct {
	Medium
	index    int
	nal      bool // access units consist of NAL units
	pack     carriage.Packer
	packets  uint32
	payloads uint32 // bytes
}

// SetLayout says how the access units that follow go, of a stream with so many tracks. Where only parameter sets differ
// from before, packets go on being numbered.
func (p *Packetizer) SetLayout(l Layout, tracks int) {
	before := p.senders
	same := p.signature == l.Signature && len(before) == len(l.Media)
	p.signature, p.started = l.Signature, false
	p.byTrack, p.senders = make([]*sender, tracks), make([]*sender, len(l.Media))
	for i, m := range l.Media {
		s := &sender{Medium: m, index: i, nal: carriage.Of(m.Codec).NAL != nil}
		if same {
			s.pack, s.packets, s.payloads = before[i].pack, before[i].packets, before[i].payloads
		} else if pack, err := m.NewPacker(); err != nil {
			s.pack = func([][]byte) ([]*rtp.Packet, error) { return nil, err }
		} else {
			s.pack = pack
		}
		p.senders[i], p.byTrack[m.Track] = s, s
	}
}

// Pack makes the packets of an access unit and says which medium they belong to; there are none if it is left out.
// Reports, if they are due, are the sender reports of all media, by medium, and go before the packets.
func (p *Packetizer) Pack(au *codecs.AccessUnit) (medium int, packets []*rtp.Packet, reports [][]byte, err error) {
	if au.Track < 0 || au.Track >= len(p.byTrack) || p.byTrack[au.Track] == nil {
		return 0, nil, nil, nil
	}
	s := p.byTrack[au.Track]
	units := p.split(s, au)
	if len(units) == 0 {
		return 0, nil, nil, nil
	}
	packets, err = s.pack(units)
	clear(units) // the slice is reused and must not keep media alive
	if err != nil {
		return 0, nil, nil, err
	}
	if p.due(au) {
		for _, r := range p.senders {
			reports = append(reports, r.report(au.PTS))
		}
	}
	timestamp := rtpTime(au.PTS, s.Clock)
	for _, packet := range packets {
		packet.Timestamp, packet.SSRC = timestamp, s.SSRC
		s.packets++
		s.payloads += uint32(len(packet.Payload))
	}
	return s.index, packets, reports, nil
}

// split returns what the packer takes: NAL units, with the parameter sets before a random access point, or else the
// whole access unit.
func (p *Packetizer) split(s *sender, au *codecs.AccessUnit) [][]byte {
	units := p.units[:0]
	if !s.nal {
		if len(au.Payload) > 0 {
			units = append(units, au.Payload)
		}
		p.units = units
		return units
	}
	if au.RandomAccess {
		units = append(units, s.Sets...)
	}
	before := len(units)
	for u := range nal.Units(au.Payload) {
		units = append(units, u)
	}
	p.units = units
	if len(units) == before {
		return nil
	}
	return units
}

// due says whether sender reports go before this access unit.
func (p *Packetizer) due(au *codecs.AccessUnit) bool {
	since := au.DTS - p.reported
	video := p.senders[0].Codec.Video()
	point := au.RandomAccess && (!video || p.byTrack[au.Track].Codec.Video())
	if p.started && since >= 0 && since < reportMost && !(point && since >= reportLeast) {
		return false
	}
	p.started, p.reported = true, au.DTS
	return true
}
