package discover_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/pluginhost/discover"
)

func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

func write(t testing.TB, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParseSource(t *testing.T) {
	for text, want := range map[string]discover.Source{
		"runner/local":     {Namespace: "runner", Name: "local"},
		"my_team/deploy-2": {Namespace: "my_team", Name: "deploy-2"},
	} {
		got, err := discover.ParseSource(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseSource(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "local", "/local", "runner/", "a/b/c", "Runner/local", "../local", "a/..", "a/b_c", "-a/b", "a/-b", "a/b\n", "a b/c", "é/b"} {
		if got, err := discover.ParseSource(text); err == nil {
			t.Errorf("ParseSource(%q) = %v", text, got)
		}
	}
}

var local = discover.Source{Namespace: "runner", Name: "local"}

func TestFileNames(t *testing.T) {
	const here = "linux_amd64"
	for name, want := range map[string]string{
		"runner-plugin-local":                                    "any",
		"runner-plugin-local.exe":                                "any",
		"runner-plugin-local_v1.2.3_x1.0_linux_amd64":            "1.2.3",
		"runner-plugin-local_v1.2.3-rc.1+b5_x12.34_linux_amd64":  "1.2.3-rc.1+b5",
		"runner-plugin-local_v1.2.3_x1.0_windows_amd64.exe":      "",
		"runner-plugin-local_v1.2.3_x1.0_linux_arm64":            "",
		"runner-plugin-local_v1.2_x1.0_linux_amd64":              "1.2.0",
		"runner-plugin-local_vx_x1.0_linux_amd64":                "",
		"runner-plugin-local_v1.2.3_linux_amd64":                 "",
		"runner-plugin-local_v1.2.3":                             "",
		"runner-plugin-local-2":                                  "",
		"runner-plugin-local.bak":                                "",
		"runner-plugin-":                                         "",
		"runner-plugin-canary":                                   "",
		"plugin-local":                                           "",
		"xrunner-plugin-local":                                   "",
		"runner-plugin-local_v1.2.3_x1.0_linux_amd64_sha256sums": "",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, name), "")
		found, looks := discover.Places{PluginDir: dir, Platform: here}.Find(local)
		got := ""
		if len(found) == 1 {
			got = "any"
			if found[0].Version != nil {
				got = found[0].Version.String()
			}
		}
		if got != want || len(looks) != 1 {
			t.Errorf("%s: found %q, want %q; looked in %v", name, got, want, looks)
		}
	}
}

func TestPlacesAreSearchedInOrder(t *testing.T) {
	dir := t.TempDir()
	at := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	file := "runner-plugin-local"
	for _, p := range [][]string{
		{"given", file}, {"given", "runner", "local", file}, {"mirror1", file}, {"mirror2", "runner", "local", file},
		{"mirror3", file}, {"cache", "runner", "local", file}, {"exe", file}, {"override", file},
	} {
		write(t, at(p...), "")
	}
	places := discover.Places{
		PluginDir: at("given"), CacheDir: at("cache"), ExeDir: at("exe"), Platform: discover.Platform(),
		Settings: &discover.Settings{File: "settings", Mirrors: []discover.Mirror{
			{Path: at("mirror1"), Include: []string{"runner/*"}},
			{Path: at("mirror2")},
			{Path: at("mirror3"), Include: []string{"*/*"}, Exclude: []string{"*/local"}},
		}},
	}
	paths := func(s discover.Source) (out []string) {
		found, _ := places.Find(s)
		for _, c := range found {
			out = append(out, c.Path)
		}
		return out
	}
	want := []string{at("given", "runner", "local", file), at("given", file), at("mirror1", file), at("mirror2", "runner", "local", file), at("cache", "runner", "local", file), at("exe", file)}
	if diff := cmp.Diff(want, paths(local)); diff != "" {
		t.Errorf("found differs (-want +got):\n%s", diff)
	}
	// Beside the runner lie its own plugins: another namespace needs its own folder there.
	want = []string{at("given", file)}
	if diff := cmp.Diff(want, paths(discover.Source{Namespace: "acme", Name: "local"})); diff != "" {
		t.Errorf("found for another namespace differs (-want +got):\n%s", diff)
	}
	write(t, at("exe", "acme", "local", file), "")
	want = append(want, at("exe", "acme", "local", file))
	if diff := cmp.Diff(want, paths(discover.Source{Namespace: "acme", Name: "local"})); diff != "" {
		t.Errorf("found for another namespace differs (-want +got):\n%s", diff)
	}
	// An override replaces all other places, as a program or as its folder.
	for _, path := range []string{at("override"), at("override", file)} {
		places.Settings.DevOverrides = map[discover.Source]string{local: path}
		found, _ := places.Find(local)
		if len(found) != 1 || found[0].Path != at("override", file) || !found[0].Override || found[0].Version != nil {
			t.Errorf("with the override %s found %+v", path, found)
		}
	}
	places.Settings.DevOverrides[local] = at("nowhere")
	if found, looks := places.Find(local); found != nil || len(looks) != 1 || looks[0].Found != "does not exist" {
		t.Errorf("with a missing override found %v, looked in %v", found, looks)
	}
}

func TestLooksSayWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "given", "runner-plugin-local_v1.0.0_x1.0_plan9_386"), "")
	if err := os.MkdirAll(filepath.Join(dir, "given", "runner-plugin-local"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "given", "runner-plugin-local.exe")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "file"), "")
	places := discover.Places{
		PluginDir: filepath.Join(dir, "given"), CacheDir: filepath.Join(dir, "cache"), ExeDir: filepath.Join(dir, "file"), Platform: "linux_amd64",
		Settings: &discover.Settings{File: "my settings", Mirrors: []discover.Mirror{{Path: "/mirror", Exclude: []string{"runner/*"}}}},
	}
	found, looks := places.Find(local)
	if len(found) != 0 {
		t.Errorf("found %v", found)
	}
	got := strings.ReplaceAll(discover.DescribeLooks(looks), dir, "DIR")
	want := "  - plugin directory, DIR/given: runner-plugin-local is not a file, runner-plugin-local.exe: does not exist, runner-plugin-local_v1.0.0_x1.0_plan9_386 is for another platform than linux_amd64\n" +
		"  - mirror, /mirror: excluded by my settings\n" +
		"  - cache, DIR/cache: does not exist\n" +
		"  - beside the runner, DIR/file: "
	if !strings.HasPrefix(got, want) {
		t.Errorf("looks differ (-want +got):\n%s", cmp.Diff(want, got))
	}
}

