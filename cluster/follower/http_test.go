package follower

import (
	"reflect"
	"testing"

	"weir/cluster/control"
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
