package runs_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

var at = time.Date(2026, 11, 23, 1, 34, 5, 123456789, time.FixedZone("", 3600))

func create(t *testing.T, x *runs.Index, digest string, change func(*runs.Record)) runs.Record {
	t.Helper()
	rec := runs.Record{Pipeline: "shop", Initiator: "ada", Host: "laptop", PlanDigest: digest, Opened: at, Versions: map[string]string{"runner": "0.1.0"}}
	if change != nil {
		change(&rec)
	}
	rec, err := x.Create(t.Context(), rec, []byte("plan "+digest))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func TestCreateKeepsRecordAndPlan(t *testing.T) {
	x := runs.New(memstore.New())
	rec := create(t, x, "d1", nil)
	if !regexp.MustCompile(`^20261123-003405-[0-9a-z]{4}$`).MatchString(rec.ID) {
		t.Errorf("ID is %s, want the start in UTC", rec.ID)
	}
	if len(rec.Nonce) != 36 {
		t.Errorf("nonce is %q, want a UUID", rec.Nonce)
	}
	got, err := x.Get(t.Context(), rec.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rec, got); diff != "" {
		t.Errorf("record differs (-want +got):\n%s", diff)
	}
	plan, err := x.Plan(t.Context(), rec.ID)
	if err != nil || string(plan) != "plan d1" {
		t.Errorf("plan is %q, error %v", plan, err)
	}
	for _, id := range []string{"", "20261123-003405-zzzz"} {
		if _, err := x.Get(t.Context(), id); !errors.As(err, new(*runs.NotFoundError)) {
			t.Errorf("Get(%q): %v", id, err)
		}
		if _, err := x.Plan(t.Context(), id); !errors.As(err, new(*runs.NotFoundError)) {
			t.Errorf("Plan(%q): %v", id, err)
		}
	}
	if _, err := x.Create(t.Context(), runs.Record{}, nil); err == nil {
		t.Error("Create took a run without a plan")
	}
}

func TestAPlanOpensExactlyOneRun(t *testing.T) {
	s := memstore.New()
	opened := make(chan string, 20)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			rec, err := runs.New(s).Create(t.Context(), runs.Record{PlanDigest: "d", Opened: at}, nil)
			if err == nil {
				opened <- rec.ID
			}
		})
	}
	wg.Wait()
	if len(opened) != 1 {
		t.Fatalf("%d runs were opened", len(opened))
	}
	id := <-opened
	_, err := runs.New(s).Create(t.Context(), runs.Record{PlanDigest: "d", Opened: at}, nil)
	var plan *runs.PlanUsedError
	if !errors.As(err, &plan) || plan.Run != id {
		t.Fatalf("second Create: %v, want the plan used by %s", err, id)
	}
	n := 0
	for _, err := range runs.New(s).List(t.Context(), runs.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 {
		t.Fatalf("%d runs are listed", n)
	}
}

