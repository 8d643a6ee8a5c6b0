package exchange

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

type question struct{ Number int }

func TestQuestionsAreAnsweredOrRefused(t *testing.T) {
	answers := Answers{"double": Answering(func(_ context.Context, q question) (question, error) {
		if q.Number < 0 {
			return question{}, errors.New("no negative numbers")
		}
		return question{2 * q.Number}, nil
	})}
	s := httptest.NewServer(answers)
	defer s.Close()
	a := &Asker{Client: func(string) *http.Client { return http.DefaultClient }}
	p := Peer{Name: "n2", URL: s.URL}
	for _, tt := range []struct {
		kind    string
		in, out int
		refused string
	}{
		{"double", 21, 42, ""},
		{"double", -1, 0, "no negative numbers"},
		{"halve", 2, 0, ErrUnknown.Error()},
	} {
		got, err := Ask[question](t.Context(), a, p, tt.kind, question{tt.in})
		var r *Refusal
		if refused := errors.As(err, &r); got.Number != tt.out || refused != (tt.refused != "") || refused && (r.Text != tt.refused || r.Node != "n2") {
			t.Errorf("%s %d = %d, %v; want %d, refused with %q", tt.kind, tt.in, got.Number, err, tt.out, tt.refused)
		}
	}
	gone := Peer{Name: "n1", URL: "http://127.0.0.1:1"}
	all := All[question](t.Context(), a, []Peer{p, gone}, "double", question{1})
	if all[0].Peer.Name != "n1" || all[0].Err == nil || all[1].Value.Number != 2 {
		t.Errorf("all: %+v", all)
	}
	var r *Refusal
	if errors.As(all[0].Err, &r) {
		t.Errorf("a node that was not reached has refused: %v", r)
	}
	if res, err := http.Get(s.URL + Path + "double"); err != nil || res.StatusCode != 404 {
		t.Errorf("GET is answered: %v, %v", res, err)
	}
	if res, err := http.Post(s.URL+Path+"double", "", strings.NewReader("{")); err != nil || res.StatusCode != 409 {
		t.Errorf("half a question is answered: %v, %v", res, err)
	}
}
