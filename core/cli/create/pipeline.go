package create

import (
	"bytes"
	_ "embed"
	"path"
	"slices"
	"strings"
	"text/template"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// pipeline is what is written.
type pipeline struct {
	Name         string
	Parts        []string
	Environments []string
	// Command of the service.
	Command []string
	findings
}

//go:embed pipeline.hcl.tmpl
var text string

var page = template.Must(template.New(fileName).Funcs(template.FuncMap{"q": quote, "list": quoteList, "refs": references}).Parse(text))

// source is the file in the canonical form.
func (p *pipeline) source() ([]byte, error) {
	var b bytes.Buffer
	if err := page.Execute(&b, p); err != nil {
		return nil, err
	}
	return hclwrite.Format(b.Bytes()), nil
}

// quote writes a text as HCL does.
func quote(s string) string { return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes()) }

func quoteList(words []string) string {
	var values []cty.Value
	for _, w := range words {
		values = append(values, cty.StringVal(w))
	}
	return string(hclwrite.TokensForValue(cty.TupleVal(values)).Bytes())
}

func references(names []string) string { return strings.Join(names, ", ") }

// Has reports whether a part is wanted.
func (p *pipeline) Has(part string) bool { return slices.Contains(p.Parts, part) }

func (p *pipeline) deploys() bool { return p.Has("helm") || p.Has("terraform") }

// Both says that two languages are built, whose stages need names of their own.
func (p *pipeline) Both() bool { return p.Has("go") && p.Has("node") }

// GoPrefix stands before the names of Go's stages.
func (p *pipeline) GoPrefix() string { return p.prefix("go_") }

// NodePrefix stands before the names of Node's stages.
func (p *pipeline) NodePrefix() string { return p.prefix("node_") }

func (p *pipeline) prefix(s string) string {
	if p.Both() {
		return s
	}
	return ""
}

// HasScript reports whether package.json has a script.
func (p *pipeline) HasScript(name string) bool { return slices.Contains(p.Scripts, name) }

// Install is how npm installs what the package needs.
func (p *pipeline) Install() []string {
	if p.Locked {
		return []string{"npm", "ci"}
	}
	return []string{"npm", "install"}
}

// Built are the stages that must have succeeded before anything leaves this
// machine, as references.
func (p *pipeline) Built() []string {
	var out []string
	switch {
	case p.Has("go") && len(p.Programs) > 0:
		out = append(out, "stage."+p.GoPrefix()+"build")
	case p.Has("go"):
		out = append(out, "stage."+p.GoPrefix()+"test")
	}
	if p.Has("node") {
		switch {
		case p.HasScript("build"):
			out = append(out, "stage."+p.NodePrefix()+"build")
		case p.HasScript("test"):
			out = append(out, "stage."+p.NodePrefix()+"test")
		default:
			out = append(out, "stage."+p.NodePrefix()+"install")
		}
	}
	return out
}

// BeforeRelease are the stages before a release of the chart.
func (p *pipeline) BeforeRelease() []string {
	out := []string{"stage.chart"}
	if p.Has("docker") {
		out = append(out, "stage.push")
	} else {
		out = append(out, p.Built()...)
	}
	switch {
	case p.Has("terraform") && len(p.Environments) > 0:
		out = append(out, "stage.provision[each.key]")
	case p.Has("terraform"):
		out = append(out, "stage.provision")
	}
	return out
}

// ChartPath is how Helm is told the chart.
func (p *pipeline) ChartPath() string {
	if p.Chart == "" {
		return "./chart"
	}
	if p.Chart == "." {
		return "."
	}
	return "./" + p.Chart
}

// TerraformIn is how Terraform is told its folder: an argument with its comma.
func (p *pipeline) TerraformIn() string {
	if dir := path.Clean(p.Terraform); dir != "." {
		return quote("-chdir="+dir) + ", "
	}
	return ""
}

// GoBuild builds every program.
func (p *pipeline) GoBuild() []string {
	out := []string{"go", "build", "-o", "dist/"}
	for _, dir := range p.Programs {
		if dir != "." {
			dir = "./" + dir
		}
		out = append(out, dir)
	}
	return out
}

// Last is the last environment, which asks for approval where there are several.
func (p *pipeline) Last() string {
	if len(p.Environments) < 2 {
		return ""
	}
	return p.Environments[len(p.Environments)-1]
}

// Before is the environment before another; empty for the first.
func (p *pipeline) Before(name string) string {
	if i := slices.Index(p.Environments, name); i > 0 {
		return p.Environments[i-1]
	}
	return ""
}
