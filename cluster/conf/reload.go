package conf

import (
	"fmt"
	"maps"
	"slices"
)

// A Change is a directive whose setting differs between an older and a newer file.
type Change struct {
	Directive string // the name; if the directive stands in a block, also that of the block
	Pos       Pos    // in the newer file, or in the older one if the newer leaves the directive out
}

// String gives the directive and its place.
func (c Change) String() string { return fmt.Sprintf("%s (%s)", c.Directive, c.Pos) }

// After is the configuration of a node that runs by the file old and reloads the file f. It is f, except that directives whose
// change needs a restart keep the setting of old. After also returns those of them that differ.
func (f *File) After(old *File) (*File, []Change) {
	next := *f
	next.Listeners = maps.Clone(f.Listeners)
	next.Peers, next.Sources = slices.Clone(f.Peers), slices.Clone(f.Sources)
	c := comparison{next: &printer{top: next.block()}, old: &printer{top: old.block()}}
	c.compare(c.next.top, c.old.top)
	for _, keep := range c.keep {
		keep()
	}
	return &next, c.changes
}

// A comparison finds the directives that need a restart.
type comparison struct {
	next, old *printer
	changes   []Change
	keep      []func() // copy the settings of old into next; they run once everything is compared
}

// compare compares a block of the newer file with the same block of the older file; was is nil if the older file has none.
func (c *comparison) compare(b, was *block) {
	for _, d := range rows[b.scope] {
		if d.reload == Restart && d.aliasOf == "" {
			var before [][]string
			if was != nil {
				before = c.old.shown(d, was)
			}
			now := c.next.shown(d, b)
			if !slices.EqualFunc(now, before, slices.Equal) {
				c.changes = append(c.changes, c.change(d, b))
			}
			switch {
			case was != nil:
				c.keep = append(c.keep, func() { d.take(b, was) })
			case now == nil && d.inherits:
				c.keep = append(c.keep, func() { d.take(b, c.next.top) })
			}
		}
		if !slices.ContainsFunc(rows[d.block], func(d *directive) bool { return d.reload == Restart }) || d.each == nil {
			continue
		}
		var former []*block
		if was != nil {
			former = d.blocks(was)
		}
		for _, k := range d.blocks(b) {
			var before *block
			if i := slices.IndexFunc(former, func(o *block) bool { return o.id == k.id }); i >= 0 {
				before = former[i]
			}
			c.compare(k, before)
		}
	}
}

func (c *comparison) change(d *directive, b *block) Change {
	if b.outer != nil {
		m := part[interface{ where() Pos }](b)
		return Change{fmt.Sprintf("%s of %s %s", d.name, b.row.name, b.title[0]), m.where()}
	}
	at, given := part[*File](b).Places[d.name]
	if !given {
		at = part[*File](c.old.top).Places[d.name]
	}
	return Change{d.name, at}
}
