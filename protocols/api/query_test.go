package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// queryTests pair a query with the names of the streams that it gives, or with an error; the fuzz target starts from
// them.
var queryTests = []struct {
	query, want string
	bad         bool
}{
	{query: "", want: "cam01 cam02 cam10 live/studio test"},
	{query: "name=cam01", want: "cam01"},
	{query: "name_like=CAM0", want: "cam01 cam02"},
	{query: "name_like=studio&state=waiting", want: "live/studio"},
	{query: "title_like=gate", want: "cam01"},
	{query: "owner_is=null", want: "cam10 live/studio test"},
	{query: "owner_is=not_null&reason=spill", want: "cam02"},
	{query: "owner=n1", want: "cam01"},
	{query: "owner_ne=n1", want: "cam02 cam10 live/studio test"},
	{query: "clients_gt=3", want: "cam01"},
	{query: "clients_gte=3&clients_lt=12", want: "cam02"},
	{query: "clients_lte=0", want: "cam10 live/studio test"},
	{query: "stats.alive=true", want: "cam01"},
	{query: "disabled=false&sort=-name", want: "live/studio cam10 cam02 cam01"},
	{query: "sort=owner,-clients", want: "cam10 live/studio test cam01 cam02"},
	{query: "sort=-owner", want: "cam02 cam01 cam10 live/studio test"},
	{query: "limit=2", want: "cam01 cam02"},
	{query: "limit=0", bad: true},
	{query: "limit=1001", bad: true},
	{query: "limit=x", bad: true},
	{query: "sort=colour", bad: true},
	{query: "sort=" + strings.Repeat("name,", 9), bad: true},
	{query: "colour=red", bad: true},
	{query: "name_near=x", bad: true},
	{query: "owner_is=n1", bad: true},
	{query: "clients_gt=many", bad: true},
	{query: "disabled=perhaps", bad: true},
	{query: "cursor=x", bad: true},
	{query: "cursor=bnVsbA", bad: true},                       // null
	{query: "cursor=eyJzIjoibmFtZSwiLCJ2IjpbMV19", bad: true}, // {"s":"name,","v":[1]}
	{query: "%zz", bad: true},
	{query: "name=" + strings.Repeat("x", maxQuery), bad: true},
}

func TestListQueries(t *testing.T) {
	for _, tt := range queryTests {
		q, err := parseQuery(tt.query, streamFields)
		if (err != nil) != tt.bad {
			t.Errorf("parseQuery(%.60q) error = %v, want one: %v", tt.query, err, tt.bad)
		}
		if err != nil {
			continue
		}
		page, _, _, _ := q.page(example().Streams(context.Background()))
		if got := names(page); got != tt.want {
			t.Errorf("%q gives %q, want %q", tt.query, got, tt.want)
		}
	}
}

func names(page []Stream) string {
	var out []string
	for _, s := range page {
		out = append(out, s.Name)
	}
	return strings.Join(out, " ")
}

func FuzzQuery(f *testing.F) {
	for _, tt := range queryTests {
		f.Add(tt.query)
	}
	q, _ := parseQuery("limit=1&sort=-clients", streamFields)
	_, _, next, _ := q.page(example().Streams(context.Background()))
	f.Add("sort=-clients&cursor=" + *next)
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw, streamFields)
		if err != nil {
			return
		}
		page, total, _, _ := q.page(example().Streams(context.Background()))
		if len(page) > q.limit || len(page) > total || total > 5 {
			t.Errorf("%q: page of %d, limit %d, total %d", raw, len(page), q.limit, total)
		}
	})
}

// list is the form of a list's answer.
type list struct {
	Streams    []struct{ Name string }
	Total      int `json:"estimated_count"`
	Next, Prev *string
}

func fetch(t *testing.T, f *fake, query string) (l list) {
	t.Helper()
	res := get(Handler(f, Options{Log: quiet()}), "GET", base+"/streams?"+query)
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 200 {
		t.Fatalf("%s: %d %s", query, res.StatusCode, body)
	}
	if err := json.Unmarshal(body, &l); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPagesFollowEachOtherBothWays(t *testing.T) {
	f := &fake{}
	for i := range 25 {
		f.streams = append(f.streams, Stream{Name: fmt.Sprintf("s%02d", i), Clients: i % 3})
	}
	for _, sort := range []string{"name", "-clients", "clients,-name"} {
		query := "limit=10&sort=" + url.QueryEscape(sort)
		var forth, back []string
		l := fetch(t, f, query)
		for {
			if l.Total != 25 {
				t.Errorf("sort %s: estimated_count = %d, want 25", sort, l.Total)
			}
			for _, s := range l.Streams {
				forth = append(forth, s.Name)
			}
			if l.Next == nil {
				break
			}
			l = fetch(t, f, query+"&cursor="+*l.Next)
		}
		for {
			for i := range l.Streams {
				back = append(back, l.Streams[len(l.Streams)-1-i].Name)
			}
			if l.Prev == nil {
				break
			}
			l = fetch(t, f, query+"&cursor="+*l.Prev)
		}
		slices.Reverse(back)
		if !slices.Equal(forth, back) || len(forth) != 25 {
			t.Errorf("sort %s: forth %v\nback %v", sort, forth, back)
		}
		slices.Sort(forth)
		if len(slices.Compact(forth)) != 25 {
			t.Errorf("sort %s: a stream was shown twice", sort)
		}
	}
}

func TestNextPageSkipsNothingWhenStreamsCameAndWent(t *testing.T) {
	f := &fake{}
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		f.streams = append(f.streams, Stream{Name: n})
	}
	first := fetch(t, f, "limit=2")
	f.streams = append(f.streams[2:], Stream{Name: "0"}) // a and b, where the cursor stands, are gone
	second := fetch(t, f, "limit=2&cursor="+*first.Next)
	if got := fmt.Sprint(second.Streams); got != "[{c} {d}]" {
		t.Errorf("second page = %s, want c and d", got)
	}
	res := get(Handler(f, Options{Log: quiet()}), "GET", base+"/streams?sort=-name&cursor="+*first.Next)
	if res.StatusCode != 400 {
		t.Errorf("cursor of a list that was sorted otherwise: status %d, want 400", res.StatusCode)
	}
}
