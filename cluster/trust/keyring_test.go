package trust

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

func TestLinkHasTheCommonKeyUnlessItHasItsOwn(t *testing.T) {
	k := NewKeyring([]string{"common-key-of-the-test"}, []Link{
		{Name: "a", Accepted: true},
		{Name: "b", Keys: []string{"common-key-of-the-test"}, Accepted: true},
		{Name: "c", Keys: []string{"key-of-c"}, Accepted: true},
		{Name: "source x", Keys: []string{"key-of-x"}},
	}, nil, nil)
	common, c, x := Derive("common-key-of-the-test"), Derive("key-of-c"), Derive("key-of-x")
	for link, want := range map[string]Keys{"a": common, "b": common, "c": c, "source x": x, "unknown": common} {
		if got := k.Of(link); !slices.Equal(got, []Keys{want}) {
			t.Errorf("the keys of %s are %v, want %v", link, got, want)
		}
	}
	if got := k.Accepted(); !slices.Equal(got, []Keys{common, c}) || k.Own() != common {
		t.Errorf("accepted are %v, want %v and %v", got, common, c)
	}
	if k.Client("c").Transport != k.Transport("c") {
		t.Error("a link has two transports")
	}
	if k.Client("a").CheckRedirect(nil, nil) != http.ErrUseLastResponse {
		t.Error("a redirect is followed")
	}
}

func TestFirstKeyOfAPeerStandsForOneThatIsMissing(t *testing.T) {
	k := NewKeyring(nil, []Link{{Name: "x", Keys: []string{"key-of-x"}}, {Name: "c", Keys: []string{"key-of-c"}, Accepted: true}}, nil, nil)
	if k.Own() != Derive("key-of-c") {
		t.Errorf("the node's own key is %v, want that of its peer", k.Own())
	}
	if k = NewKeyring(nil, nil, nil, nil); !k.Own().Zero() || k.Client("a") == nil || !k.Prove("a")[0].Zero() {
		t.Errorf("without keys the own one is %v, want none", k.Own())
	}
}

// TestKeyIsChangedAtOneNodeAfterTheOther gives two nodes another key in two steps, in all orders. They ask each other after each step,
// and no question is refused; a node with the former key alone is refused in the end.
func TestKeyIsChangedAtOneNodeAfterTheOther(t *testing.T) {
	const first, second = "first-key-of-the-test", "second-key-of-the-test"
	for _, order := range [][]int{{0, 1, 0, 1}, {0, 1, 1, 0}, {1, 0, 0, 1}} {
		var nodes [2]*Keyring
		var urls [2]string
		var wrong atomic.Int32
		for i := range nodes {
			nodes[i] = NewKeyring([]string{first}, nil, nil, nil)
			s := httptest.NewServer(nodes[i].Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				_, _ = w.Write(body)
			}), Options{WrongKey: func(netip.Addr) { wrong.Add(1) }}))
			defer s.Close()
			urls[i] = s.URL
		}
		steps := [2]int{}
		asks := func() {
			t.Helper()
			for from := range nodes {
				res, err := nodes[from].Client("other").Post(urls[1-from], "", strings.NewReader("question"))
				if err != nil {
					t.Fatalf("order %v, steps %v: n%d asks: %v", order, steps, from+1, err)
				}
				if body, _ := io.ReadAll(res.Body); string(body) != "question" {
					t.Errorf("order %v, steps %v: n%d is answered %q", order, steps, from+1, body)
				}
				tls, err := ServerTLS(nodes[1-from].Accepted)
				if err != nil {
					t.Fatal(err)
				}
				c, err := nodes[from].Prove("other")[0].ClientTLS()
				if err != nil {
					t.Fatal(err)
				}
				if ce, se := shake(t, c, tls); ce != nil || se != nil {
					t.Errorf("order %v, steps %v: TLS of n%d: %v, %v", order, steps, from+1, ce, se)
				}
			}
		}
		asks()
		for _, n := range order {
			if steps[n]++; steps[n] == 1 {
				nodes[n].Set([]string{second, first}, nil)
			} else {
				nodes[n].Set([]string{second}, nil)
			}
			asks()
		}
		if n := wrong.Load(); n > 2 { // one for each link, when the other node forgets the former key
			t.Errorf("order %v: %d requests with a wrong key", order, n)
		}
		late := NewKeyring([]string{first}, nil, nil, nil)
		if _, err := late.Client("other").Get(urls[0]); !errors.Is(err, ErrWrongKey) {
			t.Errorf("the former key is taken in the end: %v", err)
		}
	}
}
