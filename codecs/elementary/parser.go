package elementary

import (
	"bytes"
	"fmt"

	"weir/codecs"
	"weir/codecs/carriage"
	"weir/codecs/nal"
	"weir/codecs/order"
)

// A Parser reads the access units of one elementary stream: it learns from the container and from the media what the
// track is like, and makes payloads. It belongs to one goroutine.
type Parser struct {
	codec codecs.Codec
	row   *carriage.Row
	track codecs.Track // the zero Track until it is known

	// frameRate is that of video which the container tells; zero if it does not.
	frameRate float64

	samples, rate int // audio; samples is 0 where each access unit says how many it has

	lengthSize int      // of codecs that consist of NAL units
	sets       [][]byte // the parameter sets in force; before the track is known, those that have come
	order      *order.Reader
	refreshed  int // pictures since the last random access point
}

// refreshing is after how many pictures without a random access point one counts where pictures are refreshed little by little: there
// will be no better one.
const refreshing = 100

// A Unit is what a [Parser] makes of the data of one access unit.
type Unit struct {
	Payload      []byte // empty if there is nothing to be played in it
	RandomAccess bool
	Samples      int  // of audio, at the parser's rate
	Changed      bool // the track is another one from this access unit on
	Picture      order.Picture
}

// NewParser returns the parser of a stream of a codec.
func NewParser(c codecs.Codec) *Parser {
	p := &Parser{codec: c, row: carriage.Of(c), order: order.New(nil)}
	if p.row.NAL != nil {
		p.order = order.New(p.row.NAL.Order())
	}
	return p
}

// Track returns the track. ok is false as long as neither the container nor the media has described it.
func (p *Parser) Track() (t codecs.Track, ok bool) { return p.track, p.track.Codec != 0 }

// Configure takes a decoder configuration, in the form of [codecs.Track], from the container and keeps it. It says
// whether the track is another one now. A codec whose frames describe themselves has none.
func (p *Parser) Configure(config []byte) (changed bool, err error) {
	if p.row.Describe == nil {
		return false, nil
	}
	t, err := p.row.Describe(config)
	if err != nil {
		return false, err
	}
	if p.row.NAL != nil {
		c, err := p.row.NAL.Read(config)
		if err != nil {
			return false, err
		}
		p.lengthSize, p.sets = c.LengthSize, c.Sets
		p.order.Sets(c.Sets)
	}
	return p.become(t)
}

func (p *Parser) become(t codecs.Track) (changed bool, err error) {
	if p.track.Equal(t) {
		return false, nil
	}
	t = p.paced(t)
	if p.row.Length != nil {
		samples, rate, err := p.row.Length(t)
		if err != nil {
			return false, err
		}
		p.samples, p.rate = samples, rate
	}
	p.track = t
	return true, nil
}

// FrameRate takes the number of pictures in a second that the container tells of video.
func (p *Parser) FrameRate(rate float64) {
	p.frameRate = codecs.PlausibleRate(rate)
	p.track = p.paced(p.track)
}

// paced is t with the frame rate of the container, if it tells one. An encoder that writes another one into its parameter sets often
// means the clock of its timestamps.
func (p *Parser) paced(t codecs.Track) codecs.Track {
	if p.codec.Video() && p.frameRate > 0 {
		t.FrameRate = p.frameRate
	}
	return t
}

// Unit takes the data of one access unit as FLV and MP4 hold it, and may keep it. key says that the container calls it
// a key frame.
func (p *Parser) Unit(b []byte, key bool) (u Unit, err error) {
	switch {
	case p.row.Length != nil:
		u, err = p.frame(b)
	case p.row.NAL != nil && p.lengthSize > 0:
		units, err := nal.Split(b, p.lengthSize)
		if err != nil {
			return Unit{}, err
		}
		kept, u := p.sift(units, key)
		size := 0
		for _, k := range kept {
			size += 4 + len(k)
		}
		if u.Payload = b; p.lengthSize != 4 || size != len(b) {
			u.Payload = nal.Join(kept...)
		}
		return u, nil
	case p.row.Payload != nil:
		u.RandomAccess = key
		u.Payload, err = p.row.Payload(b)
	default:
		u.Payload, u.RandomAccess = b, key
	}
	if p.track.Codec == 0 && err == nil {
		err = fmt.Errorf("%v before its configuration", p.codec)
	}
	return u, err
}

func (p *Parser) frame(b []byte) (u Unit, err error) {
	u = Unit{Payload: b, RandomAccess: true, Samples: p.samples}
	if p.row.Frame == nil {
		return u, nil
	}
	var t codecs.Track
	if t, u.Samples, err = p.row.Frame(b); err != nil {
		return Unit{}, err
	}
	if t.Codec != 0 {
		u.Changed, err = p.become(t)
	}
	return u, err
}

// Units takes the NAL units of one access unit, without start codes or lengths. They are not changed.
func (p *Parser) Units(units [][]byte) Unit {
	trimmed := make([][]byte, len(units))
	for i, u := range units {
		trimmed[i] = bytes.TrimRight(u, "\x00") // trailing_zero_8bits (ITU-T H.264, B.1.1)
	}
	kept, u := p.sift(trimmed, false)
	u.Payload = nal.Join(kept...)
	return u
}

// sift returns the NAL units that belong into the payload, and takes parameter sets into force.
func (p *Parser) sift(units [][]byte, key bool) (kept [][]byte, u Unit) {
	s := p.row.NAL
	kept = make([][]byte, 0, len(units))
	var sets [][]byte
	recovers := false
	for _, unit := range units {
		switch {
		case len(unit) < s.Header, s.IsDelimiter(unit):
		case s.IsSet(unit):
			if len(sets) < nal.MaxSets {
				sets = append(sets, unit)
			}
		default:
			u.RandomAccess = u.RandomAccess || s.Random(unit, key)
			recovers = recovers || s.Recovers != nil && s.Recovers(unit)
			kept = append(kept, unit)
		}
	}
	switch p.refreshed++; {
	case u.RandomAccess:
		p.refreshed = 0
	case p.refreshed >= refreshing && recovers:
		u.RandomAccess = true
	}
	u.Changed = p.Sets(sets)
	u.Picture = p.order.Picture(kept)
	return kept, u
}

// Sets takes parameter sets into force and says whether the track is another one now. They replace those of the same
// types; sets that do not make a track are passed over.
func (p *Parser) Sets(sets [][]byte) (changed bool) {
	s := p.row.NAL
	var next [][]byte
	news, types := false, map[byte]bool{}
	for _, set := range sets {
		if !s.IsSet(set) || nal.Has(next, set) {
			continue
		}
		news = news || !nal.Has(p.sets, set)
		types[s.Type(set)] = true
		next = append(next, bytes.Clone(set))
	}
	if !news {
		return false
	}
	for _, set := range p.sets {
		if !types[s.Type(set)] {
			next = append(next, set)
		}
	}
	track, err := s.Track(next)
	if err != nil {
		if p.track.Codec == 0 {
			p.sets = next // the rest may come in another access unit
		}
		return false
	}
	p.sets = next
	p.order.Sets(next)
	changed, _ = p.become(track)
	return changed
}
