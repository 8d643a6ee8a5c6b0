//go:build !unix

package settings

import (
	"io/fs"
	"os"
)

// own does nothing: a file belongs to whoever may write it here.
func own(*os.File, fs.FileInfo) error { return nil }
