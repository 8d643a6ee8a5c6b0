package scenario

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"weir/cluster/conf"
	"weir/sim"
)

// Names of the sections of a scenario.
const (
	confSection  = "cluster.conf"
	stepsSection = "scenario"
	traceSection = "expect.trace"
)

// A Document is a scenario as it was read.
type Document struct {
	Scenario *sim.Scenario

	// Trace is the trace that the run has to give, one line each; nil if the file does not say.
	Trace []string

	archive archive
}

// A Source is a configuration that comes from elsewhere than the scenario, such as the operator's own file. It takes
// the place of the section cluster.conf.
type Source struct {
	Name string // for messages
	Text []byte
	Self string // the name of the node whose file it is; empty if the file says so, or lists that node

	// Announced are names that nodes announce and that the file does not say, by what the file calls their peers: HOST or HOST:PORT.
	Announced map[string]string
}

// Parse understands a scenario. Filename is for messages and gives the scenario its name. The document is nil if the
// problems say that it failed. Warnings about the scenario's own configuration are left out: it is made to be broken.
func Parse(filename string, text []byte) (*Document, conf.Problems) {
	return parse(filename, text, nil)
}

// ParseWith is [Parse] with a configuration from elsewhere. Its warnings are among the problems.
func ParseWith(filename string, text []byte, config Source) (*Document, conf.Problems) {
	return parse(filename, text, &config)
}

// Configured gives a scenario in which nothing happens, of the group that a configuration describes.
func Configured(config Source) (*sim.Scenario, conf.Problems) {
	d, problems := parse(config.Name, nil, &config)
	if d == nil {
		return nil, problems
	}
	return d.Scenario, problems
}

// A reader reads the sections of a scenario one after the other.
type reader struct {
	file     string
	problems conf.Problems
	lines    map[string]int // of each section, its first line
	files    map[string]*conf.File
}

func parse(filename string, text []byte, config *Source) (*Document, conf.Problems) {
	r := &reader{file: filename, lines: map[string]int{}, files: map[string]*conf.File{}}
	if len(text) > maxText {
		return nil, r.failed(1, fmt.Sprintf("found a file of %d bytes, expected at most %d", len(text), maxText))
	}
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	a := readArchive(string(text))
	if len(a.files) == 0 { // the steps alone
		a = archive{files: []archived{{name: stepsSection, text: string(text), line: 1}}}
	}
	for _, f := range a.files {
		if r.lines[f.name] != 0 {
			r.failed(f.line-1, fmt.Sprintf("found the section %q a second time, expected every section once", f.name))
		}
		r.lines[f.name] = f.line
	}
	d := &Document{archive: a, Scenario: &sim.Scenario{
		Name:  strings.TrimSuffix(path.Base(filename), path.Ext(filename)),
		Files: map[string]*conf.File{},
	}}
	if config != nil {
		r.external(*config)
	}
	for _, f := range a.files {
		if strings.HasSuffix(f.name, ".conf") && (config == nil || f.name != confSection) {
			r.config(f.name, f.text)
		}
	}
	if r.problems.Failed() {
		return nil, r.problems
	}
	if len(r.files) == 0 {
		return nil, r.failed(1, "found no section cluster.conf, expected one, or a configuration of your own by --config")
	}
	s := d.Scenario
	s.Comment = comment(a.comment)
	p := &parser{file: filename, s: s, files: map[string]*conf.File{}}
	r.group(s, p)
	for _, f := range a.files {
		switch f.name {
		case stepsSection:
			p.section(f.text, r.lines[stepsSection])
			if i := leading(f.text); s.Comment == "" && i != "" {
				s.Comment = i
			}
		case traceSection:
			d.Trace = strings.Split(strings.TrimSuffix(f.text, "\n"), "\n")
			if len(f.text) == 0 {
				d.Trace = []string{}
			}
		default:
			if !strings.HasSuffix(f.name, ".conf") {
				r.failed(r.lines[f.name]-1, fmt.Sprintf("found the section %q, expected cluster.conf, NODE.conf, scenario or expect.trace%s", f.name,
					near(f.name, []string{confSection, stepsSection, traceSection})))
			}
		}
	}
	r.problems = append(r.problems, p.problems...)
	if !r.problems.Failed() {
		r.checkFiles(s)
	}
	if r.problems.Failed() {
		return nil, r.problems
	}
	return d, r.problems
}

