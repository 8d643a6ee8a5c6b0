package listen

import (
	"context"
	"errors"
	"io"
	"time"
)

// MediaDeadline is how long a viewer may be without media before its connection is ended. A player that waits for a source that
// does not come back would wait for ever; one whose connection ends asks again, and is told what has become of the stream.
const MediaDeadline = 2 * time.Minute

// UntilSilent returns feed, which ends too when it has brought nothing for [MediaDeadline]. All calls of its Next must have the
// same context.
func UntilSilent(feed Feed) Feed { return &untilSilent{Feed: feed} }

type untilSilent struct {
	Feed

	// waiting is the context under which the feed within waits. It ends when timer fires, which is put off whenever media
	// comes, so that nothing is allocated while media flows.
	waiting context.Context
	timer   *time.Timer
}

// Next implements [Feed].
func (s *untilSilent) Next(ctx context.Context, bufs [][]byte) ([][]byte, error) {
	if s.waiting == nil {
		waiting, cancel := context.WithCancel(ctx)
		s.waiting, s.timer = waiting, time.AfterFunc(MediaDeadline, cancel)
	} else {
		s.timer.Reset(MediaDeadline)
	}
	bufs, err := s.Feed.Next(s.waiting, bufs)
	if err != nil && s.waiting.Err() != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
		err = io.EOF
	}
	return bufs, err
}

// Close implements [Feed].
func (s *untilSilent) Close() {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.Feed.Close()
}
