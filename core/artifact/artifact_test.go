package artifact_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/artifact"
	"github.com/runner-pipelines/runner/sdk/call"
)

// files is a folder: a name with content, "x:" before content makes it executable, "->"
// makes it a link, and a name that ends with a slash is a folder.
type files map[string]string

func (f files) write(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "dist")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range f {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch link, isLink := strings.CutPrefix(content, "->"); {
		case isLink:
			err = os.Symlink(link, path)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case strings.HasPrefix(content, "x:"):
			err = os.WriteFile(path, []byte(content[2:]), 0o755)
		default:
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func put(t testing.TB, s *artifact.Store, path string) call.Artifact {
	t.Helper()
	a, err := s.Put(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var sample = files{"shop": "x:binary", "lib/a.so": "a", "lib/current": "->a.so", "empty/": "", "up": "->lib/../shop"}

func TestAFileKeepsItsBytesAndItsOwnDigest(t *testing.T) {
	s := artifact.Open(t.TempDir())
	path := filepath.Join(files{"shop": "x:binary"}.write(t), "shop")
	a := put(t, s, path)
	if want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("binary"))); a.Digest != want || a.Size != 6 || a.MediaType != artifact.MediaFile {
		t.Errorf("artifact is %+v, want digest %s", a, want)
	}
	got, err := os.ReadFile(a.Path)
	if err != nil || string(got) != "binary" {
		t.Errorf("the copy holds %q, error %v", got, err)
	}
	if info, err := os.Stat(a.Path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o555 {
		t.Errorf("the copy has mode %v, error %v", info.Mode(), err)
	}
	if p, err := s.Path(t.Context(), a.Digest); err != nil || p != a.Path {
		t.Errorf("Path gives %s, want %s (error %v)", p, a.Path, err)
	}
}

func TestAnExecutableCopyStaysExecutable(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no executable bit")
	}
	s := artifact.Open(t.TempDir())
	for _, f := range []files{{"a": "same"}, {"a": "x:same"}, {"a": "same"}} {
		put(t, s, filepath.Join(f.write(t), "a"))
	}
	a := put(t, s, filepath.Join(files{"a": "same"}.write(t), "a"))
	if info, err := os.Stat(a.Path); err != nil || info.Mode().Perm() != 0o555 {
		t.Errorf("the copy has mode %v, error %v", info.Mode(), err)
	}
}

func TestAFolderComesBackAsItWas(t *testing.T) {
	s := artifact.Open(t.TempDir())
	a := put(t, s, sample.write(t))
	if a.MediaType != artifact.MediaTree || a.Size != 7 {
		t.Errorf("artifact is %+v", a)
	}
	for name, content := range sample {
		path := filepath.Join(a.Path, name)
		info, err := os.Lstat(path)
		if err != nil {
			t.Error(err)
			continue
		}
		switch link, isLink := strings.CutPrefix(content, "->"); {
		case isLink:
			if got, err := os.Readlink(path); got != link || err != nil {
				t.Errorf("%s leads to %q, want %q (error %v)", name, got, link, err)
			}
		case strings.HasSuffix(name, "/"):
			if !info.IsDir() {
				t.Errorf("%s is no folder", name)
			}
		default:
			want, executable := strings.CutPrefix(content, "x:")
			got, err := os.ReadFile(path)
			if string(got) != want || err != nil || runtime.GOOS != "windows" && (info.Mode()&0o111 != 0) != executable {
				t.Errorf("%s has mode %v and holds %q, error %v", name, info.Mode(), got, err)
			}
		}
	}
}

// The digest is written down: it must be the same for ever, and on every machine.
func TestTheDigestOfAFolderIsStable(t *testing.T) {
	a := put(t, artifact.Open(t.TempDir()), sample.write(t))
	sum := func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
	list := "runner tree 1\n" +
		"folder \"empty\"\n" +
		"folder \"lib\"\n" +
		"file - " + sum("a") + " \"lib/a.so\"\n" +
		"link \"a.so\" \"lib/current\"\n" +
		"file x " + sum("binary") + " \"shop\"\n" +
		"link \"lib/../shop\" \"up\"\n"
	if want := "sha256:" + sum(list); a.Digest != want {
		t.Errorf("digest is %s, want %s", a.Digest, want)
	}
}

func TestWhatADigestSpeaksOf(t *testing.T) {
	s := artifact.Open(t.TempDir())
	digest := func(f files, after func(dir string)) string {
		dir := f.write(t)
		if after != nil {
			after(dir)
		}
		return put(t, s, dir).Digest
	}
	base := digest(files{"a": "1", "b": "2"}, nil)
	for name, tc := range map[string]struct {
		files files
		after func(string)
		same  bool
	}{
		"the same":        {files{"b": "2", "a": "1"}, nil, true},
		"another time":    {files{"a": "1", "b": "2"}, func(d string) { _ = os.Chtimes(filepath.Join(d, "a"), time.Time{}, time.Unix(1, 0)) }, true},
		"a private mode":  {files{"a": "1", "b": "2"}, func(d string) { _ = os.Chmod(filepath.Join(d, "a"), 0o600) }, true},
		"other content":   {files{"a": "1", "b": "3"}, nil, false},
		"another name":    {files{"a": "1", "c": "2"}, nil, false},
		"swapped":         {files{"a": "2", "b": "1"}, nil, false},
		"executable":      {files{"a": "1", "b": "x:2"}, nil, runtime.GOOS == "windows"},
		"a folder more":   {files{"a": "1", "b": "2", "c/": ""}, nil, false},
		"a file more":     {files{"a": "1", "b": "2", "c": ""}, nil, false},
		"a link instead":  {files{"a": "1", "b": "->a"}, nil, false},
		"one level lower": {files{"d/a": "1", "d/b": "2"}, nil, false},
		"awkward names":   {files{"a": "1", "b\"\n": "2"}, nil, false},
	} {
		if name == "awkward names" && runtime.GOOS == "windows" {
			continue // not possible there
		}
		if got := digest(tc.files, tc.after); (got == base) != tc.same {
			t.Errorf("%s: digest %s, base %s, want the same: %v", name, got, base, tc.same)
		}
	}
}

func TestPutRefusesWhatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	s := artifact.Open(filepath.Join(dir, ".runner", "artifacts"))
	put(t, s, filepath.Join(files{"a": "1"}.write(t), "a")) // so that the store is there
	for name, tc := range map[string]struct {
		path string
		says string
	}{
		"nothing":         {filepath.Join(dir, "nope"), "nothing was produced"},
		"absolute link":   {files{"a": "->/etc/passwd"}.write(t), "a is a link out of the folder, to /etc/passwd"},
		"link upwards":    {files{"d/a": "->../../x"}.write(t), "d/a is a link out of the folder, to ../../x"},
		"its own store":   {dir, ".runner/artifacts is where artifacts are kept"},
		"the store's own": {filepath.Join(dir, ".runner", "artifacts"), ". is where artifacts are kept"},
	} {
		_, err := s.Put(t.Context(), tc.path)
		if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), tc.path) {
			t.Errorf("%s: %v, want it to say %q", name, err, tc.says)
		}
	}
	if _, err := s.Put(t.Context(), filepath.Join(dir, "nope")); !errors.Is(err, artifact.ErrNoSource) {
		t.Errorf("nothing: %v", err)
	}
	leftOver(t, filepath.Join(dir, ".runner", "artifacts"))
}

