//go:build !e2e

package settings

// kills is how often a process is killed in the middle of a save.
const kills = 8
