package lockfile_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/sdk/schema"
)

var update = flag.Bool("update", false, "write the golden files")

func digest(digit string) string { return strings.Repeat(digit, 64) }

func sample() *lockfile.File {
	return &lockfile.File{Plugins: []*lockfile.Plugin{
		{
			Source: "acme/deploy-bot", Version: "2.0.0-beta.1", Constraints: ">= 1.9, < 3", Protocol: 2,
			About: digest("a"),
		},
		{
			Source: "runner/local", Version: "0.1.0", Constraints: "~> 0.1", Protocol: 1,
			Hashes: []string{"darwin_arm64:sha256:" + digest("1"), "linux_amd64:sha256:" + digest("2")},
			Env:    []string{"HOME", "PATH"},
			About:  digest("b"),
			Components: []lockfile.Component{
				{Name: "local_exec", Kind: schema.KindAction, Schema: digest("c")},
				{Name: "local_service", Kind: schema.KindTarget, Schema: digest("d")},
			},
		},
	}}
}

func TestTheFileAsPeopleSeeIt(t *testing.T) {
	path := filepath.Join("testdata", "sample.lock.hcl")
	got := sample().Bytes()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), lockfile.Name)
	if f, diags := lockfile.Load(path); diags != nil || len(f.Plugins) != 0 {
		t.Errorf("Load of a missing file gives %v, %v", f, diags)
	}
	if err := sample().Save(path); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, diags := lockfile.Load(path)
	if diags != nil {
		t.Fatal(diags)
	}
	if diff := cmp.Diff(sample(), f); diff != "" {
		t.Errorf("the file differs (-want +got):\n%s", diff)
	}
	// The order in memory does not count, and an equal file is left alone.
	f.Plugins[0], f.Plugins[1] = f.Plugins[1], f.Plugins[0]
	if err := f.Save(path); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("an equal file was written again (error %v)", err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, error %v", entries, err)
	}
	if _, diags := lockfile.Load(filepath.Dir(path)); !diags.HasErrors() {
		t.Error("Load took a folder")
	}
	if err := f.Save(filepath.Join(path, "no folder")); err == nil {
		t.Error("Save below a file succeeded")
	}
}

func TestLookups(t *testing.T) {
	f := sample()
	p := f.Plugin("runner/local")
	if p == nil || f.Plugin("runner/nope") != nil {
		t.Fatal("Plugin does not find by source")
	}
	if got := p.Hash("linux_amd64"); got != "sha256:"+digest("2") {
		t.Errorf("Hash gives %q", got)
	}
	if got := p.Hash("linux_amd"); got != "" {
		t.Errorf("Hash of another platform gives %q", got)
	}
	c := p.Clone()
	c.Env[0], c.Hashes[0], c.Components[0].Name = "x", "x", "x"
	if diff := cmp.Diff(sample(), f); diff != "" {
		t.Errorf("a change of the clone shows (-want +got):\n%s", diff)
	}
}

