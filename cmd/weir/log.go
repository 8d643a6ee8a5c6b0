package main

import (
	"log/slog"
	"os"

	"github.com/lmittmann/tint"
)

// newLogger writes for a person if f is a terminal and JSON otherwise. Level is a word that package conf has checked.
func newLogger(f *os.File, level string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level))
	if isTerminal(f) {
		return slog.New(tint.NewTextHandler(f, &tint.Options{Level: l, TimeFormat: "15:04:05.000", NoColor: os.Getenv("NO_COLOR") != ""}))
	}
	return slog.New(slog.NewJSONHandler(f, &slog.HandlerOptions{Level: l, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration {
			a.Value = slog.StringValue(a.Value.Duration().String()) // JSON would have the number of its nanoseconds
		}
		return a
	}}))
}

// isTerminal reports whether a person may be reading: pipes, files and sockets of a service manager are no character
// devices.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// A painter colours words for a terminal; see https://no-color.org for the way to have none.
type painter struct{ colour bool }

func (p painter) red(s string) string    { return p.paint("31", s) }
func (p painter) green(s string) string  { return p.paint("32", s) }
func (p painter) yellow(s string) string { return p.paint("33", s) }
func (p painter) bold(s string) string   { return p.paint("1", s) }

func (p painter) paint(code, s string) string {
	if !p.colour || os.Getenv("NO_COLOR") != "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
