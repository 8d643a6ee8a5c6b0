package settings

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Backup is put behind the name of a file for the one that it had before the last edit.
const Backup = ".bak"

// ErrChanged is the error of a file that does not have the text which was to be replaced.
var ErrChanged = errors.New("the file was changed by somebody else meanwhile")

// Replace puts the text to in the place of the text from in one step: whoever reads the file, also after the machine has lost its
// power, finds the one or the other. The former text is kept beside it. A file that has another text stays as it is, and the error is
// [ErrChanged]. A file that is a link is replaced where it leads to. Owner and permissions stay.
func Replace(path string, from, to []byte) error { return replace(path, from, to, true) }

// Restore undoes a [Replace] in the same way. It leaves the backup alone, which has the text that is restored.
func Restore(path string, from, to []byte) error { return replace(path, from, to, false) }

func replace(path string, from, to []byte, backup bool) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	unchanged := func() error {
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, from) {
			return cmp.Or(err, ErrChanged)
		}
		return nil
	}
	if err := unchanged(); err != nil {
		return err
	}
	if backup {
		if err := put(path+Backup, from, st, func() error { return nil }); err != nil {
			return fmt.Errorf("keeping the former text: %w", err)
		}
	}
	return put(path, to, st, unchanged)
}

// put writes a file beside its place and then renames it, if allowed has no error at that moment: the disk may have taken a while. A
// file that a process which was killed has left beside the place is overwritten.
func put(path string, text []byte, like fs.FileInfo, allowed func() error) (err error) {
	beside := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	renamed := false
	defer func() {
		if err != nil && !renamed {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(like.Mode().Perm())
	}
	if err == nil {
		err = own(f, like)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := allowed(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	renamed = true
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
