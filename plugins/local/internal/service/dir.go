package service

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Dir is the folder of one service. Only its owner may look inside: it holds
// the environment of the service's processes and the keeper's token.
type Dir string

const (
	stateFile = "state.json"
	lockFile  = "lock"
)

// Root is the folder that holds the folders of all services.
func Root() (string, error) {
	if dir := os.Getenv("RUNNER_LOCAL_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "runner", "local"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no place for the state of services: set RUNNER_LOCAL_DIR: %w", err)
	}
	return filepath.Join(home, ".local", "state", "runner", "local"), nil
}

// At is the folder of the service of that name; it need not exist.
func At(root, name string) Dir { return Dir(filepath.Join(root, name)) }

// Name of the service.
func (d Dir) Name() string { return filepath.Base(string(d)) }

// Log is the file that keeper and front write to.
func (d Dir) Log() string { return filepath.Join(string(d), "proxy.log") }

// ReplicaLog is the file that one replica of a release writes to.
func (d Dir) ReplicaLog(release string, replica int) string {
	return filepath.Join(d.Logs(), fmt.Sprintf("%s.%d.log", fileName(release), replica))
}

// Logs is the folder of the replicas' logs.
func (d Dir) Logs() string { return filepath.Join(string(d), "logs") }

// Create makes the folder.
func (d Dir) Create() error {
	return os.MkdirAll(d.Logs(), 0o700)
}

// Remove takes the folder away with all that is in it.
func (d Dir) Remove() error {
	// Without its state a service is gone, whatever else is left. Under another
	// name nobody who waits for the lock can put a file into it meanwhile.
	if err := os.RemoveAll(filepath.Join(string(d), stateFile)); err != nil {
		return err
	}
	away := At(filepath.Dir(string(d)), ".removed-"+rand.Text())
	if err := os.Rename(string(d), string(away)); err != nil {
		return err
	}
	return os.RemoveAll(string(away))
}

// Load reads the state. It fails with fs.ErrNotExist when there is none.
func (d Dir) Load() (*State, error) {
	path := filepath.Join(string(d), stateFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := new(State)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("damaged state of service %s in %s: %w", d.Name(), path, err)
	}
	if s.Format != Format {
		return nil, fmt.Errorf("the state of service %s in %s has format %d; this program knows %d", d.Name(), path, s.Format, Format)
	}
	for _, r := range s.Releases {
		if r == nil || slices.Contains(r.Replicas, nil) {
			return nil, fmt.Errorf("damaged state of service %s in %s: an empty entry", d.Name(), path)
		}
	}
	return s, nil
}

// Save writes the state so that a reader sees the old or the new one, also
// after a loss of power.
func (d Dir) Save(s *State) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	f, err := os.CreateTemp(string(d), stateFile+".*")
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("save state: %w", err)
	}
	if err := os.Rename(f.Name(), filepath.Join(string(d), stateFile)); err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

// List is the folders of all services below root, by name.
func List(root string) ([]Dir, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var dirs []Dir
	for _, e := range entries {
		d := At(root, e.Name())
		if _, err := os.Stat(filepath.Join(string(d), stateFile)); err == nil && e.IsDir() {
			dirs = append(dirs, d)
		}
	}
	return dirs, err
}

// fileName is a name that any file system takes, different for different ids.
func fileName(id string) string {
	clean := strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", r) {
			return r
		}
		return '_'
	}, id)
	if clean == id && len(id) <= 64 && id != "" {
		return id
	}
	return clean[:min(len(clean), 48)] + "-" + shortHash(id)
}
