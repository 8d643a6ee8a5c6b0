package input

import (
	"sync/atomic"

	"weir/actors/hub"
	"weir/codecs"
)

// counted counts what a source writes, whether or not it is heard, so that silence can be told from waiting.
type counted struct {
	*hub.Writer
	n atomic.Uint64
}

func (c *counted) Write(au *codecs.AccessUnit) error {
	c.n.Add(1)
	return c.Writer.Write(au)
}
