package ask

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scope"
)

// Variables asks for the values of variables that have none, each until it fits
// its type and keeps its rules. The answers are as for -var: name=value. It asks
// nothing without a terminal, and stops asking at the end of the input; who needs
// the values then finds that they are missing. Show tells what is wrong with an answer.
func Variables(env *command.Env, p *config.Pipeline, values scope.Values, world lang.World, show func(hcl.Diagnostics)) ([]string, error) {
	if !env.Interactive {
		return nil, nil
	}
	var answers []string
	for _, v := range scope.Missing(p, values) {
		introduce(env, v)
		for {
			read := Line
			if v.Sensitive {
				read = Secret
			}
			text, err := read(env, "  Enter a value: ")
			if errors.Is(err, io.EOF) {
				fmt.Fprintln(env.Stderr)
				return answers, nil
			}
			if err != nil {
				return nil, err
			}
			diags := scope.Refuse(p, values, world, v.Name, text)
			if !diags.HasErrors() {
				answers = append(answers, v.Name+"="+text)
				values.Vars = append(values.Vars, v.Name+"="+text)
				break
			}
			fmt.Fprintln(env.Stderr)
			show(diags)
		}
		fmt.Fprintln(env.Stderr)
	}
	return answers, nil
}

func introduce(env *command.Env, v *config.Variable) {
	fmt.Fprintf(env.Stderr, "var.%s\n", v.Name)
	if v.Description != "" {
		fmt.Fprintf(env.Stderr, "  %s\n", v.Description)
	}
	if typ := v.Type.Type; !typ.IsPrimitiveType() && typ != cty.DynamicPseudoType {
		fmt.Fprintf(env.Stderr, "  Of type %s, written as in HCL.\n", typeexpr.TypeString(typ.WithoutOptionalAttributesDeep()))
	}
	fmt.Fprintln(env.Stderr)
}
