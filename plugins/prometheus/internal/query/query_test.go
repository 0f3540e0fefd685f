package query_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/plugins/prometheus/internal/query"
)

var release = query.Release{
	ID: "r-1", Version: `1.0"x\`, Address: "10.0.0.1:80", Target: "eu", Labels: map[string]string{"app.kubernetes.io/instance": "shop-a"},
}

func TestPlaceholders(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"none", `up{job="a"}`, `up{job="a"}`},
		{"several in one", `up{a="$release/$target",b!="$address"}`, `up{a="r-1/eu",b!="10.0.0.1:80"}`},
		{"a label with the signs of Kubernetes", `up{a="$label:app.kubernetes.io/instance"}`, `up{a="shop-a"}`},
		{"quotes cannot end the string", `up{a="$version"}`, `up{a="1.0\"x\\"}`},
		{"a value is no regular expression", `up{a=~"$address|$release.*"}`, `up{a=~"10\\.0\\.0\\.1:80|r-1.*"}`},
		{"the end of a regular expression", `up{a=~"b$"}`, `up{a=~"b$"}`},
		{"two are one", `up{a="$$release"}`, `up{a="$release"}`},
		{"inside of functions", `sum(rate(up{a="$release"}[1m])) / max(up{b="$target"} offset 1m)`, `sum(rate(up{a="r-1"}[1m])) / max(up{b="eu"} offset 1m)`},
		{"the replacements of label_replace are not ours", `label_replace(up, "a", "$1", "b", "(.*)")`, `label_replace(up, "a", "$1", "b", "(.*)")`},
		{"a comment goes", "up{a=\"$release\"} # one", `up{a="r-1"}`},
		{"only labels", `{__name__="up",a="$release"}`, `{__name__="up",a="r-1"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q, err := query.Parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := q.For(release)
			if err != nil || got != tt.want {
				t.Errorf("got %s (%v), want %s", got, err, tt.want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	for text, want := range map[string]string{
		`up{a="$version"}`: "no version", `up{a="$address"}`: "no address", `up{a="$target"}`: "no target", `up{a="$label:b"}`: `no label "b"`,
	} {
		q, err := query.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := q.For(query.Release{ID: "x"}); !errors.Is(err, query.ErrMissing) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", " ", "empty"},
		{"the place is told", `up{a="b"`, "1:9: parse error"},
		{"a wrong regular expression", `up{a=~"("}`, "missing closing )"},
		{"unknown placeholder", `up{a="$realease"}`, "$realease is no placeholder; there are $release,"},
		{"a placeholder in place of a name", `$release{a="b"}`, "parse error"},
		{"a function", `rate(up[1m])`, "a call of rate"},
		{"an aggregation", `sum(up)`, "an aggregation"},
		{"a range", `up[1m]`, "a range"},
		{"a sum", `up + up`, "an expression"},
		{"offset", `up offset 1m`, "neither offset nor @"},
		{"at", `up @ 1`, "neither offset nor @"},
		{"at the end", `up @ end()`, "neither offset nor @"},
		{"everything", `{a=~".*"}`, "parse error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if q, err := query.ParseSelector(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, %v; want %s", q, err, tt.want)
			}
		})
	}
}

func TestTellsApart(t *testing.T) {
	for text, want := range map[string]bool{
		`up`: false, `up{a="$target"}`: false, `up{a="$$"}`: false, `up{a="$release"}`: true, `up{a="x-$version"}`: true, `up{a="$address"}`: true, `up{a="$label:x"}`: true,
	} {
		if q, err := query.Parse(text); err != nil || q.TellsApart() != want {
			t.Errorf("%s: want %v (%v)", text, want, err)
		}
	}
}

// FuzzParse looks for a text that parses once, and not as what is made of it.
func FuzzParse(f *testing.F) {
	f.Add(`up{a="$release"}`, `x"\`)
	f.Add("sum by (a) (rate(up{a=~'$version|b'}[5m]))", "(")
	f.Fuzz(func(t *testing.T, text, value string) {
		q, err := query.Parse(text)
		if err != nil {
			return
		}
		made, err := q.For(query.Release{ID: value, Version: value, Address: value, Target: value})
		if err != nil {
			return
		}
		if _, err := query.Parse(strings.ReplaceAll(made, "$", "")); err != nil && !strings.Contains(made, "$") {
			t.Errorf("%q became %q, which is none: %v", text, made, err)
		}
	})
}
