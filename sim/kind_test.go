package sim

import "testing"

// A second row of a type, or a second fault of a name, would be found by nobody.
func TestEveryActionHasOneRowAndEveryFaultOneName(t *testing.T) {
	if len(kindOf) != len(kinds) {
		t.Errorf("%d rows are about %d types of actions", len(kinds), len(kindOf))
	}
	seen := map[string]bool{}
	for i, name := range Faults() {
		if seen[name] {
			t.Errorf("two faults have the name %q", name)
		}
		seen[name] = true
		var f Fault
		if err := f.UnmarshalText([]byte(name)); err != nil || int(f) != i {
			t.Errorf("UnmarshalText(%q) = %d, %v, want %d", name, f, err, i)
		}
	}
	var f Fault
	if err := f.UnmarshalText([]byte("clogg")); err == nil || err.Error() != `found "clogg", expected the name of a fault; did you mean "clog"?` {
		t.Errorf("UnmarshalText of an unknown name: %v", err)
	}
}
