package api

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Limits of a list request.
const (
	maxQuery     = 8 << 10 // bytes
	defaultLimit = 100
	maxLimit     = 1000
	maxSort      = 8 // fields
)

// A field is one by which a list can be filtered and sorted: a string, a number or a truth value of its items, or nil
// for null. The first of a list's fields identifies an item.
type field[T any] struct {
	name string
	get  func(*T) any // string, float64, bool or nil
}

var streamFields = []field[Stream]{
	{"name", func(s *Stream) any { return s.Name }},
	{"title", func(s *Stream) any { return null(s.Title) }},
	{"owner", func(s *Stream) any { return null(string(s.Owner)) }},
	{"state", func(s *Stream) any { return s.State }},
	{"reason", func(s *Stream) any { return null(string(s.Reason)) }},
	{"spill_of", func(s *Stream) any { return null(s.SpillOf) }},
	{"error", func(s *Stream) any { return null(s.Error) }},
	{"disabled", func(s *Stream) any { return s.Disabled }},
	{"on_demand", func(s *Stream) any { return s.OnDemand }},
	{"clients", func(s *Stream) any { return float64(s.Clients) }},
	{"restarts", func(s *Stream) any { return float64(s.Restarts) }},
	{"since", func(s *Stream) any { return float64(s.Since) }},
	{"stats.alive", func(s *Stream) any { return s.Stats.Alive }},
	{"stats.uptime", func(s *Stream) any { return float64(s.Stats.Uptime) }},
	{"stats.bytes", func(s *Stream) any { return float64(s.Stats.Bytes) }},
	{"stats.bytes_in", func(s *Stream) any { return float64(s.Stats.BytesIn) }},
	{"stats.bytes_out", func(s *Stream) any { return float64(s.Stats.BytesOut) }},
	{"stats.input_kbit", func(s *Stream) any { return float64(s.Stats.InputKbit) }},
	{"stats.dropped", func(s *Stream) any { return float64(s.Stats.Dropped) }},
}

var peerFields = []field[Peer]{
	{"hostname", func(p *Peer) any { return p.Hostname }},
	{"name", func(p *Peer) any { return null(string(p.Name)) }},
	{"self", func(p *Peer) any { return p.Self }},
	{"status", func(p *Peer) any { return p.Status }},
	{"since", func(p *Peer) any { return float64(p.Since) }},
	{"stats.uptime", func(p *Peer) any { return float64(p.Stats.Uptime) }},
	{"stats.rtt", func(p *Peer) any { return p.Stats.RTT }},
	{"stats.cpu_usage", func(p *Peer) any { return p.Stats.CPUUsage }},
	{"stats.interface_load", func(p *Peer) any { return p.Stats.InterfaceLoad }},
	{"stats.memory_usage", func(p *Peer) any { return p.Stats.MemoryUsage }},
	{"stats.output_kbit", func(p *Peer) any { return float64(p.Stats.OutputKbit) }},
	{"stats.online_streams", func(p *Peer) any { return float64(p.Stats.OnlineStreams) }},
	{"stats.total_clients", func(p *Peer) any { return float64(p.Stats.TotalClients) }},
}

var sessionFields = []field[Session]{
	{"id", func(s *Session) any { return s.ID }},
	{"name", func(s *Session) any { return null(string(s.Name)) }},
	{"type", func(s *Session) any { return s.Type }},
	{"proto", func(s *Session) any { return s.Protocol }},
	{"ip", func(s *Session) any { return s.IP }},
	{"country", func(s *Session) any { return null(s.Country) }},
	{"node", func(s *Session) any { return s.Node }},
	{"duration", func(s *Session) any { return float64(s.Duration) }},
	{"bytes", func(s *Session) any { return float64(s.Bytes) }},
	{"dropped", func(s *Session) any { return float64(s.Dropped) }},
}

var eventFields = []field[Event]{
	{"id", func(e *Event) any { return float64(e.ID) }},
	{"kind", func(e *Event) any { return e.Kind }},
	{"level", func(e *Event) any { return e.Level }},
	{"node", func(e *Event) any { return e.Node }},
	{"peer", func(e *Event) any { return null(e.Peer) }},
	{"stream", func(e *Event) any { return null(e.Stream) }},
	{"reason", func(e *Event) any { return null(e.Reason) }},
}

