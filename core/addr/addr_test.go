package addr

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStringAndParse(t *testing.T) {
	tests := map[string]Stage{
		`stage.build`:           {Name: "build"},
		`stage.release["prod"]`: {Name: "release", Key: "prod", Keyed: true},
		// An empty key differs from no key.
		`stage.release[""]`:                {Name: "release", Keyed: true},
		`module.m["a.b"].stage.s["]\"."]`:  {Module: `module.m["a.b"]`, Name: "s", Key: `]".`, Keyed: true},
		`module.eu["a"].module.db.stage.x`: {Module: `module.eu["a"].module.db`, Name: "x"},
		`stage.s["grün\n"]`:                {Name: "s", Key: "grün\n", Keyed: true},
	}
	for text, want := range tests {
		if got := want.String(); got != text {
			t.Errorf("String() = %s, want %s", got, text)
		}
		got, err := Parse(text)
		if err != nil {
			t.Errorf("Parse(%s): %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Parse(%s) (-want +got):\n%s", text, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "build", "stage", "stage.", "stage.1a", "stage.a.b", "stage.a.", "module.m", "module.m.", `stage.a[0]`,
		`stage.a["x"`, "stage.a[`x`]", `stage.a['x']`, `stage.a["x"]y`, `stage.a["\q"]`, "stage.é",
	} {
		if got, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`module.m["k"].stage.s["k"]`)
	f.Add(`stage.a["\x00"]`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(s.String())
		if err != nil || again != s {
			t.Fatalf("Parse(%q) = %+v, but parsing its text %q gives %+v, %v", text, s, s.String(), again, err)
		}
	})
}
