package conf

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const edited = `# the hall
cluster_key 0123456789abcdef;
peer a:8081;
peer b { public https://cdn.example.com; } # b is far away

stream cam01 {
    # the gate
    input rtsp://root:geheim@gate/1 priority=2; # the camera
    input rtsp://gate/2;
    title "Gate <1>";
    cluster_ingest capture_at=a;
}
ondemand movie { input hls://archive/movie.m3u8; clients_timeout 30; }
balancer lb { mode bitrate; server a max_bitrate=40M countries=RU,CN; }
ondemand late { static true; input fake://late; } # never waits
stream many {
    static false; # only with viewers
    input fake://a {
        priority 1; # the first
        user_agent weir;
    }
    input fake://b; # the second
    cluster_ingest { # at all nodes
        handover break; # it can
    }
}
`

// editTests are edits of a kind and name, with the lines of the file that become others: - what was there, + what is there now.
var editTests = []struct {
	name, kind, id, patch string
	want                  []string
	wrong                 string // path and text
}{
	{"nothing", "stream", "cam01", `{}`, nil, ""},
	{"the same", "stream", "cam01", `{"title":"Gate <1>","cluster_ingest":{"capture_at":"a"}}`, nil, ""},
	{"a title", "stream", "cam01", `{"title":"Tor"}`, []string{`-    title "Gate <1>";`, `+    title Tor;`}, ""},
	{"without", "stream", "cam01", `{"title":null}`, []string{`-    title "Gate <1>";`}, ""},
	{"more", "stream", "cam01", `{"disabled":true,"latency":100}`, []string{`+    disabled;`, `+    latency 100;`}, ""},
	{"pin", "stream", "cam01", `{"cluster_ingest":{"capture_at":"b"}}`, []string{`-    cluster_ingest capture_at=a;`, `+    cluster_ingest capture_at=b;`}, ""},
	{"hand-over beside the pin", "stream", "cam01", `{"cluster_ingest":{"handover":"break"}}`, []string{`-    cluster_ingest capture_at=a;`, `+    cluster_ingest capture_at=a handover=break;`}, ""},
	{"no pin", "stream", "cam01", `{"cluster_ingest":{"capture_at":null}}`, []string{`-    cluster_ingest capture_at=a;`, `+    cluster_ingest;`}, ""},
	{"not clustered", "stream", "cam01", `{"cluster_ingest":null}`, []string{`-    cluster_ingest capture_at=a;`}, ""},
	{"inputs, as they were read", "stream", "cam01", `{"inputs":[{"url":"rtsp://root:****@gate/1","priority":2},{"url":"rtsp://gate/2"}]}`, nil, ""},
	{"an input", "stream", "cam01", `{"inputs":[{"url":"rtsp://root:****@gate/1","priority":2}]}`, []string{`-    input rtsp://gate/2;`}, ""},
	{"inputs as texts", "stream", "movie", `{"inputs":["publish://","fake://x"]}`, []string{
		`-ondemand movie { input hls://archive/movie.m3u8; clients_timeout 30; }`, `+ondemand movie { input publish://;`, `+input fake://x; clients_timeout 30; }`,
	}, ""},
	{"in one line", "stream", "movie", `{"title":"x"}`, []string{
		`-ondemand movie { input hls://archive/movie.m3u8; clients_timeout 30; }`, `+ondemand movie { input hls://archive/movie.m3u8; clients_timeout 30; title x; }`,
	}, ""},
	{"always", "stream", "movie", `{"static":true,"clients_timeout":null}`, []string{
		`-ondemand movie { input hls://archive/movie.m3u8; clients_timeout 30; }`, `+stream movie { input hls://archive/movie.m3u8; }`,
	}, ""},
	{"reset", "stream", "cam01", `{"$reset":true,"inputs":[{"url":"publish://"}]}`, []string{
		`-    input rtsp://root:geheim@gate/1 priority=2; # the camera`, `-    input rtsp://gate/2;`, `-    title "Gate <1>";`, `-    cluster_ingest capture_at=a;`,
		`+    input publish://; # the camera`,
	}, ""},
	{"a new one", "stream", "live/new", `{"inputs":[{"url":"fake://x"}],"title":"two words","cluster_ingest":{}}`, []string{
		`+`, `+stream live/new {`, `+    input fake://x;`, `+    cluster_ingest;`, `+    title "two words";`, `+}`,
	}, ""},
	{"a peer without a block", "peer", "a:8081", `{"stale_timeout":20000}`, []string{`-peer a:8081;`, `+peer a:8081 {`, `+    stale_timeout 20000;`, `+}`}, ""},
	{"a peer of that URL", "peer", "b", `{"public_payload_url":"https://b.example.com"}`, []string{
		`-peer b { public https://cdn.example.com; } # b is far away`, `+peer b { public_payload_url https://b.example.com; } # b is far away`,
	}, ""},
	{"a new peer", "peer", "c:81", `{}`, []string{`+`, `+peer c:81;`}, ""},
	{"servers", "balancer", "lb", `{"servers":[{"hostname":"a","max_bitrate":"40M","countries":["RU"]},{"hostname":"b"}]}`, []string{
		`-balancer lb { mode bitrate; server a max_bitrate=40M countries=RU,CN; }`, `+balancer lb { mode bitrate; server a max_bitrate=40M countries=RU; server b; }`,
	}, ""},
	{"a server in front", "balancer", "lb", `{"servers":[{"hostname":"b"},{"hostname":"a","max_bitrate":"40M","countries":["RU","CN"]}]}`, []string{
		`-balancer lb { mode bitrate; server a max_bitrate=40M countries=RU,CN; }`, `+balancer lb { mode bitrate; server b; server a max_bitrate=40M countries=RU,CN; }`,
	}, ""},
	{"a server in front of one that changes", "balancer", "lb", `{"servers":[{"hostname":"b"},{"hostname":"a"}]}`, []string{
		`-balancer lb { mode bitrate; server a max_bitrate=40M countries=RU,CN; }`, `+balancer lb { mode bitrate; server b; server a; }`,
	}, ""},
	{"an input in front", "stream", "many", `{"inputs":["fake://x",{"url":"fake://a","priority":1,"user_agent":"weir"},"fake://b"]}`, []string{`+    input fake://x;`}, ""},
	{"an input between", "stream", "many", `{"inputs":[{"url":"fake://a","priority":1,"user_agent":"weir"},"fake://x","fake://b"]}`, []string{`+    input fake://x;`}, ""},
	{"an input behind", "stream", "many", `{"inputs":[{"url":"fake://a","priority":1,"user_agent":"weir"},"fake://b","fake://x"]}`, []string{`+    input fake://x;`}, ""},
	{"inputs exchanged", "stream", "many", `{"inputs":["fake://b",{"url":"fake://a","priority":1,"user_agent":"weir"}]}`, []string{
		`-    input fake://a {`, `-        priority 1; # the first`, `-        user_agent weir;`, `-    }`, `+    input fake://a priority=1 user_agent=weir;`,
	}, ""},
	{"an input changed and one more", "stream", "many", `{"inputs":[{"url":"fake://a","priority":1},"fake://x","fake://y"]}`, []string{
		`-        user_agent weir;`, `-    input fake://b; # the second`, `+    input fake://x;`, `+    input fake://y; # the second`,
	}, ""},
	{"inside an input", "stream", "many", `{"inputs":[{"url":"fake://a","priority":1,"user_agent":"other","source_timeout":5},"fake://b"]}`, []string{
		`-        user_agent weir;`, `+        user_agent other;`, `+        source_timeout 5;`,
	}, ""},
	{"inside a block", "stream", "many", `{"cluster_ingest":{"handover":"make","capture_at":"a"}}`, []string{
		`-        handover break; # it can`, `+        handover make; # it can`, `+        capture_at a;`,
	}, ""},
	{"static by its line", "stream", "many", `{"title":"x","static":true}`, []string{`-    static false; # only with viewers`, `+    static; # only with viewers`, `+    title x;`}, ""},
	{"static as before", "stream", "many", `{"title":"x"}`, []string{`+    title x;`}, ""},
	{"static by the name", "stream", "many", `{"static":null}`, []string{`-    static false; # only with viewers`, `+    # only with viewers`}, ""},
	{"always by its line", "stream", "late", `{"static":null}`, []string{
		`-ondemand late { static true; input fake://late; } # never waits`, `+stream late { input fake://late; } # never waits`,
	}, ""},
	{"on demand", "stream", "cam01", `{"static":false}`, []string{`-stream cam01 {`, `+ondemand cam01 {`}, ""},
	{"a template", "template", "tv", `{"prefix":"tv","inputs":["publish://"]}`, []string{`+`, `+template tv {`, `+    prefix tv;`, `+    input publish://;`, `+}`}, ""},
	{"a source", "source", "origin", `{"only":[]}`, []string{`+`, `+source origin {`, `+    only;`, `+}`}, ""},

	{
		"a masked word that the file does not have", "stream", "cam01", `{"inputs":[{"url":"rtsp://root:****@other/1"}]}`, nil,
		`inputs[0].url: found "rtsp://root:****@other/1", expected the secret itself: the file has none that is shown like this`,
	},
	{
		"a masked word once more", "stream", "cam01", `{"inputs":["rtsp://root:****@gate/1","rtsp://root:****@gate/1"]}`, nil,
		`inputs[1]: found "rtsp://root:****@gate/1", expected the secret itself: the file has none that is shown like this`,
	},
	{
		"a masked header of another input", "stream", "cam01", `{"inputs":[{"url":"rtsp://gate/2","headers":["Cookie: ****"]}]}`, nil,
		`inputs[0].headers[0]: found "Cookie: ****", expected the secret itself: the file has none that is shown like this`,
	},
	{"a masked key of a new peer", "peer", "c", `{"cluster_key":"****"}`, nil, `cluster_key: found "****", expected the secret itself: the file has none that is shown like this`},
	{
		"a masked name of a new source", "source", "http://root:****@origin", `{}`, nil,
		`url: found "http://root:****@origin", expected the secret itself: the file has none that is shown like this`,
	},
	{"a mask where nothing is secret", "stream", "cam01", `{"title":"****"}`, []string{`-    title "Gate <1>";`, `+    title ****;`}, ""},
	{"no member", "stream", "cam01", `{"tittle":"x"}`, nil, "tittle: no such member; did you mean \"title\"?"},
	{"no member inside", "stream", "cam01", `{"inputs":[{"url":"fake://x","prioritty":1}]}`, nil, "inputs[0].prioritty: no such member; did you mean \"priority\"?"},
	{"not a list", "stream", "cam01", `{"inputs":"fake://x"}`, nil, `inputs: found "fake://x", expected a list`},
	{"not an object", "stream", "cam01", `{"inputs":[7]}`, nil, "inputs[0]: found 7, expected an object"},
	{"a list", "stream", "cam01", `{"title":["x"]}`, nil, "title: found a list, expected TEXT"},
	{"another name", "stream", "cam01", `{"name":"cam02"}`, nil, `name: found "cam02", expected "cam01": an entry keeps its name`},
	{"without a name", "balancer", "lb", `{"servers":[{"max_bitrate":1}]}`, nil, "servers[0].hostname: missing, expected HOST[:PORT]"},
}

