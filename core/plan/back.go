package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// Back is the plan that installs again what p installed at the given rollouts:
// straight to all traffic once verified, with the files, values and results of
// the earlier run, so that nothing is built or decided anew. Run is that run;
// standing says which release has the traffic now, by node and target.
func (p *Plan) Back(ctx context.Context, run string, standing map[string]map[string]string, locked []byte, now time.Time) (*Plan, error) {
	out := *p
	out.digest, out.Created, out.Lock = "", now.UTC(), locked
	if out.Replays == "" {
		out.Replays = run
	}
	out.Graph = kernel.Graph{}
	out.Nodes = nil
	for i := range p.Nodes {
		targets, wanted := standing[p.Nodes[i].ID]
		if !wanted {
			continue
		}
		if p.Nodes[i].Kind != kernel.RolloutNode {
			return nil, fmt.Errorf("%s is no rollout", p.Nodes[i].ID)
		}
		node, k, err := p.backNode(ctx, i, targets)
		if err != nil {
			return nil, err
		}
		out.Nodes, out.Graph.Nodes = append(out.Nodes, node), append(out.Graph.Nodes, k)
	}
	if len(out.Nodes) != len(standing) {
		return nil, errors.New("the earlier plan does not have all these rollouts")
	}
	if _, err := out.Encode(); err != nil {
		return nil, err
	}
	return &out, nil
}

func (p *Plan) backNode(ctx context.Context, i int, standing map[string]string) (Node, kernel.Node, error) {
	node, k := p.Nodes[i], p.Graph.Nodes[i]
	k.After, k.Gates, k.Pool, k.RunIf, k.Skip = nil, nil, "", kernel.OnSuccess, ""
	rollout := *k.Rollout
	rollout.Strategy, rollout.Analysis, rollout.Approvals, rollout.Limits, rollout.WhileWaiting, rollout.MaxDegraded = "", nil, nil, nil, "", 0
	all := make([]int, len(rollout.Targets))
	for j := range all {
		all[j] = j
	}
	rollout.Waves = [][]int{all}
	k.Rollout = &rollout
	node.Targets = slices.Clone(node.Targets)
	for j := range node.Targets {
		t := &node.Targets[j]
		t.Stable, t.StableVersion, t.World, t.Changes = standing[t.Name], "", "", nil
	}
	node.Unchanged, node.Maybe, node.Skip, node.Deferred, node.Budgets = false, false, "", nil, nil
	node.Back, node.WayBack = backWords(node.Targets), wayBack(node.Targets)
	sim, _, err := simulate(ctx, k, node.Targets, func(context.Context, strategy.Snapshot) (strategy.Decision, error) {
		return strategy.Decision{}, errors.New("a way back asks no strategy")
	})
	if err != nil {
		return node, k, fmt.Errorf("%s: %w", node.ID, err)
	}
	node.Simulation = sim
	return node, k, nil
}
