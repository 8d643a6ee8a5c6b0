package trust

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// relay answers the way the hijacking handler of a media stream does.
func relay(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/missing":
		http.Error(w, "no such stream", http.StatusNotFound)
	case "/flush":
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, "second")
	case "/late":
		w.WriteHeader(http.StatusServiceUnavailable)
		if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
			panic("hijacked a reply that had begun")
		}
	case "/nothing":
	default:
		h := w.Header().Clone()
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 200 OK\r\nConnection: close\r\n")
		_ = h.Write(rw)
		fmt.Fprint(rw, "\r\nmedia without end")
		_ = rw.Flush()
	}
}

func streamServer(t *testing.T) string {
	t.Helper()
	return serve(t, testKey.Handler(http.HandlerFunc(relay), Options{
		Streaming: func(r *http.Request) bool { return r.URL.Path != "/plain" },
	}))
}

var streamTests = []struct {
	path   string
	status int
	want   string
}{
	{"/cam01", 200, "media without end"},
	{"/flush", 200, "first second"},
	{"/missing", 404, "no such stream\n"},
	{"/late", 503, ""},
	{"/nothing", 200, ""},
}

func TestEndlessReplyIsProvedByItsHead(t *testing.T) {
	url := streamServer(t)
	c := &http.Client{Transport: testKey.Transport(nil)}
	for _, tt := range streamTests {
		status, text, err := ask(t, c, "GET", url+tt.path, "")
		if err != nil || status != tt.status || text != tt.want {
			t.Errorf("%s: got %d %q, %v, want %d %q", tt.path, status, text, err, tt.status, tt.want)
		}
	}
	// A handler of a finite reply cannot take the connection, since nothing could be proved then.
	status, _, err := ask(t, c, "GET", url+"/plain", "")
	if err != nil || status != 200 {
		t.Errorf("/plain: got %d, %v", status, err)
	}
}

func TestEndlessReplyIsHandedOnWhileItLasts(t *testing.T) {
	goOn := make(chan struct{})
	url := serve(t, testKey.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, s := range []string{"one\n", "two\n"} {
			_, _ = io.WriteString(w, s)
			w.(http.Flusher).Flush()
			select {
			case <-goOn:
			case <-r.Context().Done():
			}
		}
	}), Options{Streaming: func(*http.Request) bool { return true }}))
	res, err := (&http.Client{Transport: testKey.Transport(nil)}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for _, want := range []string{"one\n", "two\n"} {
		if got, err := lines.ReadString('\n'); got != want || err != nil {
			t.Fatalf("read %q, %v, want %q", got, err, want)
		}
		goOn <- struct{}{}
	}
}

func TestEndlessReplyOfAnotherKeyOrStatusIsRefused(t *testing.T) {
	url := streamServer(t)
	if _, _, err := ask(t, &http.Client{Transport: wrongKey.Transport(nil)}, "GET", url+"/cam01", ""); !errors.Is(err, ErrWrongKey) {
		t.Errorf("wrong key: error = %v, want %v", err, ErrWrongKey)
	}
	for _, change := range []func(*http.Response){
		func(r *http.Response) { r.StatusCode = 302 },
		func(r *http.Response) {
			r.Header.Set(HeaderProof, strings.Replace(r.Header.Get(HeaderProof), "stream", "body", 1))
		},
	} {
		w := &wire{after: func(r *http.Response) {
			if r.StatusCode == 200 {
				change(r)
			}
		}}
		if _, _, err := ask(t, &http.Client{Transport: testKey.Transport(w)}, "GET", url+"/cam01", ""); !errors.Is(err, ErrWrongKey) {
			t.Errorf("changed reply: error = %v, want %v", err, ErrWrongKey)
		}
	}
}
