package targettest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/sdktest"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/target/targettest"
)

const envMistake = "TARGETTEST_MISTAKE"

var mistake = os.Getenv(envMistake)

func TestMain(m *testing.M) {
	if mistake != "" {
		sdk.Serve(sdk.Plugin{Name: "mistaken", Version: "0.0.0", Targets: map[string]func() target.Target{"mistaken": newMistaken}})
	}
	os.Exit(m.Run())
}

func newFake() target.Target { return fake.Plugin().Targets["fake_target"]() }

// mistaken is a target that is right but for one thing.
type mistaken struct {
	fake.Target
}

func newMistaken() target.Target { return &mistaken{*newFake().(*fake.Target)} }

// change rewrites the state behind the target's back.
func (m *mistaken) change(f func(*fake.State)) error {
	s, err := fake.ReadState(m.File)
	if err != nil {
		return err
	}
	f(&s)
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(m.File, b, 0o600)
}

// kept is what a target must not keep: it is gone with the process.
var kept = map[string]bool{}

func (m *mistaken) Observe(ctx context.Context, req *target.Request) (target.Observation, error) {
	o, err := m.Target.Observe(ctx, req)
	switch mistake {
	case "cannot say that nothing is there":
		if len(o.Releases) == 0 {
			err = errors.New("nothing is there")
		}
	case "has no version":
		o.World = "same"
	case "has a version that runs away":
		err = errors.Join(err, m.change(func(s *fake.State) { s.World++ }))
	case "remembers":
		if !kept[m.File] {
			o = target.Observation{World: o.World}
		}
	case "loses the labels of people":
		for i := range o.Releases {
			o.Releases[i].Version = ""
		}
	}
	return o, err
}

func (m *mistaken) Plan(ctx context.Context, req *target.Request) (target.Plan, error) {
	if mistake == "cannot plan the unknown" && len(req.Unknown) > 0 {
		return target.Plan{}, errors.New("something is unknown")
	}
	return m.Target.Plan(ctx, req)
}

func (m *mistaken) Install(ctx context.Context, req *target.InstallRequest) (target.Release, error) {
	kept[m.File] = true
	if mistake == "breaks when cancelled" {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	r, err := m.Target.Install(context.WithoutCancel(ctx), req)
	switch mistake {
	case "gives weight at once":
		err = errors.Join(err, m.change(func(s *fake.State) {
			if s.Stable != "" && len(s.Releases) > 1 {
				s.Weights = map[string]target.Weight{req.Release.ID: target.OnePercent, s.Stable: target.Full - target.OnePercent}
			}
		}))
	case "installs again":
		err = errors.Join(err, m.change(func(s *fake.State) { s.World++ }))
	case "has no address":
		err = errors.Join(err, m.change(func(s *fake.State) {
			for i := range s.Releases {
				s.Releases[i].Address = ""
			}
		}))
	case "breaks when cancelled":
		if ctx.Err() != nil {
			return r, errors.Join(ctx.Err(), m.change(func(s *fake.State) { s.Weights = nil }))
		}
	}
	return r, err
}

func (m *mistaken) SetWeight(ctx context.Context, req *target.WeightRequest) error {
	switch mistake {
	case "does nothing and says it did":
		return nil
	case "takes strangers":
		if s, _ := fake.ReadState(m.File); !strings.Contains(fmt.Sprint(s.Releases), req.Release) {
			return nil
		}
	case "expects nothing":
		req.Expect = ""
	case "leaves the rest where it is":
		return m.change(func(s *fake.State) {
			if s.Weights == nil {
				s.Weights = map[string]target.Weight{}
			}
			s.Weights[req.Release] = req.Weight
			s.World++
		})
	case "cannot go back":
		if s, _ := fake.ReadState(m.File); req.Weight < s.Weights[req.Release] && s.Weights[req.Release] < target.Full {
			return errors.New("there is no way back")
		}
	}
	return m.Target.SetWeight(ctx, req)
}

func (m *mistaken) Settle(ctx context.Context, req *target.ReleaseRequest) error {
	err := m.Target.Settle(ctx, req)
	if mistake == "settles too much" {
		err = errors.Join(err, m.change(func(s *fake.State) {
			for _, r := range s.Releases {
				if r.ID == req.Release {
					s.Releases = []target.Release{r}
				}
			}
		}))
	}
	return err
}

func (m *mistaken) Retire(ctx context.Context, req *target.ReleaseRequest) error {
	switch mistake {
	case "retires with weight":
		return errors.Join(
			m.change(func(s *fake.State) { s.Weights = map[string]target.Weight{s.Stable: target.Full} }), m.Target.Retire(ctx, req))
	case "retires once":
		if s, _ := fake.ReadState(m.File); !strings.Contains(fmt.Sprint(s.Releases), req.Release) {
			return diag.WithEffect(diag.None, errors.New("it is gone"))
		}
	case "refuses without saying what happened":
		if err := m.Target.Retire(ctx, req); err != nil {
			return diag.WithEffect(diag.Unknown, err)
		}
		return nil
	}
	return m.Target.Retire(ctx, req)
}

func (m *mistaken) Scale(ctx context.Context, req *target.ScaleRequest) error {
	if mistake == "scales weight" {
		return m.Target.SetWeight(ctx, &target.WeightRequest{Request: req.Request, Release: req.Release, Weight: req.Capacity})
	}
	return m.Target.Scale(ctx, req)
}

func suite(dir string, more sdktest.Config) targettest.Suite {
	var n int
	return targettest.Suite{
		Subject: sdktest.Subject{
			Invalid: []sdktest.Invalid{{Config: sdktest.Config{"file": "x", "step": 0}, At: "step"}},
		},
		Fresh: func(sdktest.T) sdktest.Config {
			n++
			c := sdktest.Config{"file": filepath.Join(dir, fmt.Sprintf("state-%d.json", n)), "address": "http://{release}.example"}
			for k, v := range more {
				c[k] = v
			}
			return c
		},
		Probe: func(_ context.Context, r target.Release) error {
			if r.Address != "http://"+r.ID+".example" {
				return fmt.Errorf("nobody is at %q", r.Address)
			}
			return nil
		},
	}
}

func TestGoodTargetsPass(t *testing.T) {
	for name, more := range map[string]sdktest.Config{
		"that can do everything": {"capacity": true},
		"in whole percents":      {"step": 1},
		"in tenths":              {"step": 10},
		"that switch":            {"weights": "switch", "release_address": false, "address": ""},
		"without weights":        {"weights": "none", "side_by_side": false, "release_address": false, "address": ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := suite(t.TempDir(), more)
			s.New = newFake
			targettest.Run(t, s)
		})
	}
}

