package trust

import (
	"errors"
	"strings"
	"testing"
)

var (
	b16 = strings.Repeat("A", 22)
	b32 = strings.Repeat("A", 43)
)

var parseRequestTests = []struct {
	name, in string
	err      error // nil means success
}{
	{"complete", "1 " + b32 + " " + b16 + " " + b32 + " " + b32, nil},
	{"nothing", "", errNoProof},
	{"asks for a nonce", "1", errNoProof},
	{"another version", "2 " + b32 + " " + b16 + " " + b32 + " " + b32, errNotProof},
	{"word missing", "1 " + b32 + " " + b16 + " " + b32, errNotProof},
	{"word too many", "1 " + b32 + " " + b16 + " " + b32 + " " + b32 + " x", errNotProof},
	{"two spaces", "1  " + b32 + " " + b16 + " " + b32 + " " + b32, errNotProof},
	{"short nonce", "1 " + b16 + " " + b16 + " " + b32 + " " + b32, errNotProof},
	{"not base64url", "1 " + b32 + " " + b16 + " " + b32 + " " + b32[:42] + "+", errNotProof},
	{"second spelling", "1 " + b32 + " " + b16 + " " + b32 + " " + b32[:42] + "B", errNotProof},
}

func TestParseRequest(t *testing.T) {
	for _, tt := range parseRequestTests {
		p, err := parseRequest(tt.in)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: parseRequest(%q) error = %v, want %v", tt.name, tt.in, err, tt.err)
		}
		if err == nil && p.String() != tt.in {
			t.Errorf("%s: parseRequest(%q) = %q", tt.name, tt.in, p)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, tt := range parseRequestTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if p, err := parseRequest(in); err == nil && p.String() != in {
			t.Errorf("parseRequest(%q) = %q, a second spelling", in, p)
		}
	})
}

var parseReplyTests = []struct {
	name, in, kind string
	err            error
}{
	{"body", "1 body " + b32, domainReply, nil},
	{"stream", "1 stream " + b32, domainStream, nil},
	{"nothing", "", "", errNotProof},
	{"unknown word", "1 request " + b32, "", errNotProof},
	{"another version", "2 body " + b32, "", errNotProof},
	{"short", "1 body " + b16, "", errNotProof},
	{"a request's proof", "1 " + b32 + " " + b16 + " " + b32 + " " + b32, "", errNotProof},
}

func TestParseReply(t *testing.T) {
	for _, tt := range parseReplyTests {
		kind, mac, err := parseReply(tt.in)
		if kind != tt.kind || !errors.Is(err, tt.err) {
			t.Errorf("%s: parseReply(%q) = %q, %v, want %q, %v", tt.name, tt.in, kind, err, tt.kind, tt.err)
		}
		if err == nil && formatReply(kind, mac) != tt.in {
			t.Errorf("%s: formatReply(parseReply(%q)) = %q", tt.name, tt.in, formatReply(kind, mac))
		}
	}
}

func FuzzParseReply(f *testing.F) {
	for _, tt := range parseReplyTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if kind, mac, err := parseReply(in); err == nil && formatReply(kind, mac) != in {
			t.Errorf("parseReply(%q): a second spelling", in)
		}
	})
}

func TestFieldsCannotBeShiftedIntoEachOther(t *testing.T) {
	k := Keys{mac: [32]byte{1}}
	if digest(k, "d", []byte("ab"), []byte("c")) == digest(k, "d", []byte("a"), []byte("bc")) {
		t.Error("two lists of fields have one digest")
	}
	if digest(k, "d", nil) == digest(k, "d") {
		t.Error("an empty field is as none")
	}
}
