//go:build e2e

package node

func init() { attackers, thorough = 10_000, true }
