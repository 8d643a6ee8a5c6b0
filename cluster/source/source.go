// Package source makes the sources of inputs: files and the test pattern, which are played as linear channels; streams that are pulled
// from servers; streams that are relayed from another node; and streams that are relayed from an origin.
//
// It does not know when an input runs, or which viewers it has. The URLs of nodes and origins, and the transports that prove keys to
// them, are functions of its configuration.
package source

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"weir/actors/input"
	"weir/cluster/certificate"
	"weir/codecs"
	"weir/protocols/pull"
	"weir/protocols/rtmp"
	"weir/protocols/rtsp"
)

// An Input describes the input whose source is made.
type Input struct {
	Stream string
	Kind   string // a row of the table; see [Opener.Open]
	Shown  string // the URL of the input, with its password hidden

	Address    string        // the URL from which the input is pulled
	Query      string        // of the test pattern
	Root, File string        // of a file: the directory, and the path below it
	Agent      string        // the User-Agent of this input; empty stands for that of the [Opener]
	Header     http.Header   // of requests over HTTP
	Program    int           // of a transport stream, or 0 for the first that can be played
	TrustedCA  []string      // files of authorities that prove the server, besides those of the machine
	Silence    time.Duration // how long no media may come before the input is lost
}

// An Opener makes sources.
type Opener struct {
	Clock   pull.Clock // paces linear channels
	Agent   string     // the User-Agent that servers get
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

// Open makes the source of an input. It opens no file and no connection; the source does when it is started.
func (o *Opener) Open(in Input) (input.Source, error) {
	open := kinds[in.Kind]
	if open == nil {
		return nil, fmt.Errorf("found an input of the kind %q, expected one of %q", in.Kind, slices.Sorted(maps.Keys(kinds)))
	}
	return open(o, in)
}

// connecting is how long a server from which an input is pulled may take for each answer.
const connecting = 10 * time.Second

// pulled makes a row of the table of kinds from a function that pulls a stream from a server.
func pulled(run func(context.Context, string, pull.Options, codecs.Writer) error) func(*Opener, Input) (input.Source, error) {
	return func(o *Opener, in Input) (input.Source, error) {
		return input.Run(func(ctx context.Context, w input.Writer) error {
			roots, err := certificate.Authorities(in.TrustedCA...)
			if err != nil {
				return err
			}
			return run(ctx, in.Address, pull.Options{
				Connect: connecting, Silence: in.Silence, Agent: cmp.Or(in.Agent, o.Agent), Header: in.Header, Program: in.Program, Roots: roots, Report: w,
			}, w)
		}), nil
	}
}

func pullRTMP(ctx context.Context, url string, o pull.Options, w codecs.Writer) error {
	return rtmp.Pull(ctx, url, rtmp.ClientConfig{Timeout: o.Connect, Silence: o.Silence, Roots: o.Roots}, o.Report, w)
}

func pullRTSP(ctx context.Context, url string, o pull.Options, w codecs.Writer) error {
	return rtsp.Pull(ctx, url, rtsp.PullConfig{Timeout: o.Connect, Silence: o.Silence, Agent: o.Agent, Roots: o.Roots, Report: o.Report}, w)
}
