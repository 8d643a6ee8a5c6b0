package stream

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"syscall"
	"testing"
)

func TestStreamHasFailedOnceNothingMayCome(t *testing.T) {
	down := InputState{Own: true, Failures: 2, Cause: "connection refused"}
	for _, tt := range []struct {
		name string
		s    Snapshot
		want string
	}{
		{"its input fails", Snapshot{Role: Capturing, Inputs: []InputState{down}}, "its input fails: connection refused"},
		{
			"both fail",
			Snapshot{Role: Capturing, Inputs: []InputState{down, {Own: true, Failures: 9, Cause: "404"}}},
			"its input fails: connection refused; 404",
		},
		{"one has failed once", Snapshot{Role: Capturing, Inputs: []InputState{down, {Own: true, Failures: 1}}}, ""},
		{"one was not started", Snapshot{Role: Capturing, Inputs: []InputState{down, {Own: true, Standby: true}}}, ""},
		{"one is active", Snapshot{Role: Capturing, Inputs: []InputState{down, {Own: true, Active: true}}}, ""},
		{"it is published", Snapshot{Role: Capturing, Publisher: "x", Inputs: []InputState{down}}, ""},
		{"it is relayed", Snapshot{Role: Following, Inputs: []InputState{down}}, ""},
		{"it has no input", Snapshot{Role: Capturing}, ""},
	} {
		if got, failed := tt.s.Failed(); failed != (tt.want != "") || failed && got != tt.want {
			t.Errorf("%s: Failed = %q, %t, want %q", tt.name, got, failed, tt.want)
		}
	}
}

func TestCauseNamesNoPlace(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{
			fmt.Errorf("input: %w", &url.Error{Op: "Get", URL: "http://10.0.0.1/x", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}),
			"connection refused",
		},
		{fmt.Errorf("input: %w", &net.DNSError{Err: "no such host", Name: "cam.internal"}), "no such host"},
		{errors.New("http://10.0.0.1/x is gone"), "the source is not to be had"},
		{fmt.Errorf("pulling http://10.0.0.1/x: %w", errors.New("404 Not Found")), "404 Not Found"},
	} {
		if got := cause(tt.err); got != tt.want {
			t.Errorf("cause(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
}
