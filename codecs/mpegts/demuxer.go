package mpegts

import (
	"bytes"

	"weir/codecs/bytestream"
)

// A Receiver takes what a [Demuxer] finds.
type Receiver interface {
	// Streams says which elementary streams the program has from now on, in the order of its table. A stream that goes on keeps
	// its pointer.
	Streams([]*Stream)

	// Unit takes an access unit, which is valid until Unit returns. An error ends what the demuxer is doing, and is returned.
	// Timestamps have 33 bits.
	Unit(*Stream, *bytestream.Unit) error

	// Scrambled says that a stream is scrambled from now on, or that it is no longer.
	Scrambled(s *Stream, scrambled bool)
}

// Counters are what a demuxer has counted.
type Counters struct {
	Packets    uint64
	Skipped    uint64 // bytes between packets that are not part of any
	Resyncs    uint64 // how often the packets were lost and found again
	Unreadable uint64 // packets with the transport error indicator, or with an impossible header
	Scrambled  uint64 // packets that are
	Duplicates uint64 // packets that came twice (2.4.3.3)

	ContinuityErrors uint64 // places at which packets are missing
	BadSections      uint64 // sections of tables that do not have their checksum, or contradict themselves
	Damaged          uint64 // access units that were left out since bytes of them were missing
}

// A Demuxer reads a transport stream. It belongs to one goroutine. It needs memory for an access unit of each elementary stream,
// and for tables: some 24 MB if a sender wants it to.
type Demuxer struct {
	receiver Receiver
	number   int // of the program that is wanted; 0 for the first that can be played
	counters Counters

	// The packets, which stand stride bytes apart; 0 while they are searched.
	stride int
	skip   int    // bytes up to the next packet
	rest   []byte // the beginning of a packet, or what is searched

	index [1 << 13]uint16 // by PID: one more than the index in pids, or 0
	pids  []*pid

	pat      [][]byte // the sections of the newest table, by number
	services []*service
	chosen   *service
	told     bool      // the receiver has been told streams:
	listed   []*Stream // these

	epoch int   // counts the breaks of the time base
	held  int   // bytes of access units that are not complete
	err   error // of the receiver, from where it could not be returned
}

// A pid is what is known of the packets of one PID.
type pid struct {
	number  uint16
	counter int  // the continuity counter of the last packet; -1 for none
	renewed bool // the counter may begin anew
	stuck   int  // packets in a row whose counter stood still

	last   [room]byte // the payload of the last packet
	length int

	table  *assembler
	reader *reader
	watch  *service // of which it carries a stream by which programs are chosen
}

// NewDemuxer makes a demuxer of the program with a number, or, if it is 0, of the first that can be played: the first with
// pictures, or without any but with sound, of those that the tables list, that are not scrambled and that bring something. One
// that brings nothing for a second of another's media is passed over.
func NewDemuxer(r Receiver, number int) *Demuxer {
	d := &Demuxer{receiver: r, number: number}
	d.look(pidPAT).table = &assembler{take: d.association}
	return d
}

// Counters returns what has been counted so far.
func (d *Demuxer) Counters() Counters {
	c := d.counters
	for _, p := range d.pids {
		if p.reader != nil {
			c.Damaged += p.reader.damaged()
		}
	}
	return c
}

// Programs lists the numbers of the programs, in the order of the table.
func (d *Demuxer) Programs() (numbers []int) {
	for _, s := range d.services {
		numbers = append(numbers, s.number)
	}
	return numbers
}

// Program is the number of the program that is read, or 0 if none is.
func (d *Demuxer) Program() int {
	if d.chosen == nil {
		return 0
	}
	return d.chosen.number
}

