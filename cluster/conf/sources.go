package conf

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// A Template makes streams of names that no [Stream] has: PREFIX/ANYTHING, once somebody publishes it.
type Template struct {
	Name, Prefix string

	// Stream is what such a stream is like; its name is empty.
	Stream Stream

	Pos Pos
}

// A Source is an origin whose streams are restreamed here.
type Source struct {
	// Name is the origin as the file has it. URL is where it answers, SCHEME://HOST[:PORT] without path for another
	// node, whose list of streams is fetched. For a server of the scheme rtmp, rtmps, or http or https with a path, it
	// is what stands before the names of its streams, which Only has to list.
	Name, URL string
	Plain     bool // not a node

	// Only, if OnlyGiven, are the streams that are restreamed by themselves; none means that all are, on request.
	// Except are those that are not restreamed at all.
	Only, Except []string
	OnlyGiven    bool

	// Prefix stands before the names here, with a slash; empty means none.
	Prefix string

	// ClusterKey is the key of the link; it is the global one if the entry gives none.
	ClusterKey string

	// Stream is what its streams are like here: everything but name, inputs and title.
	Stream Stream

	Pos Pos
}

func (s *Source) key() *string { return &s.ClusterKey }
func (s *Source) where() Pos   { return s.Pos }

// sourceSettings are the rows of what stands in the blocks of templates and sources only, and of the directive that names
// a template.
var sourceSettings = []directive{
	{
		name: "template", in: streams, value: note("NAME", nil), reload: AtOnce, usual: "none", example: "tv",
		doc: "The template from which the stream takes what it does not say itself.",
	},
	{
		name: "prefix", in: inTemplate, value: text("PREFIX", func(t *Template) *string { return &t.Prefix }, checkPrefix), reload: NewClients,
		usual: "none", example: "talk", doc: "Whoever publishes PREFIX/NAME makes that stream.",
	},
	{
		name: "only", in: inSource, value: onlyValue, reload: AtOnce, usual: "what the origin captures by itself", example: "cam01 cam02",
		doc: "The streams that are restreamed; none means that all are, on request.",
	},
	{
		name: "except", in: inSource, value: names(0, func(s *Source) *[]string { return &s.Except }), reload: AtOnce, usual: "none", example: "private",
		doc: "The streams that are not restreamed.",
	},
	{
		name: "prefix", in: inSource, value: text("PREFIX", func(s *Source) *string { return &s.Prefix }, checkPrefix), reload: AtOnce, usual: "none",
		example: "far", doc: "Stands before the names of the streams here, with a slash.",
	},
	{
		name: "cluster_key", in: inSource, value: keyValue, secret: true, inherits: true, reload: Restart, usual: "the cluster_key of the file",
		example: "another-secret-of-16-or-more", doc: "Key of the link to the origin.",
	},
}

func checkPrefix(text string) error { return CheckName(text+"/x", nil) }

// names is a list of names of streams.
func names(least int, field func(*Source) *[]string) value {
	return listOf("STREAM …", least, field, false, maxTokens, func(s string) (string, error) {
		if err := CheckName(s, nil); err != nil && !errors.Is(err, ErrReserved) {
			return s, err
		}
		return s, nil
	}, same)
}

// onlyValue may be an empty list, which says something else than none.
var onlyValue = func() value {
	v := names(0, func(s *Source) *[]string { return &s.Only })
	read, lines := v.read, v.lines
	v.read = func(r *reader, b *block, c *call) {
		part[*Source](b).OnlyGiven = true
		read(r, b, c)
	}
	v.lines = func(b *block) [][]string {
		if s := part[*Source](b); s.OnlyGiven && len(s.Only) == 0 {
			return [][]string{{}}
		}
		return lines(b)
	}
	return v
}()

// shown is the source as the file names it.
func (s *Source) shown() string {
	if s.Plain {
		return s.URL
	}
	return s.Name
}

func parseTemplate(name string, at Pos) (Template, error) {
	return Template{Name: name, Stream: Stream{Static: true, Pos: at}, Pos: at}, nil
}

