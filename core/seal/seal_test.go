package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/seal"
)

var (
	text  = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef\xff\xfe\xfd?>~0123456789"))
	place = seal.Place{Run: "20261123-013405-k7q2", Node: `stage.db["prod"]`, Name: "outputs"}
)

func key(t testing.TB, text string) *seal.Key {
	t.Helper()
	k, err := seal.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOpenGivesBackWhatWasSealed(t *testing.T) {
	k := key(t, text)
	for _, plain := range [][]byte{nil, {}, {0}, []byte("hunter2"), bytes.Repeat([]byte("x"), 300<<10)} {
		sealed := k.Seal(plain, place)
		if len(plain) > 4 && bytes.Contains(sealed, plain[:4]) {
			t.Error("the sealed value holds the plain one")
		}
		if bytes.Equal(sealed, k.Seal(plain, place)) {
			t.Error("sealing twice gives the same bytes")
		}
		got, err := k.Open(sealed, place)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes come back as %d, error %v", len(plain), len(got), err)
		}
	}
}

func TestASealedValueOpensNowhereElse(t *testing.T) {
	k := key(t, text)
	sealed := k.Seal([]byte("hunter2"), place)
	for _, other := range []seal.Place{
		{},
		{Run: "20261123-013405-k7q3", Node: place.Node, Name: place.Name},
		{Run: place.Run, Node: "stage.db", Name: place.Name},
		{Run: place.Run, Node: place.Node, Name: "undo"},
		// The same letters, divided otherwise.
		{Run: place.Run + place.Node, Node: "", Name: place.Name},
		{Run: place.Run, Node: place.Node + "o", Name: "utputs"},
	} {
		if got, err := k.Open(sealed, other); !errors.Is(err, seal.ErrDamaged) || got != nil {
			t.Errorf("at %+v it opens as %q, error %v", other, got, err)
		}
	}
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	k := key(t, text)
	sealed := k.Seal([]byte("hunter2"), place)
	for i := range sealed {
		for bit := range 8 {
			b := bytes.Clone(sealed)
			b[i] ^= 1 << bit
			if got, err := k.Open(b, place); err == nil {
				t.Fatalf("with bit %d of byte %d changed it opens as %q", bit, i, got)
			}
		}
		if got, err := k.Open(sealed[:i], place); !errors.Is(err, seal.ErrDamaged) {
			t.Fatalf("cut to %d bytes it opens as %q, error %v", i, got, err)
		}
	}
	sealed[3] = 2
	if _, err := k.Open(sealed, place); !errors.Is(err, seal.ErrNewer) {
		t.Errorf("another format: %v", err)
	}
}

func TestAWrongKeySaysSo(t *testing.T) {
	a := key(t, text)
	b := key(t, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)))
	_, err := b.Open(a.Seal([]byte("hunter2"), place), place)
	if !errors.Is(err, seal.ErrWrongKey) || !strings.Contains(err.Error(), a.ID()) || !strings.Contains(err.Error(), b.ID()) {
		t.Fatalf("Open with another key: %v", err)
	}
}

func TestParseKey(t *testing.T) {
	want := key(t, text).ID()
	for _, same := range []string{
		" " + text + "\n",
		strings.TrimRight(text, "="),
		strings.NewReplacer("+", "-", "/", "_").Replace(text),
	} {
		if same == text {
			t.Fatalf("the form %q tells nothing", same)
		}
		if got := key(t, same).ID(); got != want {
			t.Errorf("ParseKey(%q) is key %s, want %s", same, got, want)
		}
	}
	for _, bad := range []string{"", "hunter2", strings.Repeat("ab", 32), text[:40], text + "AAAA", "ö" + text} {
		_, err := seal.ParseKey(bad)
		if !errors.Is(err, seal.ErrKey) {
			t.Errorf("ParseKey(%q): %v", bad, err)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error tells the key: %v", err)
		}
	}
}

func env(value *string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if name != "RUNNER_STATE_KEY" || value == nil {
			return "", false
		}
		return *value, true
	}
}

