//go:build unix

package settings

import (
	"io/fs"
	"os"
	"syscall"
)

// own gives a file the owner of another one. Without the right to do so, the file belongs to this process.
func own(f *os.File, like fs.FileInfo) error {
	st, ok := like.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil && os.Geteuid() == 0 {
		return err
	}
	return nil
}
