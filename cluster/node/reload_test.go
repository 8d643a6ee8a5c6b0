package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"
)

// The stream's source accepts a connection and says nothing, so a request is held up to the limit. The limit by the file at the start is a little above two
// seconds. The limit by the reloaded file is a day.
func TestReloadChangesHowLongARequestIsHeld(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	file := "cluster_key for-the-test-only-0123; stream cam { input tshttp://" + silent.Addr().String() + "/x; } peer 127.0.0.1:1 { fetch_timeout 50; "
	n := lone(t, file+"stale_timeout 200; }")
	n.reload(t, file+"stale_timeout 86400000; }")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.httpAddr()+"/cam/mpegts", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatalf("the request was answered with %s by the limit of the former file, want it held", resp.Status)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
