//go:build race

package node

// detectorMemory is what the race detector makes a connection hold besides, in bytes: of a connection of HLS, 66 KB instead of 17.
const detectorMemory = 64 << 10
