package conf

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"weir/protocols"
)

// A Template describes streams that the file does not name: when a publisher comes for PREFIX/NAME, the template makes that
// stream.
type Template struct {
	Name, Prefix string

	// Stream is the description of every such stream; its name is empty.
	Stream Stream

	Pos Pos
}

// A Source is an origin whose streams are restreamed here.
type Source struct {
	// Name is the origin as the file gives it.
	Name string

	// URL has the form SCHEME://HOST[:PORT] if the origin is a node, whose list of streams is fetched from there. If the
	// origin is another server (Plain), the URL of each of its streams is URL/NAME. Such a URL has the scheme rtmp or
	// rtmps, or it has the scheme http or https and a path.
	URL   string
	Plain bool

	// Only are the streams that are restreamed. If OnlyGiven is set and Only is empty, all streams of the origin are
	// restreamed on demand. Except are streams that are never restreamed.
	Only, Except []string
	OnlyGiven    bool

	// Prefix and a slash are put before the origin's names of the streams; empty means that the names stay as they are.
	Prefix string

	// ClusterKey is the key of the link; the default is the key of the file. It is empty for a Plain origin.
	ClusterKey string

	// FormerKey is accepted too, while the key is changed at one node after the other; empty means none.
	FormerKey string

	// Stream describes the origin's streams on this node. Its name, inputs and title are empty.
	Stream Stream

	Pos Pos
}

func (s *Source) keys() (now, former *string) { return &s.ClusterKey, &s.FormerKey }
func (s *Source) where() Pos                  { return s.Pos }

// templateAndSourceDirectives are the directives that only the blocks of templates and sources have, and `template NAME;` of a
// stream. The directives that these blocks share with the block of a stream are in streamBlockDirectives.
var templateAndSourceDirectives = []directive{
	{
		name: "template", in: streams, value: unstored("NAME", nil), reload: AtOnce, defaultWords: "none", example: "tv",
		doc: "The template whose settings hold for the stream wherever the stream does not give its own.",
	},
	{
		name: "prefix", in: inTemplate, value: text("PREFIX", func(t *Template) *string { return &t.Prefix }, checkPrefix), reload: NewClients,
		defaultWords: "none", example: "talk", doc: "A publisher that comes for PREFIX/NAME makes that stream.",
	},
	{
		name: "only", in: inSource, value: onlyValue, reload: AtOnce, defaultWords: "all streams that the origin does not restream itself", example: "cam01 cam02",
		doc: "The streams that are restreamed; an empty list means all streams, each on demand.",
	},
	{
		name: "except", in: inSource, value: names(0, func(s *Source) *[]string { return &s.Except }), reload: AtOnce, defaultWords: "none", example: "private",
		doc: "The streams that are not restreamed.",
	},
	{
		name: "prefix", in: inSource, value: text("PREFIX", func(s *Source) *string { return &s.Prefix }, checkPrefix), reload: AtOnce, defaultWords: "none",
		example: "far", doc: "Names the streams PREFIX/NAME on this node.",
	},
	{
		name: "cluster_key", in: inSource, value: keyValue, secret: true, allSecret: true, inherits: true, reload: AtOnce, defaultWords: "the cluster_key of the file",
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
	}, asIs)
}

// onlyValue is a list of names that may be empty: `only;` means something else than no `only` at all, see [Source.Only].
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

// shown is the name of the source in a printed file. A password is still in it.
func (s *Source) shown() string {
	if s.Plain {
		return s.URL
	}
	return s.Name
}

func parseTemplate(name string, at Pos) (Template, error) {
	return Template{Name: name, Stream: Stream{Static: true, Pos: at}, Pos: at}, nil
}

// parseSource reads the HOST[:PORT] or base URL of a node, or the URL of a server that is not a node.
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
	s.Plain, s.Name = true, protocols.MaskURLs(text)
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
			s.ClusterKey, s.FormerKey = "", ""
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

// Streams are the streams of a Plain source, by the names in Only; nil for a node.
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
		if _, err := setAddress(&in, in.URL[len(in.Scheme)+len("://"):]); err != nil {
			continue // the name makes no URL
		}
		out = append(out, s.Restream(name, in, true))
	}
	return out
}

// Restream makes the stream of this node for a stream of the origin. Name is the name at the origin, in is the input from which
// the media comes, and static says that the stream is captured without a client.
func (s Source) Restream(name string, in Input, static bool) Stream {
	st := s.Stream
	st.Name = name
	if s.Prefix != "" {
		st.Name = s.Prefix + "/" + name
	}
	in.Priority, in.SourceTimeout = 1, in.defaultTimeout(st.SourceTimeout)
	st.Inputs = []Input{in}
	if st.Static = static; static {
		st.ClientsTimeout = 0
	}
	st.Pos, st.Restreamed = s.Pos, true
	return st
}

// Template gives the template that makes a stream of this name, or nil. Of several the one with the longest prefix counts.
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
