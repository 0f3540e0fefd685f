package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/control"
	"github.com/runner-pipelines/runner/plugins/local/internal/output"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/target"
)

// commands are the program's subcommands. Those without a line of help are for
// the program itself.
func commands() map[string]sdk.Command {
	all := map[string]sdk.Command{
		"ls":   {Doc: "list the services on this machine", Run: func(args []string) int { return list(args, os.Stdout, os.Stderr) }},
		"stop": {Doc: "stop services and remove what is known of them", Run: func(args []string) int { return stop(args, os.Stdout, os.Stderr) }},
		"logs": {Doc: "show what the replicas of a service printed last", Run: func(args []string) int { return logs(args, os.Stdout, os.Stderr) }},
	}
	addHidden(all)
	return all
}

const (
	exitOK = iota
	exitFailed
	exitUsage
)

// listed is one service as ls -json writes it.
type listed struct {
	Name        string          `json:"name"`
	Pipeline    string          `json:"pipeline,omitempty"`
	Environment string          `json:"environment,omitempty"`
	Address     string          `json:"address,omitempty"`
	Metrics     string          `json:"metrics,omitempty"`
	Running     bool            `json:"running"`
	Keeper      int             `json:"keeper_pid,omitempty"`
	Front       int             `json:"front_pid,omitempty"`
	Since       time.Time       `json:"since"`
	Releases    []listedRelease `json:"releases"`
}

type listedRelease struct {
	ID       string          `json:"id"`
	Version  string          `json:"version,omitempty"`
	Stable   bool            `json:"stable"`
	Weight   target.Weight   `json:"weight"`
	Address  string          `json:"address"`
	Created  time.Time       `json:"created"`
	Replicas []listedReplica `json:"replicas"`
}

type listedReplica struct {
	PID      int    `json:"pid,omitempty"`
	Port     int    `json:"port"`
	Ready    bool   `json:"ready"`
	Restarts int    `json:"restarts,omitempty"`
	LastEnd  string `json:"last_end,omitempty"`
}

func list(args []string, out, errs io.Writer) int {
	flags := newFlags("ls", "", errs)
	asJSON := flags.Bool("json", false, "write JSON")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return exitUsage
	}
	dirs, err := allServices()
	if err != nil {
		return fail(errs, err)
	}
	code := exitOK
	services := []listed{}
	for _, dir := range dirs {
		state, err := dir.Load()
		if err != nil {
			code = fail(errs, err)
			continue
		}
		services = append(services, describe(state))
	}
	if *asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(services); err != nil {
			return fail(errs, err)
		}
		return code
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tADDRESS\tRELEASE\tWEIGHT\tREADY\tPID\tSINCE")
	for _, s := range services {
		writeRows(table, s)
	}
	if err := table.Flush(); err != nil {
		return fail(errs, err)
	}
	return code
}

func writeRows(w io.Writer, s listed) {
	address, pid := s.Address, strconv.Itoa(s.Keeper)
	if address == "" {
		address = "-"
	}
	if !s.Running {
		pid = "not running"
	}
	if len(s.Releases) == 0 {
		fmt.Fprintf(w, "%s\t%s\t-\t-\t-\t%s\t%s\n", s.Name, address, pid, s.Since.Local().Format(time.DateTime))
	}
	for i, r := range s.Releases {
		name := r.ID
		if r.Version != "" {
			name = r.Version + " (" + r.ID + ")"
		}
		if r.Stable {
			name += " stable"
		}
		ready := 0
		for _, rep := range r.Replicas {
			if rep.Ready {
				ready++
			}
		}
		first := []string{s.Name, address, pid}
		if i > 0 {
			first = []string{"", "", ""}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d/%d\t%s\t%s\n", first[0], first[1], name, r.Weight, ready, len(r.Replicas), first[2], r.Created.Local().Format(time.DateTime))
	}
}

func describe(s *service.State) listed {
	l := listed{
		Name: s.Name, Pipeline: s.Pipeline, Environment: s.Environment, Since: s.Since,
		Running: s.Keeper.Alive(), Releases: []listedRelease{},
	}
	if s.Port != 0 {
		l.Address = "http://" + net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
		l.Metrics = fmt.Sprintf("http://127.0.0.1:%d/metrics", s.MetricsPort)
	}
	if l.Running {
		l.Keeper = s.Keeper.PID
	}
	if s.Front.Alive() {
		l.Front = s.Front.PID
	}
	for _, r := range s.Releases {
		if !r.Installed {
			continue
		}
		lr := listedRelease{
			ID: r.ID, Version: r.Version, Stable: r.ID == s.Stable, Weight: r.Weight,
			Address: s.Describe(r).Address, Created: r.Created,
		}
		for _, rep := range r.Replicas {
			one := listedReplica{Port: rep.Port, Restarts: rep.Restarts, LastEnd: rep.LastEnd}
			if rep.Proc.Alive() {
				one.PID, one.Ready = rep.Proc.PID, rep.Ready
			}
			lr.Replicas = append(lr.Replicas, one)
		}
		l.Releases = append(l.Releases, lr)
	}
	return l
}

func stop(args []string, out, errs io.Writer) int {
	flags := newFlags("stop", "NAME...", errs)
	everything := flags.Bool("all", false, "stop all services")
	timeout := flags.Duration("timeout", time.Minute, "how long to wait for each")
	if flags.Parse(args) != nil {
		return exitUsage
	}
	if *everything == (flags.NArg() > 0) {
		fmt.Fprintln(errs, "Error: name the services to stop, or give -all")
		return exitUsage
	}
	dirs, err := allServices()
	if err != nil {
		return fail(errs, err)
	}
	if !*everything {
		if dirs, err = named(dirs, flags.Args()); err != nil {
			return fail(errs, err)
		}
	}
	code := exitOK
	for _, dir := range dirs {
		ctx, cancel := context.WithTimeout(context.Background(), *timeout)
		err := control.NewClient(dir).Stop(ctx)
		cancel()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			code = fail(errs, fmt.Errorf("service %s: %w", dir.Name(), err))
			continue
		}
		fmt.Fprintf(out, "stopped %s\n", dir.Name())
	}
	return code
}

