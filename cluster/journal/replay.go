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

// A Difference is the first event after which the state machine did something else than it did then.
type Difference struct {
	Line  int // of the event in the journal
	At    control.Instant
	Event string // as written
	Then  []string
	Now   []string
}

// String shows both.
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

// maxLine bounds one record: a state with half a million streams has less.
const maxLine = 256 << 20

// ErrNoJournal means that a file does not begin as a journal does.
var ErrNoJournal = errors.New("this is no journal of this version")

// Replay steps a journal through the state machine and returns the first difference, nil if there is none, and the
// number of events that were stepped through. A last line that is cut short, as by a crash, ends the journal.
func Replay(r io.Reader) (first *Difference, n int, err error) {
	p := &player{}
	defer func() {
		if e := recover(); e != nil { // the state machine trusts what it has saved
			first, n, err = nil, p.events, fmt.Errorf("line %d: %w, or the state machine fails on it: %v", p.line, ErrNoJournal, e)
		}
	}()
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 1<<16), maxLine)
	var broken error
	for s.Scan() {
		p.line++
		if broken != nil {
			return nil, p.events, broken
		}
		var l line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			broken = fmt.Errorf("line %d: %w", p.line, err) // unless it is the last
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
	last   *Difference // the last event and what was and is done
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

// compare returns the last event if it had other effects.
func (p *player) compare() *Difference {
	if p.last == nil || slices.Equal(p.last.Then, p.last.Now) {
		return nil
	}
	return p.last
}

// decode makes an event or effect of its name and value.
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

// normal gives an effect in the form in which this build writes it.
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