// parseSource reads HOST[:PORT], or a URL of a server that is no node.
func parseSource(text string, at Pos) (Source, error) {
	s := Source{Name: text, Stream: Stream{Static: true, Pos: at}, Pos: at}
	scheme, rest, ok := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	if !ok || (scheme == "http" || scheme == "https") && !strings.Contains(strings.TrimSuffix(rest, "/"), "/") {
		base, err := parseBase(text)
		s.URL = base
		return s, err
	}
	text = strings.TrimSuffix(text, "/")
	s.Plain, s.Name = true, maskURL(text)
	if !slices.Contains([]string{"http", "https", "rtmp", "rtmps"}, scheme) {
		return s, fmt.Errorf("found the scheme %s, expected HOST[:PORT] of a node, or the URL before the names of streams, with one of the schemes "+
			"http, https, rtmp and rtmps", quote(scheme))
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsFunc(text, unicode.IsControl) {
		return s, fmt.Errorf("found %s, expected %s://HOST[:PORT]/PATH, to which /NAME is added", quote(s.Name), scheme)
	}
	s.URL = text
	return s, nil
}

func (r *reader) finishTemplates() {
	seen := map[string]Pos{}
	for _, b := range r.top.all("template") {
		r.checkFiles(b)
		if at := b.where("template"); at != (Pos{}) {
			r.errorf(at, "found `template` in a template, expected it in a stream")
		}
		t, at := part[*Template](b), b.word("prefix").pos
		if t.Prefix == "" {
			continue
		}
		if err := CheckName(t.Prefix+"/x", r.file.BalancerNames()); err != nil {
			r.refuse(at, "prefix", err)
		}
		if before, twice := seen[t.Prefix]; twice {
			r.errorf(at, "found `prefix %s` a second time, expected it once; the first is at %s", short(t.Prefix), before.place())
			continue
		}
		seen[t.Prefix] = at
		r.settle(b)
		for _, in := range t.Stream.Inputs {
			if in.Scheme != "publish" {
				r.add(Unsupported, in.Pos, "an input other than publish:// in a template with a prefix")
			}
		}
		if len(t.Stream.Inputs) == 0 {
			r.errorf(t.Pos, "found `template %s` with a prefix and without an input, expected `input publish://;` in it", short(t.Name))
		}
		r.file.Templates = append(r.file.Templates, *t)
	}
}

func (r *reader) finishSources() {
	for _, b := range r.top.all("source") {
		s := part[*Source](b)
		r.takeOver(b, r.top, inheriting)
		if s.Plain {
			s.ClusterKey = ""
		} else if s.ClusterKey == "" {
			r.keyless["source"] = append(r.keyless["source"], s.Pos)
		}
		if s.Plain && len(s.Only) == 0 {
			r.errorf(s.Pos, "found `source %s` without names of streams, expected `only NAME …;` in it: a server of that kind does not say which it has", s.Name)
		}
		for _, name := range s.Only {
			if slices.Contains(s.Except, name) {
				r.errorf(s.Pos, "`source %s`: found %s both in `only` and in `except`, expected it in one", s.Name, quote(name))
			}
		}
		r.pin(b)
		r.file.Sources = append(r.file.Sources, *s)
	}
}

// Streams are those of a plain server, by the names that the source lists; nil for a node.
func (s Source) Streams() []Stream {
	if !s.Plain {
		return nil
	}
	var out []Stream
	for _, name := range s.Only {
		in := Input{URL: s.URL + "/" + name, Pos: s.Pos}
		in.Scheme, _, _ = strings.Cut(in.URL, "://")
		if strings.HasPrefix(in.Scheme, "http") {
			in.URL += ".flv"
		}
		if _, err := pulled(&in, in.URL[len(in.Scheme)+len("://"):]); err != nil {
			continue // the name makes no URL
		}
		out = append(out, s.Restream(name, in, true))
	}
	return out
}

// Restream is a stream of the source: name is the origin's name of it, in what brings it, and static says that it is
// captured without a client.
func (s Source) Restream(name string, in Input, static bool) Stream {
	st := s.Stream
	st.Name = name
	if s.Prefix != "" {
		st.Name = s.Prefix + "/" + name
	}
	in.Priority, in.SourceTimeout = 1, in.usualTimeout(st.SourceTimeout)
	st.Inputs = []Input{in}
	if st.Static = static; static {
		st.ClientsTimeout = 0
	}
	st.Pos, st.Restreamed = s.Pos, true
	return st
}

// Template gives the template that makes a stream of this name, or nil.
func (f *File) Template(name string) *Template {
	best := -1
	for i, t := range f.Templates {
		if strings.HasPrefix(name, t.Prefix+"/") && (best < 0 || len(t.Prefix) > len(f.Templates[best].Prefix)) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	return &f.Templates[best]
}
