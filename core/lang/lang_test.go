package lang_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/runner-pipelines/runner/core/lang"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour,
		"0s": 0, "0": 0, "250ms": 250 * time.Millisecond, "1d0.5h1s": 24*time.Hour + 30*time.Minute + time.Second,
		"106751d": 106751 * 24 * time.Hour,
	} {
		if got, err := lang.ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "5", "-1s", "-1d", "1d-1h", "1d+1h", "d", "1dd", "1d1d", "soon", "1 h", "1e3d", "NaNd", "Infd", "106752d", "106751d24h", "1h1d", "0x1d", "1_0d", "1d ",
		"9999999999h",
	} {
		if got, err := lang.ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"1d12h", "0.1d", "30m", "1.5h1d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := lang.ParseDuration(s); err == nil && d < 0 {
			t.Errorf("ParseDuration(%q) = %v", s, d)
		}
	})
}

var variables = map[string]cty.Value{
	"secret":  lang.Sensitive(cty.StringVal("hunter2")),
	"unknown": cty.UnknownVal(cty.String),
	"list":    cty.UnknownVal(cty.List(cty.String)),
	"any":     cty.DynamicVal,
}

func eval(t *testing.T, functions map[string]function.Function, src string) (cty.Value, error) {
	t.Helper()
	expr, diags := hclsyntax.ParseExpression([]byte(src), "t", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%s: %v", src, diags)
	}
	v, diags := expr.Value(&hcl.EvalContext{Variables: variables, Functions: functions})
	if diags.HasErrors() {
		return v, diags
	}
	return v, nil
}

