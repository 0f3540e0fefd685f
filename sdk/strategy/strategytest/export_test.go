package strategytest

import "time"

// SetDecisionTime keeps the test of a strategy that hangs short.
func SetDecisionTime(d time.Duration) { decisionTime = d }
