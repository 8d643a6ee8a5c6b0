package child

import (
	"slices"
	"testing"
)

func TestProcessesGetNoSettingsFromTheEnvironment(t *testing.T) {
	got := withoutSettings([]string{"PATH=/bin", "WEIR_NAME=other", "WEIR_STREAM=a=fake://a", "NOT_WEIR_X=1"})
	if want := []string{"PATH=/bin", "NOT_WEIR_X=1"}; !slices.Equal(got, want) {
		t.Errorf("withoutSettings = %q, want %q", got, want)
	}
}
