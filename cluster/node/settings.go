package node

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"weir/cluster/conf"
	"weir/cluster/settings"
	"weir/protocols/api"
)

// newSettings makes the part of the node that edits its file; nil if there is none.
func (n *Node) newSettings() *settings.Settings {
	src := n.cfg.Source
	if src == nil {
		return nil
	}
	return settings.New(settings.Config{
		Path: src.Path(), Read: src.Text,
		Write:   func(from, to []byte) error { return settings.Replace(src.Path(), from, to) },
		Restore: func(from, to []byte) error { return settings.Restore(src.Path(), from, to) },
		Make:    func(text []byte, e api.Edit) ([]byte, error) { return edited(src, text, e) },
		Check: func(text []byte, e api.Edit) []api.Problem {
			_, problems := src.Check(text)
			return placed(src.Path(), text, e, problems)
		},
		Refused: func() string {
			why, _ := n.fileRefused()
			return why
		},
		Apply: n.readAgain, Shared: func(before, after []byte, e api.Edit) bool { return shares(src.Path(), before, after, e) },
		Lines: func(text []byte) ([]string, error) { return sharedLines(src, text) },
		Whole: func(text []byte) (map[string]any, error) {
			t, err := conf.ReadText(src.Path(), text)
			if err != nil {
				return nil, err
			}
			return t.Whole(true), nil
		},
		Entries: func(text []byte, kind string) ([]map[string]any, error) {
			t, err := conf.ReadText(src.Path(), text)
			if err != nil {
				return nil, err
			}
			return t.All(conf.Kind(kind), true), nil
		},
		Entry: func(text []byte, kind, name string) (map[string]any, error) {
			t, err := conf.ReadText(src.Path(), text)
			if err != nil {
				return nil, err
			}
			return t.Settings(conf.Kind(kind), name, true), nil
		},
		Schemas: schemas, Node: n.group.name, Others: n.exchanges(), Event: n.reporter.events.Add,
		Now: func() time.Duration { return n.tree.env.Now() },
	})
}

// sharedLines are the lines of a text that the nodes have to share. Whether the text suits the machine does not matter for them.
func sharedLines(src Source, text []byte) ([]string, error) {
	f, problems := src.Parse(text)
	for _, p := range problems {
		if p.Severity == conf.Error {
			return nil, errors.New("the file is not valid: " + p.String())
		}
	}
	return f.Shared(true), nil
}

// schemas are the JSON schemas of edits, by kind.
func schemas() map[string]json.RawMessage {
	out := map[string]json.RawMessage{api.EditWhole: conf.FileSchema()}
	for _, k := range conf.Kinds {
		out[string(k)] = k.Schema()
	}
	return out
}

// edited gives the text of a file after an edit.
func edited(src Source, text []byte, e api.Edit) ([]byte, error) {
	if e.Kind == api.EditText {
		return []byte(e.Text), whole(src, text, e)
	}
	t, err := conf.ReadText(src.Path(), text)
	if err != nil {
		return nil, &api.EditError{Status: http.StatusConflict, Failure: api.Failure{
			Error: "the file as it is now cannot be read, so that nothing of it can be changed: " + err.Error(),
		}}
	}
	next, found := t, true
	switch {
	case e.Kind == api.EditWhole:
		next, err = t.PutWhole(e.Patch)
	case e.Delete:
		next, found, err = t.Delete(conf.Kind(e.Kind), e.Name)
	default:
		next, err = t.Put(conf.Kind(e.Kind), e.Name, e.Patch)
	}
	var wrong conf.Wrongs
	switch {
	case errors.As(err, &wrong):
		f := api.Failure{Error: wrong.Error()}
		for _, w := range wrong {
			f.Problems = append(f.Problems, api.Problem{Path: w.Path, Severity: conf.Error.String(), Text: w.Text})
		}
		return nil, &api.EditError{Status: http.StatusBadRequest, Failure: f}
	case err != nil:
		return nil, err
	case !found:
		return nil, &api.EditError{Status: http.StatusNotFound, Failure: api.Failure{Error: "no such " + e.Kind + " in the file: " + e.Name}}
	}
	return next.Bytes(), nil
}

// whole refuses the text of an edit if it seems to be a part of what it is to be, and is not said to be meant.
func whole(src Source, text []byte, e api.Edit) error {
	next, problems := src.Parse([]byte(e.Text))
	if e.Shorten || problems.Failed() {
		return nil
	}
	now, _ := src.Parse(text)
	lost := next.Lost(now, []byte(e.Text), text)
	if lost == nil {
		return nil
	}
	why := lost.Error() + "; with shorten=true this is meant"
	return &api.EditError{Status: http.StatusConflict, Failure: api.Failure{
		Error: "nothing was changed: " + why, Problems: []api.Problem{{Severity: conf.Error.String(), Text: why}},
	}}
}

// placed shows the problems of a text that an edit has made, each with the member of the edit that it comes from.
func placed(path string, text []byte, e api.Edit, problems conf.Problems) []api.Problem {
	t, err := conf.ReadText(path, text)
	out := make([]api.Problem, len(problems))
	for i, p := range problems {
		out[i] = api.Problem{Line: p.Pos.Line, Column: p.Pos.Col, Severity: p.Severity.String(), Text: p.Text}
		switch {
		case p.Pos.Line == 0:
			out[i].Path = p.Pos.File // a flag
		case err != nil:
		case e.Kind == api.EditText, e.Kind == api.EditWhole:
			out[i].Path = t.PathOfWhole(p.Pos)
		default:
			out[i].Path = t.PathOf(conf.Kind(e.Kind), e.Name, p.Pos)
		}
	}
	return out
}

// shares says whether an edit changes what the nodes have to share.
func shares(path string, before, after []byte, e api.Edit) bool {
	switch e.Kind {
	case api.EditText:
		return false // the text of a file also has what is its node's own
	case api.EditWhole:
		return conf.SharedMembers(e.Patch)
	}
	for _, text := range [][]byte{before, after} {
		if t, err := conf.ReadText(path, text); err == nil && t.Shared(conf.Kind(e.Kind), e.Name) {
			return true
		}
	}
	return false
}
