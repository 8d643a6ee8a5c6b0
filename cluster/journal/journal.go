// Package journal writes each event and each effect of a control plane as a line of compact JSON. It can also replay a journal: it
// gives the events to the state machine again, and compares the effects with those in the journal.
//
// It knows no actor. A journal holds no key and no media.
package journal

import (
	"encoding/json"
	"fmt"
	"reflect"

	"weir/cluster/control"
)

// Version is the version of the journal's form. A journal of another version is not replayed: its state machine may have been
// meant to behave differently.
const Version = 1

// A line is one record. Exactly one of Start, Lost, Event and Effect is set.
type line struct {
	At control.Instant `json:"t,omitempty"`

	// Start is the state of the node. It begins a journal, and continues it behind a gap.
	Start *control.Saved `json:"start,omitempty"`
	Gap   bool           `json:"gap,omitempty"` // lines before this one are missing

	// Lost is how many lines package logfile has left out. What it says is in the Gap of the next Start.
	Lost uint64 `json:"lost,omitempty"`

	Version int    `json:"journal,omitempty"`
	Build   string `json:"build,omitempty"`

	Event  string          `json:"e,omitempty"`
	Effect string          `json:"x,omitempty"`
	Value  json.RawMessage `json:"v,omitempty"`
}

// events and effects are the types of the events and effects, by name. A test compares the lists with the source of package control.
var (
	events = byName[control.Event](
		control.Tick{}, control.Fetched{}, control.FetchFailed{}, control.LinkBroken{}, control.StateAsked{}, control.CaptureUp{},
		control.CaptureDown{}, control.CaptureStopped{}, control.MediaChanged{}, control.PublishWanted{},
		control.PublishEnded{}, control.PublisherSilent{}, control.Measured{}, control.ConfigChanged{}, control.StreamsChanged{}, control.Resumed{}, control.Drain{},
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

// Start makes the line with which a journal begins, or continues behind a gap.
func Start(build string, s *control.Saved, gap bool) ([]byte, error) {
	return encode(line{At: s.Now, Start: s, Gap: gap, Version: Version, Build: build})
}

// Event makes the line of an event. It must be called before the event is given to the state machine, which keeps and may change
// parts of the event.
func Event(at control.Instant, ev control.Event) ([]byte, error) {
	v, err := value(ev)
	if err != nil {
		return nil, err
	}
	return encode(line{At: at, Event: reflect.TypeOf(ev).Name(), Value: v})
}

// Effect makes the line of an effect. It belongs to the last event before it.
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
