package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// KeyCmd is `weir key`.
type KeyCmd struct{}

// Help implements [kong.HelpProvider].
func (*KeyCmd) Help() string {
	return `Examples:
  weir key
  echo "cluster_key $(weir key);"

It prints a new random key of 128 bits, for cluster_key in the files of all nodes of a group. Nothing is stored.`
}

// Run prints a new key.
func (*KeyCmd) Run(std stdio) error {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	return printed(fmt.Fprintln(std.out, hex.EncodeToString(key[:])))
}