// leftOver fails when failed Puts left something behind.
func leftOver(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, error %v", entries, err)
	}
}

func TestALinkToTheFolderIsFollowed(t *testing.T) {
	s := artifact.Open(t.TempDir())
	dir := files{"a": "1"}.write(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if a, b := put(t, s, dir), put(t, s, link); a.Digest != b.Digest {
		t.Errorf("digests %s and %s", a.Digest, b.Digest)
	}
}

func TestManyPutTheSameAtOnce(t *testing.T) {
	root := t.TempDir()
	dir := sample.write(t)
	digests := make([]string, 8)
	var wg sync.WaitGroup
	for i := range digests {
		wg.Go(func() {
			a, err := artifact.Open(root).Put(t.Context(), dir) // a store of its own, as another process has
			if err != nil {
				t.Error(err)
			}
			digests[i] = a.Digest
		})
	}
	wg.Wait()
	for _, d := range digests[1:] {
		if d != digests[0] {
			t.Errorf("digests %s and %s", d, digests[0])
		}
	}
	if err := artifact.Open(root).Verify(t.Context(), digests[0]); err != nil {
		t.Error(err)
	}
	leftOver(t, root)
}

func TestDamageIsNoticed(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"a changed byte": func(d string) error {
			_ = os.Chmod(filepath.Join(d, "lib", "a.so"), 0o644)
			return os.WriteFile(filepath.Join(d, "lib", "a.so"), []byte("b"), 0o644)
		},
		"a missing file": func(d string) error { return os.Remove(filepath.Join(d, "shop")) },
		"an added file":  func(d string) error { return os.WriteFile(filepath.Join(d, "new"), nil, 0o644) },
		"a link elsewhere": func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, "up")), os.Symlink("/etc/passwd", filepath.Join(d, "up")))
		},
		"an executable bit": func(d string) error { return os.Chmod(filepath.Join(d, "shop"), 0o444) },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "an executable bit" && runtime.GOOS == "windows" {
				t.Skip("Windows has no executable bit")
			}
			root := t.TempDir()
			a := put(t, artifact.Open(root), sample.write(t))
			if err := damage(a.Path); err != nil {
				t.Fatal(err)
			}
			s := artifact.Open(root)
			var damaged *artifact.DamageError
			if err := s.Verify(t.Context(), a.Digest); !errors.As(err, &damaged) || damaged.Digest != a.Digest {
				t.Errorf("Verify: %v", err)
			}
			if _, err := s.Path(t.Context(), a.Digest); !errors.As(err, &damaged) {
				t.Errorf("Path: %v", err)
			}
			// Producing it again mends the copy.
			put(t, s, sample.write(t))
			if p, err := artifact.Open(root).Path(t.Context(), a.Digest); err != nil || p != a.Path {
				t.Errorf("after another Put: %s, %v", p, err)
			}
			leftOver(t, root)
		})
	}
}

