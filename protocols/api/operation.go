package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
)

// A permission is what a request needs to be answered.
type permission uint8

const (
	free   permission = iota // nothing: it shows nothing to keep
	see                      // view_auth or edit_auth, where the file has one of them
	change                   // edit_auth; without one in the file, a request of this machine
)

// An operation is a row of the table: something that a client can ask, and how it is answered.
type operation struct {
	id      string // operationId in the document
	method  string
	path    string // may have one {placeholder}, which stands for one or more components
	needs   permission
	summary string
	params  []parameter
	body    *content // nil: the operation takes none
	answer  content
	endless bool // the answer may take as long as the client stays
	serve   func(a *api, w http.ResponseWriter, c *call) error
}

// A content is what a body or an answer consists of: a value of a Go type, a page of a list of them, or settings.
type content struct {
	media string // empty: JSON
	of    reflect.Type
	list  string   // not empty: a page of a list, whose items are under this name
	id    string   // of a list: the member that identifies an item
	words []string // further media types of a body
	kind  string   // not empty: the settings of this kind, as the file has them
}

// A parameter is one of a query.
type parameter struct {
	name, doc string
	schema    jsonschema.Schema
	many      bool                     // may stand several times
	must      bool                     // has to stand
	check     func(value string) error // nil: every value is right; the error says what was expected
}

// A call is one request for an operation.
type call struct {
	context.Context
	*http.Request
	op    *operation
	name  string // the placeholder's part of the path, unescaped
	query url.Values
	body  []byte
}

// only is the value of a parameter that may stand once; empty if it does not stand.
func (c *call) only(name string) string { return c.query.Get(name) }

func word(name, doc string) parameter {
	return parameter{name: name, doc: doc, schema: jsonschema.Schema{Type: "string"}}
}

// required says of a parameter that it has to stand.
func (p parameter) required() parameter { p.must = true; return p }

func oneOf(name, doc string, words ...string) parameter {
	p := word(name, doc)
	for _, w := range words {
		p.schema.Enum = append(p.schema.Enum, w)
	}
	p.check = func(v string) error {
		if !slices.Contains(words, v) {
			return fmt.Errorf("expected %s", strings.Join(words, " or "))
		}
		return nil
	}
	return p
}

func whole(name, doc string, least, most int) parameter {
	return parameter{
		name: name, doc: doc,
		schema: jsonschema.Schema{Type: "integer", Minimum: new(float64(least)), Maximum: new(float64(most))},
		check: func(v string) error {
			if n, err := strconv.Atoi(v); err != nil || n < least || n > most {
				return fmt.Errorf("expected a number from %d to %d", least, most)
			}
			return nil
		},
	}
}

func duration(name, doc string, most time.Duration) parameter {
	p := word(name, doc)
	p.check = func(v string) error {
		if d, err := time.ParseDuration(v); err != nil || d <= 0 || d > most {
			return fmt.Errorf("expected a duration such as 30s, of at most %v", most)
		}
		return nil
	}
	return p
}

// with adds parameters to an operation.
func (o operation) with(params ...parameter) operation {
	o.params = append(slices.Clone(o.params), params...)
	return o
}

// answers says in more detail what an operation answers with.
func (o operation) answers(c content) operation { o.answer = c; return o }

// shows makes an operation that answers with a T.
func shows[T any](id, path string, needs permission, summary string, answer func(*api, *call) (T, error)) operation {
	return does(id, http.MethodGet, path, needs, summary, answer)
}

// does is shows with another method.
func does[T any](id, method, path string, needs permission, summary string, answer func(*api, *call) (T, error)) operation {
	return operation{
		id: id, method: method, path: path, needs: needs, summary: summary, answer: content{of: reflect.TypeFor[T]()},
		serve: func(a *api, w http.ResponseWriter, c *call) error {
			v, err := answer(a, c)
			if err != nil {
				return err
			}
			if e, ok := any(v).(interface{ version() string }); ok && e.version() != "" {
				w.Header().Set("ETag", `"`+e.version()+`"`)
			}
			a.write(w, c.Request, http.StatusOK, v)
			return nil
		},
	}
}

