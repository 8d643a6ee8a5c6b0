package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"reflect"
	"strings"
)

// A Settings is the configuration file of a node, and through it those of the other nodes. Its methods may be called by any
// goroutine but an actor's.
type Settings interface {
	// Text returns the file as it is now, secrets included.
	Text() (Text, error)

	// Whole returns what the file says as JSON; Entries the entries of a kind, in the order of the file; Entry one of them, nil if
	// there is none. Secrets are masked.
	Whole() (map[string]any, error)
	Entries(kind string) ([]map[string]any, error)
	Entry(kind, name string) (map[string]any, error)

	// Validate returns what is wrong or doubtful about a file after an edit that is not made.
	Validate(Edit) ([]Problem, error)

	// Edit changes the file and puts it into effect, here and at the other nodes that the edit concerns; an error means that
	// nothing was changed anywhere. It may be an [EditError].
	Edit(context.Context, Edit) (Edited, error)

	// Drift compares what the nodes have to share with this node's file.
	Drift(context.Context) ([]Drift, error)

	// Schemas are the JSON schemas of what Edit.Patch may have, by kind.
	Schemas() map[string]json.RawMessage
}

// Kinds of edits beside those of entries, which are stream, template, peer, source and balancer.
const (
	EditWhole = "config" // some settings of the whole file
	EditText  = "text"   // the text of the whole file
)

// An Edit is a change of the configuration file.
type Edit struct {
	Kind   string         `json:"kind"`
	Name   string         `json:"name,omitempty"`
	Patch  map[string]any `json:"patch,omitempty"`
	Delete bool           `json:"delete,omitempty"`
	Text   string         `json:"text,omitempty"`

	// Shorten says of a whole text that the file may lose its cluster key or half of its streams by it.
	Shorten bool `json:"shorten,omitempty"`

	// Base is the version of the file that was read before; empty: whichever is there.
	Base string `json:"base,omitempty"`

	// Scope is node for this node's file only, cluster for those of all nodes; empty: cluster if the cluster shares what changes.
	Scope string `json:"scope,omitempty"`
}

// A Text is the configuration file of a node as it is written.
type Text struct {
	Path    string `json:"path" jsonschema:"of the file, on the node"`
	Version string `json:"version" jsonschema:"changes with each change of the text; an edit with it in If-Match is refused if the file is another one by then"`
	Text    string `json:"text" jsonschema:"the file, secrets included"`
}

func (t Text) version() string { return t.Version }

// A ConfigFile is what a configuration file says.
type ConfigFile struct {
	Version string         `json:"version" jsonschema:"as of the text"`
	Config  map[string]any `json:"config" jsonschema:"the settings, secrets masked; a masked word in an edit stands for the one in the file"`
}

func (c ConfigFile) version() string { return c.Version }

// Edited says what an edit has done.
type Edited struct {
	Version      string         `json:"version" jsonschema:"of this node's file now"`
	NeedsRestart []string       `json:"needs_restart" jsonschema:"directives whose change takes effect only when this node is restarted"`
	Config       map[string]any `json:"config,omitempty" jsonschema:"the entry as it is now, secrets masked"`
	Diff         []string       `json:"diff" jsonschema:"the lines of this node's file that have changed, with - for what was there and + for what is there now"`
	Warnings     []Problem      `json:"warnings" jsonschema:"what is doubtful about the file"`
	Nodes        []EditedNode   `json:"nodes" jsonschema:"the nodes that the edit concerns, this one first"`
}

func (e Edited) version() string { return e.Version }

// An EditedNode is what an edit has done at one node.
type EditedNode struct {
	Node   string `json:"node"`
	Status string `json:"status" jsonschema:"applied, unchanged, or unreachable"`
	Error  string `json:"error,omitempty" jsonschema:"why it is not applied"`
}

// Drift is how the file of a node differs in what the nodes have to share.
type Drift struct {
	Node    string   `json:"node"`
	Status  string   `json:"status" jsonschema:"same, different, or unreachable"`
	Version string   `json:"version,omitempty" jsonschema:"of the text of its file"`
	Diff    []string `json:"diff" jsonschema:"lines of this node's file with -, and of the other one's with +; secrets masked"`
	Error   string   `json:"error,omitempty"`
}