func TestTheEnvironmentGoesBeforeTheFile(t *testing.T) {
	dir := t.TempDir()
	k, err := seal.Load(dir, env(&text))
	if err != nil || k.ID() != key(t, text).ID() {
		t.Fatalf("Load: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "state.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key file was made: %v", err)
	}
	for _, bad := range []string{"", "short"} {
		if _, err := seal.Load(dir, env(&bad)); !errors.Is(err, seal.ErrKey) || !strings.Contains(err.Error(), "RUNNER_STATE_KEY") {
			t.Errorf("Load with %q: %v", bad, err)
		}
	}
}

func TestTheKeyFileIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), ".runner")
	ids := make(chan string, 16)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			k, err := seal.Load(dir, env(nil))
			if err != nil {
				t.Error(err)
				return
			}
			ids <- k.ID()
		})
	}
	wg.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first {
			t.Errorf("keys %s and %s", first, id)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "state.key" {
		t.Errorf("the folder holds %v, error %v", entries, err)
	}
	info, err := os.Stat(filepath.Join(dir, "state.key"))
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v, error %v", info.Mode(), err)
	}
}

func TestAKeyFileForOthersIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows keeps no such modes")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "state.key")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o666: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := seal.Load(dir, env(nil))
		if ok && err != nil || !ok && (!errors.Is(err, seal.ErrKey) || !strings.Contains(err.Error(), path)) {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

func TestADamagedKeyFileIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.key")
	for _, content := range []string{"", "\n", "junk", strings.Repeat("A", 5000)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.Load(dir, env(nil)); !errors.Is(err, seal.ErrKey) || !strings.Contains(err.Error(), path) {
			t.Errorf("with %.10q in the file: %v", content, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("the file was changed (error %v)", err)
		}
	}
}

// Every bit of the file is changed, and the file is cut at every byte: it is refused,
// or holds the same key.
func TestADamagedKeyIsNeverAnotherKey(t *testing.T) {
	dir := t.TempDir()
	k, err := seal.Load(dir, env(nil))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "state.key")
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tried, refused := 0, 0
	try := func(what string, content []byte) {
		t.Helper()
		tried++
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := seal.Load(dir, env(nil))
		switch {
		case err == nil && got.ID() != k.ID():
			t.Fatalf("%s: another key is used", what)
		case err != nil && (!errors.Is(err, seal.ErrKey) || !strings.Contains(err.Error(), path)):
			t.Fatalf("%s: %v", what, err)
		case err != nil:
			refused++
		}
	}
	for i := range original {
		for bit := range 8 {
			b := bytes.Clone(original)
			b[i] ^= 1 << bit
			try(fmt.Sprintf("byte %d", i), b)
		}
		try(fmt.Sprintf("cut at %d", i), original[:i])
	}
	figures.Record(t, "Damage", "state key: bits flipped, and cuts", "%d, %d refused, the others leave the same key", tried, refused)
}

func TestHashes(t *testing.T) {
	salt, other := seal.NewSalt(), seal.NewSalt()
	h := seal.Hash(salt, []byte(`"hunter2"`))
	if strings.Contains(h, "hunter2") || h != seal.Hash(salt, []byte(`"hunter2"`)) {
		t.Fatalf("hash is %s", h)
	}
	digest := h[strings.LastIndex(h, ":"):]
	for _, tc := range []struct {
		hash  string
		salt  []byte
		value string
		want  bool
	}{
		{h, salt, `"hunter2"`, true},
		{h, salt, `"hunter3"`, false},
		{h, other, `"hunter2"`, false},
		{"", salt, `"hunter2"`, false},
		{"pbkdf2-sha256:10000:", salt, `"hunter2"`, false},
		{"pbkdf2-sha256:9999" + digest, salt, `"hunter2"`, false},
		{"pbkdf2-sha256:99999999999" + digest, salt, `"hunter2"`, false},
		{"pbkdf2-sha256:-1" + digest, salt, `"hunter2"`, false},
		{"other:10000" + digest, salt, `"hunter2"`, false},
	} {
		if got := seal.SameHash(tc.hash, tc.salt, []byte(tc.value)); got != tc.want {
			t.Errorf("SameHash(%q, %s) = %v", tc.hash, tc.value, got)
		}
	}
}

func FuzzOpen(f *testing.F) {
	k := key(f, text)
	f.Add(k.Seal([]byte("hunter2"), seal.Place{Run: "other"}))
	f.Add([]byte("rsl\x01"))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if got, err := k.Open(sealed, place); err == nil {
			t.Fatalf("foreign bytes open as %q", got)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	salt := seal.NewSalt()
	for b.Loop() {
		seal.Hash(salt, []byte(`"hunter2"`))
	}
}

func BenchmarkSeal(b *testing.B) {
	k := key(b, text)
	for _, size := range []int{100, 100 << 10} {
		plain := make([]byte, size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				k.Seal(plain, place)
			}
		})
	}
}
