package kernel

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var freeze = flag.Bool("freeze", false, "write the form of facts and of snapshots, where they have a new number")

// form lists every field of a type as JSON has it, a line each, with the Go type that
// decides how it is read.
func form(prefix string, t reflect.Type) []string {
	switch {
	case t.Kind() == reflect.Pointer:
		return form(prefix, t.Elem())
	case t.Implements(reflect.TypeFor[json.Marshaler]()):
		return []string{prefix + " " + t.String()}
	case t.Kind() == reflect.Struct && t.NumField() > 0:
		var out []string
		for f := range t.Fields() {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case !f.IsExported() && !f.Anonymous:
				continue
			case f.Anonymous && name == "":
				out = append(out, form(prefix, f.Type)...)
				continue
			case name == "":
				name = f.Name
			}
			if options != "" {
				options = " " + options
			}
			inner := form(prefix+"."+name, f.Type)
			inner[0] += options
			out = append(out, inner...)
		}
		return out
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return []string{prefix + " bytes"}
	case t.Kind() == reflect.Slice:
		return form(prefix+"[]", t.Elem())
	case t.Kind() == reflect.Map:
		return form(prefix+"{"+t.Key().Kind().String()+"}", t.Elem())
	}
	return []string{prefix + " " + t.Kind().String()}
}

// frozenForm compares a form with the one kept for its number, and makes sure that
// nothing of the earlier ones is gone.
func frozenForm(t *testing.T, dir string, number int, got []string, advice string, keepsAll bool) {
	t.Helper()
	path := filepath.Join("testdata", dir, fmt.Sprintf("%d.txt", number))
	text := strings.Join(got, "\n") + "\n"
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) && *freeze {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		err, want = os.WriteFile(path, []byte(text), 0o644), []byte(text)
	}
	if err != nil {
		t.Fatalf("form %d is not kept: %v\n%s", number, err, advice)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("the form was changed (-kept +now):\n%s\n%s", diff, advice)
	}
	for earlier := 1; keepsAll && earlier < number; earlier++ {
		old, err := os.ReadFile(filepath.Join("testdata", dir, fmt.Sprintf("%d.txt", earlier)))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(old)) {
			if line = strings.TrimSuffix(line, "\n"); !slices.Contains(got, line) {
				t.Errorf("what form %d had cannot be read any more: %s", earlier, line)
			}
		}
	}
}

// Journals lie in states for years. A fact that gets another field, or another fact,
// is another format: it needs its own number and its own frozen runs.
func TestTheFormOfFactsIsFrozen(t *testing.T) {
	got := form("event", reflect.TypeFor[envelope]())
	for _, name := range FactTypes() {
		got = append(got, name)
		got = append(got, form(name, factTypes[name])...)
	}
	frozenForm(t, "facts", FactFormat, slices.Compact(got), `When the change is meant: add 1 to kernel.FactFormat, see that the kernel still folds what
earlier versions wrote, and keep the new form and runs in it:
  go test ./kernel -run Frozen -freeze
  go test ./cli -run 'TestFreeze$' -freeze`, true)
}

// A snapshot of another form is not read: the journal is folded from its beginning.
// That needs another number.
func TestTheFormOfSnapshotsIsFrozen(t *testing.T) {
	frozenForm(t, "snapshots", snapshotVersion, form("", reflect.TypeFor[savedState]()), `When the change is meant: add 1 to snapshotVersion, and keep the new form:
  go test ./kernel -run Frozen -freeze`, false)
}
