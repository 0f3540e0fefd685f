package seal

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// EnvKey is the environment variable that holds the state key: 32 bytes in base64.
const EnvKey = "RUNNER_STATE_KEY"

// FileName of the state key where the environment has none.
const FileName = "state.key"

// Load reads the state key from the environment variable RUNNER_STATE_KEY, else
// from the file dir/state.key, which is made with mode 0600 when missing: the key, and
// a line that names it. A file that others may read is refused. Errors about the key
// itself are ErrKey.
func Load(dir string, lookupEnv func(string) (string, bool)) (*Key, error) {
	if text, ok := lookupEnv(EnvKey); ok {
		k, err := ParseKey(text)
		if err != nil {
			return nil, fmt.Errorf("environment variable %s: %w", EnvKey, err)
		}
		return k, nil
	}
	path := filepath.Join(dir, FileName)
	text, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKeyFile(path); err == nil {
			text, err = readKeyFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("state key: %w", err)
	}
	// The second line names the key, so that a damaged one is not taken for another.
	text, named, hasName := strings.Cut(strings.TrimSpace(text), "\n")
	k, err := ParseKey(text)
	if err == nil && hasName && strings.TrimSpace(named) != k.ID() {
		err = fmt.Errorf("%w: it does not have the name in its second line, so that it is damaged; take it back from a copy, as nothing else opens what is sealed", ErrKey)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

func readKeyFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return "", fmt.Errorf("%w: others may read %s (mode %04o); if nobody has, run chmod 600 on it", ErrKey, path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	return string(text), err
}

// makeKeyFile makes a new key. When several processes do, all use the same one.
func makeKeyFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	secret := make([]byte, keyLen)
	_, _ = rand.Read(secret) // never fails
	f, err := os.CreateTemp(filepath.Dir(path), FileName+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	k, err := newKey(secret)
	if err == nil {
		_, err = fmt.Fprintf(f, "%s\n%s\n", base64.StdEncoding.EncodeToString(secret), k.ID())
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, never replaces another process's key.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
