package stream

import (
	"log/slog"
	"strings"

	"weir/actors/act"
	"weir/actors/input"
)

// texts are what the log says of a stream that has come into a state.
var texts = map[State]string{
	Starting:    "stream starting",
	Running:     "stream running",
	Failed:      "stream failed",
	Stopped:     "stream stopped",
	Unpublished: "stream unpublished",
	Silent:      "stream silent",
}

// changed says that a stream has come into a state.
func changed(s Status) act.Event {
	return act.Debug("stream_"+s.State.String(), texts[s.State], slog.String("stream", s.Stream), act.Err(s.Err))
}

// refused says that the actor of a stream could not be started.
func refused(stream string, err error) act.Event {
	return act.Warn("stream_refused", "a stream cannot be started", slog.String("stream", stream), act.Err(err))
}

// inputLost says that the input whose media viewers got has failed, and that the stream has others.
func inputLost(stream string, err error) act.Event {
	return act.Warn("input_lost", "the active input has failed", slog.String("stream", stream), act.Err(err))
}

// inputSwitched says that viewers get the media of another input than before.
func inputSwitched(stream, url string) act.Event {
	return act.Info("input_switched", "another input is active", slog.String("stream", stream), slog.String("input", url))
}

// inputChanged says that a track of an input is left out, or that its condition is another one.
func inputChanged(stream, url string, c input.Change) act.Event {
	attrs := []slog.Attr{slog.String("stream", stream), slog.String("input", url)}
	switch l := c.LeftOut; {
	case l != nil:
		what := strings.TrimSpace(l.Track + " " + l.Codec)
		return act.Warn("track_left_out", "a track is left out", append(attrs, slog.String("reason", what+": "+l.Reason))...)
	case c.Condition == 0:
		return act.Info("input_well", "an input is well again", attrs...)
	}
	return act.Warn("input_unwell", "an input is not as it should be", append(attrs, slog.String("reason", c.Condition.String()+": "+c.Reason))...)
}

// segmentsHandedOver says that another node makes the segments of a stream from now on.
func segmentsHandedOver(stream, peer string) act.Event {
	return act.Debug("segments_handed_over", "segments are handed over", slog.String("stream", stream), slog.String("peer", peer))
}