func textOf(t *testing.T, src string) *Text {
	t.Helper()
	text, err := ReadText("weir.conf", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEditsChangeTheLinesThatTheyMean(t *testing.T) {
	for _, tt := range editTests {
		var patch map[string]any
		if err := json.Unmarshal([]byte(tt.patch), &patch); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		before := textOf(t, edited)
		after, err := before.Put(Kind(tt.kind), tt.id, patch)
		if tt.wrong != "" {
			var w Wrongs
			if !errors.As(err, &w) || err.Error() != tt.wrong {
				t.Errorf("%s: %v, want %s", tt.name, err, tt.wrong)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := changedLines(edited, string(after.Bytes())); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: changes\n%s\nwant\n%s\nin\n%s", tt.name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"), after.Bytes())
		}
		if got, want := lines(t, after, Kind(tt.kind), tt.id), anew(t, before, Kind(tt.kind), tt.id, patch); got != want {
			t.Errorf("%s: the file now says\n%v, want\n%v", tt.name, got, want)
		}
		// What was put is what is read.
		got, again := after.Settings(Kind(tt.kind), tt.id, false), (*Text)(nil)
		if again, err = after.Put(Kind(tt.kind), tt.id, got); err != nil || string(again.Bytes()) != string(after.Bytes()) {
			t.Errorf("%s: putting what was read changes the file: %v\n%s", tt.name, err, again.Bytes())
		}
	}
}

// lines are those of an entry as a file has it that is written anew.
func lines(t *testing.T, text *Text, k Kind, id string) string {
	t.Helper()
	_, _, list, err := text.change(k, id, nil)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(list, "\n")
}

// anew gives the lines of an entry after an edit, from a file that was not edited but written anew.
func anew(t *testing.T, before *Text, k Kind, id string, patch map[string]any) string {
	t.Helper()
	_, next, _, err := before.change(k, id, patch)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := textOf(t, "").Put(k, id, next)
	if err != nil {
		t.Fatal(err)
	}
	return lines(t, fresh, k, id)
}

// changedLines are the lines of only one of two texts, in the order of each.
func changedLines(a, b string) (out []string) {
	count := map[string]int{}
	for l := range strings.Lines(b) {
		count[l]++
	}
	for l := range strings.Lines(a) {
		if count[l] > 0 {
			count[l]--
		} else {
			out = append(out, "-"+strings.TrimSuffix(l, "\n"))
		}
	}
	count = map[string]int{}
	for l := range strings.Lines(a) {
		count[l]++
	}
	for l := range strings.Lines(b) {
		if count[l] > 0 {
			count[l]--
		} else {
			out = append(out, "+"+strings.TrimSuffix(l, "\n"))
		}
	}
	return out
}

func TestDeletedEntriesTakeTheirLinesAlong(t *testing.T) {
	for _, tt := range []struct {
		kind, id string
		want     []string
	}{
		{"peer", "a:8081", []string{"-peer a:8081;"}},
		{"peer", "b:80", []string{"-peer b { public https://cdn.example.com; } # b is far away", "+# b is far away"}},
		{"stream", "movie", []string{"-ondemand movie { input hls://archive/movie.m3u8; clients_timeout 30; }"}},
		{"stream", "none", nil},
	} {
		next, found, err := textOf(t, edited).Delete(Kind(tt.kind), tt.id)
		if got := changedLines(edited, string(next.Bytes())); err != nil || found != (tt.want != nil) || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s %s: %q, %v, want %q", tt.kind, tt.id, got, err, tt.want)
		}
	}
}

