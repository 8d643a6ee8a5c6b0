package api

import (
	"encoding/base64"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzAuthorization sends anything as credentials: they are right only if they are the ones of the file, as Basic or as Bearer.
func FuzzAuthorization(f *testing.F) {
	right := base64.StdEncoding.EncodeToString([]byte("root:s3:cret"))
	for _, seed := range []string{
		"", "Basic", "Basic " + right, "basic " + right, "Bearer " + right, "Bearer", "Bearer =", "Basic " + right[:8], "Digest username=\"root\"",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("root")), "Bearer " + base64.StdEncoding.EncodeToString([]byte(":")), "Basic " + right + " ",
	} {
		f.Add(seed)
	}
	a := &Access{Edit: &Credentials{User: "root", Password: "s3:cret"}}
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("POST", "http://n1/streamer/api/v3/drain", nil)
		r.Header["Authorization"] = []string{header}
		scheme, text, _ := strings.Cut(header, " ")
		plain, err := base64.StdEncoding.DecodeString(text)
		want := err == nil && string(plain) == "root:s3:cret" && (strings.EqualFold(scheme, "Basic") || scheme == "Bearer")
		if err := a.mayEdit(r); (err == nil) != want {
			t.Errorf("Authorization %q: %v, want it taken: %t", header, err, want)
		}
	})
}
