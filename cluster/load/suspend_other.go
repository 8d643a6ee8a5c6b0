//go:build !linux

package load

import "time"

// Suspended is zero: this system does not tell for how long the machine was suspended.
func Suspended() time.Duration { return 0 }
