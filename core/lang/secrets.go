package lang

import (
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// KeepSecrets is the world w, and tells keep every text that an expression calls
// sensitive: what is built from it later holds it as a part, and only who knows
// the part can keep it out of logs.
func KeepSecrets(w World, keep func(text string)) World { return keeper{w, keep} }

type keeper struct {
	World
	keep func(string)
}

// keepingSensitive is the function sensitive of a world that keeps secrets.
func keepingSensitive(k keeper) function.Function {
	return function.New(&function.Spec{
		Description: "Marks a value as one that must not be shown.",
		Params:      makeSensitive.Params(),
		Type:        typeOfArgument,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v := Sensitive(args[0])
			for _, text := range SensitiveTexts(v) {
				k.keep(text)
			}
			return v, nil
		},
	})
}
