package follower

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"weir/cluster/control"
	"weir/cluster/dialer"
)

func TestQuestionsTravelInQueries(t *testing.T) {
	seen := control.Seen{Instance: "a/1", Inc: 3, Version: 9, List: "h"}
	for _, q := range []control.Question{
		{},
		{Seen: seen, Late: []string{}},
		{Seen: seen, Want: []string{"n3"}, Late: []string{"n3", "n4"}},
		{Doubt: []control.Doubt{{Node: "n 3", Age: 120}, {Node: "n4"}}, News: true},
	} {
		from, got, err := parseQuery(query("n1", q))
		if err != nil || from != "n1" {
			t.Errorf("parseQuery of %+v = %q, %v", q, from, err)
		}
		if len(q.Late) == 0 && q.Late != nil { // it travels as one empty name
			q.Late = []string{""}
		}
		if !reflect.DeepEqual(got, q) {
			t.Errorf("%+v arrives as %+v", q, got)
		}
	}
	q := query("n1", control.Question{})
	q["late"] = make([]string, maxNames+1)
	if _, _, err := parseQuery(q); err == nil {
		t.Error("a question that names too many peers is taken")
	}
}

func TestFailedFetchIsToldWithoutTheQuestion(t *testing.T) {
	for name, fails := range map[string]error{"refused": dialer.ErrRefused, "unreachable": errors.New("no route")} {
		h := &HTTP{
			Self:   func() string { return "n1" },
			URL:    func(entry string) string { return "http://" + entry },
			Client: func(string) *http.Client { return &http.Client{Transport: failing{fails}} },
		}
		_, err := h.fetch(t.Context(), control.Fetch{Peer: "n2.test:80", Question: &control.Question{Want: []string{"n3"}}})
		if err == nil || strings.Contains(err.Error(), "want=") || !errors.Is(err, fails) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }
