// Package lockfile reads and writes .runner.lock.hcl: which plugins a pipeline uses,
// the exact programs by hash, what they serve, and which environment variables they
// may see. People review it, so that it is kept in version control.
package lockfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/internal/regular"
	"github.com/runner-pipelines/runner/sdk/schema"
)

// Name of the file, in the pipeline's folder.
const Name = ".runner.lock.hcl"

// File is the whole lock file.
type File struct {
	// Plugins are sorted by source.
	Plugins []*Plugin
}

// Plugin is one locked plugin.
type Plugin struct {
	// Source is namespace/name.
	Source  string
	Version string
	// Constraints are those that the version was chosen by; may be empty.
	Constraints string
	// Protocol is the negotiated protocol version.
	Protocol int
	// Hashes are of the program, one per platform: linux_amd64:sha256:….
	Hashes []string
	// About is the digest of the cached description of the plugin itself.
	About string
	// Env are the environment variables that the plugin may see.
	Env        []string
	Components []Component
}

// Component is one thing that the plugin serves.
type Component struct {
	Name string
	Kind schema.Kind
	// Schema is the digest of its cached description.
	Schema string
}

// Plugin finds a plugin by source; nil when it is not locked.
func (f *File) Plugin(source string) *Plugin {
	for _, p := range f.Plugins {
		if p.Source == source {
			return p
		}
	}
	return nil
}

// Hash is the hash of the program for a platform such as linux_amd64, without the
// platform; empty when there is none.
func (p *Plugin) Hash(platform string) string {
	for _, h := range p.Hashes {
		if hash, ok := strings.CutPrefix(h, platform+":"); ok {
			return hash
		}
	}
	return ""
}

// Clone is a copy that shares nothing.
func (p *Plugin) Clone() *Plugin {
	c := *p
	c.Hashes, c.Env, c.Components = slices.Clone(p.Hashes), slices.Clone(p.Env), slices.Clone(p.Components)
	return &c
}

// Load reads the file at path. A missing file is an empty File.
func Load(path string) (*File, hcl.Diagnostics) {
	src, err := regular.Read(path, maxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return &File{}, nil
	}
	if err != nil {
		return &File{}, hcl.Diagnostics{{
			Severity: hcl.DiagError,
			Summary:  "Lock file cannot be read",
			Detail:   fmt.Sprintf("The lock file says which programs may be run as plugins: %v.", err),
		}}
	}
	return Parse(path, src)
}

const header = `# The plugins of this pipeline, chosen and checked by "runner init". Review changes,
# env above all: these variables are shown to the plugin. Keep the file in version control.
`

// Bytes is the file as text; equal files give equal bytes.
func (f *File) Bytes() []byte {
	out := hclwrite.NewEmptyFile()
	for _, p := range sortedBy(f.Plugins, func(p *Plugin) string { return p.Source }) {
		out.Body().AppendNewline()
		p.write(out.Body().AppendNewBlock("plugin", []string{p.Source}).Body())
	}
	return append([]byte(header), hclwrite.Format(out.Bytes())...)
}

// digest is over all that the block says, in any order, so that a change by other
// hands or a damaged file is noticed before a program is started.
func (p *Plugin) digest() string {
	c := p.Clone()
	c.Hashes = append([]string{}, slices.Sorted(slices.Values(p.Hashes))...)
	c.Env = append([]string{}, slices.Sorted(slices.Values(p.Env))...)
	c.Components = sortedBy(c.Components, func(c Component) string { return c.Name })
	if c.Components == nil {
		c.Components = []Component{}
	}
	text, _ := json.Marshal(c) // texts and numbers cannot fail
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func (p *Plugin) write(body *hclwrite.Body) {
	body.SetAttributeValue("digest", cty.StringVal(p.digest()))
	body.SetAttributeValue("version", cty.StringVal(p.Version))
	if p.Constraints != "" {
		body.SetAttributeValue("constraints", cty.StringVal(p.Constraints))
	}
	body.SetAttributeValue("protocol", cty.NumberIntVal(int64(p.Protocol)))
	writeList(body, "hashes", p.Hashes)
	writeList(body, "env", p.Env)
	body.SetAttributeValue("about", cty.StringVal(p.About))
	for _, c := range sortedBy(p.Components, func(c Component) string { return c.Name }) {
		body.AppendNewline()
		b := body.AppendNewBlock("component", []string{c.Name}).Body()
		b.SetAttributeValue("kind", cty.StringVal(string(c.Kind)))
		b.SetAttributeValue("schema", cty.StringVal(c.Schema))
	}
}

// writeList writes one element a line, so that changes are seen in a diff.
func writeList(body *hclwrite.Body, name string, values []string) {
	tokens := hclwrite.TokensForValue(cty.EmptyTupleVal)
	if len(values) > 0 {
		tokens = hclwrite.Tokens{{Type: '[', Bytes: []byte("[\n")}}
		for _, v := range slices.Sorted(slices.Values(values)) {
			tokens = append(tokens, hclwrite.TokensForValue(cty.StringVal(v))...)
			tokens = append(tokens, &hclwrite.Token{Type: ',', Bytes: []byte(",\n")})
		}
		tokens = append(tokens, &hclwrite.Token{Type: ']', Bytes: []byte("]")})
	}
	body.SetAttributeRaw(name, tokens)
}

func sortedBy[T any](list []T, key func(T) string) []T {
	return slices.SortedStableFunc(slices.Values(list), func(a, b T) int { return strings.Compare(key(a), key(b)) })
}

// Save writes the file, whole or not at all. When nothing changed it writes nothing.
func (f *File) Save(path string) error {
	text := f.Bytes()
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("save lock file: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Chmod(0o644), temp.Sync(), temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("save lock file: %w", err)
	}
	return nil
}