// An EditError is the answer to an edit that was not made.
type EditError struct {
	Status int
	Failure
}

// Error implements error.
func (e *EditError) Error() string { return e.Failure.Error }

var errNoSettings = &problem{status: http.StatusConflict, text: "this node was started without a configuration file, so that nothing can be edited"}

// scoped are the parameters of edits.
var scoped = oneOf("scope", "cluster: the files of all nodes that are reached, each if it takes the edit; node: this node's only. "+
	"If it is not given: cluster for what the nodes have to share, such as peers, balancers and streams with cluster_ingest.", "cluster", "node")

// edits answers a request by an edit.
func edits(id, method, path, kind, summary string, edit func(c *call, e *Edit) error) operation {
	o := does(id, method, path, change, summary, func(a *api, c *call) (Edited, error) {
		if a.settings == nil {
			return Edited{}, errNoSettings
		}
		e := Edit{Kind: kind, Name: c.name, Scope: c.only("scope"), Base: strings.Trim(c.Header.Get("If-Match"), `"`)}
		if err := edit(c, &e); err != nil {
			return Edited{}, err
		}
		return a.settings.Edit(c, e)
	}).with(scoped)
	return o
}

// puts is the operation that changes an entry or adds it, and deletes the one that removes it.
func puts(id, path, kind, summary string) operation {
	o := edits(id, http.MethodPut, path, kind, summary+" Members that are left out stay as they are, null removes one, \"$reset\": true removes all others.",
		func(c *call, e *Edit) (err error) {
			e.Patch, err = c.object()
			return err
		})
	o.body = &content{kind: kind}
	return o
}

func deletes(id, path, kind, summary string) operation {
	return edits(id, http.MethodDelete, path, kind, summary, func(_ *call, e *Edit) error {
		e.Delete = true
		return nil
	})
}

// existing refuses an edit of a stream that neither the file nor the cluster has.
func existing(o operation) operation {
	edit := o.serve
	o.serve = func(a *api, w http.ResponseWriter, c *call) error {
		if a.settings != nil {
			if entry, err := a.settings.Entry("stream", c.name); err == nil && entry == nil {
				if _, err := a.node.Stream(c, c.name); err != nil {
					return err
				}
			}
		}
		return edit(a, w, c)
	}
	return o
}

// object reads the body as a JSON object.
func (c *call) object() (map[string]any, error) {
	var obj map[string]any
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.UseNumber()
	if err := d.Decode(&obj); err != nil || obj == nil {
		var wrong *json.SyntaxError
		if errors.As(err, &wrong) {
			return nil, bad("the body is no JSON: %v at byte %d", err, wrong.Offset)
		}
		return nil, bad("the body: expected a JSON object")
	}
	return obj, nil
}

// fileOf reads a body that is a file: as text, or as JSON with some settings of it.
func (c *call) fileOf(e *Edit) (err error) {
	media, _, _ := mime.ParseMediaType(c.Header.Get("Content-Type"))
	switch media {
	case jsonMedia:
		e.Kind = EditWhole
		e.Patch, err = c.object()
	case "text/plain", "":
		e.Kind, e.Text = EditText, string(c.body)
	default:
		err = &problem{status: http.StatusUnsupportedMediaType, text: "found a body of type " + media + ", expected " + jsonMedia + " or text/plain"}
	}
	return err
}

// An Entry is an entry of the file; its members are those of an edit.
type Entry map[string]any