func TestPathOfWhatIsNotThere(t *testing.T) {
	root := t.TempDir()
	s := artifact.Open(root)
	digest := "sha256:" + strings.Repeat("0", 64)
	if _, err := s.Path(t.Context(), digest); !errors.Is(err, artifact.ErrMissing) || !strings.Contains(err.Error(), root) {
		t.Errorf("Path: %v", err)
	}
	for _, bad := range []string{"", "sha256:", "sha256:../../x", "md5:" + strings.Repeat("0", 64), digest + "/.."} {
		if _, err := s.Path(t.Context(), bad); err == nil || errors.Is(err, artifact.ErrMissing) {
			t.Errorf("Path(%q): %v", bad, err)
		}
	}
}

func TestAnEndedContextStopsACopy(t *testing.T) {
	root := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := artifact.Open(root).Put(ctx, sample.write(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	leftOver(t, root)
}

func TestWhatAKilledProcessLeftIsRemovedAfterADay(t *testing.T) {
	root := t.TempDir()
	for name, age := range map[string]time.Duration{"old": 25 * time.Hour, "young": time.Hour} {
		dir := filepath.Join(root, "tmp", "put-"+name)
		if err := os.MkdirAll(filepath.Join(dir, "content"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, artifact.Open(root), sample.write(t))
	entries, err := os.ReadDir(filepath.Join(root, "tmp"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "put-young" {
		t.Errorf("what stays is %v, error %v", entries, err)
	}
}

func TestALargeTreeIsFlushedAtOnce(t *testing.T) {
	f := files{}
	for i := range 300 {
		f[fmt.Sprintf("d%d/f%d", i%7, i)] = fmt.Sprint(i)
	}
	a := put(t, artifact.Open(t.TempDir()), f.write(t))
	n := 0
	err := filepath.WalkDir(a.Path, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	})
	if n != 300 || err != nil {
		t.Errorf("%d files were kept, error %v", n, err)
	}
}

func BenchmarkPut(b *testing.B) {
	path := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 16<<20), 0o644); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(16 << 20)
	for b.Loop() {
		put(b, artifact.Open(b.TempDir()), path)
	}
}