func logs(args []string, out, errs io.Writer) int {
	flags := newFlags("logs", "NAME [RELEASE]", errs)
	lines := flags.Int("n", 20, "number of lines from each replica")
	if flags.Parse(args) != nil || flags.NArg() < 1 || flags.NArg() > 2 {
		return exitUsage
	}
	dirs, err := allServices()
	if err != nil {
		return fail(errs, err)
	}
	if dirs, err = named(dirs, flags.Args()[:1]); err != nil {
		return fail(errs, err)
	}
	state, err := dirs[0].Load()
	if err != nil {
		return fail(errs, err)
	}
	found := false
	for _, r := range state.Releases {
		if want := flags.Arg(1); want != "" && want != r.ID && want != r.Version {
			continue
		}
		found = true
		for i := range r.Replicas {
			path := dirs[0].ReplicaLog(r.ID, i)
			fmt.Fprintf(out, "==> %s, replica %d: %s\n", r.ID, i, path)
			if err := writeTail(out, path, *lines); err != nil {
				return fail(errs, err)
			}
		}
	}
	if !found {
		return fail(errs, fmt.Errorf("the service %s has no such release; those that are gone may have left a log in %s", dirs[0].Name(), dirs[0].Logs()))
	}
	return exitOK
}

func writeTail(out io.Writer, path string, n int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	tail := &output.Tail{Limit: 256 << 10}
	if _, err := io.Copy(tail, f); err != nil {
		return err
	}
	for _, line := range output.LastLines(tail.String(), n) {
		fmt.Fprintln(out, line)
	}
	return nil
}

func newFlags(name, arguments string, errs io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() {
		fmt.Fprintf(errs, "Usage: %s %s [options] %s\n", filepath.Base(os.Args[0]), name, arguments)
		flags.PrintDefaults()
	}
	return flags
}

func allServices() ([]service.Dir, error) {
	root, err := service.Root()
	if err != nil {
		return nil, err
	}
	return service.List(root)
}

// named finds services by name, or by a beginning that only one has.
func named(all []service.Dir, names []string) ([]service.Dir, error) {
	var found []service.Dir
	for _, name := range names {
		var fits []service.Dir
		for _, dir := range all {
			if dir.Name() == name {
				fits = []service.Dir{dir}
				break
			}
			if strings.HasPrefix(dir.Name(), name) {
				fits = append(fits, dir)
			}
		}
		switch len(fits) {
		case 0:
			return nil, fmt.Errorf("no service is named %q; see %s ls", name, filepath.Base(os.Args[0]))
		case 1:
			if !slices.Contains(found, fits[0]) {
				found = append(found, fits[0])
			}
		default:
			return nil, fmt.Errorf("%q is the beginning of %d names: write more of it", name, len(fits))
		}
	}
	return found, nil
}

func fail(errs io.Writer, err error) int {
	fmt.Fprintln(errs, "Error:", err)
	return exitFailed
}
