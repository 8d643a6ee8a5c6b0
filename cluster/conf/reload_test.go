package conf

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestDirectivesThatNeedARestartStayAsTheyAre changes each directive at the top of the file to its example.
func TestDirectivesThatNeedARestartStayAsTheyAre(t *testing.T) {
	for _, d := range rows[inFile] {
		if d.unsupported || d.aliasOf != "" {
			continue
		}
		text := d.name + " " + d.example
		if !strings.HasSuffix(text, "}") {
			text += ";"
		}
		with := "certificate c;\n" + key // without a certificate there is no https
		old, _ := Parse("f", []byte(with))
		src := with + text
		if d.name == "cluster_key" {
			src = "certificate c;\n" + text
		}
		f, problems := Parse("f", []byte(src))
		if problems.Failed() {
			t.Fatal(problems)
		}
		next, changes := f.After(old)
		var got []string
		for _, c := range changes {
			got = append(got, c.String())
		}
		var want []string
		kept := f
		if d.reload == Restart {
			want, kept = []string{fmt.Sprintf("%s (%s)", d.name, f.Places[d.name])}, old
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: changes %q, want %q", d.name, got, want)
		}
		if next.render(false) != kept.render(false) {
			t.Errorf("%s: in effect is\n%swant\n%s", d.name, next.render(false), kept.render(false))
		}
		if _, again := f.After(next); len(again) != len(want) {
			t.Errorf("%s: a second reload has the changes %v, want %q", d.name, again, want)
		}
	}
}

func TestDirectiveThatIsLeftOutIsNamedWithItsFormerPlace(t *testing.T) {
	old, _ := Parse("f", []byte("name a;\n  journal /j;"))
	f, _ := Parse("f", nil)
	next, changes := f.After(old)
	if got, want := fmt.Sprint(changes), "[name (f:1:1) journal (f:2:3)]"; got != want || next.Journal != "/j" {
		t.Errorf("changes = %s with journal %q, want %s and the former journal", got, next.Journal, want)
	}
}

func TestKeysOfLinksNeedARestart(t *testing.T) {
	const own, other = "{ cluster_key 0123456789abcdefgh; }", "{ cluster_key 0123456789abcdefxy; }"
	const another = "cluster_key another-key-of-all-nodes;\n"
	for _, tt := range []struct {
		name, old, new string
		want           string
	}{
		{"the same", key + "peer a; source o " + own, key + "peer a:80; source o " + own, "[]"},
		{"a peer without its own", key + "peer a;", key + "peer a; peer b; source o;", "[]"},
		{"a peer with its own", key + "peer a;", key + "peer a; peer b " + own, "[cluster_key of peer b (f:2:9)]"},
		{"gets its own", key + "peer a;", key + "peer a " + own, "[cluster_key of peer a (f:2:1)]"},
		{"gets another", key + "peer a:80 " + own, key + "peer a " + other, "[cluster_key of peer a (f:2:1)]"},
		{"loses its own", key + "peer a " + own, key + "peer a;", "[cluster_key of peer a (f:2:1)]"},
		{"a source with its own", key, key + "source o " + own, "[cluster_key of source o (f:2:1)]"},
		{"of a source", key + "source o " + own, key + "source o " + other, "[cluster_key of source o (f:2:1)]"},
		{"of all", key + "peer a; source o;", another + "peer a; peer b; source o;", "[cluster_key (f:1:1)]"},
	} {
		old, _ := Parse("f", []byte(tt.old))
		f, problems := Parse("f", []byte(tt.new))
		if problems.Failed() {
			t.Fatal(problems)
		}
		next, changes := f.After(old)
		if got := fmt.Sprint(changes); got != tt.want {
			t.Errorf("%s: changes = %s, want %s", tt.name, got, tt.want)
		}
		for _, p := range next.Peers {
			for _, was := range old.Peers {
				if p.Host == was.Host && p.ClusterKey != was.ClusterKey {
					t.Errorf("%s: the key of peer %s is in effect before a restart", tt.name, p.Name())
				}
			}
		}
		if tt.name == "of all" && slices.ContainsFunc(next.Peers, func(p Peer) bool { return p.ClusterKey != old.ClusterKey }) {
			t.Errorf("%s: the peers have %+v, want the former key of all", tt.name, next.Peers)
		}
		if again, _ := Parse("f", []byte(tt.new)); !reflect.DeepEqual(f, again) {
			t.Errorf("%s: After changed the file that it was given", tt.name)
		}
	}
}
