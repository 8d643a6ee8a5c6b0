// Package settings changes the configuration file of a node while it runs, and with it the files of the other nodes: an edit is
// checked, written beside a backup, put into effect, and undone everywhere if one node cannot put it into effect.
//
// It does not know the grammar of the file: functions of [Config] make the next text of an edit and find what is wrong with it. It
// knows no actor.
package settings

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"weir/cluster/exchange"
	"weir/protocols/api"
)

// Config joins the settings to their node. Its functions may be called by any goroutine, one at a time but for Read.
type Config struct {
	Path string // of the file, for messages

	// Read gives the file as it is now. Write puts the text to in the place of from, as [Replace] does, and Restore undoes that.
	Read           func() ([]byte, error)
	Write, Restore func(from, to []byte) error

	// Make gives the text after an edit. The error is for the client.
	Make func(text []byte, e api.Edit) ([]byte, error)

	// Check says what is wrong or doubtful about a text, which an edit has made.
	Check func(text []byte, e api.Edit) []api.Problem

	// Refused is why the file as it is now is not in effect; empty if it is, or if nobody has looked at its text yet.
	Refused func() string

	// Apply reads the file again and puts it into effect; an error means that the former one still is.
	Apply func(ctx context.Context) (restart []string, err error)

	// Shared says whether an edit changes what the nodes have to share.
	Shared func(before, after []byte, e api.Edit) bool

	// Lines are those of what the nodes have to share, in an order of their own, with secrets masked. They depend on the text alone.
	Lines func(text []byte) ([]string, error)

	// Entries give what a text says, with secrets masked: the whole, the entries of a kind, and one of them.
	Whole   func(text []byte) (map[string]any, error)
	Entries func(text []byte, kind string) ([]map[string]any, error)
	Entry   func(text []byte, kind, name string) (map[string]any, error)
	Schemas func() map[string]json.RawMessage

	Node   func() string // the name of this node
	Others *exchange.Asker
	Event  func(api.Event)
	Now    func() time.Duration
}

// remembered is how many texts are kept, to tell what has changed since somebody read one of them.
const remembered = 32

// Settings implements [api.Settings]. Any goroutine may use it.
type Settings struct {
	cfg Config

	turn *turn // one edit at a time

	mu    sync.Mutex
	order []string          // versions, the oldest first
	texts map[string][]byte // by version

	drift drift
}

var _ api.Settings = (*Settings)(nil)

// New returns the settings of a node.
func New(c Config) *Settings { return &Settings{cfg: c, texts: map[string][]byte{}, turn: newTurn()} }