func TestSettingsAreTypedAndMasked(t *testing.T) {
	text := textOf(t, edited)
	for _, tt := range []struct{ kind, id, want string }{
		{"stream", "cam01", `{"cluster_ingest":{"capture_at":"a"},"inputs":[{"priority":2,"url":"rtsp://root:****@gate/1"},{"url":"rtsp://gate/2"}],"name":"cam01","title":"Gate <1>"}`},
		{"stream", "movie", `{"clients_timeout":30,"inputs":[{"url":"hls://archive/movie.m3u8"}],"name":"movie","static":false}`},
		{"balancer", "lb", `{"mode":"bitrate","name":"lb","servers":[{"countries":["RU","CN"],"hostname":"a","max_bitrate":40000000}]}`},
		{"peer", "b", `{"hostname":"b","public_payload_url":"https://cdn.example.com"}`},
		{"peer", "none", `null`},
	} {
		got, _ := json.Marshal(text.Settings(Kind(tt.kind), tt.id, true))
		if s := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(got)); s != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.kind, tt.id, s, tt.want)
		}
	}
	if whole, _ := json.Marshal(text.Whole(true)); strings.Contains(string(whole), "geheim") || strings.Contains(string(whole), "0123456789") {
		t.Errorf("a secret is shown: %s", whole)
	}
	if all := text.All(KindStream, true); len(all) != 4 || all[1]["name"] != "movie" {
		t.Errorf("streams: %v", all)
	}
}