func TestWrongFilesAreExplained(t *testing.T) {
	text := string(sample().Bytes())
	replace := func(old, new string) string {
		t.Helper()
		if !strings.Contains(text, old) {
			t.Fatalf("the sample has no %q", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	hash := "linux_amd64:sha256:" + digest("2")
	for name, tc := range map[string]struct {
		src  string
		line int
		says string
	}{
		"cut off":              {text[:len(text)-100], 0, ""},
		"not HCL":              {"\x00\x01", 1, ""},
		"merge marks":          {"<<<<<<< ours\n" + text, 1, ""},
		"an expression":        {replace(`"0.1.0"`, `upper("a")`), 16, "has no place in a lock file"},
		"a template":           {replace(`"0.1.0"`, `"${a}"`), 16, "has no place in a lock file"},
		"deep nesting":         {"a = " + strings.Repeat("[", 1<<16), 1, "has no place in a lock file"},
		"too large":            {"#" + strings.Repeat("x", 4<<20), 1, "has 4194305 bytes"},
		"another block":        {"module \"x\" {}\n" + text, 1, "Unsupported block type"},
		"another attribute":    {replace(`version     = "0.1.0"`, `versoin     = "0.1.0"`), 0, "Unsupported attribute"},
		"a missing attribute":  {replace("protocol    = 2\n", ""), 4, `The attribute "protocol" is required`},
		"no source":            {replace(`"runner/local"`, `"local"`), 14, `"local" is not a source`},
		"twice":                {text + text, 0, `The plugin "acme/deploy-bot" stands in the file twice`},
		"no version":           {replace(`"0.1.0"`, `"latest"`), 16, "version: "},
		"a number for version": {replace(`"0.1.0"`, `[]`), 16, "version must be a string"},
		"null":                 {replace(`"0.1.0"`, `null`), 16, "version must be a string"},
		"no constraint":        {replace(`"~> 0.1"`, `"about 1"`), 17, "constraints: "},
		"protocol 0":           {replace("protocol    = 2", "protocol    = 0"), 8, "protocol must be"},
		"protocol 1.5":         {replace("protocol    = 2", "protocol    = 1.5"), 8, "protocol must be"},
		"protocol 1e30":        {replace("protocol    = 2", "protocol    = 1e30"), 8, "protocol must be"},
		"a short hash":         {replace(hash, hash[:40]), 19, "is not a platform with a hash"},
		"a hash of its own":    {replace(hash, digest("2")), 19, "is not a platform with a hash"},
		"two for a platform":   {replace("darwin_arm64", "linux_amd64"), 19, "The platform linux_amd64 has two hashes"},
		"null among hashes":    {replace(`"`+hash+`"`, "null"), 19, "hashes has an element without value"},
		"env with a value":     {replace(`"HOME"`, `"HOME=/root"`), 23, "is not the name of an environment variable"},
		"a digest":             {replace(digest("a"), digest("g")), 11, "is not a digest"},
		"component twice":      {replace(`"local_service"`, `"local_exec"`), 34, "or stands here twice"},
		"component's kind":     {replace(`"action"`, `"two words"`), 30, "is not the kind of a component"},
		"component's schema":   {replace(digest("c"), ""), 31, "is not a digest"},
		"component's extra":    {replace("kind   =", "knid   ="), 0, "Unsupported attribute"},
	} {
		t.Run(name, func(t *testing.T) {
			_, diags := lockfile.Parse("dir/.runner.lock.hcl", []byte(tc.src))
			if !diags.HasErrors() {
				t.Fatal("no error")
			}
			for _, d := range diags {
				if d.Summary != "Invalid lock file" || d.Subject == nil || d.Subject.Filename != "dir/.runner.lock.hcl" || !strings.HasSuffix(d.Detail, "\n\n  runner init") {
					t.Errorf("diagnostic is %v: %s", d, d.Detail)
				}
			}
			for _, d := range diags {
				if (tc.line == 0 || d.Subject.Start.Line == tc.line) && strings.Contains(d.Detail, tc.says) {
					return
				}
			}
			t.Errorf("diagnostics are %v\nwant line %d: %s", diags, tc.line, tc.says)
		})
	}
}

// refusedOrSame checks that a damaged file is refused with a place, or says what it
// said: the damage was in a comment or a space.
func refusedOrSame(t *testing.T, what string, b []byte) (refused bool) {
	t.Helper()
	f, diags := lockfile.Parse(lockfile.Name, b)
	if diags.HasErrors() {
		for _, d := range diags {
			if d.Subject == nil || d.Subject.Filename != lockfile.Name || !strings.Contains(d.Detail, "runner init") {
				t.Fatalf("%s: %v tells neither the place nor what to do", what, d)
			}
		}
		return true
	}
	// A file that is cut between two plugins has fewer; those that the pipeline
	// requires are missed by pluginhost.Outdated.
	for _, p := range f.Plugins {
		want := &lockfile.File{Plugins: []*lockfile.Plugin{sample().Plugin(p.Source)}}
		got := &lockfile.File{Plugins: []*lockfile.Plugin{p}} // the order of lists says nothing
		if diff := cmp.Diff(string(want.Bytes()), string(got.Bytes())); diff != "" {
			t.Fatalf("%s is read as another plugin (-want +got):\n%s", what, diff)
		}
	}
	return false
}

// Every byte is changed; some are taken away, doubled, cut at, or swapped with the next.
func TestEveryDamagedByteIsRefusedOrHarmless(t *testing.T) {
	t.Parallel()
	text := sample().Bytes()
	tried, refused := 0, 0
	try := func(what string, i int, b []byte) {
		t.Helper()
		tried++
		if refusedOrSame(t, fmt.Sprintf("%s at byte %d", what, i), b) {
			refused++
		}
	}
	for i := range text {
		b := bytes.Clone(text)
		b[i] ^= 1 << (i % 8)
		try("a flipped bit", i, b)
		// Parsing is slow: the others here and there.
		switch {
		case i%16 == 0:
			try("a byte less", i, append(bytes.Clone(text[:i]), text[i+1:]...))
		case i%16 == 1:
			try("a byte twice", i, append(bytes.Clone(text[:i+1]), text[i:]...))
		case i%16 == 2:
			try("a cut", i, text[:i])
		case i%16 == 3 && i+1 < len(text):
			b := bytes.Clone(text)
			b[i], b[i+1] = b[i+1], b[i]
			try("two bytes swapped", i, b)
		}
	}
	figures.Record(t, "Damage", "lock file: bytes flipped, cut, doubled, swapped", "%d, %d refused, the others change nothing", tried, refused)
}

// Whole lines are taken away, doubled and swapped, as merges do.
func TestEveryDamagedLineIsRefusedOrHarmless(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(string(sample().Bytes()), "\n")
	for i := range lines {
		for j := i + 1; j <= len(lines); j += 1 + (j-i)/2 {
			refusedOrSame(t, fmt.Sprintf("without lines %d to %d", i+1, j), []byte(strings.Join(lines[:i], "")+strings.Join(lines[j:], "")))
			refusedOrSame(t, fmt.Sprintf("with lines %d to %d twice", i+1, j), []byte(strings.Join(lines[:j], "")+strings.Join(lines[i:], "")))
			if j < len(lines) {
				swapped := slices.Clone(lines)
				swapped[i], swapped[j] = swapped[j], swapped[i]
				refusedOrSame(t, fmt.Sprintf("with lines %d and %d swapped", i+1, j+1), []byte(strings.Join(swapped, "")))
			}
		}
	}
}

func TestEqualFilesAreEqualText(t *testing.T) {
	f, diags := lockfile.Parse("f", sample().Bytes())
	if diags != nil {
		t.Fatal(diags)
	}
	for _, p := range f.Plugins {
		for i, j := 0, len(p.Components)-1; i < j; i, j = i+1, j-1 {
			p.Components[i], p.Components[j] = p.Components[j], p.Components[i]
		}
		for i, j := 0, len(p.Hashes)-1; i < j; i, j = i+1, j-1 {
			p.Hashes[i], p.Hashes[j] = p.Hashes[j], p.Hashes[i]
		}
	}
	if diff := cmp.Diff(string(sample().Bytes()), string(f.Bytes())); diff != "" {
		t.Errorf("the text differs (-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample().Bytes())
	f.Add([]byte(`plugin "a/b" {}`))
	f.Add([]byte("plugin \"a/b\" {\n version = \"1\"\n protocol = 1\n hashes = []\n env = []\n about = \"\"\n}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		file, diags := lockfile.Parse("f", src)
		if diags.HasErrors() {
			return
		}
		again, diags := lockfile.Parse("f", file.Bytes())
		if diags.HasErrors() {
			t.Fatalf("what was read is written as something wrong: %v\n%s", diags, file.Bytes())
		}
		if diff := cmp.Diff(file, again); diff != "" {
			t.Fatalf("what was read is written as something else (-want +got):\n%s", diff)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	f := &lockfile.File{}
	for i := range 10 {
		p := sample().Plugins[1]
		p.Source = fmt.Sprintf("runner/p%d", i)
		f.Plugins = append(f.Plugins, p)
	}
	src := f.Bytes()
	b.ReportAllocs()
	for b.Loop() {
		if _, diags := lockfile.Parse("f", src); diags.HasErrors() {
			b.Fatal(diags)
		}
	}
}
