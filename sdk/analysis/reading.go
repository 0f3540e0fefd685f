package analysis

// Reading is the value of a metric at one release in one look, for charts: what
// the judge limits and compares, before it adds anything up.
type Reading struct {
	// Value of a counter is the share of its events, and where they are compared
	// and good, that of the others. Without a denominator it is bad events a second, as
	// if the release had all of the traffic. Of a distribution it is the quantile
	// or the mean that has limits.
	Value float64
	// Percent: the value is a share.
	Percent bool
	// N counts the observations.
	N int64
	// Reason is why there is no value; empty where there is one.
	Reason string
}

// Readings of a look. A stable release that was not measured has a reason.
func (m Metric) Readings(l Look) (candidate, stable Reading) {
	seconds := l.seconds(m)
	rest := 0.0
	if l.Share > 0 && l.Share < 1 {
		rest = 1 - l.Share
	}
	one, reason := read(l.Candidate, seconds)
	candidate = m.reading(&one, reason, l.Share)
	if l.Stable == nil {
		return candidate, Reading{Reason: "the stable release was not measured"}
	}
	other, reason := read(*l.Stable, seconds)
	return candidate, m.reading(&other, reason, rest)
}

func (m Metric) reading(data *sum, reason string, share float64) Reading {
	seen, ok := data.statistic(m.Quantile)
	if !ok {
		if reason == "" {
			reason = "no traffic"
		}
		return Reading{Reason: reason}
	}
	out := Reading{Value: seen.value, Percent: seen.percent, N: data.count()}
	switch how := m.Compare; {
	case how == nil || data.Counter == nil:
	case how.Rate:
		if out.Percent = false; share > 0 {
			out.Value /= share
		}
	case m.Better == "higher":
		out.Value = 1 - out.Value
	}
	return out
}
