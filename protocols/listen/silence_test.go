package listen_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"weir/protocols/listen"
)

// A sparseFeed brings something after each of the times, and then nothing.
type sparseFeed struct {
	after  []time.Duration
	closed bool
}

func (f *sparseFeed) Next(ctx context.Context, bufs [][]byte) ([][]byte, error) {
	if len(f.after) == 0 {
		<-ctx.Done()
		return bufs, ctx.Err()
	}
	time.Sleep(f.after[0])
	f.after = f.after[1:]
	return append(bufs, []byte{1}), nil
}

func (f *sparseFeed) Dropped() uint64 { return 0 }
func (f *sparseFeed) Close()          { f.closed = true }

func TestViewerWithoutMediaIsEndedAfterTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &sparseFeed{after: []time.Duration{0, listen.MediaDeadline - 1, listen.MediaDeadline - 1}}
		feed := listen.UntilSilent(in)
		begin := time.Now()
		n := 0
		var err error
		for err == nil {
			var bufs [][]byte
			bufs, err = feed.Next(t.Context(), nil)
			n += len(bufs)
		}
		if want := 3*listen.MediaDeadline - 2; n != 3 || !errors.Is(err, io.EOF) || time.Since(begin) != want {
			t.Errorf("%d pieces, error %v after %v, want 3, %v after %v", n, err, time.Since(begin), io.EOF, want)
		}
		if feed.Close(); !in.closed {
			t.Error("the feed within is not closed")
		}
	})
}

func TestViewerThatLeavesIsNotToldThatTheStreamHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := listen.UntilSilent(&sparseFeed{})
		defer feed.Close()
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		if _, err := feed.Next(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next() = %v, want %v", err, context.DeadlineExceeded)
		}
	})
}
