package sim

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// An Action is what a [Step] does to the group: a value of one of the types that have a [Kind]. Lists of nodes and
// streams that are nil mean all.
type Action any

// A Kind is a row of the table of actions: all that there is to know of one type of action stands in it.
type Kind struct {
	Type    reflect.Type // of the action
	Subject Subject
	Help    string // what the action does, in a few words
	Instant bool   // it is done at an instant, and nothing of it ends

	// Word is with what the scenario language begins the action, and Args what follows, as people read it. Kinds may share a
	// word; they differ then in the second word of Args. Where several forms are possible, `, or ` stands between them. A
	// placeholder in capitals stands for the field of its name, or else for the next field of its type.
	Word, Args string

	name string // in traces, and of the fault that is drawn; empty: the word without hyphens

	client bool // it concerns clients alone: it disturbs nobody else

	drawn *drawn // how [Random] draws it; nil: it does not
	begin func(w *world, f *fault, a Action)
}

// A Subject is what actions are done to. The catalogue of actions is ordered by it.
type Subject uint8

// Subjects.
const (
	Processes Subject = iota
	Clocks
	Topology
	LinkBehaviour
	Answers
	Sources
	WholeRun
)

// String gives the heading of the catalogue.
func (s Subject) String() string {
	return [...]string{"process", "clock", "topology", "link", "answers", "sources and clients", "the run"}[s]
}

// kind completes the row of actions of type A. Begin does such an action, and says in the fault how it is undone.
func kind[A any](k Kind, d *drawn, begin func(w *world, f *fault, a A)) *Kind {
	if k.name == "" {
		k.name = strings.ReplaceAll(k.Word, "-", "")
	}
	if d != nil {
		d.name = k.name
	}
	k.Type, k.drawn = reflect.TypeFor[A](), d
	k.begin = func(w *world, f *fault, a Action) { begin(w, f, a.(A)) }
	return &k
}

// kinds is the table. What can be drawn is drawn in its order, so that another order would give every seed other faults.
var kinds = slices.Concat(nodeKinds, linkKinds, sourceKinds, runKinds, viewerKinds, coworkerKinds)

// kindOf is kinds by the types of their actions.
var kindOf = map[reflect.Type]*Kind{}

// The map is filled here because rows begin actions, which looks kinds up: as an initial value it would refer to itself.
func init() {
	for _, k := range kinds {
		kindOf[k.Type] = k
	}
}

// KindOf is the row of an action.
func KindOf(a Action) *Kind { return kindOf[reflect.TypeOf(a)] }

// Kinds are all kinds by their subjects.
func Kinds() []*Kind {
	return slices.SortedStableFunc(slices.Values(kinds), func(a, b *Kind) int { return cmp.Compare(a.Subject, b.Subject) })
}

// described is an action as traces have it: its fields with their names.
func described(a Action) string {
	if e, ok := a.(Edit); ok {
		return fmt.Sprint(e.Nodes)
	}
	var parts []string
	var add func(v reflect.Value)
	add = func(v reflect.Value) {
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Anonymous {
				add(v.Field(i))
			} else {
				parts = append(parts, fmt.Sprintf("%s:%+v", f.Name, v.Field(i)))
			}
		}
	}
	add(reflect.ValueOf(a))
	return strings.Trim(strings.Join(parts, " "), "{}")
}
