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

// sourceSettings are the rows of what stands in the blocks of templates and sources only, and of the directive that names
// a template.
var sourceSettings = []directive{
	{
		name: "template", in: streams, value: note("NAME", nil), reload: AtOnce, usual: "none", example: "tv",
		doc: "The template from which the stream takes what it does not say itself.",
	},
	{
		name: "prefix", in: inTemplate, value: templatePrefix, reload: NewClients, usual: "none", example: "talk",
		doc: "Whoever publishes PREFIX/NAME makes that stream.",
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
		name: "prefix", in: inSource, value: text("PREFIX", func(s *Source) *string { return &s.Prefix }, checkPrefix), reload: AtOnce, usual: "none", example: "far",
		doc: "Stands before the names of the streams here, with a slash.",
	},
	{
		name: "cluster_key", in: inSource, value: keyValue, secret: true, inherits: true, reload: Restart, usual: "the cluster_key of the file", example: "another-secret-of-16-or-more",
		doc: "Key of the link to the origin.",
	},
}

// templatePrefix is written into the model when the template is finished.
var templatePrefix = func() value {
	v := note("PREFIX", checkPrefix)
	v.lines = func(b *block) [][]string { return [][]string{{part[*Template](b).Prefix}} }
	return v
}()

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

var templateValue = value{
	args: "NAME", min: 1, max: 1,
	open: func(_ *reader, _ *block, c *call) *block {
		b := streamBlock(&Stream{Name: c.args[0].text, Static: true, Pos: c.pos})
		b.id = c.args[0].text
		return b
	},
	each: func(b *block) []*block {
		return each(part[*File](b).Templates, func(t *Template) *block {
			b := streamBlock(&t.Stream)
			b.title = []string{t.Name}
			b.models = append(b.models, t)
			return b
		})
	},
}

// sourceBlock is a block about a source.
func sourceBlock(s *Source) *block {
	return &block{models: []any{s, &s.Stream, &s.Stream.Delivery}, title: []string{s.Name}}
}

var sourceValue = value{
	args: "HOST[:PORT] or URL", min: 1, max: 1, hide: maskURL,
	open: func(r *reader, _ *block, c *call) *block {
		w := c.args[0]
		s, err := parseSource(w.text)
		if err != nil {
			r.refuse(w.pos, c.name, err)
		}
		s.Pos, s.Stream = c.pos, Stream{Static: true, Pos: c.pos}
		b := sourceBlock(&s)
		b.id, b.refused = s.URL, err != nil
		return b
	},
	each: func(b *block) []*block {
		return each(part[*File](b).Sources, func(s *Source) *block {
			b := sourceBlock(s)
			if s.Plain {
				b.title = []string{s.URL}
			}
			b.id, b.call = s.Name, standing(s.Pos)
			return b
		})
	},
}

// parseSource reads HOST[:PORT], or a URL of a server that is no node.
func parseSource(text string) (Source, error) {
	s := Source{Name: text}
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
	f := r.file
	seen := map[string]Pos{}
	for _, b := range r.top.all("template") {
		r.checkFiles(b)
		p := b.word("prefix")
		if at := b.where("template"); at != (Pos{}) {
			r.errorf(at, "found `template` in a template, expected it in a stream")
		}
		if p == (word{}) || checkPrefix(p.text) != nil {
			continue
		}
		if err := CheckName(p.text+"/x", f.BalancerNames()); err != nil {
			r.refuse(p.pos, "prefix", err)
		}
		if before, twice := seen[p.text]; twice {
			r.errorf(p.pos, "found `prefix %s` a second time, expected it once; the first is at %s", short(p.text), before.place())
			continue
		}
		seen[p.text] = p.pos
		r.settle(b)
		s := part[*Stream](b)
		for _, in := range s.Inputs {
			if in.Scheme != "publish" {
				r.add(Unsupported, in.Pos, "an input other than publish:// in a template with a prefix")
			}
		}
		if len(s.Inputs) == 0 {
			r.errorf(s.Pos, "found `template %s` with a prefix and without an input, expected `input publish://;` in it", short(s.Name))
		}
		t := Template{Name: s.Name, Prefix: p.text, Stream: *s, Pos: s.Pos}
		t.Stream.Name = ""
		f.Templates = append(f.Templates, t)
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
