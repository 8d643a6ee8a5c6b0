//go:build e2e

package node

func init() { attackers = 10_000 }
