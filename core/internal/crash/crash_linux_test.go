package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
)

// A sample of what TestRealEveryPlaceIsSurvived goes through, small enough for
// every test run.
func TestSomePlacesAreSurvived(t *testing.T) {
	t.Parallel()
	program, plugins := programs(t, "")
	for _, sc := range scenarios("") {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t, sc, program, plugins)
			// Those that once went wrong are always among them.
			tally := y.sweep(t, append(some(y.orders(), 4), y.known()...))
			if tally.struck == 0 {
				t.Error("nothing was killed")
			}
		})
	}
}

// What became of a lost way back is asked of the same plugin, with the same handle,
// also by the process after the next.
func TestQuestionsSurviveAnotherCrash(t *testing.T) {
	t.Parallel()
	program, plugins := programs(t, "")
	y := newYard(t, scenarios("")[2], program, plugins)
	back := Order{Place: "before run stage.ledger", At: 2, Victim: Runner, When: fake.Happened}
	var orders []Order
	for _, o := range orderAt(y.resumes(t, back)) {
		if strings.HasSuffix(o.Place, "reconcile stage.ledger") {
			o.Victim = Runner
			orders = append(orders, o)
		}
	}
	if len(orders) != 2 {
		t.Fatalf("who resumes asks at %v", orders)
	}
	y.sweepAfter(t, back, orders)
}

// Whatever is killed, wherever: who resumes the run brings it to the end that it
// would have had, nothing happens twice, and people are asked where nobody can tell.
func TestRealEveryPlaceIsSurvived(t *testing.T) {
	bin := os.Getenv("RUNNER_TEST_REAL")
	if bin == "" {
		t.Skip("goes through more than a thousand runs; run it with: make test-real")
	}
	program, plugins := programs(t, bin, "runner-plugin-canary")
	for _, sc := range scenarios("canary") {
		t.Run(sc.name, func(t *testing.T) {
			y := newYard(t, sc, program, plugins)
			tally := y.sweep(t, y.orders())
			if len(sc.doubtful) > 0 && tally.doubts == 0 {
				t.Error("nobody was ever asked about an operation in doubt")
			}
			figures.Record(t, "Crashes", "places in a "+sc.name+" (before and after each write and call)", "%d", len(y.places))
			for _, who := range slices.Sorted(maps.Keys(tally.kills)) {
				figures.Record(t, "Crashes", sc.name+": kills of the "+who, "%d", tally.kills[who])
			}
			figures.Record(t, "Crashes", sc.name+": operations in doubt, all of them asked about", "%d", tally.doubts)
			figures.Record(t, "Crashes", sc.name+": runs that ended otherwise", "%d", tally.bad)
			figures.Record(t, "Crashes", sc.name+": effects doubled", "%d", tally.doubled)
		})
	}
}

// The process that resumes is killed too, at every place that it passes.
func TestRealResumeIsSurvived(t *testing.T) {
	bin := os.Getenv("RUNNER_TEST_REAL")
	if bin == "" {
		t.Skip("goes through hundreds of runs; run it with: make test-real")
	}
	program, plugins := programs(t, bin, "runner-plugin-canary")
	var all tally
	for _, sc := range scenarios("canary") {
		t.Run(sc.name, func(t *testing.T) {
			y := newYard(t, sc, program, plugins)
			for _, first := range y.inside(3) {
				second := orderAt(y.resumes(t, first))
				for i := range second {
					second[i].Victim = Runner
				}
				all.add(y.sweepAfter(t, first, second))
			}
		})
	}
	figures.Record(t, "Crashes", "resumed runs killed again, at every place that the resuming process passes", "%d", all.kills[string(Runner)])
	figures.Record(t, "Crashes", "resumed runs killed again: effects doubled, or another end", "%d", all.doubled+all.bad)
}

// tally counts what came of trials.
type tally struct {
	mu                           sync.Mutex
	struck, bad, doubled, doubts int
	kills                        map[string]int
}

func (a *tally) add(b *tally) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.struck, a.bad, a.doubled, a.doubts = a.struck+b.struck, a.bad+b.bad, a.doubled+b.doubled, a.doubts+b.doubts
	if a.kills == nil {
		a.kills = map[string]int{}
	}
	for who, n := range b.kills {
		a.kills[who] += n
	}
}

// some are about n of the orders, spread over all.
func some(orders []Order, n int) []Order {
	var out []Order
	step := max(1, len(orders)/n)
	for i := step / 2; i < len(orders); i += step {
		out = append(out, orders[i])
	}
	return out
}

// inside are n orders that kill the runner in the middle of an effect.
func (y *yard) inside(n int) []Order {
	var all []Order
	for _, o := range y.orders() {
		if o.Victim == Runner && o.When == fake.Happened && len(o.Linger) == 0 {
			all = append(all, o)
		}
	}
	return some(all, n)
}

// known are orders at which runs once ended otherwise: the plugin dies when a lost
// answer has set a weight, has taken a stage back, looks at the targets; the runner
// dies when it is about to free a lock.
func (y *yard) known() []Order {
	wanted := map[string]Order{
		"before set_weight stage.web": {Victim: Plugin, When: fake.Happened},
		"before run stage.ledger":     {Victim: Plugin, When: fake.Happened},
		"before observe stage.web":    {Victim: Plugin},
		"before install stage.web":    {Victim: Plugin},
		"before replace locks":        {Victim: Runner},
	}
	var out []Order
	for _, at := range slices.Backward(orderAt(y.places)) {
		if o, ok := wanted[at.Place]; ok {
			delete(wanted, at.Place)
			o.Place, o.At = at.Place, at.At
			out = append(out, o)
		}
	}
	return out
}

