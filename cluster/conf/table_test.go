package conf

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestTableIsWhole(t *testing.T) {
	for i, d := range table {
		what := fmt.Sprintf("%s in %v", d.name, d.in.words())
		if !d.unsupported && d.read == nil && d.open == nil {
			t.Errorf("%s is neither read nor marked as unsupported", what)
		}
		for _, o := range table[:i] {
			if o.name == d.name && o.in&d.in != 0 {
				t.Errorf("%s stands twice in %v", d.name, (o.in & d.in).words())
			}
		}
		if d.inherits && find(d.name, inFile) == nil {
			t.Errorf("%s is taken from the top of the file, where it cannot stand", what)
		}
		if d.reload == Restart && (d.take == nil || d.lines == nil) {
			t.Errorf("%s needs a restart, but cannot be kept as it is until then", what)
		}
		if d.unsupported {
			continue
		}
		if !strings.HasSuffix(d.doc, ".") || d.reload == "" {
			t.Errorf("%s has no sentence, or does not say how it is reloaded", what)
		}
		if d.min > 0 && d.example == "" {
			t.Errorf("%s has no example", what)
		}
	}
}

// around are files in which %s is replaced by the directive under test. Of the files for one scope, the directive has to be valid
// in only one.
var around = []struct {
	in   scope
	file string
}{
	{inFile, "%s"},
	{inFile, key + "%s"},
	{inFile, "certificate c; %s"},
	{inVod, "vod clips { %s }"},
	{inPeer, key + "peer n1; peer n2 { %s }"},
	{inStream, "template tv { hls relay; } stream a { %s }"},
	{inStream, "template tv { hls relay; } stream a { input fake://a; %s }"},
	{inStream, "ondemand a { input fake://a; %s }"},
	{inStream, key + "stream a { input fake://a; %s }"},
	{inTemplate, "template tv { input publish://; %s }"},
	{inInput, "stream a { input fake://b; input fake://a { %s } }"},
	{inIngest, key + "peer n1.example.com; stream a { input fake://a; cluster_ingest { %s } }"},
	{inSource, key + "source n9 { %s }"},
	{inBalancer, key + "balancer b { server n1 max_bitrate=1M; %s }"},
	{inServer, key + "balancer b { server n1 { %s } }"},
	{inVhost, "vhost v { %s }"},
	{inCluster, "vhost v { cluster { mode remote; %s } }"},
	{inCluster, "vhost v { cluster { origin h; %s } }"},
	{inCluster, "vhost v { cluster { mode remote; origin h; %s } }"},
	{inCluster, "vhost v { cluster { %s } }"},
	{inCluster, "vhost v { cluster { origin_cluster on; %s } }"},
	{inHooks, "vhost v { http_hooks { %s } }"},
	{inHooks, "vhost v { http_hooks { enabled on; %s } }"},
	{inRemux, "vhost v { http_remux { %s } }"},
}

// inert are directives that do not change the model when they stand alone.
var inert = []string{"comment", "partition", "handover", "http_remux", "mount", "enabled"}

func TestExampleOfEachDirectiveIsUnderstoodAndPrinted(t *testing.T) {
	understood, changing := map[*directive]bool{}, map[*directive]bool{}
	for _, at := range around {
		base, _ := Parse("f", fmt.Appendf(nil, at.file, ""))
		withoutPositions(base)
		for _, d := range rows[at.in] {
			text := d.name + " " + d.example
			if !strings.HasSuffix(text, "}") {
				text += ";"
			}
			file := fmt.Sprintf(at.file, text)
			f, problems := Parse("f", []byte(file))
			if d.unsupported || problems.Failed() {
				continue
			}
			understood[d] = true
			printed := f.render(false)
			again, _ := Parse("f", []byte(printed))
			if !reflect.DeepEqual(withoutPositions(f), withoutPositions(again)) {
				t.Errorf("%s: printed as\n%s", file, printed)
			}
			if !reflect.DeepEqual(f, base) {
				changing[d] = true
			}
		}
	}
	for _, d := range table {
		if !d.unsupported && (!understood[d] || !changing[d] && !slices.Contains(inert, d.canonical())) {
			t.Errorf("the example of %s in %v: understood %t, changing the model %t: %s", d.name, d.in.words(), understood[d], changing[d], d.example)
		}
	}
}
