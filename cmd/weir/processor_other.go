//go:build !unix

package main

import "time"

// processorTime is the time that this process has had of all processors so far. This system does not say.
func processorTime() time.Duration { return 0 }
