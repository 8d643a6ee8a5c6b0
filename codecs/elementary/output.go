package elementary

import "weir/codecs"

// How much an [Output] holds before the tracks are announced.
const (
	maxHeld  = 1024
	maxBytes = 8 << 20
)

// An Output hands the access units of at most one video and one audio stream to a writer, and holds them until their
// tracks are announced. The zero Output is ready.
type Output struct {
	Announced bool // the writer has been told the tracks
	Tracks    codecs.Tracks

	held      []*codecs.AccessUnit // before that; their Track is not set yet
	heldBytes int
}

// Full says that no more is held without loss.
func (o *Output) Full() bool { return len(o.held) >= maxHeld || o.heldBytes >= maxBytes }

// Announce tells the writer the tracks, the video track first, unless they are as before, and writes the access units that
// were held.
func (o *Output) Announce(tracks codecs.Tracks, out codecs.Writer) error {
	if !o.Announced || !o.Tracks.Equal(tracks) {
		o.Announced, o.Tracks = true, tracks
		out.SetTracks(tracks)
	}
	held := o.held
	o.held, o.heldBytes = nil, 0
	for _, au := range held {
		if err := o.Write(au, true, out); err != nil {
			return err
		}
	}
	return nil
}

// Write writes an access unit whose Track is 0 for video and 1 for audio. It holds one whose track has not been announced; when too
// much is held, the oldest are dropped. One whose track was not among those that were announced is dropped.
func (o *Output) Write(au *codecs.AccessUnit, announced bool, out codecs.Writer) error {
	if !o.Announced || !announced {
		if o.Full() { // sound without end before the first picture
			o.heldBytes -= len(o.held[0].Payload)
			o.held = o.held[1:]
		}
		o.held = append(o.held, au)
		o.heldBytes += len(au.Payload)
		return nil
	}
	i := o.Tracks.Video()
	if au.Track == roleAudio {
		i = o.Tracks.Audio()
		au.RandomAccess = o.Tracks.Video() < 0
	}
	if au.Track = i; i < 0 {
		return nil
	}
	return out.Write(au)
}
