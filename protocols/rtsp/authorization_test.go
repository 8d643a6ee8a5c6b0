package rtsp

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// challengeTests are shared with the fuzz target. The answers are to DESCRIBE rtsp://h/a of bob, whose password is secret.
var challengeTests = []struct {
	name   string
	lines  []string
	answer string // its beginning; empty if none can be met
}{
	{"basic", []string{`Basic realm="cam"`}, "Basic Ym9iOnNlY3JldA=="},
	{"digest", []string{`Digest realm="cam", nonce="abc"`}, `Digest username="bob", realm="cam", nonce="abc", uri="rtsp://h/a", response="773412f662791255b8740fcb378dca7e"`},
	{"digest beats basic", []string{`Basic realm="cam"`, `Digest realm="cam", nonce="abc", algorithm=MD5`}, `Digest username="bob", realm="cam", nonce="abc", uri="rtsp://h/a", response="773412f662791255b8740fcb378dca7e", algorithm=MD5`},
	{"both in one line", []string{`Digest realm="c, d=e", nonce="abc", Basic realm="cam"`}, `Digest username="bob", realm="c, d=e", nonce="abc"`},
	{"SHA-256 beats MD5", []string{`Digest realm="cam", nonce="abc", algorithm="MD5"`, `digest Realm="cam", Nonce="abc", Algorithm="SHA-256", opaque="xyz"`}, `Digest username="bob", realm="cam", nonce="abc", uri="rtsp://h/a", response="a7d5cf59acc928996bf15d4616f3b221e4e713841a392012cbc83102ee53ba32"`},
	{"an algorithm that nobody knows", []string{`Digest realm="cam", nonce="abc", algorithm=SHA-512-256`}, ""},
	{"no nonce", []string{`Digest realm="cam"`}, ""},
	{"nothing", []string{"", "Negotiate", "=", `"`}, ""},
}

func TestStrongestChallengeIsMet(t *testing.T) {
	bob := url.UserPassword("bob", "secret")
	for _, c := range challengeTests {
		got := ""
		if next := challenges(c.lines); next != nil {
			got = next.answer("DESCRIBE", "rtsp://h/a", bob)
		}
		if !strings.HasPrefix(got, c.answer) || c.answer == "" && got != "" {
			t.Errorf("%s: answer %s, want %s", c.name, got, c.answer)
		}
	}
}

// The values are those of RFC 2617 (3.5), whose client nonce is fixed here.
func TestDigestIsThatOfTheStandard(t *testing.T) {
	c := challenges([]string{`Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`})
	answer := c.answer("GET", "/dir/index.html", url.UserPassword("Mufasa", "Circle Of Life"))
	own := between(answer, `cnonce="`, `"`)
	want := md5Hex(md5Hex("Mufasa:testrealm@host.com:Circle Of Life") + ":dcd98b7102dd2f0e8b11d0f600bfb0c093:00000001:" + own + ":auth:" + md5Hex("GET:/dir/index.html"))
	if got := between(answer, `response="`, `"`); got != want || !strings.Contains(answer, "qop=auth, nc=00000001") || !strings.Contains(answer, `opaque="5ccc069c403ebaf9f0171e9517f40e41"`) {
		t.Errorf("answer %s, want the response %s", answer, want)
	}
	if again := c.answer("GET", "/", url.UserPassword("a", "b")); !strings.Contains(again, "nc=00000002") {
		t.Errorf("the nonce is used a second time with %s", again)
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// demand makes a camera that wants a password for some methods, and gives a new nonce with each refusal.
func demand(header string, methods ...string) func(*cameraConn, *cameraRequest) bool {
	nonce := 0
	return func(c *cameraConn, r *cameraRequest) bool {
		wanted := false
		for _, m := range methods {
			wanted = wanted || m == r.method
		}
		answer := r.header.first("authorization")
		if !wanted || nonce > 0 && strings.Contains(answer, fmt.Sprintf(`nonce="n%d"`, nonce)) || strings.HasPrefix(answer, "Basic") {
			return false
		}
		nonce++
		c.say(r, "401 Unauthorized", "", "WWW-Authenticate: "+strings.ReplaceAll(header, "NONCE", fmt.Sprintf("n%d", nonce)))
		return true
	}
}

func TestPasswordIsProvedWheneverTheCameraAsks(t *testing.T) {
	const digest = `Digest realm="cam", nonce="NONCE"`
	for _, tt := range []struct {
		name   string
		answer func(*cameraConn, *cameraRequest) bool
	}{
		{"for everything", demand(digest, "OPTIONS", "DESCRIBE", "SETUP", "PLAY")},
		{"at SETUP", demand(digest, "SETUP")},
		{"at PLAY", demand(digest+`, algorithm=SHA-256, qop="auth"`, "PLAY")},
		{"by Basic", demand(`Basic realm="cam"`, "DESCRIBE", "SETUP", "PLAY")},
		{"with nonces that get stale", func() func(*cameraConn, *cameraRequest) bool {
			asked := 0
			return func(c *cameraConn, r *cameraRequest) bool {
				if asked++; asked%3 != 0 {
					c.say(r, "401 Unauthorized", "", fmt.Sprintf(`WWW-Authenticate: Digest realm="cam", nonce="s%d", stale=true`, asked))
				}
				return asked%3 != 0
			}
		}()},
	} {
		camera := &fakeCamera{answer: tt.answer}
		at := strings.Replace(camera.start(t), "rtsp://", "rtsp://bob:secret@", 1)
		k, _, err := pulledFrom(t, at)
		if n := len(k.of(true)); n != 100 {
			t.Errorf("%s: %d pictures, want 100: %v", tt.name, n, err)
		}
		for _, r := range camera.asked("") {
			if strings.Contains(r.url, "secret") {
				t.Errorf("%s: the password is in the URL of %s", tt.name, r.method)
			}
		}
	}
}

func TestWrongPasswordIsNotTriedForEver(t *testing.T) {
	for _, stale := range []string{"", ", stale=true"} {
		wrongPassword(t, stale)
	}
}

func wrongPassword(t *testing.T, stale string) {
	t.Helper()
	camera := &fakeCamera{answer: func(c *cameraConn, r *cameraRequest) bool {
		c.say(r, "401 Unauthorized", "", `WWW-Authenticate: Digest realm="cam", nonce="other`+r.header.first("cseq")+`"`+stale)
		return true
	}}
	at := strings.Replace(camera.start(t), "rtsp://", "rtsp://bob:wrong@", 1)
	_, _, err := pulledFrom(t, at)
	if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("Pull = %v, want 401 without the password", err)
	}
	if n := len(camera.asked("")); n > 8 {
		t.Errorf("the camera was asked %d times", n)
	}
}

// FuzzChallenge reads what a server may ask with, and answers it. The answer is one line.
func FuzzChallenge(f *testing.F) {
	for _, c := range challengeTests {
		f.Add(strings.Join(c.lines, "\n"))
	}
	f.Fuzz(func(t *testing.T, in string) {
		c := challenges(strings.Split(in, "\n"))
		if c == nil {
			return
		}
		if answer := c.answer("DESCRIBE", "rtsp://h/a", url.UserPassword("u", "p")); strings.Contains(answer, "\n") || answer == "" {
			t.Fatalf("answer %q", answer)
		}
	})
}
