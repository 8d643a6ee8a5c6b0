package input

import (
	"sync"
	"sync/atomic"

	"weir/actors/hub"
	"weir/codecs"
)

// counted counts the access units that a source writes of its video track, or of all tracks if it has no video. They count
// whether or not the writer is active: an input that waits to take over is not silent.
type counted struct {
	*Monitor
	writer *hub.Writer
	n      atomic.Uint64
	video  atomic.Int64 // the index of the video track, or -1

	anchor *anchor // nil: the timestamps are instants already
}

// Rejoin implements [Writer].
func (c *counted) Rejoin() (newest int64, ok bool) { return c.writer.Rejoin() }

// SetTracks implements [codecs.Writer].
func (c *counted) SetTracks(tracks codecs.Tracks) {
	c.video.Store(int64(tracks.Video()))
	c.Monitor.SetTracks(tracks)
	c.writer.SetTracks(tracks)
}

// Write implements [codecs.Writer].
func (c *counted) Write(au *codecs.AccessUnit) error {
	if v := c.video.Load(); v < 0 || int64(au.Track) == v {
		c.n.Add(1)
	}
	c.Unit(au)
	if c.anchor != nil {
		au = c.anchor.place(au)
	}
	return c.writer.Write(au)
}

// An anchor shifts the timestamps of a source to the wall clock, which it reads once.
type anchor struct {
	wall func() int64
	once sync.Once
	by   int64
}

func (a *anchor) place(au *codecs.AccessUnit) *codecs.AccessUnit {
	a.once.Do(func() { a.by = a.wall() - au.DTS })
	moved := *au
	moved.DTS += a.by
	moved.PTS += a.by
	return &moved
}
