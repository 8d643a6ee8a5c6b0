package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"

	"weir/cluster/control"
)

// A Difference is an event that now has other effects than those in the journal.
type Difference struct {
	Line  int // the line of the event in the journal
	At    control.Instant
	Event string   // as the journal has it
	Then  []string // the effects in the journal
	Now   []string // the effects of the replay
}

// String shows the event, and each effect that differs.
func (d *Difference) String() string {
	text := fmt.Sprintf("line %d, at %d ns: %s", d.Line, d.At, d.Event)
	for i := range max(len(d.Then), len(d.Now)) {
		then, now := "nothing", "nothing"
		if i < len(d.Then) {
			then = d.Then[i]
		}
		if i < len(d.Now) {
			now = d.Now[i]
		}
		if then != now {
			text += fmt.Sprintf("\n  then: %s\n  now:  %s", then, now)
		}
	}
	return text
}

// maxLine is the longest line, in bytes. The state of a node with half a million streams is shorter.
const maxLine = 256 << 20

// ErrNoJournal means that a file is not a journal of this version.
var ErrNoJournal = errors.New("this is no journal of this version")

// Replay replays a journal. It returns the first difference, or nil if there is none, and the number of events that were replayed. An
// incomplete last line, which a crash may leave, is ignored.
func Replay(r io.Reader) (first *Difference, n int, err error) {
	p := &player{}
	defer func() {
		if e := recover(); e != nil { // the state machine does not check a saved state
			first, n, err = nil, p.events, fmt.Errorf("line %d: %w, or the state machine fails on it: %v", p.line, ErrNoJournal, e)
		}
	}()
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 1<<16), maxLine)
	var broken error
	for s.Scan() {
		p.line++
		var l line
		err := json.Unmarshal(s.Bytes(), &l)
		if broken != nil && (err != nil || l.Lost == 0) {
			return nil, p.events, broken
		}
		if broken = err; err != nil {
			broken = fmt.Errorf("line %d: %w", p.line, err) // no error at the end, and where the disk was full
			continue
		}
		d, err := p.take(l)
		if d != nil || err != nil {
			return d, p.events, err
		}
	}
	if err := s.Err(); err != nil {
		return nil, p.events, fmt.Errorf("reading a journal: %w", err)
	}
	if p.node == nil {
		return nil, 0, ErrNoJournal
	}
	// The effects of the last event may not all have been written.
	if d := p.compare(); d != nil && (len(d.Then) > len(d.Now) || !slices.Equal(d.Then, d.Now[:len(d.Then)])) {
		return d, p.events, nil
	}
	return nil, p.events, nil
}

// A player is a replay under way.
type player struct {
	node   *control.Node
	line   int
	events int
	last   *Difference // the last event, with its effects then and now
}

func (p *player) take(l line) (*Difference, error) {
	switch {
	case l.Start != nil:
		if l.Version != Version {
			return nil, fmt.Errorf("line %d: %w: it is %d, this is %d", p.line, ErrNoJournal, l.Version, Version)
		}
		d := p.compare()
		if l.Gap {
			d = nil
		}
		p.last, p.node = nil, control.Restore(l.Start)
		return d, nil
	case l.Lost > 0:
		return nil, nil
	case p.node == nil:
		return nil, fmt.Errorf("line %d: %w", p.line, ErrNoJournal)
	case l.Event != "":
		if d := p.compare(); d != nil {
			return d, nil
		}
		return nil, p.step(l)
	case l.Effect != "":
		if p.last == nil {
			return nil, fmt.Errorf("line %d: an effect without an event", p.line)
		}
		text, err := normal(effects, l.Effect, l.Value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", p.line, err)
		}
		p.last.Then = append(p.last.Then, text)
		return nil, nil
	}
	return nil, fmt.Errorf("line %d: neither event nor effect", p.line)
}

func (p *player) step(l line) error {
	v, err := decode(events, l.Event, l.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", p.line, err)
	}
	p.last = &Difference{Line: p.line, At: l.At, Event: l.Event + " " + string(l.Value)}
	p.events++
	for _, e := range p.node.Step(l.At, v.(control.Event)) {
		b, err := value(e)
		if err != nil {
			return fmt.Errorf("line %d: %w", p.line, err)
		}
		p.last.Now = append(p.last.Now, reflect.TypeOf(e).Name()+" "+string(b))
	}
	return nil
}

// compare returns the last event if its effects differ, or else nil.
func (p *player) compare() *Difference {
	if p.last == nil || slices.Equal(p.last.Then, p.last.Now) {
		return nil
	}
	return p.last
}

// decode makes an event or an effect from its name and value.
func decode(kinds map[string]reflect.Type, name string, raw json.RawMessage) (any, error) {
	t, ok := kinds[name]
	if !ok {
		return nil, fmt.Errorf("%q is unknown", name)
	}
	v := reflect.New(t)
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, v.Interface()); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return v.Elem().Interface(), nil
}

// normal writes an effect of the journal again, so that it can be compared with an effect of the replay.
func normal(kinds map[string]reflect.Type, name string, raw json.RawMessage) (string, error) {
	v, err := decode(kinds, name, raw)
	if err != nil {
		return "", err
	}
	b, err := value(v)
	if err != nil {
		return "", err
	}
	return name + " " + string(b), nil
}
