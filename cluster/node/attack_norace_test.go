//go:build !race

package node

const detectorMemory = 0
