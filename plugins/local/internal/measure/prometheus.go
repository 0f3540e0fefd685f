package measure

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Named is a release with what its series are labelled with.
type Named struct {
	*Release
	ID      string
	Version string
	// Share of traffic, 0 to 1.
	Share float64
}

// totals is a moment's copy of what never goes down.
type totals struct {
	classes   [6]int64
	errors    int64
	abandoned int64
	latency   [buckets]int64
	seconds   float64
}

// WriteMetrics writes the releases' counters in Prometheus text format.
func WriteMetrics(w io.Writer, service string, releases []Named) error {
	out := bufio.NewWriter(w)
	copies := make([]totals, len(releases))
	labels := make([]string, len(releases))
	for i, r := range releases {
		r.mu.Lock()
		copies[i] = totals{r.classes, r.errors, r.abandoned, r.latency, r.seconds}
		r.mu.Unlock()
		labels[i] = fmt.Sprintf(`service="%s",release="%s",version="%s"`, escape(service), escape(r.ID), escape(r.Version))
	}
	family := func(name, kind, help string, each func(i int)) {
		fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
		for i := range releases {
			each(i)
		}
	}
	family("runner_local_requests_total", "counter", "Requests from the public address, by class of status; none is no answer.", func(i int) {
		fmt.Fprintf(out, "runner_local_requests_total{%s,code=\"none\"} %d\n", labels[i], copies[i].classes[0])
		for class := 1; class <= 5; class++ {
			fmt.Fprintf(out, "runner_local_requests_total{%s,code=\"%dxx\"} %d\n", labels[i], class, copies[i].classes[class])
		}
	})
	family("runner_local_request_errors_total", "counter", "Requests that failed: status 5xx, or no whole answer.", func(i int) {
		fmt.Fprintf(out, "runner_local_request_errors_total{%s} %d\n", labels[i], copies[i].errors)
	})
	family("runner_local_requests_abandoned_total", "counter", "Requests whose client went away before the answer.", func(i int) {
		fmt.Fprintf(out, "runner_local_requests_abandoned_total{%s} %d\n", labels[i], copies[i].abandoned)
	})
	family("runner_local_request_duration_seconds", "histogram", "Time from a request's arrival to the end of its answer.", func(i int) {
		var sum int64
		for b, bound := range Bounds {
			sum += copies[i].latency[b]
			fmt.Fprintf(out, "runner_local_request_duration_seconds_bucket{%s,le=\"%s\"} %d\n", labels[i], number(bound), sum)
		}
		sum += copies[i].latency[len(Bounds)]
		fmt.Fprintf(out, "runner_local_request_duration_seconds_bucket{%s,le=\"+Inf\"} %d\n", labels[i], sum)
		fmt.Fprintf(out, "runner_local_request_duration_seconds_sum{%s} %s\n", labels[i], number(copies[i].seconds))
		fmt.Fprintf(out, "runner_local_request_duration_seconds_count{%s} %d\n", labels[i], sum)
	})
	family("runner_local_requests_in_flight", "gauge", "Requests that are being answered.", func(i int) {
		fmt.Fprintf(out, "runner_local_requests_in_flight{%s} %d\n", labels[i], releases[i].flight.Load())
	})
	family("runner_local_release_share", "gauge", "Share of traffic that the release gets, 0 to 1.", func(i int) {
		fmt.Fprintf(out, "runner_local_release_share{%s} %s\n", labels[i], number(releases[i].Share))
	})
	return out.Flush()
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s)
}
