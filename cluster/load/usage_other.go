//go:build !unix

package load

// usage is not known on this system.
func usage() Usage { return Usage{} }