func TestDefaultPlaces(t *testing.T) {
	p := discover.DefaultPlaces(nil, env(map[string]string{"RUNNER_PLUGIN_DIR": "/p", "RUNNER_PLUGIN_CACHE_DIR": "/c"}))
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if p.PluginDir != "/p" || p.CacheDir != "/c" || filepath.Base(p.ExeDir) != filepath.Base(filepath.Dir(exe)) || p.Platform != discover.Platform() {
		t.Errorf("places are %+v", p)
	}
	if p := discover.DefaultPlaces(nil, env(map[string]string{"RUNNER_PLUGIN_CACHE_DIR": ""})); p.CacheDir != "" {
		t.Errorf("an empty cache folder became %s", p.CacheDir)
	}
}

func TestReadProgram(t *testing.T) {
	elf := func(machine byte) string {
		return "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00" + string([]byte{machine, 0}) + strings.Repeat("x", 10_000)
	}
	pe := func(machine string) string {
		return "MZ" + strings.Repeat("\x00", 58) + "\x80\x00\x00\x00" + strings.Repeat("\x00", 64) + "PE\x00\x00" + machine
	}
	for name, tc := range map[string]struct {
		content, platform, says string
	}{
		"ELF for amd64":           {elf(62), "linux_amd64", ""},
		"ELF for arm64":           {elf(183), "linux_arm64", ""},
		"ELF of a rare processor": {elf(243), "linux_riscv64", ""},
		"ELF for the other":       {elf(183), "linux_amd64", "another processor (arm64), and this is linux_amd64"},
		"ELF on macOS":            {elf(183), "darwin_arm64", "another system (ELF)"},
		"macOS":                   {"\xcf\xfa\xed\xfe\x0c\x00\x00\x01rest", "darwin_arm64", ""},
		"macOS for the other":     {"\xcf\xfa\xed\xfe\x07\x00\x00\x01rest", "darwin_arm64", "another processor (amd64)"},
		"macOS for both":          {"\xca\xfe\xba\xberest", "darwin_arm64", ""},
		"macOS on Linux":          {"\xcf\xfa\xed\xfe\x0c\x00\x00\x01rest", "linux_arm64", "another system (macOS)"},
		"Windows":                 {pe("\x64\x86"), "windows_amd64", ""},
		"Windows for the other":   {pe("\x64\xaa"), "windows_amd64", "another processor (arm64)"},
		"a cut Windows program":   {"MZ\x00", "windows_amd64", ""},
		"a script":                {"#!/usr/bin/env node\n", "linux_amd64", ""},
		"empty":                   {"", "linux_amd64", "is empty"},
		"one byte":                {"x", "linux_amd64", "is not a program"},
		"a page":                  {"\xef\xbb\xbf\r\n<!DOCTYPE HTML>", "linux_amd64", "is a web page"},
		"an error in XML":         {"<?xml version='1.0'?><Error>", "linux_amd64", "is a web page"},
		"gzip":                    {"\x1f\x8b\x08", "linux_amd64", "is an archive"},
		"Git LFS":                 {"version https://git-lfs.github.com/spec/v1\n", "linux_amd64", "git lfs pull"},
	} {
		path := write(t, filepath.Join(t.TempDir(), "p"), tc.content)
		prog, err := discover.ReadProgram(path, tc.platform)
		if tc.says != "" {
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: error %v, want %q", name, err, tc.says)
			}
			continue
		}
		if want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(tc.content))); err != nil || prog.Hash != want {
			t.Errorf("%s: %v, error %v, want %s", name, prog, err, want)
		}
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "nope")} {
		if _, err := discover.ReadProgram(path, "linux_amd64"); err == nil {
			t.Errorf("ReadProgram(%s) succeeded", path)
		}
	}
}

