package rtmp

import (
	"bufio"
	"encoding/binary"
	"io"
	"sync/atomic"

	"github.com/yutopp/go-rtmp/message"
)

// A control reads the other side's messages and obeys those of the protocol itself.
type control struct {
	chunks *chunkReader
	in     atomic.Uint64 // bytes read
	acked  uint64        // bytes acknowledged
	window uint32        // bytes after which the other side wants an acknowledgement
}

// begin reads from r.
func (c *control) begin(r io.Reader) {
	c.window = windowSize
	c.chunks = newChunkReader(bufio.NewReaderSize(countingReader{r, &c.in}, 4<<10))
}

// obey acknowledges what has arrived, when that is due (RTMP 5.4.3), and obeys p if it is one of the protocol's own
// messages (RTMP 5.4, 7.1.7). It says whether it was. write sends complete messages.
func (c *control) obey(p packet, write func([]byte) error) (done bool, err error) {
	if in := c.in.Load(); in-c.acked >= uint64(c.window) {
		c.acked = in
		if err := write(appendControl(nil, message.TypeIDAck, uint32(in))); err != nil { // it counts modulo 2^32
			return false, err
		}
	}
	switch message.TypeID(p.typ) {
	case message.TypeIDSetChunkSize, message.TypeIDAbortMessage, message.TypeIDAck, message.TypeIDSetPeerBandwidth:
		return true, nil
	case message.TypeIDWinAckSize:
		if len(p.body) >= 4 {
			c.window = max(minWindow, binary.BigEndian.Uint32(p.body))
		}
		return true, nil
	case message.TypeIDUserCtrl:
		if ts, ok := pinged(p); ok {
			return true, write(event(nil, eventPong, ts))
		}
		return true, nil
	}
	return false, nil
}

// A countingReader counts the bytes that are read through it.
type countingReader struct {
	r io.Reader
	n *atomic.Uint64
}

// Read implements [io.Reader].
func (r countingReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.n.Add(uint64(n))
	return n, err
}