func (y *yard) sweep(t *testing.T, orders []Order) *tally {
	t.Helper()
	return y.sweepAfter(t, Order{}, orders)
}

// sweepAfter tries every order, in a run to which first has happened already.
func (y *yard) sweepAfter(t *testing.T, first Order, orders []Order) *tally {
	t.Helper()
	sum := &tally{kills: map[string]int{}}
	work := make(chan Order)
	var wg sync.WaitGroup
	// Runs wait too: for a bake, a moment before the next try.
	for range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for o := range work {
				y.try(t, first, o, sum)
			}
		})
	}
	for _, o := range orders {
		work <- o
	}
	close(work)
	wg.Wait()
	return sum
}

// try carries one order out and compares the end.
func (y *yard) try(t *testing.T, first, order Order, sum *tally) {
	dir, err := os.MkdirTemp("", "runner-crash-")
	if err != nil {
		t.Error(err)
		return
	}
	defer os.RemoveAll(dir)
	tr, err := y.newTrial(dir)
	if err != nil {
		t.Error(err)
		return
	}
	got, err := tr.carryOut(t.Context(), first, order)
	diff := cmp.Diff(y.whole, got)
	doubled := doubledEffects(y.whole, got)
	sum.mu.Lock()
	defer sum.mu.Unlock()
	if tr.struck {
		sum.struck++
		sum.kills[string(order.Victim)]++
	}
	sum.doubts += len(tr.doubts)
	sum.doubled += doubled
	if err == nil && diff == "" {
		return
	}
	if sum.bad++; sum.bad > 5 {
		t.Errorf("%v (after %v): %v, and the end differs: %t", order, first, err, diff != "")
		return
	}
	t.Errorf("%v (after %v): %v\n(-uninterrupted +killed):\n%s\n%s", order, first, err, diff, tr.said.String())
}

// carryOut does what the orders say and what people would do then.
func (tr *trial) carryOut(ctx context.Context, first, order Order) (ended, error) {
	var exit int
	if first.Place == "" {
		exit = tr.run(ctx, order, tr.y.apply()...)
	} else {
		tr.run(ctx, first, tr.y.apply()...)
		tr.struck = false
		_ = os.Remove(filepath.Join(tr.marks, StruckFile))
		exit = tr.run(ctx, order, "resume")
	}
	if len(order.Linger) > 0 && tr.struck {
		if err := tr.outlive(ctx); err != nil {
			return ended{}, err
		}
	}
	return tr.end(ctx, exit)
}

// resumes are the places that the process passes which resumes after the order.
func (y *yard) resumes(t *testing.T, first Order) []string {
	t.Helper()
	tr, err := y.newTrial(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tr.run(t.Context(), first, y.apply()...)
	if !tr.struck {
		t.Fatalf("%v was not carried out\n%s", first, tr.said.String())
	}
	tr.run(t.Context(), Order{}, "resume")
	return slices.Clone(tr.passed)
}

// doubledEffects counts those that happened more often than they should.
func doubledEffects(want, got ended) int {
	n := max(0, got.Target.Changes-want.Target.Changes)
	for stage, effects := range got.Effects {
		n += max(0, len(effects)-len(want.Effects[stage]))
	}
	return n
}

// triesSeen is how often the program must have looked whether its predecessor is
// gone until it is believed to wait.
const triesSeen = 5

// outlive resumes the run while something of its earlier incarnation still lives,
// and ends that only when the program is seen to wait for it.
func (tr *trial) outlive(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(tr.marks, LingerFile))
	if err != nil {
		return err
	}
	lingering, err := strconv.Atoi(string(text))
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Kill(lingering, syscall.SIGKILL) }()
	opened, err := watchOpens(filepath.Join(tr.dir, ".runner", "alive"))
	if err != nil {
		return err
	}
	defer opened.close()
	p := tr.start(Order{}, "resume")
	early := opened.await(triesSeen, p.done)
	if early {
		p.done <- nil
	}
	_ = syscall.Kill(lingering, syscall.SIGKILL)
	code, err := tr.wait(ctx, p)
	tr.resumes++
	switch {
	case err != nil:
		return err
	case early:
		return fmt.Errorf("the program did not wait for what is left of its predecessor: exit code %d", code)
	case code == killed:
		return errors.New("the program that waited was killed")
	}
	return nil
}

// opens are the times that a file of a folder was opened.
type opens struct{ f *os.File }

func watchOpens(dir string) (*opens, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	o := &opens{os.NewFile(uintptr(fd), "inotify")}
	if _, err := syscall.InotifyAddWatch(fd, dir, syscall.IN_OPEN); err != nil {
		return nil, errors.Join(err, o.f.Close())
	}
	return o, nil
}

func (o *opens) close() { _ = o.f.Close() }

// await returns when files were opened n times, or with true when the process
// that should do so has ended.
func (o *opens) await(n int, ended <-chan error) (early bool) {
	seen := make(chan int)
	go func() {
		defer close(seen)
		buf := make([]byte, 64<<10)
		for {
			got, err := o.f.Read(buf)
			if err != nil {
				return
			}
			count := 0
			for rest := buf[:got]; len(rest) >= syscall.SizeofInotifyEvent; {
				count++
				name := int(uint32(rest[12]) | uint32(rest[13])<<8)
				rest = rest[min(len(rest), syscall.SizeofInotifyEvent+name):]
			}
			seen <- count
		}
	}()
	for n > 0 {
		select {
		case count := <-seen:
			n -= count
		case <-ended: //nolint:errcheck // that it ended is what counts
			go func() {
				for range seen {
				}
			}()
			return true
		}
	}
	go func() {
		for range seen {
		}
	}()
	return false
}
