package create

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/core/cli/command"
)

// allParts are those that a pipeline can be put together from, in the order in
// which their stages come.
var allParts = []string{"go", "node", "docker", "helm", "terraform", "service"}

// findings are what lies in a folder; paths have slashes and begin there.
type findings struct {
	// Go says that there is a go.mod; Programs are the folders of main packages.
	Go       bool
	Programs []string
	// Node says that there is a package.json, Locked that npm's lock file is beside it.
	Node, Locked bool
	// Scripts are those of package.json.
	Scripts []string
	Docker  bool
	// Chart and Terraform are folders; empty when there is none.
	Chart, Terraform string
}

// look finds out what lies in a folder. A folder that does not exist is empty.
func look(dir string) (findings, error) {
	f := findings{
		Go: has(dir, "go.mod"), Node: has(dir, "package.json"), Locked: has(dir, "package-lock.json"), Docker: has(dir, "Dockerfile"),
	}
	var err error
	if f.Go {
		f.Programs = programs(dir)
	}
	if f.Node {
		if f.Scripts, err = scripts(filepath.Join(dir, "package.json")); err != nil {
			return f, err
		}
	}
	f.Chart = first(dir, "Chart.yaml", "chart/Chart.yaml", "helm/Chart.yaml", "deploy/chart/Chart.yaml", "charts/*/Chart.yaml", "helm/*/Chart.yaml")
	f.Terraform = first(dir, "*.tf", "terraform/*.tf", "infra/*.tf", "infrastructure/*.tf", "deploy/terraform/*.tf")
	return f, nil
}

func has(dir, name string) bool {
	info, err := os.Stat(filepath.Join(dir, name))
	return err == nil && info.Mode().IsRegular()
}

// first is the folder of the first file that fits one of the patterns.
func first(dir string, patterns ...string) string {
	for _, pattern := range patterns {
		files, err := fs.Glob(os.DirFS(dir), pattern)
		if err == nil && len(files) > 0 {
			return path.Dir(files[0])
		}
	}
	return ""
}

// programs are the folders with a main package, where they usually lie.
func programs(dir string) []string {
	var out []string
	for _, pattern := range []string{"main.go", "cmd/*/main.go"} {
		files, err := fs.Glob(os.DirFS(dir), pattern)
		if err != nil {
			continue
		}
		for _, f := range files {
			out = append(out, path.Dir(f))
		}
	}
	return out
}

func scripts(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var pkg struct {
		Scripts map[string]any `json:"scripts"`
	}
	if err := json.Unmarshal(b, &pkg); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, command.Failure("File not readable", "package.json is no JSON: %s.", err)
		}
		return nil, command.Failure("File not readable", "package.json has no scripts as npm wants them: %s.", err)
	}
	var out []string
	for _, name := range []string{"lint", "test", "build"} {
		if _, ok := pkg.Scripts[name]; ok {
			out = append(out, name)
		}
	}
	return out, nil
}

// parts are those that what was found asks for.
func (f findings) parts() []string {
	found := map[string]bool{"go": f.Go, "node": f.Node, "docker": f.Docker, "helm": f.Chart != "", "terraform": f.Terraform != ""}
	return slices.DeleteFunc(slices.Clone(allParts), func(part string) bool { return !found[part] })
}

// in says where something lies, unless it is the folder itself.
func in(folder string) string {
	if folder == "." {
		return ""
	}
	return " in " + folder
}

// lines tell people what was found.
func (f findings) lines() []string {
	var out []string
	add := func(is bool, line string) {
		if is {
			out = append(out, line)
		}
	}
	add(f.Go, "a Go module")
	node := "a Node package"
	if len(f.Scripts) > 0 {
		node += " with the scripts " + strings.Join(f.Scripts, ", ")
	}
	add(f.Node, node)
	add(f.Docker, "a Dockerfile")
	add(f.Chart != "", "a Helm chart"+in(f.Chart))
	add(f.Terraform != "", "Terraform files"+in(f.Terraform))
	return out
}
