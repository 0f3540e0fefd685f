package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/target"
)

func stateOf(stable string, weights ...target.Weight) *State {
	s := &State{Format: Format, Stable: stable}
	for i, w := range weights {
		s.Releases = append(s.Releases, &Release{ID: string(rune('a' + i)), Installed: true, Weight: w})
	}
	return s
}

func weights(s *State) []target.Weight {
	var out []target.Weight
	for _, r := range s.Releases {
		out = append(out, r.Weight)
	}
	return out
}

func code(err error) Code {
	refusal := (*Refusal)(nil)
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}

func TestSetWeight(t *testing.T) {
	const full = target.Full
	tests := []struct {
		name   string
		state  *State
		id     string
		weight target.Weight
		expect string
		want   []target.Weight
		code   Code
	}{
		{name: "the stable release gets the rest", state: stateOf("a", full, 0), id: "b", weight: 5_000, want: []target.Weight{95_000, 5_000}},
		{name: "what the stable release leaves goes to who has traffic", state: stateOf("a", 50_000, 0, 50_000, 0), id: "a", weight: 60_000, want: []target.Weight{60_000, 0, 40_000, 0}},
		{name: "or else to who came last", state: stateOf("a", full, 0, 0), id: "a", weight: 90_000, want: []target.Weight{90_000, 0, 10_000}},
		{name: "a third one that has traffic loses it", state: stateOf("a", 50_000, 50_000, 0), id: "c", weight: 1_000, want: []target.Weight{99_000, 0, 1_000}},
		{name: "back to stable", state: stateOf("a", 50_000, 50_000), id: "a", weight: full, want: []target.Weight{full, 0}},
		{name: "a first deployment", state: stateOf("", 0), id: "a", weight: full, want: []target.Weight{full}},
		{name: "and its way back", state: stateOf("", full), id: "a", weight: 0, want: []target.Weight{0}},
		{name: "a part without another one", state: stateOf("", 0), id: "a", weight: 50_000, want: []target.Weight{0}, code: NoOther},
		{name: "the only one is never left without", state: stateOf("a", full), id: "a", weight: 0, want: []target.Weight{full}, code: NoOther},
		{name: "not installed", state: stateOf("a", full), id: "z", weight: 0, want: []target.Weight{full}, code: NoRelease},
		{name: "another world", state: stateOf("a", full, 0), id: "b", weight: 1, expect: "x", want: []target.Weight{full, 0}, code: WorldMoved},
		{name: "another world in which it is so already", state: stateOf("a", full, 0), id: "b", weight: 0, expect: "x", want: []target.Weight{full, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.state.SetWeight(tt.id, tt.weight, tt.expect)
			if code(err) != tt.code {
				t.Errorf("error %v, want code %q", err, tt.code)
			}
			if diff := cmp.Diff(tt.want, weights(tt.state)); diff != "" {
				t.Errorf("weights (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnyHistory does random things to a service and looks at what must be so
// at any time.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &State{Releases: []*Release{}}
		next := 0
		pick := func() string {
			if len(s.Releases) == 0 {
				return "none"
			}
			return rapid.SampledFrom(s.Releases).Draw(t, "release").ID
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			before, world := s.Clone(), s.World()
			var err error
			switch rapid.SampledFrom([]string{"install", "weight", "settle", "retire"}).Draw(t, "step") {
			case "install":
				next++
				s.Releases = append(s.Releases, &Release{ID: fmt.Sprint(next), Installed: true})
			case "weight":
				id, w := pick(), rapid.SampledFrom([]target.Weight{0, 1, 5_000, 50_000, 99_999, target.Full}).Draw(t, "weight")
				expect := rapid.SampledFrom([]string{"", world, "stale"}).Draw(t, "expect")
				if err = s.SetWeight(id, w, expect); err == nil {
					if got := s.Release(id).Weight; got != w {
						t.Fatalf("weight of %s is %v after it was set to %v", id, got, w)
					}
					if s.SetWeight(id, w, "stale") != nil {
						t.Fatal("the same again is refused")
					}
				}
			case "settle":
				err = s.Settle(pick())
			case "retire":
				id := pick()
				if err = s.Retire(id); err == nil {
					s.Drop(id)
				}
			}
			if err != nil {
				if diff := cmp.Diff(before, s, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("a refusal (%v) has changed something:\n%s", err, diff)
				}
			}
			var total target.Weight
			for _, r := range s.Releases {
				total += r.Weight
				if r.Weight < 0 {
					t.Fatalf("weight of %s is negative", r.ID)
				}
			}
			if total != 0 && total != target.Full {
				t.Fatalf("the weights add up to %v", total)
			}
			if s.Stable != "" && s.Release(s.Stable) == nil {
				t.Fatalf("the stable release %q is not installed", s.Stable)
			}
			if (world == s.World()) != cmp.Equal(before.Observation().Weights, s.Observation().Weights) &&
				before.Stable == s.Stable && len(before.Releases) == len(s.Releases) {
				t.Fatal("the world's version does not tell that the weights have changed")
			}
		}
	})
}

func TestWhatIsNotInstalledDoesNotCount(t *testing.T) {
	s := stateOf("a", target.Full, 0)
	world := s.World()
	s.Releases = append(s.Releases, &Release{ID: "c"})
	if o := s.Observation(); len(o.Releases) != 2 || o.World != world {
		t.Errorf("a release that is being installed is seen: %+v", o)
	}
	if err := s.SetWeight("c", 1, ""); code(err) != NoRelease {
		t.Errorf("a release that is being installed can get traffic: %v", err)
	}
	if err := s.SetWeight("a", 90_000, ""); err != nil || s.Release("c").Weight != 0 {
		t.Errorf("a release that is being installed was given the rest: %v", err)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	s := stateOf("a", target.Full, 0)
	s.Releases[0].Replicas = []*Replica{{Port: 1}}
	c := s.Clone()
	c.Releases[0].Weight, c.Releases[0].Replicas[0].Port = 7, 7
	c.Drop("b")
	if s.Releases[0].Weight != target.Full || s.Releases[0].Replicas[0].Port != 1 || len(s.Releases) != 2 {
		t.Errorf("the original has changed: %+v", s)
	}
}

func TestNameFor(t *testing.T) {
	c := call.Call{Pipeline: "shop", Node: `stage.release["prod"]`, Environment: "prod", Target: "main"}
	name := NameFor(c)
	if !strings.HasPrefix(name, "shop-release-prod-") {
		t.Errorf("the name %q cannot be recognised", name)
	}
	names := []string{name}
	for _, other := range []call.Call{
		{Pipeline: "shop", Node: `stage.release["prod"]`, Environment: "prod", Target: "eu"},
		{Pipeline: "shop", Node: `stage.release.prod`, Environment: "prod", Target: "main"},
		{Pipeline: "shop", Node: `stage.release["prod"]`, Environment: "staging", Target: "main"},
		{Pipeline: "Shop", Node: `stage.release["prod"]`, Environment: "prod", Target: "main"},
		{Pipeline: "shop", Node: strings.Repeat("x", 300), Target: "main"},
		{Pipeline: "магазин", Node: "../../etc", Target: "/"},
		{},
	} {
		name := NameFor(other)
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
		if slices.Contains(names, name) {
			t.Errorf("%+v has the name of another: %s", other, name)
		}
		if again := NameFor(other); again != name {
			t.Errorf("the name changes from %s to %s", name, again)
		}
		names = append(names, name)
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"shop": true, "a": true, "shop-2": true, strings.Repeat("a", 63): true,
		"": false, "-a": false, "a-": false, "Shop": false, "a/b": false, "..": false, "a b": false, strings.Repeat("a", 64): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q) = %v", name, err)
		}
	}
}

func TestDir(t *testing.T) {
	root := t.TempDir()
	if dirs, err := List(filepath.Join(root, "none")); err != nil || len(dirs) != 0 {
		t.Errorf("services of a folder that is not there: %v, %v", dirs, err)
	}
	d := At(root, "shop")
	if _, err := d.Load(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no state: %v", err)
	}
	if err := d.Create(); err != nil {
		t.Fatal(err)
	}
	s := stateOf("a", target.Full, 0)
	s.Releases[0].Replicas = []*Replica{{Port: 8, Ready: true}}
	for range 2 {
		if err := d.Save(s); err != nil {
			t.Fatal(err)
		}
	}
	got, err := d.Load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, got); diff != "" {
		t.Errorf("state (-saved +loaded):\n%s", diff)
	}
	entries, err := os.ReadDir(string(d))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s may be read by others: %v", e.Name(), info.Mode())
		}
	}
	if len(entries) != 2 {
		t.Errorf("the folder holds %v", entries)
	}
	if dirs, err := List(root); err != nil || !slices.Equal(dirs, []Dir{d}) {
		t.Errorf("List = %v, %v", dirs, err)
	}
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	if dirs, err := List(root); err != nil || len(dirs) != 0 {
		t.Errorf("after removing: %v, %v", dirs, err)
	}
}

func TestDamagedState(t *testing.T) {
	d := At(t.TempDir(), "shop")
	if err := d.Create(); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                               "damaged state of service shop",
		`{"format":1,"releases":[`:       "damaged state of service shop",
		`{"format":1,"releases":[null]}`: "damaged state of service shop",
		`{"format":9}`:                   "has format 9",
	} {
		if err := os.WriteFile(filepath.Join(string(d), stateFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Load(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), stateFile) {
			t.Errorf("state %q: %v, want %q and the file's name", text, err, want)
		}
	}
}

func TestReplicaLogsDiffer(t *testing.T) {
	d := At("/x", "shop")
	seen := map[string]string{}
	for _, id := range []string{"v1", "v1.0", "v1/0", "v1_0", "sha256:abc", strings.Repeat("a", 200), strings.Repeat("a", 201), "", "..", "V1"} {
		path := d.ReplicaLog(id, 0)
		if filepath.Dir(path) != d.Logs() || len(filepath.Base(path)) > 100 {
			t.Errorf("the log of %q is %s", id, path)
		}
		if other, ok := seen[path]; ok {
			t.Errorf("%q and %q have the same log", id, other)
		}
		seen[path] = id
	}
}
