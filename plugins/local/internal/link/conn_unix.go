//go:build unix

package link

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	maxMessage = 16 << 20
	// maxFiles is below what the systems allow in one message.
	maxFiles = 200
)

// Conn is one end.
type Conn struct {
	conn    *net.UnixConn
	writing sync.Mutex
}

// Pair makes both ends. The second is a file to be inherited by the other process.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("link: %w", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	mine, theirs := os.NewFile(uintptr(fds[0]), "link"), os.NewFile(uintptr(fds[1]), "link")
	c, err := FromFile(mine)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return c, theirs, nil
}

// FromFile makes a Conn of an end that was inherited, and closes the file.
func FromFile(f *os.File) (*Conn, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("link: the inherited file is not a socket")
	}
	return &Conn{conn: unixConn}, nil
}

// Close closes this end; the other sees io.EOF.
func (c *Conn) Close() error { return c.conn.Close() }

// Send writes one message with open files. The files remain the caller's. It
// may be called from several goroutines.
func (c *Conn) Send(message any, files ...*os.File) error {
	body, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	if len(body) > maxMessage || len(files) > maxFiles {
		return fmt.Errorf("link: message of %d bytes with %d files is too large", len(body), len(files))
	}
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			if fds[i], err = number(f); err != nil {
				return fmt.Errorf("link: %w", err)
			}
		}
		rights = unix.UnixRights(fds...)
	}
	// Files travel with the header alone, so that the reader knows where to look.
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	c.writing.Lock()
	defer c.writing.Unlock()
	if _, _, err := c.conn.WriteMsgUnix(head, rights, nil); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	if _, err := c.conn.Write(body); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	return nil
}

// number is the file's descriptor. File.Fd would make the socket blocking, for
// every process that holds it.
func number(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var fd int
	err = raw.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}

// Receive reads one message and the files that came along, which are the
// caller's to close. At the end it returns io.EOF.
func (c *Conn) Receive(message any) ([]*os.File, error) {
	head := make([]byte, 4)
	oob := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, _, _, err := c.conn.ReadMsgUnix(head, oob)
	if err != nil || n == 0 {
		return nil, io.EOF
	}
	files, err := openRights(oob[:oobn])
	if err == nil {
		_, err = io.ReadFull(c.conn, head[n:])
	}
	size := binary.BigEndian.Uint32(head)
	if err == nil && size > maxMessage {
		err = fmt.Errorf("message of %d bytes", size)
	}
	if err == nil {
		body := make([]byte, size)
		if _, err = io.ReadFull(c.conn, body); err == nil {
			err = json.Unmarshal(body, message)
		}
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("link: %w", err)
	}
	return files, nil
}

func openRights(oob []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "socket"))
		}
	}
	return files, nil
}
