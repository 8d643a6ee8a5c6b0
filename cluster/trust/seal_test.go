package trust

import (
	"bytes"
	"errors"
	"testing"
)

func TestSealedTextIsReadByThoseWhoHaveTheKey(t *testing.T) {
	text := []byte("cluster_key another;")
	sealed := testKey.Seal(text)
	if bytes.Contains(sealed, []byte("another")) || bytes.Equal(sealed, testKey.Seal(text)) {
		t.Error("a sealed text can be read, or two are the same")
	}
	if got, k, err := Open([]Keys{wrongKey, testKey}, sealed); err != nil || !bytes.Equal(got, text) || k != testKey {
		t.Errorf("Open = %q, %v, %v", got, k, err)
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for what, tt := range map[string]struct {
		keys   []Keys
		sealed []byte
	}{"wrong key": {[]Keys{wrongKey, {}}, sealed}, "changed": {[]Keys{testKey}, changed}, "short": {[]Keys{testKey}, sealed[:5]}, "none": {nil, sealed}} {
		if _, _, err := Open(tt.keys, tt.sealed); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: %v, want %v", what, err, ErrSealed)
		}
	}
}
