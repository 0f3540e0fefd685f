package discover_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/runner-pipelines/runner/core/pluginhost/discover"
)

func FuzzParseSource(f *testing.F) {
	f.Add("runner/local")
	f.Add("a/b/../c")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := discover.ParseSource(text)
		if err != nil {
			return
		}
		// A source becomes a path: it must stay inside its folder.
		if s.String() != text || !filepath.IsLocal(filepath.Join(s.Namespace, s.Name)) || filepath.Base(s.Name) != s.Name {
			t.Fatalf("%q is read as %+v", text, s)
		}
	})
}

func FuzzReadProgram(f *testing.F) {
	f.Add([]byte("\x7fELF"), "linux_amd64")
	f.Add([]byte("MZ"), "windows_amd64")
	path := filepath.Join(f.TempDir(), "p")
	f.Fuzz(func(t *testing.T, content []byte, platform string) {
		if err := os.WriteFile(path, content, 0o755); err != nil {
			t.Fatal(err)
		}
		prog, err := discover.ReadProgram(path, platform)
		if (err == nil) != (prog.Hash != "") {
			t.Fatalf("hash %q, error %v", prog.Hash, err)
		}
	})
}
