package trust

import (
	"net/http"
	"slices"
	"testing"
)

func TestLinkHasTheCommonKeyUnlessItHasItsOwn(t *testing.T) {
	k := NewKeyring("common-key-of-the-test", []Link{
		{Name: "a", Accepted: true},
		{Name: "b", Key: "common-key-of-the-test", Accepted: true},
		{Name: "c", Key: "key-of-c", Accepted: true},
		{Name: "source x", Key: "key-of-x"},
	}, nil, nil)
	common, c, x := Derive("common-key-of-the-test"), Derive("key-of-c"), Derive("key-of-x")
	for link, want := range map[string]Keys{"a": common, "b": common, "c": c, "source x": x, "unknown": common} {
		if k.Of(link) != want {
			t.Errorf("the key of %s is %v, want %v", link, k.Of(link), want)
		}
	}
	if got := k.Accepted(); !slices.Equal(got, []Keys{c}) || k.Own() != common {
		t.Errorf("accepted are %v besides %v, want %v besides %v", got, k.Own(), c, common)
	}
	if k.Transport("a") != k.Transport("b") || k.Transport("a") == k.Transport("c") || k.Client("c").Transport != k.Transport("c") {
		t.Error("links of one key do not share its connections, or those of two do")
	}
	if k.Client("a").CheckRedirect(nil, nil) != http.ErrUseLastResponse {
		t.Error("a redirect is followed")
	}
}

func TestFirstKeyOfAPeerStandsForOneThatIsMissing(t *testing.T) {
	k := NewKeyring("", []Link{{Name: "x", Key: "key-of-x"}, {Name: "c", Key: "key-of-c", Accepted: true}}, nil, nil)
	if k.Own() != Derive("key-of-c") {
		t.Errorf("the node's own key is %v, want that of its peer", k.Own())
	}
	if k = NewKeyring("", nil, nil, nil); !k.Own().Zero() || k.Client("a") == nil {
		t.Errorf("without keys the own one is %v, want none", k.Own())
	}
}
