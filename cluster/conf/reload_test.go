package conf

import (
	"fmt"
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

func TestKeysOfLinksChangeAtOnce(t *testing.T) {
	common := strings.TrimSuffix(strings.TrimPrefix(key, "cluster_key "), ";\n")
	const own = "{ cluster_key 0123456789abcdefgh 0123456789abcdefxy; }"
	const another = "cluster_key another-key-of-all-nodes 0123456789abcdef;\n"
	for _, tt := range []struct {
		name, old, new   string
		common, link     []string // the keys in effect: those of all, and those of peer a
		origin, shownOne string   // the keys of source o, and how the first key is shown
	}{
		{"a peer gets its own", key + "peer a;", key + "peer a " + own, []string{common}, []string{"0123456789abcdefgh", "0123456789abcdefxy"}, "", "cluster_key ****;"},
		{"a peer loses its own", key + "peer a " + own, key + "peer a;", []string{common}, []string{common}, "", "cluster_key ****;"},
		{"of all", key + "peer a; source o;", another + "peer a; source o;", []string{"another-key-of-all-nodes", "0123456789abcdef"}, []string{"another-key-of-all-nodes", "0123456789abcdef"}, "another-key-of-all-nodes 0123456789abcdef", "cluster_key **** ****;"},
	} {
		old, _ := Parse("f", []byte(tt.old))
		f, problems := Parse("f", []byte(tt.new))
		if problems.Failed() {
			t.Fatal(problems)
		}
		next, changes := f.After(old)
		if len(changes) > 0 || !slices.Equal(next.Keys(), tt.common) || !slices.Equal(next.Peers[0].Keys(), tt.link) {
			t.Errorf("%s: changes %v, keys %q, of peer a %q", tt.name, changes, next.Keys(), next.Peers[0].Keys())
		}
		if len(next.Sources) > 0 && strings.Join(next.Sources[0].Keys(), " ") != tt.origin {
			t.Errorf("%s: keys of the source %q", tt.name, next.Sources[0].Keys())
		}
		if masked := f.Masked(); !strings.Contains(masked, tt.shownOne) || strings.Contains(masked, "0123456789abcdef") {
			t.Errorf("%s: shown as\n%s", tt.name, masked)
		}
		if again, _ := Parse("f", []byte(f.Text())); !slices.Equal(again.Keys(), f.Keys()) || !slices.Equal(again.Peers[0].Keys(), f.Peers[0].Keys()) {
			t.Errorf("%s: printed as\n%s", tt.name, f.Text())
		}
		text := textOf(t, tt.new)
		if same, err := text.PutWhole(text.Whole(true)); err != nil || string(same.Bytes()) != tt.new {
			t.Errorf("%s: putting what was read, masked: %v", tt.name, err)
		}
	}
}