var balancerFields = []field[Balancer]{
	{"name", func(b *Balancer) any { return b.Name }},
	{"mode", func(b *Balancer) any { return b.Mode }},
	{"chosen", func(b *Balancer) any { return float64(b.Chosen) }},
	{"refused", func(b *Balancer) any { return float64(b.Refused) }},
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// compare orders two values of one field: null first, then false before true.
func compare(a, b any) int {
	if a == nil || b == nil {
		return order(a != nil) - order(b != nil)
	}
	switch a := a.(type) {
	case string:
		b, _ := b.(string)
		return cmp.Compare(a, b)
	case float64:
		b, _ := b.(float64)
		return cmp.Compare(a, b)
	case bool:
		b, _ := b.(bool)
		return order(a) - order(b)
	}
	return 0
}

func order(b bool) int {
	if b {
		return 1
	}
	return 0
}

// A query is a list request, understood: filter=…, sort=-clients,name, select=name,state, limit=…, cursor=….
type query[T any] struct {
	filters []func(*T) bool
	sort    []sorting[T] // ends with the first field, so that the order is total
	fields  []string     // selected; nil means all
	limit   int
	from    *cursor
}

type sorting[T any] struct {
	field[T]
	down bool
}

// A cursor is a place between two items of a list. It names the values of the item it was made from, not its number,
// so that a list that changes meanwhile skips and repeats nothing.
type cursor struct {
	Sort   string `json:"s"`
	Before bool   `json:"b,omitempty"` // the page ends before the item; otherwise it starts after it
	Values []any  `json:"v"`
}

func parseQuery[T any](raw string, fields []field[T]) (q query[T], err error) {
	if len(raw) > maxQuery {
		return q, bad("the query has more than %d bytes", maxQuery)
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, bad("malformed query: %v", err)
	}
	q.limit = defaultLimit
	if q.sort, err = parseSort(values.Get("sort"), fields); err != nil {
		return q, err
	}
	for key, vs := range values {
		switch key {
		case "sort":
		case "limit":
			if q.limit, err = strconv.Atoi(vs[0]); err != nil || q.limit < 1 || q.limit > maxLimit {
				return q, badAt("limit", "found %q, expected a number from 1 to %d", vs[0], maxLimit)
			}
		case "select":
			q.fields = strings.Split(vs[0], ",")
		case "cursor":
			if q.from, err = parseCursor(vs[0], q.sort); err != nil {
				return q, err
			}
		default:
			for _, v := range vs {
				f, err := parseFilter(key, v, fields)
				if err != nil {
					return q, err
				}
				q.filters = append(q.filters, f)
			}
		}
	}
	return q, nil
}

func findField[T any](name string, fields []field[T]) (f field[T], ok bool) {
	i := slices.IndexFunc(fields, func(f field[T]) bool { return f.name == name })
	if i < 0 {
		return f, false
	}
	return fields[i], true
}

func fieldNames[T any](fields []field[T]) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return strings.Join(names, ", ")
}

func parseSort[T any](text string, fields []field[T]) (out []sorting[T], err error) {
	if text != "" {
		for name := range strings.SplitSeq(text, ",") {
			name, down := strings.CutPrefix(name, "-")
			f, ok := findField(name, fields)
			if !ok || len(out) == maxSort {
				return nil, badAt("sort", "found %q, expected at most %d of %s", name, maxSort, fieldNames(fields))
			}
			out = append(out, sorting[T]{f, down})
		}
	}
	return append(out, sorting[T]{fields[0], false}), nil
}

func sortText[T any](s []sorting[T]) string {
	var b strings.Builder
	for _, f := range s {
		if f.down {
			b.WriteByte('-')
		}
		b.WriteString(f.name + ",")
	}
	return b.String()
}

// filters are the suffixes of a field's name, and the kinds of fields that can be compared so; the empty suffix, equality, comes
// last.
var filters = []struct {
	suffix, doc string
	kinds       []string
	holds       func(have, want any) bool
}{
	{"_gte", "at least", numbers, func(have, want any) bool { return have != nil && compare(have, want) >= 0 }},
	{"_gt", "more than", numbers, func(have, want any) bool { return have != nil && compare(have, want) > 0 }},
	{"_lte", "at most", numbers, func(have, want any) bool { return have != nil && compare(have, want) <= 0 }},
	{"_lt", "less than", numbers, func(have, want any) bool { return have != nil && compare(have, want) < 0 }},
	{"_ne", "not this", all, func(have, want any) bool { return have != want }},
	{"_like", "has this in it, in whatever case", texts, func(have, want any) bool {
		h, ok := have.(string)
		w, _ := want.(string)
		return ok && strings.Contains(strings.ToLower(h), strings.ToLower(w))
	}},
	{"_is", "whether there is none", texts, nil},
	{"", "exactly this", all, func(have, want any) bool { return have == want }},
}

var (
	texts   = []string{"string"}
	numbers = []string{"number"}
	all     = []string{"string", "number", "boolean"}
)

// parseFilter reads FIELD=VALUE, FIELD_like=PART, FIELD_gt=NUMBER, FIELD_is=null and their like. A filter that is not
// understood is an error, since a list that ignored it would be taken for the answer.
func parseFilter[T any](key, value string, fields []field[T]) (func(*T) bool, error) {
	for _, c := range filters {
		name, ok := strings.CutSuffix(key, c.suffix)
		f, known := findField(name, fields)
		if !ok || !known {
			continue
		}
		if c.holds == nil {
			if value != "null" && value != "not_null" {
				return nil, badAt(key, "found %q, expected null or not_null", value)
			}
			return func(item *T) bool { return (f.get(item) == nil) == (value == "null") }, nil
		}
		want, ok := valueFor(f, value)
		if !ok {
			return nil, badAt(key, "found %q, expected a value of %s", value, name)
		}
		return func(item *T) bool { return c.holds(f.get(item), want) }, nil
	}
	return nil, badAt(key, "no such parameter, expected select, sort, limit, cursor or one of %s, with _ne, _like, _is, _gt, _gte, _lt or _lte behind it", fieldNames(fields))
}

