package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
)

// lowDisk is so little room that a run may not be able to write its journal.
const lowDisk = 100 << 20

// around looks at what lies beside the state: the pipeline's files as far as
// reading them failed, the lock file, programs of plugins, schemas, folders.
func (x *exam) around(diags hcl.Diagnostics) {
	for _, d := range diags {
		f := Finding{Severity: mild, Record: "the pipeline", Problem: "has " + strings.ToLower(d.Summary[:1]) + d.Summary[1:], Saved: strings.TrimRight(d.Detail, ".")}
		if d.Severity == hcl.DiagError {
			f.Severity = severe
		}
		if d.Subject != nil {
			f.Record = fmt.Sprintf("%s line %d", filepath.Base(d.Subject.Filename), d.Subject.Start.Line)
		}
		x.found(f)
	}
	x.folder()
	sound := x.schemas()
	if x.w.Lock != nil && x.opts.Run == "" {
		x.programs()
		x.missing(sound)
	}
}

func (x *exam) programs() {
	places := x.w.Places(x.opts.PluginDir)
	for _, p := range x.w.Lock.Plugins {
		x.count("plugins", 1)
		if err := pluginhost.CheckProgram(x.w.Lock, places, p.Source); err != nil {
			x.found(Finding{Severity: severe, Record: "plugin " + p.Source, Problem: "cannot be started", Saved: strings.TrimRight(err.Error(), ".\n")})
		}
	}
}

// missing finds schemas that the lock file names and that are not there. Those that
// are damaged were told.
func (x *exam) missing(sound bool) {
	if x.w.Catalog == nil || !sound {
		return
	}
	if _, err := x.w.Catalog.Entries(); err != nil {
		x.found(Finding{Severity: severe, Record: x.w.SchemaDir(), Problem: "lacks what the lock file names: " + err.Error(), Commands: []string{"runner init"}})
	}
}

// schemas reports whether all that are kept are sound.
func (x *exam) schemas() bool {
	damaged, err := catalog.Damaged(x.w.SchemaDir())
	if err != nil {
		x.found(Finding{Severity: severe, Record: x.w.SchemaDir(), Problem: "cannot be read: " + err.Error()})
	}
	for _, path := range damaged {
		x.found(Finding{
			Severity: severe, Record: path, Problem: "is not what its name says",
			Saved: "it is only kept so that the plugin need not be asked", Commands: []string{"runner doctor -repair", "runner init"},
			cure: func(context.Context) (string, error) {
				return "it was removed; runner init asks the plugin again", os.Remove(path)
			},
		})
	}
	return damaged == nil
}

// folder looks at modes, and whether there is room and leave to write.
func (x *exam) folder() {
	if _, err := os.Stat(x.w.Data); errors.Is(err, fs.ErrNotExist) {
		return
	}
	if runtime.GOOS != "windows" {
		for _, name := range []string{".", "state.db", "state.key"} {
			path := filepath.Join(x.w.Data, name)
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm()&0o077 == 0 {
				continue
			}
			mode := "600"
			if info.IsDir() {
				mode = "700"
			}
			x.found(Finding{Severity: mild, Record: path, Problem: fmt.Sprintf("may be read by others: its mode is %04o", info.Mode().Perm()), Commands: []string{"chmod " + mode + " " + path}})
		}
	}
	probe, err := os.CreateTemp(x.w.Data, "doctor-*")
	if err != nil {
		x.found(Finding{Severity: severe, Record: x.w.Data, Problem: "cannot be written: " + err.Error(), Saved: "no run can be opened or resumed"})
		return
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	if free, ok := freeSpace(x.w.Data); ok && free < lowDisk {
		x.found(Finding{Severity: mild, Record: x.w.Data, Problem: fmt.Sprintf("has only %d MB left on its disk", free>>20)})
	}
}
