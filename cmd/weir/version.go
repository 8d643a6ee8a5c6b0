package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Run prints the version.
func (*VersionCmd) Run(std stdio) error {
	if _, err := fmt.Fprintln(std.out, version()); err != nil {
		return fmt.Errorf("printing the version: %w", err)
	}
	return nil
}

// version describes what this binary was built from, as far as the build recorded it: the module's version, the
// revision of the source and whether that was changed, and the Go release.
func version() string {
	module, revision, modified := "(devel)", "unknown revision", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			module = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = "revision " + s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = ", modified"
			}
		}
	}
	return fmt.Sprintf("weir %s (%s%s) %s %s/%s", module, revision, modified, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