// Write takes the bytes that follow, in pieces of any size. It implements [io.Writer]; an error is the receiver's.
func (d *Demuxer) Write(b []byte) (int, error) {
	total := len(b)
	for len(b) > 0 {
		if n := min(d.skip, len(b)); n > 0 {
			d.skip -= n
			b = b[n:]
			continue
		}
		var packet []byte
		switch {
		case d.stride == 0:
			n := min(len(b), maxSearched-len(d.rest))
			d.rest = append(d.rest, b[:n]...)
			b = b[n:]
			if err := d.search(false); err != nil {
				return total - len(b), err
			}
			continue
		case len(d.rest) == 0 && len(b) >= packetSize:
			packet, b = b[:packetSize], b[packetSize:]
		default:
			n := min(len(b), packetSize-len(d.rest))
			d.rest = append(d.rest, b[:n]...)
			b = b[n:]
			if len(d.rest) < packetSize {
				return total, nil
			}
			packet = d.rest
		}
		if packet[0] != syncByte {
			d.stride = 0
			d.counters.Resyncs++
			d.rest = append(d.rest[:0], packet...)
			continue
		}
		d.rest = d.rest[:0]
		d.skip = d.stride - packetSize
		if err := d.packet(packet); err != nil {
			return total - len(b), err
		}
	}
	return total, nil
}

// Flush says that nothing follows for now: access units that have begun are complete, and the packets are searched anew.
func (d *Demuxer) Flush() error {
	for d.stride == 0 && len(d.rest) >= packetSize {
		before := len(d.rest)
		if err := d.search(true); err != nil {
			return err
		}
		if len(d.rest) == before {
			break
		}
	}
	d.stride, d.skip, d.rest = 0, 0, d.rest[:0]
	for _, p := range d.pids {
		if p.reader == nil {
			continue
		}
		if err := p.reader.finish(); err != nil {
			return err
		}
	}
	return nil
}

// NextSegment says that what follows is another segment of the same presentation, which may count its packets anew. After a
// discontinuity nothing goes on, neither access units nor times.
func (d *Demuxer) NextSegment(discontinuity bool) error {
	if discontinuity {
		if err := d.Flush(); err != nil {
			return err
		}
		d.epoch++
	}
	d.stride, d.skip, d.rest = 0, 0, d.rest[:0]
	for _, p := range d.pids {
		p.renewed = true
	}
	return nil
}

const (
	syncByte = 0x47

	// maxSearched is in how many bytes packets are searched at once.
	maxSearched = 4 << 10
)

// strides are the distances of packets: bare, with a time before each (Blu-ray's), and with a checksum behind each (DVB's).
var strides = [...]int{packetSize, packetSize + 4, packetSize + 16}

// agreeing is how many packets must stand one behind the other where none was expected.
const agreeing = 4

// search finds the packets in rest, and reads those that are there. last says that nothing follows.
func (d *Demuxer) search(last bool) error {
	at := 0
	for d.stride == 0 {
		i := bytes.IndexByte(d.rest[at:], syncByte)
		if i < 0 {
			at = len(d.rest)
			break
		}
		at += i
		stride, wait := strideOf(d.rest[at:])
		if wait && !last {
			break
		}
		if stride == 0 || len(d.rest)-at < packetSize {
			at++
			continue
		}
		d.stride = stride
	}
	d.counters.Skipped += uint64(at)
	for d.stride != 0 && len(d.rest)-at >= packetSize && d.rest[at] == syncByte {
		packet := d.rest[at : at+packetSize]
		at += d.stride
		if err := d.packet(packet); err != nil {
			return err
		}
		if at > len(d.rest) {
			d.skip = at - len(d.rest)
			at = len(d.rest)
		}
	}
	if d.stride != 0 && len(d.rest)-at >= packetSize { // lost again
		d.stride = 0
		d.counters.Resyncs++
	}
	d.rest = append(d.rest[:0], d.rest[at:]...)
	return nil
}

// strideOf returns the distance of the packets of which one begins at b. wait says that more bytes could tell of another one; it
// is 0 if none begins there.
func strideOf(b []byte) (stride int, wait bool) {
	for _, n := range strides {
		fits := true
		for k := 0; k < agreeing && fits; k++ {
			if k*n+4 > len(b) {
				wait = true
				break
			}
			// The time before a packet may look like a sync byte, too, but not all of a header.
			fits = b[k*n] == syncByte && b[k*n+1]&0x80 == 0 && b[k*n+3]&0x30 != 0
		}
		if fits && stride == 0 {
			if !wait {
				return n, false
			}
			stride = n
		}
	}
	return stride, wait && stride != 0
}

