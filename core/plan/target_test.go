package plan

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/value"
)

func slot(source, component string) *program.Slot {
	return &program.Slot{Name: "main", Entry: catalog.Entry{Source: source, Component: &host.Component{Name: component}}}
}

func TestReleasesAreNamedByContent(t *testing.T) {
	s := slot("runner/local", "local_service")
	at := func(dir, digest string) value.Value {
		return value.Value{JSON: fmt.Appendf(nil, `{"command":["%s/%s/shop"]}`, dir, digest)}
	}
	secret := func(text string) value.Value {
		return value.Value{JSON: fmt.Appendf(nil, `{"token":%q}`, text), Sensitive: []value.Path{value.Names("token")}}
	}
	open := secret("swordfish")
	open.Sensitive = nil
	here, there := Identity{Salt: "s", Artifacts: "/home/ada/.runner/artifacts"}, Identity{Salt: "s", Artifacts: "/builds/7/.runner/artifacts"}
	id := here.Of(s, at(here.Artifacts, "d1"))
	if !regexp.MustCompile(`^r-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("id %q", id)
	}
	for _, c := range []struct {
		why  string
		a, b string
		same bool
	}{
		{"equal content has an equal id", id, here.Of(s, at(here.Artifacts, "d1")), true},
		{"wherever its artifacts lie", id, there.Of(s, at(there.Artifacts, "d1")), true},
		{"another artifact is another release", id, here.Of(s, at(here.Artifacts, "d2")), false},
		{"a path that is no artifact's counts", here.Of(s, at("/a", "d1")), here.Of(s, at("/b", "d1")), false},
		{"another component is another release", id, here.Of(slot("runner/local", "other"), at(here.Artifacts, "d1")), false},
		{"and so is that of another plugin", id, here.Of(slot("acme/local", "local_service"), at(here.Artifacts, "d1")), false},
		{"the name of the target does not count", id, here.Of(&program.Slot{Name: "eu", Entry: s.Entry}, at(here.Artifacts, "d1")), true},
		{"other secrets are another release", here.Of(s, secret("one")), here.Of(s, secret("two")), false},
		{"equal secrets are the same release in one state", here.Of(s, secret("one")), here.Of(s, secret("one")), true},
		{"but cannot be guessed from another", here.Of(s, secret("one")), Identity{Salt: "t"}.Of(s, secret("one")), false},
		{"nor told from what is open", here.Of(s, secret("swordfish")), here.Of(s, open), false},
		{"no salt goes into what is open", here.Of(s, open), Identity{Salt: "t"}.Of(s, open), true},
	} {
		if got := c.a == c.b; got != c.same {
			t.Errorf("%s: %s and %s", c.why, c.a, c.b)
		}
	}
}
