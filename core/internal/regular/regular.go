// Package regular reads files whose names people give: with Read, neither a
// pipe nor a device nor a file that never ends can hang the program or fill its memory.
package regular

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// What is at the path is no file to read.
var (
	ErrDirectory  = errors.New("it is a directory")
	ErrNotRegular = errors.New("it is not a regular file")
)

// TooLargeError says that a file is larger than the reader takes.
type TooLargeError struct {
	// Max is in bytes.
	Max int64
}

func (e *TooLargeError) Error() string {
	if e.Max < 1<<20 {
		return fmt.Sprintf("it is larger than %d bytes", e.Max)
	}
	return fmt.Sprintf("it is larger than %d MiB", e.Max>>20)
}

// Read reads a file of at most limit bytes. Errors do not name the path: the caller
// does, as it was written. A missing file is fs.ErrNotExist.
func Read(path string, limit int64) ([]byte, error) {
	// Opened first and looked at then, so that nobody can put a pipe in its place.
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, plain(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, plain(err)
	case info.IsDir():
		return nil, ErrDirectory
	case !info.Mode().IsRegular():
		return nil, ErrNotRegular
	case info.Size() > limit:
		return nil, &TooLargeError{limit}
	}
	// Some files of the system wait for something to happen.
	_ = f.SetReadDeadline(time.Now().Add(patience)) // others cannot wait, and have no deadline
	// One byte more, so that the end is found without growing the buffer. Files of
	// the system say that they are empty, and are not.
	content := bytes.NewBuffer(make([]byte, 0, info.Size()+bytes.MinRead))
	if _, err := io.Copy(content, io.LimitReader(f, limit+1)); err != nil {
		return nil, plain(err)
	}
	if int64(content.Len()) > limit {
		return nil, &TooLargeError{limit}
	}
	return content.Bytes(), nil
}

// patience is how long a file may take to say more.
const patience = 10 * time.Second

func plain(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