func TestWholeFileIsEditedEntryByEntry(t *testing.T) {
	text := textOf(t, edited)
	var patch map[string]any
	_ = json.Unmarshal([]byte(`{"return_holddown":5000,"cluster_key":"****","peers":[{"hostname":"a:8081"},{"hostname":"c"}]}`), &patch)
	next, err := text.PutWhole(patch)
	want := []string{"-peer b { public https://cdn.example.com; } # b is far away", "+# b is far away", "+", "+peer c;", "+return_holddown 5000;"}
	if err != nil {
		t.Fatal(err)
	}
	if got := changedLines(edited, string(next.Bytes())); !reflect.DeepEqual(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	if same, err := text.PutWhole(text.Whole(true)); err != nil || string(same.Bytes()) != edited {
		t.Errorf("putting what was read, masked: %v\n%s", err, changedLines(edited, string(same.Bytes())))
	}
	if _, err = text.PutWhole(map[string]any{"peers": []any{map[string]any{"hostname": "a", "stale": 1.0}}, "holdown": 1.0}); err == nil ||
		err.Error() != "peers[0].stale: no such member; holdown: no such member" {
		t.Errorf("wrong members: %v", err)
	}
}

// TestStreamsOfTheGroupAreShared asks which edits concern all nodes.
func TestStreamsOfTheGroupAreShared(t *testing.T) {
	text := textOf(t, `cluster_key 0123456789abcdef;
template tv { prefix tv; input publish://; cluster_ingest; }
template own { prefix own; input publish://; }
template base { cluster_ingest; }
stream a { input fake://a; cluster_ingest; }
stream b { template base; input fake://b; }
stream c { input fake://c; }
stream d { template own; }
source o { cluster_ingest; }
source p;
peer n1;
`)
	for _, tt := range []struct {
		kind Kind
		id   string
		want bool
	}{
		{KindStream, "a", true},
		{KindStream, "b", true},
		{KindStream, "c", false},
		{KindStream, "d", false},
		{KindStream, "tv/1", true},
		{KindStream, "own/1", false},
		{KindStream, "none", false},
		{KindTemplate, "base", true},
		{KindTemplate, "own", false},
		{KindSource, "o", true},
		{KindSource, "p", false},
		{KindPeer, "n1", true},
		{KindPeer, "n2", false},
	} {
		if got := text.Shared(tt.kind, tt.id); got != tt.want {
			t.Errorf("%s %s is shared: %v, want %v", tt.kind, tt.id, got, tt.want)
		}
	}
}

// TestSourcesStandInTheOrderOfTheList puts lists of sources: a stream is pulled from the first that has it.
func TestSourcesStandInTheOrderOfTheList(t *testing.T) {
	const src = "# origins\nsource a { only x; } # the near one\nsource b;\nstream s { input fake://s; }\nsource c; source d;\n"
	for _, list := range []string{"a b c d", "b a c d", "d c b a", "n a b c d", "a n c", "d n a", "", "n m"} {
		var patch []any
		for name := range strings.FieldsSeq(list) {
			obj := map[string]any{"url": name}
			if name == "a" {
				obj["only"] = []any{"x"}
			}
			patch = append(patch, obj)
		}
		next, err := textOf(t, src).PutWhole(map[string]any{"sources": append([]any{}, patch...)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, obj := range next.All(KindSource, false) {
			got = append(got, obj["url"].(string))
		}
		if strings.Join(got, " ") != list || !strings.Contains(string(next.Bytes()), "stream s { input fake://s; }\n") || list == "a b c d" && string(next.Bytes()) != src {
			t.Errorf("sources %s are put as %v in\n%s", list, got, next.Bytes())
		}
	}
}

// TestMaskedWordsStandForThoseOfTheFile edits a file in which different secrets are shown alike.
func TestMaskedWordsStandForThoseOfTheFile(t *testing.T) {
	const src = `cluster_key 0123456789abcdef fedcba9876543210;
edit_auth root one;
stream twice {
    input rtsp://u:one@h/1;
    input rtsp://u:two@h/1 priority=2;
    input rtsp://h/3 { header "Cookie: three"; }
}
source http://u:one@o;
source http://u:two@o { only a; }
peer n1 { cluster_key abcdef0123456789; }
`
	for _, tt := range []struct {
		name, patch string
		want        []string
		wrong       string
	}{
		{"all as they were read", `{"streams":[{"name":"twice","inputs":["rtsp://u:****@h/1",{"url":"rtsp://u:****@h/1","priority":2},{"url":"rtsp://h/3","headers":["Cookie: ****"]}]}],
			"sources":[{"url":"http://u:****@o"},{"url":"http://u:****@o","only":["a"]}],"cluster_key":["****","****"],"edit_auth":["root","****"]}`, nil, ""},
		{
			"one between", `{"streams":[{"name":"twice","inputs":["rtsp://u:****@h/1","fake://x",{"url":"rtsp://u:****@h/1","priority":2},{"url":"rtsp://h/3","headers":["Cookie: ****"]}]}]}`,
			[]string{`+    input fake://x;`},
			"",
		},
		{"in another order", `{"sources":[{"url":"http://u:****@o","only":["a"]},{"url":"http://u:****@o"}]}`, []string{}, ""},
		{"told by what else they say", `{"sources":[{"url":"http://u:****@o","only":["a"]}]}`, []string{`-source http://u:one@o;`}, ""},
		{
			"not told apart", `{"sources":[{"url":"http://u:****@o","only":["b"]}]}`, nil,
			`sources[0].url: found "http://u:****@o", expected the secret itself: the file has several that are shown like this`,
		},
		{"the key that is accepted too", `{"cluster_key":["ffffffffffffffff","****"]}`, nil, `cluster_key[1]: found "****", expected the secret itself: the file has several that are shown like this`},
		{"one key of two", `{"cluster_key":"****"}`, nil, `cluster_key: found "****", expected the secret itself: the file has several that are shown like this`},
		{"another user", `{"edit_auth":["admin","****"]}`, []string{`-edit_auth root one;`, `+edit_auth admin one;`}, ""},
		{"a new key beside the old one", `{"peers":[{"hostname":"n1","cluster_key":["ffffffffffffffff","****"]}]}`, []string{
			`-peer n1 { cluster_key abcdef0123456789; }`, `+peer n1 { cluster_key ffffffffffffffff abcdef0123456789; }`,
		}, ""},
		{"none to stand for", `{"view_auth":["guest","****"]}`, nil, `view_auth[1]: found "****", expected the secret itself: the file has none that is shown like this`},
	} {
		var patch map[string]any
		if err := json.Unmarshal([]byte(tt.patch), &patch); err != nil {
			t.Fatal(err)
		}
		text := textOf(t, src)
		next, err := text.PutWhole(patch)
		switch {
		case err != nil && err.Error() != tt.wrong, err == nil && tt.wrong != "":
			t.Errorf("%s: %v, want %q", tt.name, err, tt.wrong)
		case err == nil:
			if got := changedLines(src, string(next.Bytes())); !slices.Equal(got, tt.want) || (string(next.Bytes()) == src) != (tt.want == nil) {
				t.Errorf("%s: changes %q, want %q, in\n%s", tt.name, got, tt.want, next.Bytes())
			}
		}
	}
	text := textOf(t, src)
	if _, _, err := text.Delete(KindSource, "http://u:****@o"); err == nil || !strings.Contains(err.Error(), "several") {
		t.Errorf("one of two sources that are shown alike is deleted: %v", err)
	}
	if next, found, err := text.Delete(KindSource, "http://u:two@o"); err != nil || !found || strings.Contains(string(next.Bytes()), "only") {
		t.Errorf("a source deleted by its name: %v, %v\n%s", found, err, next.Bytes())
	}
}

func TestProblemsAreFoundAgainAsMembers(t *testing.T) {
	for _, tt := range []struct{ patch, path, text string }{
		{`{"inputs":[{"url":"fake://x"},{"url":"rtsq://x"}]}`, "inputs[1].url", "scheme"},
		{`{"inputs":[{"url":"fake://x","priority":0}]}`, "inputs[0].priority", "from 1 to"},
		{`{"latency":"soon"}`, "latency", "milliseconds"},
		{`{"cluster_ingest":{"handover":"later"}}`, "cluster_ingest.handover", "break or make"},
		{`{"template":"none"}`, "template", "template of the file"},
	} {
		var patch map[string]any
		_ = json.Unmarshal([]byte(tt.patch), &patch)
		next, err := textOf(t, edited).Put(KindStream, "cam01", patch)
		if err != nil {
			t.Errorf("%s: %v", tt.patch, err)
			continue
		}
		found := false
		_, problems := Parse("weir.conf", next.Bytes())
		for _, p := range problems {
			if strings.Contains(p.Text, tt.text) {
				found = true
				if path := next.PathOf(KindStream, "cam01", p.Pos); path != tt.path {
					t.Errorf("%s: %s is at %q, want %q", tt.patch, p, path, tt.path)
				}
			}
		}
		if !found {
			t.Errorf("%s: %v, want a problem with %q", tt.patch, problems, tt.text)
		}
	}
}

// FuzzEdit edits whatever parses: what comes out parses, other entries stay, and putting it again changes nothing.
func FuzzEdit(f *testing.F) {
	for _, tt := range editTests {
		f.Add(edited, tt.kind, tt.id, tt.patch)
	}
	f.Add("stream a;", "stream", "a", `{"inputs":["x"]}`)
	f.Add("stream a { input a; }", "stream", "a", `{"inputs":["x","a"]}`)
	f.Add("stream a { input a; input b; url c { priority 1; } }", "stream", "a", `{"inputs":["a","x","b",{"url":"c","priority":2}]}`)
	f.Add("stream a { input a; input a; }", "stream", "a", `{"inputs":["a","x","a","a"]}`)
	f.Add("stream a {\n input a;\n title x; input b; input c; }", "stream", "a", `{"inputs":["c","b","y","z","a"]}`)
	f.Add("stream a;", "stream", "a", `{"inputs":[{"url":"e/","user_agent":""},"e/"]}`)
	f.Add("stream a { input rtsp://a:b@c; input rtsp://a:d@c; }", "stream", "a", `{"inputs":["rtsp://a:****@c","x","rtsp://a:****@c"]}`)
	f.Add("ondemand a { static; }", "stream", "a", `{"static":false}`)
	f.Add("stream a { }", "stream", "a", `{"title":"}"}`)
	f.Add("stream a { # x\n}", "stream", "a", `{"title":"\"; stream b { }"}`)
	f.Fuzz(func(t *testing.T, src, kind, id, patch string) {
		k := Kind(kind)
		var obj map[string]any
		text, err := ReadText("f", []byte(src))
		if err != nil || json.Unmarshal([]byte(patch), &obj) != nil || obj == nil {
			return
		}
		ok := false
		for _, known := range Kinds {
			ok = ok || known == k
		}
		if !ok || strings.ContainsAny(id, "\x00") {
			return
		}
		next, err := text.Put(k, id, obj)
		if err != nil {
			return
		}
		if d := len(next.list) - len(text.list); d != 0 && d != 1 {
			t.Errorf("%q edited by %s has %d entries more", src, patch, d)
		}
		if got, want := lines(t, next, k, id), anew(t, text, k, id, obj); got != want {
			t.Errorf("%q edited by %s says\n%v, want\n%v", src, patch, got, want)
		}
		again, err := next.Put(k, id, obj)
		if err != nil || string(again.Bytes()) != string(next.Bytes()) {
			t.Errorf("%q edited by %s, then once more: %v\n%s\n%s", src, patch, err, next.Bytes(), again.Bytes())
		}
	})
}