func near(word string, known []string) string {
	if n := conf.Nearest(word, known); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return ""
}

func (r *reader) failed(line int, text string) conf.Problems {
	r.problems = append(r.problems, conf.Problem{Pos: conf.Pos{File: r.file, Line: line, Col: 1}, Severity: conf.Error, Text: text})
	return r.problems
}

func (r *reader) warned(at conf.Pos, text string) {
	r.problems = append(r.problems, conf.Problem{Pos: at, Severity: conf.Warning, Text: text})
}

// config reads a configuration of the archive.
func (r *reader) config(name, src string) {
	first := r.lines[name]
	e, fault := expandConf(src)
	if fault != nil {
		line, col := position(src, fault.at)
		r.problems = append(r.problems, conf.Problem{
			Pos: conf.Pos{File: r.file, Line: line + first - 1, Col: col}, Severity: conf.Error, Text: fault.text,
		})
		return
	}
	f, problems := conf.Parse(r.file, e.text)
	problems = e.shift(problems, src, r.file, first)
	r.problems = append(r.problems, slices.DeleteFunc(problems, func(p conf.Problem) bool { return p.Severity == conf.Warning })...)
	r.files[name] = f
}

// external reads a configuration from elsewhere.
func (r *reader) external(c Source) {
	e, fault := expandConf(string(c.Text))
	if fault != nil {
		line, col := position(string(c.Text), fault.at)
		r.problems = append(r.problems, conf.Problem{
			Pos: conf.Pos{File: c.Name, Line: line, Col: col}, Severity: conf.Error, Text: fault.text,
		})
		return
	}
	f, problems := conf.Load(c.Name, e.text, conf.Flags{Values: map[string][]string{"name": {c.Self}}})
	r.problems = append(r.problems, e.shift(problems, string(c.Text), c.Name, 1)...)
	r.files[confSection] = f
	for _, peer := range slices.Sorted(maps.Keys(c.Announced)) {
		i := slices.IndexFunc(f.Peers, func(p conf.Peer) bool { return p.Name() == peer || p.Entry() == peer || p.Host == peer })
		if i < 0 {
			r.problems = append(r.problems, conf.Problem{
				Pos: conf.Pos{File: c.Name, Line: 1, Col: 1}, Severity: conf.Error,
				Text: fmt.Sprintf("found no peer %q, of which --announced speaks, expected HOST or HOST:PORT of a peer", peer),
			})
			continue
		}
		f.Peers[i].Announced = c.Announced[peer]
	}
}