// Recognise says whether the beginning of a transport stream looks so: there are packets one behind the other in it, or there is the
// beginning of one in what is too short for several.
func Recognise(head []byte) bool {
	for i := range min(len(head), strides[len(strides)-1]) {
		if stride, wait := strideOf(head[i:]); stride != 0 && (!wait || i == 0 && len(head) >= packetSize) {
			return true
		}
	}
	return false
}

// look returns what is known of a PID, from now on if nothing was.
func (d *Demuxer) look(number uint16) *pid {
	if i := d.index[number]; i > 0 {
		return d.pids[i-1]
	}
	p := &pid{number: number, counter: -1}
	d.pids = append(d.pids, p)
	d.index[number] = uint16(len(d.pids))
	return p
}

// packet reads one (2.4.3.2).
func (d *Demuxer) packet(b []byte) error {
	d.counters.Packets++
	if b[1]&0x80 != 0 { // transport_error_indicator
		d.counters.Unreadable++
		return nil
	}
	i := d.index[uint16(b[1]&0x1f)<<8|uint16(b[2])]
	if i == 0 {
		return nil
	}
	p := d.pids[i-1]
	payload := b[4:]
	var broken, random bool
	if b[3]&0x20 != 0 { // an adaptation field (2.4.3.4)
		n := int(b[4])
		if n >= room {
			d.counters.Unreadable++
			return nil
		}
		if n > 0 {
			broken, random = b[5]&0x80 != 0, b[5]&0x40 != 0
			if broken && b[5]&0x10 != 0 && d.chosen != nil && d.chosen.clock == p.number {
				d.epoch++ // discontinuity_indicator with the PCR of another time base (2.4.3.5)
			}
		}
		payload = payload[1+n:]
	}
	if b[3]&0x10 == 0 {
		payload = nil
	}
	if p.table == nil && p.reader == nil && p.watch == nil {
		p.counter = -1
		return nil
	}
	start := b[1]&0x40 != 0
	switch p.count(int(b[3]&15), payload, start, broken) {
	case duplicate:
		d.counters.Duplicates++
		return nil
	case missing:
		d.counters.ContinuityErrors++
		if err := p.gap(); err != nil {
			return err
		}
	case elsewhere:
		if err := p.gap(); err != nil {
			return err
		}
	}
	if len(payload) == 0 {
		return nil
	}
	if b[3]&0xc0 != 0 { // transport_scrambling_control
		d.counters.Scrambled++
		if p.reader != nil {
			return p.reader.scramble()
		}
		return nil
	}
	if p.table != nil {
		p.table.payload(payload, start)
		if d.err != nil {
			return d.err
		}
	}
	if p.watch != nil && start {
		d.sign(p.watch, payload) // the packet itself is read if its program is chosen
	}
	if p.reader != nil {
		return p.reader.payload(payload, start, random)
	}
	return nil
}

// What the continuity counter of a packet says.
const (
	following = iota
	duplicate
	missing   // packets are missing before it
	elsewhere // it need not follow, and does not
)

// maxStuck is after how many packets in a row with the same counter the sender is known not to count.
const maxStuck = 16

// count compares the continuity counter of a packet with that of the one before (2.4.3.3).
func (p *pid) count(counter int, payload []byte, start, broken bool) int {
	before := p.counter
	p.counter = counter
	renewed := p.renewed || broken
	p.renewed = false
	if payload == nil {
		switch {
		case before < 0 || before == counter:
			return following
		case renewed:
			return elsewhere
		}
		return missing
	}
	same := before == counter && bytes.Equal(payload, p.last[:p.length])
	p.length = copy(p.last[:], payload)
	switch {
	case before < 0, counter == (before+1)&15:
		p.stuck = 0
		return following
	case same && !renewed:
		return duplicate
	case renewed:
		if start {
			return following
		}
		return elsewhere
	case counter == before:
		if p.stuck++; p.stuck > maxStuck {
			return following
		}
		return missing
	}
	p.stuck = 0
	return missing
}

// gap says that packets are missing.
func (p *pid) gap() error {
	if p.table != nil {
		p.table.active = false
	}
	if p.reader != nil {
		return p.reader.gap()
	}
	return nil
}
