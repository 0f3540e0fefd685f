package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
)

// About is what the cache keeps of a plugin itself.
type About struct {
	Name        string         `json:"name"`
	Version     string         `json:"version"`
	SDK         string         `json:"sdk,omitempty"`
	Features    []string       `json:"features,omitempty"`
	MaxParallel int            `json:"max_parallel,omitempty"`
	EnvWanted   []host.EnvVar  `json:"env_wanted,omitempty"`
	Config      *schema.Schema `json:"config,omitempty"`
	Protocol    int            `json:"protocol"`
}

// Store writes a description to the cache and returns its lock entry without source,
// constraints and hashes. Equal descriptions give equal digests.
func Store(dir string, d *host.Description) (*lockfile.Plugin, error) {
	c := cache{dir}
	entry, err := entryOf(d, c.save)
	if err != nil {
		return nil, fmt.Errorf("keep what the plugin %q offers: %w", d.Name, err)
	}
	return entry, nil
}

// LockEntry is Store without writing.
func LockEntry(d *host.Description) (*lockfile.Plugin, error) {
	return entryOf(d, func(string, []byte) error { return nil })
}

func entryOf(d *host.Description, save func(digest string, text []byte) error) (*lockfile.Plugin, error) {
	keep := func(v any) (string, error) {
		text, err := json.Marshal(v)
		if err != nil {
			return "", err
		}
		sum := sha256.Sum256(text)
		digest := hex.EncodeToString(sum[:])
		return digest, save(digest, text)
	}
	about, err := keep(About{
		Name: d.Name, Version: d.Version, SDK: d.SDK, Features: d.Features, MaxParallel: d.MaxParallel,
		EnvWanted: d.EnvWanted, Config: d.Config, Protocol: d.Protocol,
	})
	if err != nil {
		return nil, err
	}
	p := &lockfile.Plugin{Version: d.Version, Protocol: d.Protocol, About: about}
	for _, e := range d.EnvWanted {
		p.Env = append(p.Env, e.Name)
	}
	slices.Sort(p.Env)
	seen := map[string]bool{}
	for _, comp := range d.Components {
		if seen[comp.Name] {
			return nil, fmt.Errorf("it offers two components named %q", comp.Name)
		}
		seen[comp.Name] = true
		digest, err := keep(comp)
		if err != nil {
			return nil, fmt.Errorf("component %q: %w", comp.Name, err)
		}
		p.Components = append(p.Components, lockfile.Component{Name: comp.Name, Kind: comp.Kind, Schema: digest})
	}
	return p, nil
}

// cache is a folder of descriptions, each in a file named by its digest.
type cache struct{ dir string }

func (c cache) path(digest string) string { return filepath.Join(c.dir, digest+".json") }

func (c cache) save(digest string, text []byte) error {
	if old, err := os.ReadFile(c.path(digest)); err == nil && string(old) == string(text) {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(c.dir, "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), c.path(digest))
}

// load reads a description and makes sure that it is the one of that digest.
func (c cache) load(digest string, into any) error {
	text, err := os.ReadFile(c.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s does not exist", c.path(digest))
	}
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != digest {
		return fmt.Errorf("%s is damaged", c.path(digest))
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s was written by another runner: %w", c.path(digest), err)
	}
	return nil
}
