// Package journal writes down each event and each effect of a control plane as a line of compact JSON, and steps such a
// journal through the state machine again to see whether it does the same.
//
// It knows no actor. A journal holds no key and no media.
package journal

import (
	"encoding/json"
	"fmt"
	"reflect"

	"weir/cluster/control"
)

// Version is the number of the form of a journal. Another one is not replayed: the state machine of another build may
// rightly do something else.
const Version = 1

// A line is one record. Exactly one of Start, Event and Effect is there.
type line struct {
	At control.Instant `json:"t,omitempty"`

	// Start begins a journal, or begins it anew behind a gap: what the node knew then.
	Start   *control.Saved `json:"start,omitempty"`
	Gap     bool           `json:"gap,omitempty"` // lines before it are missing
	Version int            `json:"journal,omitempty"`
	Build   string         `json:"build,omitempty"`

	Event  string          `json:"e,omitempty"`
	Effect string          `json:"x,omitempty"`
	Value  json.RawMessage `json:"v,omitempty"`
}

// events and effects are by name; the test compares them with the source.
var (
	events = byName[control.Event](
		control.Tick{}, control.Fetched{}, control.FetchFailed{}, control.StateAsked{}, control.CaptureUp{},
		control.CaptureDown{}, control.CaptureStopped{}, control.MediaChanged{}, control.PublishWanted{},
		control.PublishEnded{}, control.Measured{}, control.ConfigChanged{}, control.Resumed{}, control.Drain{},
		control.ReleaseAsked{}, control.Suspended{}, control.Demanded{}, control.Released{},
	)
	effects = byName[control.Effect](
		control.Fetch{}, control.Reply{}, control.StartCapture{}, control.StopCapture{}, control.PublishAnswer{},
		control.WakeAt{}, control.Drained{}, control.Note{}, control.AskRelease{}, control.ReleaseAnswer{},
	)
)

func byName[T any](values ...T) map[string]reflect.Type {
	m := make(map[string]reflect.Type, len(values))
	for _, v := range values {
		t := reflect.TypeOf(v)
		m[t.Name()] = t
	}
	return m
}

// Start makes the line with which a journal begins, or goes on behind a gap.
func Start(build string, s *control.Saved, gap bool) ([]byte, error) {
	return encode(line{At: s.Now, Start: s, Gap: gap, Version: Version, Build: build})
}

// Event makes the line of an event. It has to be made before the event is given to the state machine, which keeps parts
// of it.
func Event(at control.Instant, ev control.Event) ([]byte, error) {
	v, err := value(ev)
	if err != nil {
		return nil, err
	}
	return encode(line{At: at, Event: reflect.TypeOf(ev).Name(), Value: v})
}

// Effect makes the line of an effect of the event before it.
func Effect(e control.Effect) ([]byte, error) {
	v, err := value(e)
	if err != nil {
		return nil, err
	}
	return encode(line{Effect: reflect.TypeOf(e).Name(), Value: v})
}

func value(v any) (json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing down %T: %w", v, err)
	}
	if string(b) == "{}" {
		return nil, nil
	}
	return b, nil
}

func encode(l line) ([]byte, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("writing a journal: %w", err)
	}
	return append(b, '\n'), nil
}
