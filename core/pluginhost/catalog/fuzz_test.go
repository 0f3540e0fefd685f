package catalog_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
	"github.com/runner-pipelines/runner/sdk/schema"
)

// A cached schema is damaged, or comes from a plugin that lies, and has the right digest.
func FuzzCachedSchema(f *testing.F) {
	f.Add([]byte(`{"name":"x","kind":"action","config":{"attributes":[{"name":"a","type":"list(object({a=optional(string),b=map(any)}))"}]}}`))
	f.Add([]byte(`{"name":"x","kind":"action","config":{"blocks":[{"name":"b","schema":{"blocks":[]}}]}}`))
	f.Add([]byte(`[]`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		digest := fmt.Sprintf("%x", sha256.Sum256(text))
		path := filepath.Join(dir, digest+".json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Remove(path) }()
		lock := &lockfile.File{Plugins: []*lockfile.Plugin{{Source: "a/b", About: digest, Components: []lockfile.Component{{Name: "x", Kind: schema.KindAction, Schema: digest}}}}}
		c := catalog.New(dir, lock, map[string]string{"b": "a/b"})
		if e, err := c.Component("x"); err == nil && (e.Name != "x" || e.Kind != schema.KindAction) {
			t.Fatalf("component is %+v", e)
		}
		if e, err := c.Component("x"); err == nil {
			for _, a := range e.Config.Attributes {
				if again, err := schema.ParseType(a.Type.String()); err != nil || again.String() != a.Type.String() {
					t.Fatalf("type %q is read as %q: %v", a.Type, again, err)
				}
			}
		}
		_, _, _ = c.Plugin("b")
	})
}