// valueFor reads a value as the type of a field, which is that of the field of an empty item; null there means a
// string.
func valueFor[T any](f field[T], text string) (any, bool) {
	var zero T
	switch f.get(&zero).(type) {
	case float64:
		n, err := strconv.ParseFloat(text, 64)
		return n, err == nil
	case bool:
		b, err := strconv.ParseBool(text)
		return b, err == nil
	}
	return text, true
}

func parseCursor[T any](text string, sort []sorting[T]) (*cursor, error) {
	var c cursor
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil || len(c.Values) != len(sort) {
		return nil, badAt("cursor", "found %q, expected one that a list gave", text)
	}
	if c.Sort != sortText(sort) {
		return nil, badAt("cursor", "the list was sorted otherwise")
	}
	for i, v := range c.Values {
		var zero T
		z := sort[i].get(&zero)
		if z == nil {
			z = ""
		}
		if v != nil && reflect.TypeOf(v) != reflect.TypeOf(z) {
			return nil, badAt("cursor", "found %q, expected one that a list gave", text)
		}
	}
	return &c, nil
}

// at makes the cursor after, or before, an item.
func (q query[T]) at(item *T, before bool) *string {
	c := cursor{Sort: sortText(q.sort), Before: before}
	for _, s := range q.sort {
		c.Values = append(c.Values, s.get(item))
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil // a figure that is no number: the list cannot be shown either
	}
	text := base64.RawURLEncoding.EncodeToString(b)
	return &text
}

// compare orders an item and another one, of which value gives what the list is sorted by.
func (q query[T]) compare(item *T, value func(i int) any) int {
	for i, s := range q.sort {
		if c := compare(s.get(item), value(i)); c != 0 {
			if s.down {
				return -c
			}
			return c
		}
	}
	return 0
}

// page returns the items that the query asks for, and the cursors of the pages around them. It reorders items.
func (q query[T]) page(items []T) (page []T, total int, next, prev *string) {
	items = slices.DeleteFunc(items, func(item T) bool {
		return slices.ContainsFunc(q.filters, func(holds func(*T) bool) bool { return !holds(&item) })
	})
	slices.SortFunc(items, func(a, b T) int {
		return q.compare(&a, func(i int) any { return q.sort[i].get(&b) })
	})
	from, to := 0, len(items)
	if q.from != nil {
		// The number of items before the place, and, where the page is to start after it, the item at it.
		at, found := slices.BinarySearchFunc(items, q.from.Values, func(item T, place []any) int {
			return q.compare(&item, func(i int) any { return place[i] })
		})
		switch {
		case q.from.Before:
			to = at
			from = max(0, to-q.limit)
		case found:
			from = at + 1
		default:
			from = at
		}
	}
	to = min(to, from+q.limit)
	page = items[from:to]
	if to < len(items) && len(page) > 0 {
		next = q.at(&page[len(page)-1], false)
	}
	if from > 0 && len(page) > 0 {
		prev = q.at(&page[0], true)
	}
	return page, len(items), next, prev
}

// listOf answers a list request in Flussonic's form, with the items under the key what.
func listOf[T any](what string, items []T, fields []field[T], q query[T]) (_ any, err error) {
	page, total, next, prev := q.page(items)
	shown := make([]any, len(page))
	for i := range page {
		if c, ok := any(&page[i]).(interface{ complete() }); ok {
			c.complete()
		}
		if shown[i], err = pick(page[i], fields[0].name, q.fields); err != nil {
			return nil, err
		}
	}
	return map[string]any{
		what: shown, "estimated_count": total, "timing": struct{}{}, "next": next, "prev": prev,
	}, nil
}

// pick leaves of an item the selected members, dotted ones inside others included, and the one that identifies it.
// A name that no item of the kind has selects nothing.
func pick(item any, id string, names []string) (any, error) {
	if names == nil {
		return item, nil
	}
	b, err := json.Marshal(item)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var all map[string]any
	if err := d.Decode(&all); err != nil {
		return nil, err
	}
	out := map[string]any{id: all[id]}
	for _, name := range names {
		copyMember(out, all, strings.Split(name, "."))
	}
	return out, nil
}

func copyMember(dst, src map[string]any, names []string) {
	v, ok := src[names[0]]
	if !ok {
		return
	}
	inner, isObject := v.(map[string]any)
	if len(names) == 1 || !isObject {
		dst[names[0]] = v
		return
	}
	into, ok := dst[names[0]].(map[string]any)
	if !ok {
		into = map[string]any{}
		dst[names[0]] = into
	}
	copyMember(into, inner, names[1:])
}
