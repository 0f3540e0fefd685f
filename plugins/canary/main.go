// Command runner-plugin-canary serves strategies: how traffic moves from the
// stable release to the candidate.
//
// Each strategy is a list of goals (goals.go), decided anew from every
// snapshot. They keep no memory.
package main

import (
	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// version is set by the build.
var version = "0.1.0"

func plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:    "canary",
		Version: version,
		Strategies: map[string]func() strategy.Strategy{
			"canary":      func() strategy.Strategy { return &Canary{} },
			"blue_green":  func() strategy.Strategy { return &BlueGreen{} },
			"all_at_once": func() strategy.Strategy { return &AllAtOnce{} },
		},
	}
}

func main() { sdk.Serve(plugin()) }