// lists makes an operation that answers with pages of a list.
func lists[T any](id, path, name, summary string, fields []field[T], items func(*api, *call) ([]T, error)) operation {
	o := operation{
		id: id, method: http.MethodGet, path: path, needs: see, summary: summary,
		answer: content{of: reflect.TypeFor[T](), list: name, id: fields[0].name}, params: listParameters(fields),
	}
	o.serve = func(a *api, w http.ResponseWriter, c *call) error {
		q, err := parseQuery(c.URL.RawQuery, fields)
		if err != nil {
			return err
		}
		all, err := items(a, c)
		if err != nil {
			return err
		}
		v, err := listOf(name, all, fields, q)
		if err != nil {
			return err
		}
		a.write(w, c.Request, http.StatusOK, v)
		return nil
	}
	return o
}

// sorted is the list in another order than by its first field, if the client gives none.
func (o operation) sorted(by string) operation {
	serve := o.serve
	o.serve = func(a *api, w http.ResponseWriter, c *call) error {
		if !c.URL.Query().Has("sort") {
			there := *c.URL
			there.RawQuery = strings.TrimPrefix(there.RawQuery+"&sort="+url.QueryEscape(by), "&")
			asked := *c.Request
			asked.URL, c.Request = &there, &asked
		}
		return serve(a, w, c)
	}
	return o
}

// match gives the part of an escaped path for which the placeholder of an operation stands; ok is false if the path is not the
// operation's. The text around the placeholder has the length literal: of two operations, the longer one is meant.
func (o *operation) match(path string) (part string, literal int, ok bool) {
	before, rest, placed := strings.Cut(o.path, "{")
	if !placed {
		return "", len(o.path), path == o.path
	}
	_, after, _ := strings.Cut(rest, "}")
	part, ok = strings.CutPrefix(path, before)
	if !ok {
		return "", 0, false
	}
	part, ok = strings.CutSuffix(part, after)
	return part, len(before) + len(after), ok
}

// find gives the operation of a method and an escaped path. Where there is none, it gives the methods of the path, if it has any.
func find(method, path string) (o *operation, part string, others []string) {
	longest := -1
	for i := range operations {
		p, literal, ok := operations[i].match(path)
		if !ok {
			continue
		}
		if operations[i].method != method {
			others = append(others, operations[i].method)
			continue
		}
		if literal > longest {
			o, part, longest = &operations[i], p, literal
		}
	}
	slices.Sort(others)
	return o, part, slices.Compact(others)
}

// newCall reads a request for an operation. The query is checked here, unless the operation is a list, which checks its own.
func newCall(ctx context.Context, r *http.Request, o *operation, part string) (*call, error) {
	c := &call{Context: ctx, Request: r, op: o}
	var err error
	if c.name, err = url.PathUnescape(part); err != nil || c.name == "" && strings.Contains(o.path, "{") {
		return nil, bad("%q is no name", part)
	}
	if len(r.URL.RawQuery) > maxQuery {
		return nil, bad("the query has more than %d bytes", maxQuery)
	}
	if c.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return nil, bad("malformed query: %v", err)
	}
	if o.answer.list != "" {
		return c, nil
	}
	for key, values := range c.query {
		i := slices.IndexFunc(o.params, func(p parameter) bool { return p.name == key })
		if i < 0 {
			return nil, badAt(key, "no such parameter%s", expectedNames(o.params))
		}
		p := o.params[i]
		if len(values) > 1 && !p.many {
			return nil, badAt(key, "expected it once")
		}
		for _, v := range values {
			if p.check == nil {
				continue
			}
			if err := p.check(v); err != nil {
				return nil, badAt(key, "found %q, %v", v, err)
			}
		}
	}
	for _, p := range o.params {
		if p.must && c.query.Get(p.name) == "" {
			return nil, badAt(p.name, "missing: %s", p.doc)
		}
	}
	return c, nil
}

func expectedNames(params []parameter) string {
	if len(params) == 0 {
		return "; this takes none"
	}
	names := make([]string, len(params))
	for i, p := range params {
		names[i] = p.name
	}
	return ", expected " + strings.Join(names, ", ")
}

// bad is the answer to a request that says something wrong.
func bad(format string, args ...any) error {
	return &problem{status: http.StatusBadRequest, text: fmt.Sprintf(format, args...)}
}

// badAt is bad for one parameter or member.
func badAt(path, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return &problem{
		status: http.StatusBadRequest, text: path + ": " + text, problems: []Problem{{Path: path, Severity: "error", Text: text}},
	}
}
