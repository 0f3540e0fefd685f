package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

var exploreCases = []struct{ pipeline, lie string }{
	{"action", "Run:error"}, {"action", "Run:crash"}, {"action", "Run:garbage"}, {"action", "Run:no outcome"}, {"action", "Run:two outcomes"},
	{"action", "Run:late event"}, {"action", "Run:empty event"}, {"action", "Run:empty outcome"}, {"action", "Run:no end"},
	{"action", "Run:many handles"}, {"action", "Run:huge handle"}, {"action", "Run:huge message"}, {"action", "Run:huge undo"}, {"action", "Run:huge world"},
	{"action", "Run:many"}, {"action", "Run:long"}, {"action", "Run:not JSON"}, {"action", "Run:deep"}, {"action", "Run:other outputs"}, {"action", "Run:huge outputs"},
	{"action", "Run:unknown"}, {"action", "Run:nowhere"}, {"action", "Run:many paths"},
	{"action", "Plan:error"}, {"action", "Plan:crash"}, {"action", "Plan:garbage"}, {"action", "Plan:not JSON"}, {"action", "Plan:other outputs"}, {"action", "Plan:huge world"}, {"action", "Plan:huge changes"},
	{"action", "Validate:many"}, {"action", "Validate:long"}, {"action", "Validate:garbage"}, {"action", "Validate:crash"},
	{"target", "Observe:error"}, {"target", "Observe:crash"}, {"target", "Observe:garbage"}, {"target", "Observe:weights"}, {"target", "Observe:negative weight"}, {"target", "Observe:more than all"},
	{"target", "Observe:twice"}, {"target", "Observe:nameless"}, {"target", "Observe:stranger"}, {"target", "Observe:huge"}, {"target", "Observe:many"},
	{"target", "Install:garbage"}, {"target", "Install:crash"}, {"target", "Install:no outcome"}, {"target", "Install:huge release"}, {"target", "Install:other release"}, {"target", "SetWeight:two outcomes"}, {"target", "SetWeight:huge world"}, {"target", "Settle:crash"},
	{"target", "Next:error"}, {"target", "Next:crash"}, {"target", "Next:garbage"}, {"target", "Next:weights"}, {"target", "Next:negative weight"}, {"target", "Next:no change"}, {"target", "Next:many"}, {"target", "Next:memory"}, {"target", "Next:huge"}, {"target", "Next:huge abort"}, {"target", "Next:huge step"},
	{"metrics", "Measure:error"}, {"metrics", "Measure:crash"}, {"metrics", "Measure:garbage"}, {"metrics", "Measure:negative"}, {"metrics", "Measure:more events"}, {"metrics", "Measure:not a number"}, {"metrics", "Measure:bounds"}, {"metrics", "Measure:no data"},
	{"metrics", "Measure:stranger"}, {"metrics", "Measure:twice"}, {"metrics", "Measure:huge"}, {"metrics", "Measure:huge reason"}, {"metrics", "Measure:future"}, {"metrics", "Measure:past"},
	{"action", "Configure:hang"},
}

func TestExplore(t *testing.T) {
	for _, tt := range exploreCases {
		t.Run(tt.pipeline+" "+tt.lie, func(t *testing.T) {
			dir := t.TempDir()
			ready, err := initialised()
			if err != nil {
				t.Fatal(err)
			}
			_ = os.CopyFS(dir, os.DirFS(ready))
			text := "pipeline \"shop\" {}\n"
			switch tt.pipeline {
			case "action":
				text += "stage \"a\" {\n use \"fake_run\" {\n text = \"t\"\n }\n}\n"
			case "target":
				text += "stage \"web\" {\n use \"fake_target\" {\n file = \"web.json\"\n }\n strategy \"fake_strategy\" {}\n}\n"
			case "metrics":
				text += "stage \"web\" {\n use \"fake_target\" {\n file = \"web.json\"\n }\n strategy \"fake_strategy\" {\n bake=\"2s\"\n }\n analysis {\n interval = \"500ms\"\n deadline=\"3s\"\n metric \"errors\" {\n use \"fake_metrics\" {\n file = \"metrics.json\"\n }\n better=\"lower\"\n max=0.01\n }\n }\n}\n"
			}
			_ = os.WriteFile(filepath.Join(dir, "pipeline.hcl"), []byte(text), 0o600)
			_ = os.WriteFile(filepath.Join(dir, "metrics.json"), []byte(`{"*":{"Counter":{"N":1000,"Events":1}}}`), 0o600)
			if tt.pipeline == "metrics" {
				_ = os.WriteFile(filepath.Join(dir, "web.json"), []byte(`{"stable":"old","releases":[{"ID":"old"}],"weights":{"old":100000}}`), 0o600)
			}
			cmd := exec.Command("timeout", "-s", "INT", "40", "runner", "apply", "-auto-approve")
			var out bytes.Buffer
			cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), "FAKE_START=lie:"+tt.lie), &out, &out
			plugins, _ := pluginDir()
			for k, v := range environment(plugins) {
				cmd.Env = append(cmd.Env, k+"="+v)
			}
			began := time.Now()
			err = cmd.Run()
			rss := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10
			var size int64
			_ = filepath.Walk(filepath.Join(dir, ".runner"), func(p string, i os.FileInfo, err error) error { size += i.Size(); return nil })
			b := out.Bytes()
			if len(b) > 2500 {
				b = append(append(b[:1800:1800], "\n.....\n"...), b[len(b)-700:]...)
			}
			t.Logf("err %v, %s, %d MB, state %d KB, out %d\n%s", err, time.Since(began).Round(time.Millisecond), rss, size>>10, out.Len(), b)
		})
	}
}
