package kernel

import (
	"encoding/json"
	"fmt"

	"github.com/runner-pipelines/runner/core/internal/strict"
)

// snapshotVersion is that of the format that Save writes.
const snapshotVersion = 2

type savedState struct {
	Version int  `json:"version"`
	Data    data `json:"data"`
}

// Save writes the state, so that a journal need not be folded from its
// beginning. It must be called between two calls of Decide, not during one.
func (s *State) Save() ([]byte, error) {
	return json.Marshal(savedState{snapshotVersion, s.d})
}

// Restore reads what Save wrote for the same graph. It refuses what another
// version wrote: the caller then folds the whole journal.
func Restore(g *Graph, saved []byte) (*State, error) {
	var in savedState
	var version struct{ Version int }
	if json.Unmarshal(saved, &version) == nil && version.Version != snapshotVersion {
		return nil, fmt.Errorf("snapshot: version %d, this runner reads version %d", version.Version, snapshotVersion)
	}
	if err := strict.Unmarshal(saved, &in); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if len(in.Data.Nodes) != len(g.Nodes) {
		return nil, fmt.Errorf("snapshot: %d nodes, the plan has %d", len(in.Data.Nodes), len(g.Nodes))
	}
	s := &State{g: g, d: in.Data}
	s.derive()
	return s, nil
}
