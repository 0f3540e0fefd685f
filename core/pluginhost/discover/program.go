package discover

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Program is a file that was read and found to be a program for this platform.
type Program struct {
	// Hash is the SHA-256 of its bytes in the lock file's form, sha256:….
	Hash string
	id   fileID
}

// ErrChanged means that a program is no longer the file that was read.
var ErrChanged = errors.New("program was changed meanwhile")

// ReadProgram reads and hashes a program. The error says what the file is when it
// cannot be a program for the platform, such as a web page or a program for
// another processor.
func ReadProgram(path, platform string) (Program, error) {
	f, err := os.Open(path)
	if err != nil {
		return Program{}, errors.New(reason(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Program{}, errors.New(reason(err))
	}
	if !info.Mode().IsRegular() {
		return Program{}, errors.New("is not a file")
	}
	var start [4096]byte
	n, err := io.ReadFull(f, start[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return Program{}, err
	}
	if err := check(start[:n], platform); err != nil {
		return Program{}, err
	}
	if !executable(info) {
		return Program{}, errors.New("is not executable; run chmod +x on it")
	}
	h := sha256.New()
	_, _ = h.Write(start[:n]) // a hash cannot fail
	if _, err := io.Copy(h, f); err != nil {
		return Program{}, err
	}
	return Program{Hash: "sha256:" + hex.EncodeToString(h.Sum(nil)), id: identify(info)}, nil
}

// Unchanged returns ErrChanged unless the file at path is still the one that was read,
// as far as its number, size and times tell. Called after a launch, it makes sure that
// what was started is what was hashed.
func (p Program) Unchanged(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", path, ErrChanged, reason(err))
	}
	if identify(info) != p.id {
		return fmt.Errorf("%s: %w", path, ErrChanged)
	}
	return nil
}

// check looks at the first bytes of a file.
func check(start []byte, platform string) error {
	system, processor, _ := strings.Cut(platform, "_")
	text := bytes.ToLower(bytes.TrimLeft(start, "\xef\xbb\xbf \t\r\n"))
	switch {
	case len(start) == 0:
		return errors.New("is empty")
	case bytes.HasPrefix(start, []byte("#!")):
		return nil // a script; its interpreter is somebody else's business
	case bytes.HasPrefix(text, []byte("<!doctype")), bytes.HasPrefix(text, []byte("<html")), bytes.HasPrefix(text, []byte("<?xml")):
		return errors.New("is a web page and not a program; it was downloaded from a wrong address, or through a proxy that asks for a login")
	case bytes.HasPrefix(start, []byte("PK\x03\x04")), bytes.HasPrefix(start, []byte("\x1f\x8b")):
		return errors.New("is an archive; unpack it and name the program inside")
	case bytes.HasPrefix(start, []byte("version https://git-lfs")):
		return errors.New("is a pointer of Git LFS; run git lfs pull")
	}
	kind, forProcessor := machine(start)
	switch {
	case kind == "":
		return errors.New("is not a program")
	case kind != formatOf(system):
		return fmt.Errorf("is a program for another system (%s), and this is %s", kind, platform)
	case forProcessor != "" && forProcessor != processor:
		return fmt.Errorf("is a program for another processor (%s), and this is %s", forProcessor, platform)
	}
	return nil
}

// formatOf is the format of programs on a system.
func formatOf(system string) string {
	switch system {
	case "windows":
		return "Windows"
	case "darwin":
		return "macOS"
	}
	return "ELF"
}

// machine tells the format of a program and, where it is a known one, the processor
// by Go's name.
func machine(start []byte) (kind, processor string) {
	at := func(offset, size int) uint32 {
		if offset < 0 || offset+size > len(start) {
			return 0
		}
		if size == 2 {
			return uint32(binary.LittleEndian.Uint16(start[offset:]))
		}
		return binary.LittleEndian.Uint32(start[offset:])
	}
	switch {
	case bytes.HasPrefix(start, []byte("\x7fELF")):
		return "ELF", map[uint32]string{3: "386", 40: "arm", 62: "amd64", 183: "arm64"}[at(18, 2)]
	case at(0, 4) == 0xfeedfacf:
		return "macOS", map[uint32]string{0x01000007: "amd64", 0x0100000c: "arm64"}[at(4, 4)]
	case at(0, 4) == 0xbebafeca:
		return "macOS", "" // several processors in one file
	case bytes.HasPrefix(start, []byte("MZ")):
		return "Windows", map[uint32]string{0x14c: "386", 0x8664: "amd64", 0xaa64: "arm64"}[at(int(at(0x3c, 4)&0xffff)+4, 2)]
	}
	return "", ""
}