// Every mistake is found by the check that is there for it, which stands first;
// the others are those that cannot get on without what is broken.
func TestMistakesAreFound(t *testing.T) {
	const (
		nothing, installs, twice, address = "ObserveAnswersBeforeAnythingIsInstalled", "AnInstalledReleaseHasNoWeight", "InstallTwiceIsOneRelease", "ACandidateAnswersAtItsOwnAddress"
		plans, readBack, stranger, world  = "APlanTellsWhatTheTargetCanDo", "AWeightIsReadBack", "AWeightForAStrangerIsRefused", "AnotherWorldIsNoticed"
		settles, weighty, gone, back      = "SettleMakesTheReleaseStable", "AReleaseWithWeightIsNotRetired", "RetireOfWhatIsGoneIsNoError", "TheWayBackWorksFromEveryStep"
		capacity, goesOn, converges       = "CapacityIsSetApartFromWeight", "AfterACancelledInstallOneCanGoOn", "EveryLegalSequenceConverges"
	)
	everything := []string{installs, twice, address, readBack, stranger, world, settles, weighty, gone, back, capacity, goesOn, converges}
	for mistake, want := range map[string][]string{
		"none":                                 nil,
		"cannot say that nothing is there":     {nothing, converges},
		"cannot plan the unknown":              {plans},
		"has no version":                       {world},
		"has a version that runs away":         {nothing, installs, twice, readBack, stranger, world, settles, weighty, gone, back, capacity, goesOn, converges},
		"loses the labels of people":           {installs, twice, readBack, stranger, world, settles, weighty, gone, back, capacity, goesOn, converges},
		"remembers":                            {converges},
		"gives weight at once":                 {installs, twice, world, gone, capacity, goesOn, converges},
		"installs again":                       {twice},
		"has no address":                       {address},
		"does nothing and says it did":         append(everything, "AWeightBetweenTwoStepsIsRefused"),
		"takes strangers":                      {stranger},
		"expects nothing":                      {world},
		"leaves the rest where it is":          {readBack, stranger, world, settles, weighty, back, converges},
		"cannot go back":                       {back, converges},
		"settles too much":                     {settles, back, converges},
		"retires with weight":                  {weighty, converges},
		"retires once":                         {gone, converges},
		"refuses without saying what happened": {weighty},
		"scales weight":                        {capacity},
		"breaks when cancelled":                {goesOn},
	} {
		t.Run(mistake, func(t *testing.T) {
			t.Parallel()
			s := suite(t.TempDir(), sdktest.Config{"capacity": true})
			s.Command, s.Env = []string{os.Args[0]}, []string{envMistake + "=" + mistake, "GORACE=atexit_sleep_ms=0"}
			s.Sequences = 5
			got := map[string]string{}
			for _, r := range sdktest.Collect(context.Background(), func(t sdktest.T) { targettest.Check(t, s) }) {
				if r.Status == sdktest.Failed {
					got[r.Name] = r.Text
				}
			}
			for _, w := range want {
				if got[w] == "" {
					t.Errorf("%s does not fail", w)
				}
				delete(got, w)
			}
			for name, text := range got {
				t.Errorf("%s fails: %.400s", name, text)
			}
		})
	}
}
