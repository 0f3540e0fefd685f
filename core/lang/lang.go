// Package lang is what expressions are made of: the functions, the world that
// they may look at, type and duration helpers, and the mark for sensitive
// values.
package lang

import (
	"time"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// World is all that expressions can see of the outside. Implementations may be
// called from several goroutines.
type World interface {
	// Env is the environment variable's value; false when it is not set.
	Env(name string) (string, bool)
	// File reads a file, at most MaxFile bytes. The path has slashes and is
	// relative to the pipeline's directory, or absolute. A missing file is
	// fs.ErrNotExist.
	File(path string) ([]byte, error)
	// Git tells about the repository that holds the pipeline; ErrNoRepository
	// when there is none.
	Git() (Git, error)
	// Cwd is the directory in which the program was started.
	Cwd() string
}

// MaxFile is the largest file that an expression may read, in bytes.
const MaxFile = 1 << 20

// Git is what is known about a repository.
type Git struct {
	Commit      string `json:"commit"`
	ShortCommit string `json:"short_commit"`
	// Branch is empty on a detached head; Tag is the tag of the commit or empty.
	Branch string `json:"branch"`
	Tag    string `json:"tag"`
	// Dirty says that tracked files differ from the commit.
	Dirty bool `json:"dirty"`
}

// OS is the world as it is. Dir is the pipeline's directory; environ has the
// form of os.Environ.
func OS(dir, cwd string, environ []string) World { panic("skeleton") }

// Record is all that a Recorder's world was asked, and what it said. It may
// hold secrets that the environment or files hold: seal it.
type Record struct {
	// Env holds nil for variables that were not set.
	Env map[string]*string `json:"env,omitempty"`
	// Files holds nil for files that do not exist.
	Files map[string]*[]byte `json:"files,omitempty"`
	Git   *Git               `json:"git,omitempty"`
	Cwd   string             `json:"cwd,omitempty"`
}

// Recorder is a world that remembers what it said.
type Recorder struct{}

// NewRecorder remembers what w says.
func NewRecorder(w World) *Recorder { panic("skeleton") }

// Record is what was said so far.
func (r *Recorder) Record() Record { panic("skeleton") }

// Replay is the world that says what was recorded, and fails for everything else.
func Replay(r Record) World { panic("skeleton") }

// Functions are those that expressions may call; the same map each time for
// the same world.
func Functions(w World) map[string]function.Function { panic("skeleton") }

// Sensitive marks v as a whole.
func Sensitive(v cty.Value) cty.Value { panic("skeleton") }

// IsSensitive reports whether v or anything inside is sensitive.
func IsSensitive(v cty.Value) bool { panic("skeleton") }

// ParseDuration reads what Go does, and days: "1h30m", "30d", "1d12h". It must
// not be negative.
func ParseDuration(s string) (time.Duration, error) { panic("skeleton") }
