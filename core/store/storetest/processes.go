package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/core/internal/crowd"
	"github.com/runner-pipelines/runner/core/store"
)

// How a competing process is told its part: role, place, number.
const envRole = "STORETEST_ROLE"

// Main runs a test binary's tests; in a competing process it plays that process's
// part instead. Call it from TestMain.
func Main(m *testing.M, open func(place string) (store.Store, error)) {
	if part, ok := crowd.Member(); ok {
		if err := join(part, open); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	role, ok := os.LookupEnv(envRole)
	if !ok {
		os.Exit(m.Run())
	}
	if err := play(role, open); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

const (
	processes = 4
	perKey    = 30
)

func play(role string, open func(place string) (store.Store, error)) error {
	part, place, _ := strings.Cut(role, " ")
	st, err := open(place)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer st.Close()
	ctx := context.Background()
	// All begin when the parent closes stdin's line.
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	switch part {
	case "absent":
		for k := range perKey {
			_, err := st.PutAbsent(ctx, strconv.Itoa(k), []byte(strconv.Itoa(os.Getpid())))
			if err == nil {
				fmt.Println("won", k)
			} else if !errors.Is(err, store.ErrConflict) {
				return err
			}
		}
	case "increment":
		for range perKey {
			if err := increment(ctx, st, "n"); err != nil {
				return err
			}
		}
	case "append":
		for i := 0; ; i++ {
			if _, err := st.PutAbsent(ctx, fmt.Sprintf("j/%08d", i), []byte("x")); err != nil {
				return err
			}
			fmt.Println(i)
		}
	case "create":
		l, err := st.Lineage(ctx)
		fmt.Println(l)
		return err
	}
	return nil
}

// child is one competing process.
type child struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

// spawn starts n processes with the same part and lets them go together.
func (s Suite) spawn(t *testing.T, n int, part, place string) []*child {
	t.Helper()
	if !s.Processes {
		t.Skip("the store does not declare that several processes can open it")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	children := make([]*child, n)
	for i := range children {
		cmd := exec.CommandContext(t.Context(), exe)
		// The race detector's runtime sleeps a second at the end of a process unless told not to.
		cmd.Env = append(os.Environ(), envRole+"="+part+" "+place, "GORACE=atexit_sleep_ms=0")
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children[i] = &child{cmd: cmd, out: bufio.NewScanner(out)}
		defer func() {
			if _, err := in.Write([]byte("go\n")); err != nil {
				t.Error(err)
			}
		}()
	}
	for _, c := range children {
		if !c.out.Scan() || c.out.Text() != "ready" {
			t.Fatalf("a competing process did not start: %q, %v", c.out.Text(), c.cmd.Wait())
		}
	}
	return children
}

// finish reads the rest of a child's output and fails unless it exits with 0.
func (c *child) finish(t *testing.T) []string {
	t.Helper()
	var lines []string
	for c.out.Scan() {
		lines = append(lines, c.out.Text())
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatalf("a competing process failed: %v", err)
	}
	return lines
}

func processesAbsent(t *testing.T, s Suite) {
	place := s.Place(t)
	wins := map[string]int{}
	for _, c := range s.spawn(t, processes, "absent", place) {
		for _, line := range c.finish(t) {
			wins[line]++
		}
	}
	for k := range perKey {
		if n := wins[fmt.Sprint("won ", k)]; n != 1 {
			t.Errorf("key %d was won %d times", k, n)
		}
	}
}

func processesVersion(t *testing.T, s Suite) {
	place := s.Place(t)
	st := s.openAt(t, place)
	put(t, st, "n", "0")
	for _, c := range s.spawn(t, processes, "increment", place) {
		c.finish(t)
	}
	wantValue(t, st, "n", strconv.Itoa(processes*perKey))
}

func processesCreate(t *testing.T, s Suite) {
	lineages := map[string]bool{}
	for _, c := range s.spawn(t, processes, "create", s.Place(t)) {
		for _, line := range c.finish(t) {
			lineages[line] = true
		}
	}
	if len(lineages) != 1 {
		t.Fatalf("processes that created one store see the lineages %v", lineages)
	}
}

func killedProcess(t *testing.T, s Suite) {
	place := s.Place(t)
	c := s.spawn(t, 1, "append", place)[0]
	last := -1
	for c.out.Scan() {
		var err error
		if last, err = strconv.Atoi(c.out.Text()); err != nil {
			t.Fatal(err)
		}
		if last == 100 {
			if err := c.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = c.cmd.Wait() // killed
	st := s.openAt(t, place)
	n := 0
	for it, err := range store.Scan(t.Context(), st, "j/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("j/%08d", n); it.Key != want {
			t.Fatalf("item %d is %s, want %s", n, it.Key, want)
		}
		n++
	}
	// One write may have been carried out without the answer having been read.
	if n != last+1 && n != last+2 {
		t.Fatalf("the killed process was told of %d writes, %d are there", last+1, n)
	}
	put(t, st, "after", "the store still takes writes")
}
