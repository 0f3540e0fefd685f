package recorded

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode"

	"github.com/runner-pipelines/runner/core/internal/regular"
)

// mostAnswer is the size of an answer of Prometheus, which is held in memory, and
// of what comes from a pipe.
const mostAnswer = 512 << 20

// File is something to read a recording from.
type File struct {
	// Name is how messages call it.
	Name string
	open func() (io.ReadCloser, error)
	size int64
	// first is the first character that is no space.
	first byte
}

// Path is a file on the disk.
func Path(name, path string, p *Problems) File {
	f := File{Name: name, open: func() (io.ReadCloser, error) { return os.Open(path) }}
	// A pipe would wait for its writer, and can be read only once.
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		p.Fail(name, "File not found", "there is no such file.")
		return f
	case err != nil:
		p.Fail(name, "File not readable", "%s.", plain(err))
		return f
	case info.IsDir():
		p.Fail(name, "File not readable", "%s.", regular.ErrDirectory)
		return f
	case !info.Mode().IsRegular():
		p.Fail(name, "File not readable", "%s. What comes from a pipe can be read with the name -.", regular.ErrNotRegular)
		return f
	default:
		f.size = info.Size()
	}
	f.look(p)
	return f
}

// Stream is what a pipe gives, all of it at once.
func Stream(name string, from io.Reader, p *Problems) File {
	content, err := io.ReadAll(io.LimitReader(from, mostAnswer+1))
	switch {
	case err != nil:
		p.Fail(name, "File not readable", "%s.", plain(err))
	case len(content) > mostAnswer:
		p.Fail(name, "File too large", "%s. Write it to a file: a table in the order of time may have any size there.", (&regular.TooLargeError{Max: mostAnswer}).Error())
	}
	return Bytes(name, content, p)
}

// Bytes is a file in memory.
func Bytes(name string, content []byte, p *Problems) File {
	f := File{Name: name, size: int64(len(content)), open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
	f.look(p)
	return f
}

// look finds the first character.
func (f *File) look(p *Problems) {
	from, err := f.open()
	if err != nil {
		p.Fail(f.Name, "File not readable", "%s.", plain(err))
		return
	}
	defer from.Close()
	in := bufio.NewReaderSize(io.LimitReader(from, 4096), 4096)
	for {
		c, err := in.ReadByte()
		if err != nil {
			return
		}
		if !unicode.IsSpace(rune(c)) {
			f.first = c
			return
		}
	}
}

// answer reports whether it is JSON.
func (f *File) answer() bool { return f.first == '{' || f.first == '[' }

// content is all of the file.
func (f *File) content(p *Problems) ([]byte, bool) {
	if p.Failed() {
		return nil, false
	}
	if f.size > mostAnswer {
		p.Fail(f.Name, "File too large", "%s, and an answer of Prometheus is read into memory.", (&regular.TooLargeError{Max: mostAnswer}).Error())
		return nil, false
	}
	from, err := f.open()
	if err == nil {
		defer from.Close()
		var content []byte
		if content, err = io.ReadAll(from); err == nil {
			return content, true
		}
	}
	p.Fail(f.Name, "File not readable", "%s.", plain(err))
	return nil, false
}

// plain is an error without the path, which the caller names as it was written.
func plain(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%w", pe.Err)
	}
	return err
}