// group finds out which nodes and streams there are, and which file is whose.
func (r *reader) group(s *sim.Scenario, p *parser) {
	names := make([]string, 0, len(r.files))
	for n := range r.files {
		if n != confSection {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	base := r.files[confSection]
	if base != nil {
		names = append([]string{confSection}, names...) // its peers come first
		if base.Name != "" && !slices.ContainsFunc(base.Peers, func(p conf.Peer) bool { return calls(p, base.Name) }) {
			// The list leaves out the node whose file it is; the others have to know it too.
			if len(base.Peers) > 0 {
				r.warned(base.Peers[0].Pos, fmt.Sprintf("no peer of the list is called %[1]s, so it is taken for a further node; if it is one of them, write `name %[1]s;` in the block of that peer, "+
					"or name it by --announced HOST=%[1]s", base.Name))
			}
			base.Peers = append(slices.Clone(base.Peers), self(base))
		}
		base.Name = "" // every node has its own
		s.Files[""], p.files[confSection] = base, base
	}
	all := make([]*conf.File, 0, len(names))
	for _, n := range names {
		all = append(all, r.files[n])
	}
	peers := union(all)
	s.Nodes, s.Entries = nodesOf(peers)
	if len(s.Nodes) > maxNodes {
		r.failed(1, fmt.Sprintf("found a group of %d nodes, expected at most %d", len(s.Nodes), maxNodes))
	}
	if len(s.Nodes) == 0 {
		r.failed(1, "found no peer in the configuration, expected a group of nodes, such as `peer n[1..3]:8080;`")
	}
	p.nodes = newNames("node", s.Nodes)
	for i, n := range s.Nodes {
		for _, other := range []string{peers[i].Name(), peers[i].Entry(), peers[i].Host} {
			if shared := slices.ContainsFunc(peers, func(o conf.Peer) bool { return o.Host == other && o.Entry() != peers[i].Entry() }); !shared {
				p.nodes.also(other, n)
			}
		}
	}
	streams := map[string]bool{}
	for _, n := range names {
		for _, st := range r.files[n].Streams {
			streams[st.Name] = true
		}
		p.files[n] = r.files[n]
		node := strings.TrimSuffix(n, ".conf")
		if of := p.nodes.other[node]; of != "" {
			node = of
		}
		if n != confSection && slices.Contains(s.Nodes, node) {
			s.Files[node] = r.files[n]
		}
	}
	p.streams = newNames("stream", slices.Sorted(maps.Keys(streams)))
}

// checkFiles checks what the steps decide: that every node has a configuration, and that
// every configuration has a use.
func (r *reader) checkFiles(s *sim.Scenario) {
	for _, n := range s.Nodes {
		if s.Files[n] == nil && s.Files[""] == nil {
			r.failed(1, fmt.Sprintf("found no configuration of the node %q, expected a section %s.conf, or cluster.conf for all", n, n))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		f := r.files[name]
		used := f == s.Files[""] || slices.ContainsFunc(s.Nodes, func(n string) bool { return s.Files[n] == f }) ||
			slices.ContainsFunc(s.Steps, func(st sim.Step) bool { e, ok := st.Action.(sim.Edit); return ok && e.File == f })
		if !used {
			r.failed(r.lines[name]-1, fmt.Sprintf("found the section %q, which is no node's name and in no edit; expected one of the two, such as `at 20s edit n1 %s`", name, name))
		}
	}
}

// maxNodes bounds a group; the rules of the cluster are made for a tenth of it.
const maxNodes = 1000

// union is the list of all peers of some files, in their order, each once. Its names are those that any of the files gives.
func union(files []*conf.File) (peers []conf.Peer) {
	for _, f := range files {
		for _, p := range f.Peers {
			i := slices.IndexFunc(peers, func(q conf.Peer) bool { return q.Entry() == p.Entry() })
			switch {
			case i < 0:
				peers = append(peers, p)
			case peers[i].Announced == "":
				peers[i].Announced = p.Announced
			}
		}
	}
	return peers
}

// nodesOf are the machines behind peers, named as the nodes of the cluster are, and which entry leads to which.
func nodesOf(peers []conf.Peer) (nodes []string, entries map[string]string) {
	entries = map[string]string{}
	nodes = (&conf.File{Peers: peers}).NodeNames()
	for i, p := range peers {
		entries[p.Entry()] = nodes[i]
	}
	return nodes, entries
}

// calls says whether an entry stands for the node of that name.
func calls(p conf.Peer, name string) bool {
	if p.Announced != "" {
		return p.Announced == name
	}
	return p.Host == strings.ToLower(name) || p.Name() == name || p.Entry() == name
}

// self is the entry that a file's own node would have if the list had it.
func self(f *conf.File) conf.Peer {
	p := conf.Peer{
		Host: strings.ToLower(f.Name), FetchTimeout: conf.DefaultFetchTimeout, StaleTimeout: conf.DefaultStaleTimeout, ClusterKey: f.ClusterKey,
	}
	if len(f.Peers) > 0 {
		p.FetchTimeout, p.StaleTimeout = f.Peers[0].FetchTimeout, f.Peers[0].StaleTimeout
	}
	p.APIURL = "http://" + p.Host
	p.Public, p.Private = p.APIURL, p.APIURL
	return p
}

// comment gives the text before the sections without the signs of a comment.
func comment(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "#")))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// leading gives the comment at the beginning of the steps.
func leading(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "#") {
			break
		}
		lines = append(lines, line)
	}
	return comment(strings.Join(lines, "\n"))
}

// SetTrace gives the document's text with another expected trace; everything else stays as it was written.
func (d *Document) SetTrace(lines []string) []byte {
	a := archive{comment: d.archive.comment, files: slices.Clone(d.archive.files)}
	trace := archived{name: traceSection, text: strings.Join(lines, "\n") + "\n"}
	if i := slices.IndexFunc(a.files, func(f archived) bool { return f.name == traceSection }); i >= 0 {
		a.files[i] = trace
	} else {
		a.files = append(a.files, trace)
	}
	return []byte(a.format())
}
