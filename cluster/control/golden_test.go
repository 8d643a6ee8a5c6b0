package control

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"

	"weir/protocols"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// stateOfThisVersion has something in every field.
func stateOfThisVersion() *State {
	media := Media{Sequence: 41, Discontinuity: 2, Config: "c0ffee", Date: 1_700_000_000_000, Period: 4000, Age: 1234}
	claim := Claim{
		Stream: "cam01", State: ClaimRunning, Since: 98765, Epoch: 7, Why: Spill, Of: "n3", Pin: "n3", Home: "n3",
		Solo: true, Retry: true, Silent: true, Detail: "no frames", Media: &media,
		Supersedes: &[]Superseded{{Node: "n4", Instance: "0f1e2d3c4b5a6978", Inc: 2, Seq: 321, Age: 55}},
	}
	return &State{
		V: Protocol, Node: "n1", Instance: "0123456789abcdef", Inc: 3, Seq: 12345, Naming: true, Warm: true, Draining: true,
		Version: 99, Same: true, Busy: true, Aside: true,
		Load: Load{Clients: 1, Captures: 2, OutBits: 3, Interface: 4, CPU: 5, Memory: 6, Uptime: 7, Chosen: 9, Age: 10},
		Ages: []Age{{Node: "n2", Instance: "fedcba9876543210", Inc: 4, Seq: 5, Age: 678, Returns: 2, Since: HeardSince, Full: true, Claims: []Claim{claim}}},
		Hash: "aa", Channels: 40,
		Advert: Advert{
			Build: "v1", Remote: "n1:9090", SysID: "s", API: "http://n1", Public: "http://cdn", Private: "http://10.0.0.1",
			Ports: protocols.Ports{HTTP: 80, HTTPS: 443, RTMP: 1935, RTMPS: 443, RTSP: 554, RTSPS: 322, SRT: 9000},
		},
		ListHash: "bb.1", List: []Listed{{Name: "cam01", Pin: "n3", Published: true, Clustered: true, OnDemand: true, Restreamed: true}},
		Claims: []Claim{claim}, Names: []EntryName{{Entry: "n2:80", Node: "n2", List: "bb.1"}}, NamesHash: "cc.1",
		Base: 98, Gone: []string{"cam02"}, Wants: []string{"vod1"}, Numberings: []Claim{claim},
	}
}

// A state as this version sends it is kept, and is never rewritten once another version exists: that version has to
// understand it. A field that is missing here was forgotten.
func TestStateOfThisVersionIsUnderstoodForEver(t *testing.T) {
	const file = "testdata/state_v1.json"
	st := stateOfThisVersion()
	full(t, reflect.ValueOf(*st), "State")
	got, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("a state is written as\n%s\nwant\n%s", got, want)
	}
	read := new(State)
	if err := json.Unmarshal(want, read); err != nil || read.Check() != nil || !reflect.DeepEqual(read, st) {
		t.Errorf("%s is read as %+v, %v, %v", file, read, err, read.Check())
	}
	newer := bytes.Replace(want, []byte(`"v": 1,`), []byte(`"v": 2, "a field of the future": {"x": [1]},`), 1)
	if err := json.Unmarshal(newer, new(State)); err != nil {
		t.Errorf("a newer state with a field that this version does not know: %v", err)
	}
}

// full fails for a field that has nothing in it.
func full(t *testing.T, v reflect.Value, name string) {
	t.Helper()
	if v.Type() == reflect.TypeFor[protocols.Ports]() {
		return // package protocols looks after its fields
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			full(t, v.Field(i), name+"."+v.Type().Field(i).Name)
		}
	case reflect.Slice:
		for i := range v.Len() {
			full(t, v.Index(i), name+"[]")
		}
	case reflect.Pointer:
		if !v.IsNil() {
			full(t, v.Elem(), name)
		}
	}
	if v.IsZero() {
		t.Errorf("%s has nothing in it", name)
	}
}
