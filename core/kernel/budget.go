package kernel

// What an SLO says of a rollout when its error budget is spent.
const (
	hold  = "hold"
	abort = "abort"
)

// spent are the budgets that are exhausted, or burn, and of which the SLO says this.
func (n *nodeState) spent(what string) []PlannedBudget {
	if n.Planned == nil || n.def.Rollout == nil {
		return nil
	}
	var out []PlannedBudget
	for _, b := range n.Planned.Budgets {
		if (b.Exhausted || b.Burning) && n.def.Rollout.onExhausted(b.SLO) == what {
			out = append(out, b)
		}
	}
	return out
}

// onExhausted is empty for what is no SLO of the rollout: one that goes back has none.
func (r *Rollout) onExhausted(slo string) string {
	if r.Analysis == nil {
		return ""
	}
	for _, o := range r.Analysis.SLOs {
		switch {
		case o.Name != slo:
		case o.OnExhausted == "":
			return hold
		default:
			return o.OnExhausted
		}
	}
	return ""
}

// budgetGate is the name of the gate that asks about a budget. No name that people
// give has a dot.
func budgetGate(b PlannedBudget) string { return "slo." + b.SLO }

// noteBudgets tells what nobody was asked about.
func (s *State) noteBudgets(n *nodeState) {
	for _, b := range n.Planned.Budgets {
		text := b.Why
		if b.Exhausted || b.Burning {
			if n.def.Rollout.onExhausted(b.SLO) == hold {
				continue
			}
			text += "; the pipeline says to go on"
		}
		s.emit(Noted{Node: n.def.ID, By: "runner", Text: text})
	}
}
