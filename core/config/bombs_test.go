package config_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/scope"
)

// maxAllocated is what one bomb may make the program allocate in all, in bytes.
const maxAllocated = 1 << 30

// TestBombs reads files that are made to exhaust the parser, the evaluator or the
// reader of the messages. Each ends with a mistake that is told in a few lines.
func TestBombs(t *testing.T) {
	const deep, large = 100_000, 10 << 20
	head := "pipeline \"shop\" {}\n\nstage \"a\" {\n  use \"noop\" {}\n}\n"
	local := func(expr string) string { return head + "locals {\n  x = " + expr + "\n}\n" }
	many := strings.Repeat
	fill := func(s string) string { return many(s, large/len(s)) }
	tests := map[string]string{
		"open brackets":    local(many("[", deep)),
		"brackets":         local(many("[", deep) + many("]", deep)),
		"parentheses":      local(many("(", deep) + "1" + many(")", deep)),
		"objects":          local(many("{a=", deep) + "1" + many("}", deep)),
		"templates":        local(many(`"${`, deep) + "1" + many(`}"`, deep)),
		"directives":       local(`"` + many("%{if true}", deep) + `"`),
		"negations":        local(many("!", deep) + "true"),
		"conditionals":     local(many("true ? 1 : ", deep) + "1"),
		"sums":             local("1" + many(" + 1", deep)),
		"calls":            local(many("abs(", deep) + "1" + many(")", deep)),
		"indexes":          local("local.x" + many("[0]", deep)),
		"splats":           local("local.x" + many("[*]", deep)),
		"loops":            local(many("[for a in [1] : ", deep) + "1" + many("]", deep)),
		"blocks":           head + many("a {\n", deep) + many("}\n", deep),
		"heredocs":         local(many("<<A\n${\n", deep)),
		"tries":            local(many("try(nope(), ", 100) + "1" + many(")", 100)),
		"nested loops":     local(many("[for a in [1, 2, 3] : ", 40) + "1" + many("]", 40)),
		"digits":           local(many("9", large)),
		"a long text":      local("<<E\n" + fill("xxxxxxxxx\n") + "E"),
		"dollars":          local(`"` + fill("$${") + `"`),
		"a long list":      local("[" + fill("1,") + "]"),
		"a long name":      head + many("x", large) + " {\n}\n",
		"line ends":        head + fill("\n"),
		"quotes":           head + fill(`"`),
		"signs":            head + fill("="),
		"nothing but NUL":  fill("\x00"),
		"unknown blocks":   head + fill("x {\n}\n"),
		"a stage repeated": head + fill("stage \"a\" {\n}\n"),
		"labels":           head + "stage " + fill(`"a" `) + "{}\n",
		"bytes":            fill("\xff\xfe\xfd"),
	}
	for name, src := range tests {
		t.Run(name, func(t *testing.T) {
			bomb(t, "pipeline.hcl", src)
		})
	}
	t.Run("json", func(t *testing.T) {
		bomb(t, "pipeline.hcl.json", `{"locals": {"a": `+many("[", deep)+many("]", deep)+`}}`)
	})
	t.Run("json templates", func(t *testing.T) {
		bomb(t, "pipeline.hcl.json", `{"locals": {"a": "${`+many("[", deep)+`"}}`)
	})
	figures.Record(t, "Bad input", "files made to exhaust the program, each refused with a message", "%d", len(tests)+2)
}

func bomb(t *testing.T, name, src string) {
	t.Helper()
	c := &goldenCase{sources: map[string][]byte{name: []byte(src)}, world: fakeWorld{}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	diags, files := c.check(scope.Options{})
	var text strings.Builder
	if err := diagnostics.Write(&text, diags, files); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if !diags.HasErrors() {
		t.Error("nothing was found wrong")
	}
	if text.Len() > 100_000 {
		t.Errorf("the messages have %d bytes", text.Len())
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > maxAllocated {
		t.Errorf("%d MiB were allocated, at most %d are allowed", n>>20, maxAllocated>>20)
	}
}