// The process that claims the plan stops at every write in turn, before and after its
// effect. The plan is then either used by its run, or opens another; never both.
func TestAClaimOfASilentProcessIsTakenOver(t *testing.T) {
	silent := errors.New("killed")
	for write := 1; write <= 3; write++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d, after %v", write, after), func(t *testing.T) {
				s := memstore.New()
				n := 0
				hook := func(op memstore.Op) error {
					if op.Name == "put_absent" {
						if n++; n == write {
							return silent
						}
					}
					return nil
				}
				if after {
					s.After = hook
				} else {
					s.Before = hook
				}
				x := runs.New(s)
				if _, err := x.Create(t.Context(), runs.Record{PlanDigest: "d", Opened: at}, nil); !errors.Is(err, silent) {
					t.Fatal(err)
				}
				s.Before, s.After = nil, nil
				if write == 3 && !after {
					_, err := x.Create(t.Context(), runs.Record{PlanDigest: "d", Opened: at.Add(9 * time.Second)}, nil)
					if err == nil || !strings.Contains(err.Error(), "is being opened with this plan") {
						t.Fatalf("Create at the same moment: %v", err)
					}
				}
				var want string
				rec, err := x.Create(t.Context(), runs.Record{PlanDigest: "d", Opened: at.Add(10 * time.Second)}, nil)
				var plan *runs.PlanUsedError
				switch {
				case err == nil:
					want = rec.ID
				case errors.As(err, &plan) && write == 3 && after:
					want = plan.Run
				default:
					t.Fatal(err)
				}
				var got []string
				for rec, err := range x.List(t.Context(), runs.Filter{}) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, rec.ID)
				}
				if diff := cmp.Diff([]string{want}, got); diff != "" {
					t.Errorf("runs differ (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// The silent process wakes up when its claim was taken over: its run must not open.
func TestALateProcessCannotOpenItsRun(t *testing.T) {
	s := memstore.New()
	x := runs.New(s)
	var second runs.Record
	s.Before = func(op memstore.Op) error {
		if op.Name == "put_absent" && strings.HasPrefix(op.Key, "index/") {
			s.Before = nil
			second = create(t, x, "d", func(r *runs.Record) { r.Opened = at.Add(time.Hour) })
		}
		return nil
	}
	_, err := x.Create(t.Context(), runs.Record{PlanDigest: "d", Opened: at}, nil)
	if err == nil || !strings.Contains(err.Error(), "another process took its plan") {
		t.Fatalf("Create of the late process: %v", err)
	}
	if rec, err := x.Find(t.Context(), "latest"); err != nil || rec.ID != second.ID {
		t.Fatalf("latest is %s, want %s (error %v)", rec.ID, second.ID, err)
	}
}

func TestListIsNewestFirstAndFiltered(t *testing.T) {
	x := runs.New(memstore.New())
	days := func(n int) time.Time { return at.AddDate(0, 0, n) }
	a := create(t, x, "a", func(r *runs.Record) { r.Opened = days(0) })
	c := create(t, x, "c", func(r *runs.Record) { r.Opened = days(400) })
	b := create(t, x, "b", func(r *runs.Record) { r.Opened = days(1); r.Pipeline = "blog" })
	if _, err := x.Update(t.Context(), a.ID, func(r *runs.Record) { r.Closed, r.Outcome = days(1), "failed" }); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		filter runs.Filter
		want   []string
	}{
		"all":                         {runs.Filter{}, []string{c.ID, b.ID, a.ID}},
		"limit":                       {runs.Filter{Limit: 2}, []string{c.ID, b.ID}},
		"pipeline":                    {runs.Filter{Pipeline: "shop"}, []string{c.ID, a.ID}},
		"limit counts what is chosen": {runs.Filter{Pipeline: "blog", Limit: 1}, []string{b.ID}},
		"open":                        {runs.Filter{Open: true}, []string{c.ID, b.ID}},
		"outcome":                     {runs.Filter{Outcome: "failed"}, []string{a.ID}},
		"since":                       {runs.Filter{Since: days(1).Add(-time.Second)}, []string{c.ID, b.ID}},
		"none":                        {runs.Filter{Pipeline: "nope"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for rec, err := range x.List(t.Context(), tc.filter) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, rec.ID)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("runs differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUpdateKeepsIdentityAndLosesNoUpdate(t *testing.T) {
	x := runs.New(memstore.New())
	rec := create(t, x, "d", func(r *runs.Record) { r.Versions = nil })
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			_, err := x.Update(t.Context(), rec.ID, func(r *runs.Record) {
				r.ID, r.Nonce, r.PlanDigest = "other", "other", "other"
				r.Summary += "x"
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	want := rec
	want.Summary = strings.Repeat("x", 10)
	got, err := x.Get(t.Context(), rec.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record differs (-want +got):\n%s", diff)
	}
	if _, err := x.Update(t.Context(), "nope", func(*runs.Record) {}); !errors.As(err, new(*runs.NotFoundError)) {
		t.Errorf("Update of a missing run: %v", err)
	}
}

func TestFind(t *testing.T) {
	x := runs.New(memstore.New())
	if _, err := x.Find(t.Context(), "latest"); !errors.As(err, new(*runs.NotFoundError)) {
		t.Errorf("latest of none: %v", err)
	}
	old := create(t, x, "a", func(r *runs.Record) { r.Opened = at.AddDate(-1, 0, 0) })
	one := create(t, x, "b", nil)
	two := create(t, x, "c", func(r *runs.Record) { r.Opened = at.Add(time.Minute) })
	end := one.ID[len(one.ID)-4:]
	for ref, want := range map[string]string{
		"latest":               two.ID,
		old.ID:                 old.ID,
		"2025":                 old.ID,
		end:                    one.ID,
		strings.ToUpper(end):   one.ID,
		" " + one.ID[9:] + " ": one.ID,
		two.ID[:13]:            two.ID,
	} {
		rec, err := x.Find(t.Context(), ref)
		if err != nil || rec.ID != want {
			t.Errorf("Find(%q) = %s, want %s (error %v)", ref, rec.ID, want, err)
		}
	}
	_, err := x.Find(t.Context(), "20261123")
	var ambiguous *runs.AmbiguousError
	if !errors.As(err, &ambiguous) || len(ambiguous.Runs) != 2 || ambiguous.Runs[0].ID != two.ID || !strings.Contains(err.Error(), two.ID+", "+one.ID) {
		t.Errorf("Find of a common beginning: %v", err)
	}
	_, err = x.Find(t.Context(), "l"+end[1:]) // no ID has an l
	var missing *runs.NotFoundError
	if !errors.As(err, &missing) || len(missing.Near) == 0 || !strings.Contains(err.Error(), "did you mean") {
		t.Errorf("Find of a misspelt end: %v", err)
	}
	for _, ref := range []string{"", "2024", "nothing like it"} {
		if _, err := x.Find(t.Context(), ref); !errors.As(err, &missing) || len(missing.Near) != 0 {
			t.Errorf("Find(%q): %v", ref, err)
		}
	}
}

func TestAnAmbiguousReferenceListsTenAtMost(t *testing.T) {
	x := runs.New(memstore.New())
	for i := range 15 {
		create(t, x, fmt.Sprint(i), func(r *runs.Record) { r.Opened = at.Add(time.Duration(i) * time.Second) })
	}
	_, err := x.Find(t.Context(), "2026")
	var ambiguous *runs.AmbiguousError
	if !errors.As(err, &ambiguous) || len(ambiguous.Runs) != 10 || !strings.HasSuffix(err.Error(), ", and more") {
		t.Errorf("Find: %v", err)
	}
}

func TestADamagedRecordIsNamedAndDoesNotHideTheOthers(t *testing.T) {
	s := memstore.New()
	x := runs.New(s)
	good := create(t, x, "a", nil)
	bad := create(t, x, "b", func(r *runs.Record) { r.Opened = at.Add(time.Hour) })
	key := s.Keys("index/")[0]
	original, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"cut":      func(b []byte) []byte { return b[:len(b)/2] },
		"replaced": func([]byte) []byte { return []byte(`{"id":"another"}`) },
		"empty":    func([]byte) []byte { return []byte{} },
	} {
		s.Corrupt(key, func([]byte) []byte { return change(original.Value) })
		_, err := x.Get(t.Context(), bad.ID)
		var damage *journal.DamageError
		if !errors.As(err, &damage) || damage.Run != bad.ID {
			t.Errorf("%s: Get gives %v", name, err)
		}
		if _, err := x.Find(t.Context(), bad.ID); !errors.As(err, &damage) {
			t.Errorf("%s: Find of the damaged run gives %v", name, err)
		}
		if rec, err := x.Find(t.Context(), good.ID[9:]); err != nil || rec.ID != good.ID {
			t.Errorf("%s: Find of the other run gives %v", name, err)
		}
		var ids []string
		damaged := 0
		for rec, err := range x.List(t.Context(), runs.Filter{}) {
			if err != nil {
				damaged++
				continue
			}
			ids = append(ids, rec.ID)
		}
		if diff := cmp.Diff([]string{good.ID}, ids); diff != "" || damaged != 1 {
			t.Errorf("%s: %d damaged, the others differ (-want +got):\n%s", name, damaged, diff)
		}
	}
}
