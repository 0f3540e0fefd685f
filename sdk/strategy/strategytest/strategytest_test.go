package strategytest_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/sdktest"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/strategy/strategytest"
)

const envServe = "STRATEGYTEST_SERVE"

func newFake() strategy.Strategy { return &fake.Strategy{Steps: []float64{50, 100}} }

func TestMain(m *testing.M) {
	if os.Getenv(envServe) != "" {
		sdk.Serve(sdk.Plugin{Name: "mistaken", Version: "0.0.0", Strategies: map[string]func() strategy.Strategy{"fake": newFake}})
	}
	os.Exit(m.Run())
}

func suite() strategytest.Suite {
	return strategytest.Suite{
		Subject: sdktest.Subject{
			Valid: []sdktest.Config{
				{}, {"steps": []int{5, 25, 50, 100}, "bake": "10m"}, {"steps": []int{100}, "approval": "go"}, {"steps": []int{20, 100}, "approval": "go", "bake": "1m"},
			},
			Invalid: []sdktest.Invalid{{Config: sdktest.Config{"steps": []int{50, 20, 100}}, At: "steps"}},
		},
		Approvals: []string{"go"},
	}
}

func TestAGoodStrategyPasses(t *testing.T) {
	s := suite()
	s.New = newFake
	strategytest.Run(t, s)
}

// Every mistake is found by the check that is there for it.
func TestMistakesAreFound(t *testing.T) {
	strategytest.SetDecisionTime(time.Second)
	t.Cleanup(func() { strategytest.SetDecisionTime(5 * time.Second) })
	const (
		ends, aborts, first, refused, chaos = "EveryRolloutEnds", "HarmAbortsAtOnce", "AFirstDeploymentEndsAtFullWeight", "ARefusedApprovalAborts", "CrashesAndLostAnswersLeadNowhereElse"
		pure, alone                         = "EqualSnapshotsGetEqualDecisions", "TheNetworkIsNotNeeded"
	)
	for mistake, want := range map[string][]string{
		"":         nil,
		"impure":   {pure, alone},
		"hang":     {ends, aborts, first, refused, chaos},
		"crash":    {ends, aborts, first, refused, chaos},
		"panic":    {ends, aborts, first, refused, chaos},
		"error":    {ends, aborts, first, refused, chaos},
		"memory":   {ends, aborts, first, refused, chaos},
		"forever":  {ends, aborts, first, refused, chaos},
		"idle":     {ends, aborts, first, refused, chaos, "ADecisionSaysSomething"},
		"lower":    {ends, aborts, first, refused, chaos, "WeightsAreNeverLowered"},
		"fine":     {"OnlyWhatTargetsCanDoIsAskedFor", "FinishMeansFullWeight"},
		"again":    {ends, aborts, refused, "AStepIsEnteredOnce", chaos},
		"deaf":     {aborts, "HarmIsNeverIgnored"},
		"early":    {"FinishMeansFullWeight"},
		"eager":    {"NoWeightBeforeTheCandidateIsReady"},
		"stranger": {"OnlyTargetsOfTheWaveAreNamed"},
		"retire":   {ends, aborts, refused, chaos, "OnlyAReleaseWithoutWeightIsRetired"},
		"misled":   {ends, aborts, refused, chaos, "OnlyOfferedAnswersAreWaitedFor"},
		"pushy":    {refused},
	} {
		t.Run(mistake, func(t *testing.T) {
			t.Parallel()
			s := suite()
			for _, c := range s.Valid {
				c["misbehave"] = mistake
			}
			s.Command, s.Env, s.Worlds = []string{os.Args[0]}, []string{envServe + "=1", "GORACE=atexit_sleep_ms=0"}, 60
			if _, reason := s.WithoutNetwork(); reason != "" {
				t.Logf("without network: %s", reason)
			}
			got := map[string]string{}
			for _, r := range sdktest.Collect(context.Background(), func(t sdktest.T) { strategytest.Check(t, s) }) {
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
				t.Errorf("%s fails: %.500s", name, text)
			}
		})
	}
}
