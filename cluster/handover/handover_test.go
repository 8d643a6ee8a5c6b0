package handover

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"google.golang.org/protobuf/proto"

	"weir/cluster/wire"
	"weir/protocols/cmaf"
)

// from is a configuration by which the window of left is fetched; the segments below the number oldest cannot be.
func from(t *testing.T, oldest int64) Config {
	t.Helper()
	return Config{
		Self: func() string { return "n2" },
		Ask: func(_ context.Context, node, stream string, q proto.Message) (proto.Message, error) {
			if node != "n1" || stream != "x" || q.(*wire.Window).Stream != "x" || q.(*wire.Window).Node != "n2" {
				t.Errorf("%s is asked for %s: %v", node, stream, q)
			}
			return over(t, Window(q.(*wire.Window), "n1", left(t))), nil
		},
		Private: func(string) string { return "http://n1" },
		Segment: func(_ context.Context, private, _ string, f cmaf.Form, number int64) ([]byte, error) {
			if number < oldest {
				return nil, errors.New("it is gone")
			}
			return []byte{byte(f), byte(number)}, nil
		},
		Log: slog.New(slog.DiscardHandler),
	}
}

func TestNewestSegmentsAreTaken(t *testing.T) {
	for _, tt := range []struct {
		oldest        int64
		want          int
		before, after int64 // discontinuities before the first segment, and all
	}{
		{0, 4, 7, 9}, // the first and the third segment begin with one
		{43, 2, 8, 9},
		{99, 0, 9, 9},
	} {
		h, err := from(t, tt.oldest).fetch(t.Context(), "x", "n1")
		if err != nil {
			t.Fatal(err)
		}
		if len(h.Segments) != tt.want || h.Next != 45 || h.Before != tt.before || h.Discontinuities != tt.after {
			t.Errorf("from %d on: %d segments before %d, %d discontinuities before them of %d; want %d before 45, %d of %d",
				tt.oldest, len(h.Segments), h.Next, h.Before, h.Discontinuities, tt.want, tt.before, tt.after)
		}
	}
}

func TestDiscontinuitiesBeforeTheFirstSegmentAreCounted(t *testing.T) {
	c := from(t, 44)
	ask := c.Ask
	c.Ask = func(ctx context.Context, node, stream string, q proto.Message) (proto.Message, error) {
		answer, err := ask(ctx, node, stream, q)
		w := answer.(*wire.Windowed)
		for i, s := range w.Segments {
			s.Discontinuity = i%2 == 1
		}
		return w, err
	}
	h, err := c.fetch(t.Context(), "x", "n1")
	if err != nil || len(h.Segments) != 1 || h.Before != 8 || h.Discontinuities != 9 {
		t.Errorf("fetched %+v, %v; want one segment behind 8 discontinuities of 9", h, err)
	}
}

func TestWithoutAWindowNothingIsTaken(t *testing.T) {
	c := from(t, 0)
	c.Private = func(string) string { return "" }
	if h, err := c.fetch(t.Context(), "x", "n1"); err != nil || len(h.Segments) != 0 || h.Next != 45 {
		t.Errorf("from a node without a URL: %+v, %v; want the number alone", h, err)
	}
	planted := errors.New("planted")
	for _, tt := range []struct {
		answer proto.Message
		err    error
		want   error
	}{{nil, planted, planted}, {&wire.Claimed{}, nil, errWindow}} {
		c.Ask = func(context.Context, string, string, proto.Message) (proto.Message, error) { return tt.answer, tt.err }
		if h, err := c.fetch(t.Context(), "x", "n1"); h != nil || !errors.Is(err, tt.want) {
			t.Errorf("answered %T, %v: fetched %+v, %v", tt.answer, tt.err, h, err)
		}
	}
}