// world is a directory with some files.
func world(t *testing.T, environ ...string) lang.World {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.txt"), "hello\n")
	write(t, filepath.Join(dir, "bin"), "\xff\xfe")
	write(t, filepath.Join(dir, "t.tmpl"), "%{ for x in xs }${upper(x)};%{ endfor }")
	write(t, filepath.Join(dir, "self.tmpl"), `${templatefile("self.tmpl", {})}`)
	write(t, filepath.Join(dir, "deep.tmpl"), "${"+strings.Repeat("[", 600)+"}")
	write(t, filepath.Join(dir, "big"), strings.Repeat("x", lang.MaxFile+1))
	write(t, filepath.Join(dir, "full"), strings.Repeat("x", lang.MaxFile))
	return lang.OS(dir, dir, environ)
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFunctions(t *testing.T) {
	w := world(t, "A=1", "EMPTY=")
	functions := lang.Functions(w)
	tests := map[string]string{
		`abs(-1)`: `1`, `ceil(1.2)`: `2`, `floor(1.8)`: `1`, `max(1, 3, 2)`: `3`, `min(1, 3)`: `1`, `signum(-3)`: `-1`, `pow(2, 10)`: `1024`, `log(8, 2)`: `3`,
		`parseint("ff", 16)`: `255`, `sum([1, 2.5])`: `3.5`, `range(3)`: `tolist([0, 1, 2])`,
		`chomp("a\n")`: `"a"`, `format("%s-%03d", "a", 7)`: `"a-007"`, `formatlist("%s!", ["a", "b"])`: `tolist(["a!", "b!"])`, `indent(2, "a\nb")`: `"a\n  b"`,
		`join("-", ["a", "b"])`: `"a-b"`, `lower("A")`: `"a"`, `upper("ä")`: `"Ä"`, `title("a b")`: `"A B"`, `trim("xax", "x")`: `"a"`, `trimprefix("ab", "a")`: `"b"`,
		`trimsuffix("ab", "b")`: `"a"`, `trimspace(" a ")`: `"a"`, `split(",", "a,b")`: `tolist(["a", "b"])`, `strrev("abc")`: `"cba"`, `substr("abc", 1, 1)`: `"b"`,
		`replace("a.b", ".", "-")`: `"a-b"`, `replace("a1b2", "/[0-9]/", "#")`: `"a#b#"`, `regex("[a-z]+", "12ab")`: `"ab"`, `regexall("[0-9]", "1a2")`: `tolist(["1", "2"])`,
		`startswith("abc", "ab")`: `true`, `endswith("abc", "x")`: `false`, `strcontains("abc", "b")`: `true`,
		`coalesce(null, "", "a")`: `"a"`, `coalesce(1, 2)`: `1`, `coalesce(null, false)`: `false`, `coalescelist([], ["a"])`: `["a"]`, `compact(["a", "", null])`: `tolist(["a"])`,
		`concat([1], [2])`: `[1, 2]`, `contains(["a"], "a")`: `true`, `distinct(["a", "a"])`: `tolist(["a"])`, `element(["a", "b"], 3)`: `"b"`, `flatten([[1], [2, [3]]])`: `[1, 2, 3]`,
		`index(["a", "b"], "b")`: `1`, `keys({ b = 1, a = 2 })`: `["a", "b"]`, `values({ b = 1, a = 2 })`: `[2, 1]`, `length("äb")`: `2`, `length([1, 2])`: `2`, `length({ a = 1 })`: `1`,
		`length(toset(["a"]))`: `1`, `lookup({ a = 1 }, "b", 2)`: `2`, `merge({ a = 1 }, { b = 2 })`: `{ a = 1, b = 2 }`, `one([])`: `null`, `one(["a"])`: `"a"`, `one(toset(["a"]))`: `"a"`,
		`reverse([1, 2])`: `[2, 1]`, `slice(["a", "b", "c"], 1, 2)`: `["b"]`, `sort(["b", "a"])`: `tolist(["a", "b"])`, `zipmap(["a"], [1])`: `{ a = 1 }`, `chunklist(["a", "b"], 1)`: `tolist([tolist(["a"]), tolist(["b"])])`,
		`setproduct(["a"], [1, 2])`: `tolist([["a", 1], ["a", 2]])`, `setunion(["a"], ["b"])`: `toset(["a", "b"])`, `setintersection(["a", "b"], ["b"])`: `toset(["b"])`, `setsubtract(["a", "b"], ["b"])`: `toset(["a"])`,
		`alltrue([])`: `true`, `alltrue([true, false])`: `false`, `anytrue([false, true])`: `true`, `anytrue([])`: `false`, `alltrue([true, null])`: `false`,
		`jsondecode("{\"a\": [1, null]}")`: `{ a = [1, null] }`, `jsonencode({ b = 1, a = "<" })`: `"{\"a\":\"\\u003c\",\"b\":1}"`, `csvdecode("a,b\n1,2")[0].b`: `"2"`,
		`base64encode("a")`: `"YQ=="`, `base64decode("YQ==")`: `"a"`, `urlencode("a b&c")`: `"a+b%26c"`,
		`md5("a")`: `"0cc175b9c0f1b6a831c399e269772661"`, `sha1("a")`: `"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"`,
		`sha256("a")`: `"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"`, `substr(sha512("a"), 0, 8)`: `"1f40fc92"`,
		`formatdate("YYYY-MM-DD", "2026-01-02T03:04:05Z")`: `"2026-01-02"`, `timeadd("2026-01-02T03:04:05Z", "1h")`: `"2026-01-02T04:04:05Z"`,
		`tobool("true")`: `true`, `tonumber("5")`: `5`, `tostring(5)`: `"5"`, `tolist(toset(["a"]))`: `tolist(["a"])`, `tomap({ a = 1 })["a"]`: `1`, `length(toset(["a", "a"]))`: `1`,
		`try(parseint("x", 10), 3)`: `3`, `can(parseint("x", 10))`: `false`, `basename("a/b.txt")`: `"b.txt"`, `dirname("a/b.txt")`: `"a"`,
		`env("A")`: `"1"`, `env("EMPTY")`: `""`, `try(env("UNSET"), "x")`: `"x"`, `file("a.txt")`: `"hello\n"`, `file("./x/../a.txt")`: `"hello\n"`, `fileexists("a.txt")`: `true`, `fileexists("nope")`: `false`,
		`fileexists("big")`: `true`, `length(file("full"))`: `1048576`, `filebase64("bin")`: `"//4="`, `filesha256("a.txt")`: `"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"`,
		`templatefile("t.tmpl", { xs = ["a", "b"] })`: `"A;B;"`,
		`issensitive(secret)`:                         `true`, `issensitive(nonsensitive(secret))`: `false`, `issensitive({ a = sensitive("x") })`: `true`, `nonsensitive("${secret}!")`: `"hunter2!"`,
		`length([unknown, unknown])`: `2`, `length({ a = unknown })`: `1`, `coalesce("a", unknown)`: `"a"`, `anytrue([true, tobool(unknown)])`: `true`,
	}
	for src, want := range tests {
		got, err := eval(t, functions, src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		wantValue, err := eval(t, functions, want)
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if wantValue.IsNull() {
			wantValue = cty.NullVal(got.Type())
		}
		if !got.RawEquals(wantValue) {
			t.Errorf("%s = %#v, want %#v", src, got, wantValue)
		}
	}
	// Every function that is offered is tried above.
	all := " "
	for src := range tests {
		all += src + " "
	}
	for name := range functions {
		if !strings.Contains(all, " "+name+"(") && !strings.Contains(all, "("+name+"(") {
			t.Errorf("no test calls %s", name)
		}
	}
}

func TestFunctionsOnUnknownValues(t *testing.T) {
	functions := lang.Functions(world(t))
	for src, want := range map[string]cty.Type{
		"upper(unknown)": cty.String, "length(unknown)": cty.Number, "length(list)": cty.Number, "length(any)": cty.Number, "file(unknown)": cty.String, "fileexists(unknown)": cty.Bool,
		"env(unknown)": cty.String, "jsondecode(unknown)": cty.DynamicPseudoType, `templatefile("t.tmpl", { xs = list })`: cty.String, "templatefile(unknown, {})": cty.DynamicPseudoType,
		"coalesce(unknown, \"a\")": cty.String, "one(list)": cty.String, "sum(any)": cty.DynamicPseudoType, "alltrue(any)": cty.Bool, "index(list, \"a\")": cty.Number, "index([unknown], \"a\")": cty.Number,
		"replace(unknown, \"a\", \"b\")": cty.String, "sensitive(unknown)": cty.String, "setproduct(list, [1])": cty.DynamicPseudoType, "alltrue([tobool(unknown)])": cty.Bool,
	} {
		got, err := eval(t, functions, src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		plain, _ := got.Unmark()
		if plain.IsKnown() || want != cty.DynamicPseudoType && !plain.Type().Equals(want) {
			t.Errorf("%s = %#v, want unknown of type %s", src, got, want.FriendlyName())
		}
	}
}

func TestFunctionsRefuse(t *testing.T) {
	functions := lang.Functions(world(t))
	for src, want := range map[string]string{
		`env("UNSET")`:                  "UNSET is not set",
		`file("nope")`:                  "no file nope",
		`file("")`:                      "the path is empty",
		`file("big")`:                   "larger than 1 MiB",
		`file("bin")`:                   "filebase64",
		`file(".")`:                     "directory",
		`fileexists(".")`:               "directory",
		`templatefile("self.tmpl", {})`: "no function named \"templatefile\"",
		`templatefile("deep.tmpl", {})`: "nested deeper",
		`templatefile("t.tmpl", {})`:    `refers to "xs"`,
		`templatefile("nope", {})`:      "no file nope",
		`jsondecode("` + strings.Repeat("[", 600) + `")`: "nested deeper",
		`indent(1000000000, "a\nb")`:                     "from 0 to 1024",
		`setproduct(range(1000), range(1000))`:           "more than 100000 elements",
		`range(100000)`:                                  "1024",
		`coalesce("", null)`:                             "every argument",
		`one([1, 2])`:                                    "one element",
		`sum(["x"])`:                                     "numbers",
		`sum("x")`:                                       "list of numbers",
		`index(["a"], "b")`:                              "no such element",
		`index("a", "b")`:                                "must be a list",
		`length(5)`:                                      "must be a string",
		`base64decode("%")`:                              "not base64",
		`base64decode("//4=")`:                           "not UTF-8",
		`upper(null)`:                                    "must not be null",
	} {
		_, err := eval(t, functions, src)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", src, err, want)
		}
	}
}

// Widths and exponents that would fill the memory end in an error or a number.
func TestFunctionsStaySmall(t *testing.T) {
	functions := lang.Functions(world(t))
	for _, src := range []string{
		`format("%999999999d", 1)`, `format("%-999999999s", "a")`, `format("%.999999999f", 1)`, `format("%*d", 999999999, 1)`, `pow(10, 999999999)`, `pow(-1, 0.5)`, `log(0, 0)`, `1 / 0`, `0 / 0`,
		`substr("a", -999999999, 999999999)`, `parseint("` + strings.Repeat("9", 10000) + `", 10)`, `chunklist(["a"], 999999999)`, `range(0, 1, 0.0000001)`,
		`formatdate("` + strings.Repeat("Y", 10000) + `", "2026-01-02T03:04:05Z")`, `regexall("(((((a*)*)*)*)*)", "` + strings.Repeat("a", 1000) + `b")`,
	} {
		v, err := eval(t, functions, src)
		if err == nil && v.Type() == cty.String && len(v.AsString()) > 1<<21 {
			t.Errorf("%.60s gives %d bytes", src, len(v.AsString()))
		}
	}
}

func TestRecordAndReplay(t *testing.T) {
	w := world(t, "A=1", "B=2")
	recorder := lang.NewRecorder(w)
	functions := lang.Functions(recorder)
	ask := []string{
		`env("A")`, `try(env("UNSET"), "x")`, `file("a.txt")`, `fileexists("nope")`, `try(file("gone"), "y")`, `templatefile("t.tmpl", { xs = [env("A")] })`,
		`try(file("big"), "z")`,
	}
	want := map[string]cty.Value{}
	for _, src := range ask {
		v, err := eval(t, functions, src)
		if err != nil {
			t.Fatal(err)
		}
		want[src] = v
	}
	record := recorder.Record()
	wantRecord := lang.Record{
		Env: map[string]string{"A": "1"}, Unset: []string{"UNSET"},
		Files:  map[string][]byte{"a.txt": []byte("hello\n"), "t.tmpl": []byte("%{ for x in xs }${upper(x)};%{ endfor }")},
		Absent: []string{"gone", "nope"},
	}
	if diff := cmp.Diff(wantRecord, record); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	replayed := lang.Functions(lang.Replay(record))
	for _, src := range ask {
		if got, err := eval(t, replayed, src); err != nil || !got.RawEquals(want[src]) {
			t.Errorf("replayed %s = %#v, %v, want %#v", src, got, err, want[src])
		}
	}
	for _, src := range []string{`env("B")`, `file("bin")`, `fileexists("bin")`} {
		if _, err := eval(t, replayed, src); err == nil || !strings.Contains(err.Error(), "the plan did not look at this") {
			t.Errorf("replayed %s: %v, want that it was not recorded", src, err)
		}
	}
	if _, err := lang.Replay(record).Git(); !errors.Is(err, lang.ErrNotRecorded) {
		t.Errorf("git: %v", err)
	}
}

// changing is a world that says something else each time.
type changing struct{ n *int }

func (c changing) next() string {
	*c.n++
	return strings.Repeat("x", *c.n)
}

func (c changing) Env(string) (string, bool, error) { return c.next(), true, nil }
func (c changing) File(string) ([]byte, error)      { return []byte(c.next()), nil }
func (c changing) Git() (lang.Git, error)           { return lang.Git{Commit: c.next()}, nil }
func (c changing) Cwd() string                      { return "/" }

func TestRecorderSaysTheSameAgain(t *testing.T) {
	r := lang.NewRecorder(changing{new(int)})
	for range 2 {
		v, _, _ := r.Env("A")
		f, _ := r.File("f")
		g, _ := r.Git()
		if v != "x" || string(f) != "xx" || g.Commit != "xxx" {
			t.Errorf("got %s, %s, %s", v, f, g.Commit)
		}
	}
	record := r.Record()
	if record.Git == nil || record.Git.Commit != "xxx" || record.Cwd != "" {
		t.Errorf("record: %+v", record)
	}
	if r.Cwd(); r.Record().Cwd != "/" {
		t.Error("the directory was asked and is not recorded")
	}
	if got, err := lang.Replay(record).Git(); err != nil || got.Commit != "xxx" {
		t.Errorf("replayed: %+v, %v", got, err)
	}
}

func TestFileIsRegular(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no device files with Unix names on this system")
	}
	dir := t.TempDir()
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	w := lang.OS(dir, dir, nil)
	for _, path := range []string{"/dev/zero", "loop"} {
		if _, err := w.File(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("File(%s): %v", path, err)
		}
	}
	write(t, filepath.Join(dir, "f"), "x")
	if b, err := w.File(filepath.ToSlash(filepath.Join(dir, "f"))); err != nil || string(b) != "x" {
		t.Errorf("an absolute path: %s, %v", b, err)
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	ask := func() (lang.Git, error) {
		return lang.OS(filepath.Join(dir, "sub"), dir, append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))).Git()
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(); !errors.Is(err, lang.ErrNoRepository) {
		t.Errorf("without a repository: %v", err)
	}
	git(t, dir, "init", "-q", "-b", "main")
	if _, err := ask(); err == nil || !strings.Contains(err.Error(), "no commit") {
		t.Errorf("without a commit: %v", err)
	}
	write(t, filepath.Join(dir, "sub", "f"), "1")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "one")
	commit := git(t, dir, "rev-parse", "HEAD")
	want := lang.Git{Commit: commit, ShortCommit: commit[:7], Branch: "main"}
	check := func(when string) {
		t.Helper()
		got, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	check("after a commit")
	write(t, filepath.Join(dir, "untracked"), "1")
	check("with a file that is not tracked")
	git(t, dir, "tag", "v1.9.0")
	git(t, dir, "tag", "-m", "x", "v1.10.0")
	want.Tag = "v1.10.0"
	check("with tags")
	write(t, filepath.Join(dir, "sub", "f"), "2")
	want.Dirty = true
	check("with a change")
	git(t, dir, "checkout", "-q", "--detach")
	want.Branch = ""
	check("on a detached head")

	// A repository cannot make the runner run its programs.
	marker := filepath.Join(dir, "ran")
	git(t, dir, "config", "core.fsmonitor", "touch "+marker)
	check("with a hook")
	if _, err := os.Stat(marker); err == nil {
		t.Error("a program from the repository's configuration was run")
	}

	no := lang.OS(dir, dir, []string{"PATH=/nonexistent"})
	if _, err := no.Git(); err != nil && strings.Contains(err.Error(), "exit status") {
		t.Errorf("without git: %v", err)
	}
}

func TestSensitiveTexts(t *testing.T) {
	v := cty.ObjectVal(map[string]cty.Value{
		"open": cty.StringVal("open"),
		"list": lang.Sensitive(cty.ListVal([]cty.Value{cty.StringVal("a"), cty.StringVal(""), cty.NullVal(cty.String), cty.UnknownVal(cty.String)})),
		"map":  cty.MapVal(map[string]cty.Value{"k": lang.Sensitive(cty.StringVal("b"))}),
		"deep": lang.Sensitive(cty.MapVal(map[string]cty.Value{"key": cty.NumberIntVal(12345)})),
		"pin":  lang.Sensitive(cty.NumberIntVal(1)),
	})
	got := strings.Join(lang.SensitiveTexts(v), " ")
	if want := "key 12345 a b"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
