//go:build !linux

package node

import "time"

// machineSuspended says that it never was: there is no second clock to compare with.
func machineSuspended() time.Duration { return 0 }