// Version identifies a text.
func Version(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// read gives the file as it is now, and keeps it.
func (s *Settings) read() (text []byte, version string, err error) {
	if text, err = s.cfg.Read(); err != nil {
		return nil, "", err
	}
	version = Version(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, have := s.texts[version]; !have {
		s.texts[version] = text
		s.order = append(s.order, version)
	}
	for len(s.order) > remembered {
		delete(s.texts, s.order[0])
		s.order = s.order[1:]
	}
	return text, version, nil
}

func (s *Settings) text(version string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.texts[version]
	return text, ok
}

// Text implements [api.Settings].
func (s *Settings) Text() (api.Text, error) {
	text, version, err := s.read()
	return api.Text{Path: s.cfg.Path, Version: version, Text: string(text)}, err
}

// Whole implements [api.Settings].
func (s *Settings) Whole() (map[string]any, error) {
	text, _, err := s.read()
	if err != nil {
		return nil, err
	}
	return s.cfg.Whole(text)
}

// Entries implements [api.Settings].
func (s *Settings) Entries(kind string) ([]map[string]any, error) {
	text, _, err := s.read()
	if err != nil {
		return nil, err
	}
	return s.cfg.Entries(text, kind)
}

// Entry implements [api.Settings].
func (s *Settings) Entry(kind, name string) (map[string]any, error) {
	text, _, err := s.read()
	if err != nil {
		return nil, err
	}
	return s.cfg.Entry(text, kind, name)
}

// Schemas implements [api.Settings].
func (s *Settings) Schemas() map[string]json.RawMessage { return s.cfg.Schemas() }

// Validate implements [api.Settings].
func (s *Settings) Validate(e api.Edit) ([]api.Problem, error) {
	text, _, err := s.read()
	if err != nil && e.Kind != api.EditText {
		return nil, err
	}
	next, err := s.cfg.Make(text, e)
	var wrong *api.EditError
	switch {
	case errors.As(err, &wrong) && len(wrong.Problems) > 0:
		return wrong.Problems, nil
	case err != nil:
		return nil, err
	}
	return s.cfg.Check(next, e), nil
}

// A change is an edit of one file, ready to be written.
type change struct {
	before, after []byte
	from, to      string // their versions
	warnings      []api.Problem
}

// prepare makes the change of an edit, and refuses it if the file does not take it.
func (s *Settings) prepare(e api.Edit) (c change, err error) {
	if c.before, c.from, err = s.read(); err != nil {
		return c, err
	}
	if e.Base != "" && e.Base != c.from {
		return c, s.stale(e, c)
	}
	if why := s.cfg.Refused(); why != "" && e.Kind != api.EditText {
		return c, &api.EditError{Status: http.StatusConflict, Failure: api.Failure{
			Error: "the file as it is now is not in effect, so nothing is added to it: " + why, Version: c.from,
		}}
	}
	if c.after, err = s.cfg.Make(c.before, e); err != nil {
		return c, err
	}
	c.to = Version(c.after)
	var wrong []api.Problem
	for _, p := range s.cfg.Check(c.after, e) {
		if p.Severity == "warning" {
			c.warnings = append(c.warnings, p)
		} else {
			wrong = append(wrong, p)
		}
	}
	if len(wrong) > 0 {
		return c, &api.EditError{Status: http.StatusBadRequest, Failure: api.Failure{
			Error: "the file would not be valid: " + placed(wrong[0]), Problems: append(wrong, c.warnings...),
		}}
	}
	return c, nil
}

func placed(p api.Problem) string {
	switch {
	case p.Path != "":
		return p.Path + ": " + p.Text
	case p.Line > 0:
		return fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Text)
	}
	return p.Text
}

// stale refuses an edit of a file that is not the one which was read.
func (s *Settings) stale(e api.Edit, c change) error {
	f := api.Failure{Error: "the file has changed since it was read: read it again, or send the edit without If-Match", Version: c.from}
	if was, ok := s.text(e.Base); ok {
		f.Diff = Diff(lines(was), lines(c.before))
	} else {
		f.Error += "; how it was then is not remembered"
	}
	return &api.EditError{Status: http.StatusPreconditionFailed, Failure: f}
}

// commit writes a change and puts it into effect. If that fails, the file is as before. A file that was changed since the change was
// prepared stays as it is.
func (s *Settings) commit(ctx context.Context, c change) (restart []string, err error) {
	if err := s.cfg.Write(c.before, c.after); err != nil {
		return nil, fmt.Errorf("writing %s: %w", s.cfg.Path, err)
	}
	if restart, err = s.cfg.Apply(ctx); err == nil {
		return restart, nil
	}
	err = fmt.Errorf("putting the file into effect: %w", err)
	if undo := s.restore(ctx, c); undo != nil {
		return nil, errors.Join(err, undo)
	}
	return nil, fmt.Errorf("%w; the former file is in effect again", err)
}

// restore undoes a change, unless the file was changed since.
func (s *Settings) restore(ctx context.Context, c change) error {
	now, err := s.cfg.Read()
	if err == nil && !bytes.Equal(now, c.before) { // another node that reads the same file has restored it otherwise
		err = s.cfg.Restore(c.after, c.before)
	}
	if err != nil {
		return fmt.Errorf("writing the former %s: %w", s.cfg.Path, err)
	}
	if _, err := s.cfg.Apply(ctx); err != nil {
		return fmt.Errorf("putting the former file into effect again: %w", err)
	}
	return nil
}

// settled is how long an edit may take, with undoing it, after its client has gone.
const settled = time.Minute

// Edit implements [api.Settings].
func (s *Settings) Edit(ctx context.Context, e api.Edit) (api.Edited, error) {
	if err := s.turn.take(ctx, always); err != nil {
		return api.Edited{}, fmt.Errorf("waiting for another edit: %w", err)
	}
	defer s.turn.end()
	c, err := s.prepare(e)
	if err != nil {
		return api.Edited{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settled) // half an edit is worse than a client that has gone
	defer cancel()
	var others []*edited
	if e.Scope == "cluster" || e.Scope == "" && s.cfg.Shared(c.before, c.after, e) {
		if others, err = s.prepareOthers(ctx, e); err != nil {
			return api.Edited{}, err
		}
	}
	s.turn.write()
	out := api.Edited{
		Version: c.to, NeedsRestart: []string{}, Diff: Diff(lines(c.before), lines(c.after)), Warnings: append([]api.Problem{}, c.warnings...),
		Nodes: []api.EditedNode{{Node: s.cfg.Node(), Status: "unchanged"}},
	}
	if c.from != c.to {
		restart, err := s.commit(ctx, c)
		if err != nil {
			s.tell(e, "edit refused", "warning", err.Error())
			return api.Edited{}, &api.EditError{Status: http.StatusConflict, Failure: api.Failure{Error: s.cfg.Node() + ": " + err.Error()}}
		}
		out.NeedsRestart, out.Nodes[0].Status = append(out.NeedsRestart, restart...), "applied"
	}
	if err := s.commitOthers(ctx, e, others); err != nil {
		text := err.Error()
		if c.from != c.to {
			if undo := s.restore(ctx, c); undo != nil {
				text += "; " + s.cfg.Node() + ": " + undo.Error()
			}
		}
		s.tell(e, "edit undone", "warning", text)
		return api.Edited{}, &api.EditError{Status: http.StatusConflict, Failure: api.Failure{Error: text}}
	}
	for _, o := range others {
		out.Nodes = append(out.Nodes, api.EditedNode{Node: o.peer.Name, Status: o.status, Error: o.text})
	}
	if c.from != c.to {
		s.tell(e, "edited", "info", "")
	}
	if e.Kind != api.EditText && e.Kind != api.EditWhole {
		out.Config, err = s.cfg.Entry(c.after, e.Kind, e.Name)
	}
	return out, err
}

// tell makes an event of an edit.
func (s *Settings) tell(e api.Edit, kind, level, why string) {
	text := "the configuration file was edited"
	switch kind {
	case "edit refused":
		text = "an edit could not be put into effect"
	case "edit undone":
		text = "an edit was undone at all nodes because one of them could not put it into effect"
	}
	ev := api.Event{Kind: kind, Level: level, Text: text, Reason: why}
	if e.Kind == "stream" {
		ev.Stream = e.Name
	}
	s.cfg.Event(ev)
}