// entries are the operations of a kind of which only the file has something to tell.
func entries(kind, name, path string) []operation {
	title := strings.ToUpper(name[:1]) + name[1:]
	one := strings.TrimSuffix(title, "s")
	key := "name"
	if kind == "source" {
		key = "url"
	}
	return []operation{
		lists("list"+title, base+path, name, "The "+name+" of the file.", []field[Entry]{
			{key, func(e *Entry) any { s, _ := (*e)[key].(string); return s }},
		}, func(a *api, _ *call) ([]Entry, error) {
			if a.settings == nil {
				return nil, nil
			}
			list, err := a.settings.Entries(kind)
			out := make([]Entry, len(list))
			for i, e := range list {
				out[i] = e
			}
			return out, err
		}).answers(content{of: reflect.TypeFor[Entry](), list: name, id: key, kind: kind}),
		shows("get"+one, base+path+"/{name}", see, "A "+kind+" of the file.", func(a *api, c *call) (Entry, error) {
			if a.settings == nil {
				return nil, errNoSettings
			}
			e, err := a.settings.Entry(kind, c.name)
			if err == nil && e == nil {
				err = &problem{status: http.StatusNotFound, text: "no such " + kind + " in the file: " + c.name}
			}
			return e, err
		}).answers(content{kind: kind}),
		puts("put"+one, base+path+"/{name}", kind, "Changes a "+kind+" of the file, or adds one."),
		deletes("delete"+one, base+path+"/{name}", kind, "Removes a "+kind+" from the file."),
	}
}

// A Validity is what is wrong or doubtful about a file.
type Validity struct {
	Valid    bool      `json:"valid" jsonschema:"whether a node takes the file"`
	Problems []Problem `json:"problems"`
}

// Drifts are the files of all nodes, compared.
type Drifts struct {
	Nodes []Drift `json:"nodes"`
}

var settingsOperations = []operation{
	shows("getConfigText", base+"/config/text", change, "The configuration file as it is written, secrets included.", func(a *api, _ *call) (Text, error) {
		if a.settings == nil {
			return Text{}, errNoSettings
		}
		return a.settings.Text()
	}),
	shows("getConfig", base+"/config", change, "What the configuration file says; with Accept: text/plain the file itself.", func(a *api, c *call) (any, error) {
		if a.settings == nil {
			return nil, errNoSettings
		}
		text, err := a.settings.Text()
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(c.Header.Get("Accept"), "text/plain") {
			return text, nil
		}
		whole, err := a.settings.Whole()
		return ConfigFile{text.Version, whole}, err
	}).answers(content{of: reflect.TypeFor[ConfigFile](), words: []string{"text/plain"}}),
	configBody(edits("putConfig", http.MethodPut, base+"/config", EditWhole,
		"Changes the configuration file: with text/plain the whole text, with JSON the settings that are given; a list replaces the former one.",
		func(c *call, e *Edit) error {
			if err := c.fileOf(e); err != nil {
				return err
			}
			if e.Kind == EditText && strings.TrimSpace(e.Text) == "" {
				return bad("the body is blank: expected the text of a file")
			}
			e.Shorten = c.only("shorten") == "true"
			return nil
		})).with(oneOf("shorten", "true: a text by which the file loses its cluster_key, or half of its streams, is meant. Without it such a text is refused, "+
		"since it may be a part of one.", "true", "false")),
	configBody(does("validateConfig", http.MethodPost, base+"/config/validate", change, "Says what is wrong or doubtful about a file, or about the file after some settings were changed. Nothing is changed.",
		func(a *api, c *call) (Validity, error) {
			if a.settings == nil {
				return Validity{}, errNoSettings
			}
			var e Edit
			if err := c.fileOf(&e); err != nil {
				return Validity{}, err
			}
			problems, err := a.settings.Validate(e)
			v := Validity{true, append([]Problem{}, problems...)}
			for _, p := range problems {
				v.Valid = v.Valid && p.Severity == "warning"
			}
			return v, err
		})),
	shows("getDrift", base+"/cluster/drift", see, "How the files of the other nodes differ in what the nodes have to share.", func(a *api, c *call) (Drifts, error) {
		if a.settings == nil {
			return Drifts{[]Drift{}}, nil
		}
		list, err := a.settings.Drift(c)
		return Drifts{append([]Drift{}, list...)}, err
	}),
}

// configBody gives an operation a body that is a file.
func configBody(o operation) operation {
	o.body = &content{kind: EditWhole, words: []string{"text/plain"}}
	return o
}
