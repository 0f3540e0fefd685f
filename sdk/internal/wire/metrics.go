package wire

import (
	"fmt"

	"github.com/runner-pipelines/runner/sdk/internal/wire/metricspb"
	"github.com/runner-pipelines/runner/sdk/metrics"
)

// MeasurementToPB fails when a release has not exactly one kind of data.
func MeasurementToPB(m metrics.Measurement) (*metricspb.MeasureResponse, error) {
	out := &metricspb.MeasureResponse{CompleteUntil: TimeToPB(m.CompleteUntil)}
	for _, r := range m.Releases {
		pb, err := releaseToPB(r)
		if err != nil {
			return nil, err
		}
		out.Releases = append(out.Releases, pb)
	}
	return out, nil
}

// MeasurementFromPB fails when a release has no data and no reason, and when a
// histogram's counts do not fit its bounds. The numbers themselves may be anything.
func MeasurementFromPB(r *metricspb.MeasureResponse) (metrics.Measurement, error) {
	out := metrics.Measurement{CompleteUntil: TimeFromPB(r.GetCompleteUntil())}
	for _, pb := range r.GetReleases() {
		m, err := releaseFromPB(pb)
		if err != nil {
			return out, err
		}
		out.Releases = append(out.Releases, m)
	}
	return out, nil
}

func checkMeasured(r metrics.Release) error {
	var n int
	for _, set := range []bool{r.Counter != nil, r.Histogram != nil, r.Samples != nil, r.NoData != ""} {
		if set {
			n++
		}
	}
	switch {
	case n == 0:
		return fmt.Errorf("release %q has no data, and no reason why", r.ID)
	case n > 1:
		return fmt.Errorf("release %q has more than one kind of data", r.ID)
	case r.Histogram != nil && len(r.Histogram.Counts) != len(r.Histogram.Bounds)+1:
		return fmt.Errorf("release %q has a histogram of %d bounds and %d counts; there must be one count more than bounds", r.ID, len(r.Histogram.Bounds), len(r.Histogram.Counts))
	}
	return nil
}

func releaseToPB(r metrics.Release) (*metricspb.ReleaseMeasurement, error) {
	if err := checkMeasured(r); err != nil {
		return nil, err
	}
	pb := &metricspb.ReleaseMeasurement{Release: r.ID}
	switch {
	case r.Counter != nil:
		pb.Data = &metricspb.ReleaseMeasurement_Counter{Counter: &metricspb.Counter{N: r.Counter.N, Events: r.Counter.Events}}
	case r.Histogram != nil:
		pb.Data = &metricspb.ReleaseMeasurement_Histogram{Histogram: &metricspb.Histogram{Bounds: r.Histogram.Bounds, Counts: r.Histogram.Counts}}
	case r.Samples != nil:
		pb.Data = &metricspb.ReleaseMeasurement_Samples{Samples: &metricspb.Samples{Values: r.Samples}}
	default:
		pb.Data = &metricspb.ReleaseMeasurement_NoData{NoData: &metricspb.NoData{Reason: r.NoData}}
	}
	return pb, nil
}

func releaseFromPB(pb *metricspb.ReleaseMeasurement) (metrics.Release, error) {
	m := metrics.Release{ID: pb.GetRelease()}
	switch x := pb.GetData().(type) {
	case *metricspb.ReleaseMeasurement_Counter:
		m.Counter = &metrics.Counter{N: x.Counter.GetN(), Events: x.Counter.GetEvents()}
	case *metricspb.ReleaseMeasurement_Histogram:
		m.Histogram = &metrics.Histogram{Bounds: x.Histogram.GetBounds(), Counts: x.Histogram.GetCounts()}
	case *metricspb.ReleaseMeasurement_Samples:
		m.Samples = x.Samples.GetValues()
		if m.Samples == nil {
			m.Samples = []float64{}
		}
	case *metricspb.ReleaseMeasurement_NoData:
		m.NoData = x.NoData.GetReason()
	}
	return m, checkMeasured(m)
}

// PastToPB fails as MeasurementToPB does.
func PastToPB(p metrics.Past) (*metricspb.PastResponse, error) {
	out := &metricspb.PastResponse{Reason: p.Reason}
	for _, w := range p.Windows {
		pb, err := releaseToPB(w.Release)
		if err != nil {
			return nil, err
		}
		out.Windows = append(out.Windows, &metricspb.PastWindow{From: TimeToPB(w.From), To: TimeToPB(w.To), Data: pb})
	}
	return out, nil
}

// PastFromPB fails as MeasurementFromPB does, and when windows are empty, overlap or
// are not in the order of time.
func PastFromPB(r *metricspb.PastResponse) (metrics.Past, error) {
	out := metrics.Past{Reason: r.GetReason()}
	for i, pb := range r.GetWindows() {
		m, err := releaseFromPB(pb.GetData())
		if err != nil {
			return out, err
		}
		w := metrics.Window{From: TimeFromPB(pb.GetFrom()), To: TimeFromPB(pb.GetTo()), Release: m}
		if !w.From.Before(w.To) || i > 0 && w.From.Before(out.Windows[i-1].To) {
			return out, fmt.Errorf("window %d of the past, from %s to %s, is empty or begins before the one before it ended", i+1, w.From, w.To)
		}
		out.Windows = append(out.Windows, w)
	}
	return out, nil
}
