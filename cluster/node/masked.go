package node

import (
	"context"
	"fmt"
	"log/slog"

	"weir/protocols"
)

// A maskedLog hides, in all that a node logs, what may be secret in URLs: errors hold those of clients, inputs and hooks.
type maskedLog struct{ slog.Handler }

// Handle implements [slog.Handler].
func (l maskedLog) Handle(ctx context.Context, r slog.Record) error {
	masked := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		masked.AddAttrs(maskedAttr(a))
		return true
	})
	return l.Handler.Handle(ctx, masked)
}

// WithAttrs implements [slog.Handler].
func (l maskedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	masked := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		masked[i] = maskedAttr(a)
	}
	return maskedLog{l.Handler.WithAttrs(masked)}
}

// WithGroup implements [slog.Handler].
func (l maskedLog) WithGroup(name string) slog.Handler { return maskedLog{l.Handler.WithGroup(name)} }

func maskedAttr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	text := ""
	switch v.Kind() {
	case slog.KindString:
		text = v.String()
	case slog.KindGroup:
		var inside []slog.Attr
		for _, b := range v.Group() {
			inside = append(inside, maskedAttr(b))
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(inside...)}
	case slog.KindAny:
		switch x := v.Any().(type) {
		case error:
			text = x.Error()
		case fmt.Stringer:
			text = x.String()
		}
	}
	if masked := protocols.MaskURLs(text); masked != text {
		return slog.Attr{Key: a.Key, Value: slog.StringValue(masked)}
	}
	return a
}