func TestUnchangedNoticesEveryReplacement(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"longer":  func(p string) error { return os.WriteFile(p, []byte("#!/bin/sh\nevil\n"), 0o755) },
		"removed": os.Remove,
		// The same size and times: only the file itself tells.
		"another file": func(p string) error {
			info, err := os.Stat(p)
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(p+".new", []byte("#!/bin/ev\n"), 0o755), os.Chtimes(p+".new", time.Time{}, info.ModTime()), os.Rename(p+".new", p))
		},
		// There and back again: the system's own time of change tells.
		"swapped for a moment": func(p string) error {
			return errors.Join(os.Rename(p, p+".old"), os.WriteFile(p, []byte("evil"), 0o755), os.Rename(p+".old", p))
		},
		"written in place": func(p string) error {
			info, err := os.Stat(p)
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(p, []byte("#!/bin/ev\n"), 0o755), os.Chtimes(p, time.Time{}, info.ModTime()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "swapped for a moment" || name == "written in place" {
				if discover.Platform() != "linux_amd64" && discover.Platform() != "linux_arm64" {
					t.Skip("only Linux tells the time of the last change")
				}
			}
			path := write(t, filepath.Join(t.TempDir(), "p"), "#!/bin/sh\n")
			prog, err := discover.ReadProgram(path, discover.Platform())
			if err != nil {
				t.Fatal(err)
			}
			if err := prog.Unchanged(path); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			// The clock of a file system ticks a few hundred times a second.
			for before, i := stamp(t, path), 0; stamp(t, path+".tick").Equal(before); i++ {
				if i > 100_000 {
					t.Fatal("the clock of the file system stands still")
				}
				write(t, path+".tick", fmt.Sprint(i))
			}
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			if err := prog.Unchanged(path); !errors.Is(err, discover.ErrChanged) {
				t.Errorf("after the change: %v", err)
			}
		})
	}
}

// stamp is when a file was modified; a missing one counts as the present one.
func stamp(t *testing.T, path string) time.Time {
	t.Helper()
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		info, err = os.Stat(strings.TrimSuffix(path, ".tick"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime()
}

func BenchmarkReadProgram(b *testing.B) {
	path := write(b, filepath.Join(b.TempDir(), "p"), "#!"+strings.Repeat("x", 20<<20))
	b.SetBytes(20 << 20)
	for b.Loop() {
		if _, err := discover.ReadProgram(path, "linux_amd64"); err != nil {
			b.Fatal(err)
		}
	}
}
