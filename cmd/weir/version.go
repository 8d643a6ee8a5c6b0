package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Run prints the version.
func (c *VersionCmd) Run(std stdio) error {
	b := built()
	if !c.JSON {
		return printed(fmt.Fprintln(std.out, b))
	}
	return printedJSON(std, b)
}

// A build is what this binary was built from, as far as the build recorded it.
type build struct {
	Version  string `json:"version"`  // of the module
	Revision string `json:"revision"` // of the source; empty if it is unknown
	Modified bool   `json:"modified"` // whether the source was changed after that revision
	Go       string `json:"go"`       // the release of Go
	System   string `json:"system"`   // such as linux/amd64
}

func built() build {
	b := build{Version: "(devel)", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func (b build) String() string {
	revision, modified := "unknown revision", ""
	if b.Revision != "" {
		revision = "revision " + b.Revision
	}
	if b.Modified {
		modified = ", modified"
	}
	return fmt.Sprintf("weir %s (%s%s) %s %s", b.Version, revision, modified, b.Go, b.System)
}

// version describes the build in a line.
func version() string { return built().String() }
