package conf

import (
	"fmt"
	"slices"
	"strings"
)

// A Pos is a place in a configuration file, or a command-line flag.
type Pos struct {
	File string // the file as it was named to [Parse], or a flag such as "--peer"

	// Line and Col count from 1; Col counts characters, not bytes. Both are zero for a flag.
	Line, Col int
}

// String gives FILE:LINE:COL, or the flag's name.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// place is the position without the file's name. Messages use it to refer to a second position: they begin with the name.
func (p Pos) place() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%d:%d", p.Line, p.Col)
}

// A Severity says whether a node starts with a problem.
type Severity uint8

const (
	// Warning does not keep a node from starting: the file is valid, but may not do what its author meant.
	Warning Severity = iota + 1
	// Unsupported is a directive that weir understands and does not support yet. A node does not start with it, so that
	// nothing is ignored silently.
	Unsupported
	// Error is a fault of the file. A node does not start with it.
	Error
)

// String gives the word that stands in messages.
func (s Severity) String() string {
	switch s {
	case Warning:
		return "warning"
	case Unsupported:
		return "not supported yet"
	case Error:
		return "error"
	default:
		return fmt.Sprintf("Severity(%d)", uint8(s))
	}
}

// A Problem is one thing that is wrong or doubtful about a configuration.
type Problem struct {
	Pos      Pos
	Severity Severity

	// Text says what was found and what was expected. It never contains a key or a password.
	Text string
}

// String gives one line: place, severity, text.
func (p Problem) String() string {
	return fmt.Sprintf("%s: %s: %s", p.Pos, p.Severity, p.Text)
}

// Problems are what [Parse] found, in the order of the file, those of flags last.
type Problems []Problem

// Failed reports whether one of the problems is more than a warning, so that the configuration must be refused.
func (p Problems) Failed() bool {
	return slices.ContainsFunc(p, func(q Problem) bool { return q.Severity != Warning })
}

// String gives one line per problem.
func (p Problems) String() string {
	var b strings.Builder
	for _, q := range p {
		b.WriteString(q.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// maxProblems is the most problems that are collected. Nobody reads more, and a hostile file must not take much memory.
const maxProblems = 100

// A report collects problems.
type report struct {
	list  Problems
	over  int // how many were left out
	fatal int // how many of all, listed or left out, were more than warnings
}

func (r *report) add(s Severity, at Pos, format string, args ...any) {
	if s != Warning {
		r.fatal++
	}
	if len(r.list) >= maxProblems {
		r.over++
		return
	}
	r.list = append(r.list, Problem{Pos: at, Severity: s, Text: fmt.Sprintf(format, args...)})
}

func (r *report) errorf(at Pos, format string, args ...any) { r.add(Error, at, format, args...) }
func (r *report) warnf(at Pos, format string, args ...any)  { r.add(Warning, at, format, args...) }

// full reports whether a further problem would be left out, so that its text need not be made.
func (r *report) full() bool { return len(r.list) >= maxProblems }

// sorted gives the problems in the order of their places. If some were left out, the last one says how many.
func (r *report) sorted() Problems {
	slices.SortStableFunc(r.list, func(a, b Problem) int {
		flag := func(p Pos) int {
			if p.Line == 0 {
				return 1
			}
			return 0
		}
		if c := flag(a.Pos) - flag(b.Pos); c != 0 {
			return c
		}
		if c := a.Pos.Line - b.Pos.Line; c != 0 {
			return c
		}
		return a.Pos.Col - b.Pos.Col
	})
	if r.over == 0 {
		return r.list
	}
	sev := Warning
	if r.fatal > 0 {
		sev = Error
	}
	last := r.list[len(r.list)-1].Pos
	return append(r.list, Problem{Pos: last, Severity: sev, Text: fmt.Sprintf("%d more problems are not listed", r.over)})
}
