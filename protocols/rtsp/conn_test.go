package rtsp

import (
	"testing"
	"time"
)

func TestReadDeadlineIsTheGreetingsUntilTheFirstRequest(t *testing.T) {
	opened := time.Unix(1000, 0)
	c := &conn{opened: opened}
	if got, want := c.deadline(), opened.Add(firstRequest); !got.Equal(want) {
		t.Errorf("deadline before the first request = %v, want %v", got, want)
	}
	c.requested = true
	if got, least := c.deadline(), opened.Add(sessionTimeout); !got.After(least) {
		t.Errorf("deadline after it = %v, want one that moves on", got)
	}
	s := &session{conn: c}
	c.sessions = []*session{s}
	if got := c.deadline(); !got.IsZero() {
		t.Errorf("deadline while media is sent = %v, want none", got)
	}
	s.pause()
	if got := c.deadline(); got.IsZero() {
		t.Error("there is no deadline while the session is paused")
	}
}
