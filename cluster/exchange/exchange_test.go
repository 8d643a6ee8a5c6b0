package exchange

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"weir/cluster/trust"
)

type question struct{ Number int }

func TestQuestionsAreAnsweredOrRefused(t *testing.T) {
	answers := Answers{"double": Answering(func(_ context.Context, q question) (question, error) {
		if q.Number < 0 {
			return question{}, errors.New("no negative numbers")
		}
		return question{2 * q.Number}, nil
	})}
	key, other := trust.Derive("key-of-the-test"), trust.Derive("another-key")
	seen := &bytes.Buffer{}
	handler := answers.Handler(func() []trust.Keys { return []trust.Keys{other, key} })
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen.Write(body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler.ServeHTTP(w, r)
	}))
	defer s.Close()
	a := &Asker{
		Client: func(string) *http.Client { return http.DefaultClient },
		Keys:   func(string) []trust.Keys { return []trust.Keys{key} },
	}
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
	if bytes.Contains(seen.Bytes(), []byte("Number")) {
		t.Errorf("a question can be read on its way: %q", seen)
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
	if res, err := http.Post(s.URL+Path+"double", "", strings.NewReader("{")); err != nil || res.StatusCode != 400 {
		t.Errorf("a question that is not sealed is answered: %v, %v", res, err)
	}
}
