// Package source makes the sources of inputs: a file or the test pattern played as a linear channel, a stream that is pulled
// from a server, the relay of a stream that another node captures, and that of a stream of an origin.
//
// It does not know when an input runs, nor who watches. Where another node or an origin is, and how a request to it proves
// this node's key, its callers say.
package source

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"weir/actors/input"
	"weir/codecs"
	"weir/protocols/pull"
	"weir/protocols/rtmp"
	"weir/protocols/rtsp"
)

// An Input is what a source is made of.
type Input struct {
	Stream string
	Kind   string // a row of the table; see [Opener.Open]
	Shown  string // its URL without a password

	Address    string        // the URL of the server that it is pulled from
	Query      string        // of the test pattern
	Root, File string        // the directory of files, and the path below it
	Silence    time.Duration // how long no media may come
}

// An Opener makes sources.
type Opener struct {
	Clock   pull.Clock // paces linear channels
	Agent   string     // what this node calls itself to servers
	Origins Origins
	Log     *slog.Logger
}

// kinds has a row for each kind of input.
var kinds = map[string]func(*Opener, Input) (input.Source, error){
	"fake":   openPattern,
	"file":   openFile,
	"ts":     pulled(pull.TS),
	"hls":    pulled(pull.HLS),
	"flv":    pulled(pull.FLV),
	"rtmp":   pulled(pullRTMP),
	"rtmps":  pulled(pullRTMP),
	"rtsp":   pulled(pullRTSP),
	"rtsps":  pulled(pullRTSP),
	"source": openOrigin,
}

// Open makes the source of an input. Nothing is opened before the source is started.
func (o *Opener) Open(in Input) (input.Source, error) {
	open := kinds[in.Kind]
	if open == nil {
		return nil, fmt.Errorf("found an input of the kind %q, expected one of %q", in.Kind, slices.Sorted(maps.Keys(kinds)))
	}
	return open(o, in)
}

// connecting is how long a server of a pulled input may take for each answer.
const connecting = 10 * time.Second

// pulled makes the row of a function that pulls a stream from a server until that ends.
func pulled(run func(context.Context, string, pull.Options, codecs.Writer) error) func(*Opener, Input) (input.Source, error) {
	return func(o *Opener, in Input) (input.Source, error) {
		options := pull.Options{Connect: connecting, Silence: in.Silence, Agent: o.Agent, Note: func(note string) {
			o.Log.Info("note on an input", slog.String("stream", in.Stream), slog.String("input", in.Shown), slog.String("reason", note))
		}}
		return input.Run(func(ctx context.Context, w input.Writer) error {
			return run(ctx, in.Address, options, w)
		}), nil
	}
}

func pullRTMP(ctx context.Context, url string, o pull.Options, w codecs.Writer) error {
	return rtmp.Pull(ctx, url, rtmp.ClientConfig{Timeout: o.Connect, Silence: o.Silence}, o.Note, w)
}

func pullRTSP(ctx context.Context, url string, o pull.Options, w codecs.Writer) error {
	return rtsp.Pull(ctx, url, rtsp.PullConfig{Timeout: o.Connect, Agent: o.Agent, Note: o.Note}, w)
}
