package identity

import "testing"

func TestReachableIsTheAddressFromWhichPeersAreReached(t *testing.T) {
	for _, tt := range []struct {
		peers []string
		sure  bool
	}{
		{nil, true},
		{[]string{"127.0.0.1:9"}, true},
		{[]string{"127.0.0.1:9", "no.such.host.invalid:80"}, false},
	} {
		if ip, sure := Reachable(t.Context(), tt.peers); ip != Loopback || sure != tt.sure {
			t.Errorf("Reachable(%q) = %s, %t, want %s, %t", tt.peers, ip, sure, Loopback, tt.sure)
		}
	}
}
