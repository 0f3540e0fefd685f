package lang

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/runner-pipelines/runner/core/internal/regular"
)

// World is all that expressions can see of the outside. Implementations may be
// called from several goroutines.
type World interface {
	// Env is the environment variable's value; false when it is not set. An error
	// means that it cannot be told.
	Env(name string) (string, bool, error)
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

// ErrTooLarge means that a file is larger than MaxFile.
var ErrTooLarge = errors.New("the file is larger than 1 MiB")

// ErrNotRecorded is what a replayed world answers to a question that was not
// asked when it was recorded.
var ErrNotRecorded = errors.New("the plan did not look at this when it was made, so it cannot be told now")

type osWorld struct {
	dir, cwd string
	environ  []string
	env      map[string]string
	git      func() (Git, error)
}

// OS is the world as it is. Dir is the pipeline's directory; environ has the
// form of os.Environ.
func OS(dir, cwd string, environ []string) World {
	w := &osWorld{dir: dir, cwd: cwd, environ: environ, env: make(map[string]string, len(environ))}
	for _, pair := range environ {
		if name, v, ok := strings.Cut(pair, "="); ok {
			w.env[name] = v
		}
	}
	w.git = sync.OnceValues(func() (Git, error) { return readGit(dir, environ) })
	return w
}

func (w *osWorld) Env(name string) (string, bool, error) {
	v, ok := w.env[name]
	return v, ok, nil
}

func (w *osWorld) File(path string) ([]byte, error) {
	full := filepath.FromSlash(path)
	if !filepath.IsAbs(full) {
		full = filepath.Join(w.dir, full)
	}
	content, err := regular.Read(full, MaxFile)
	if _, tooLarge := errors.AsType[*regular.TooLargeError](err); tooLarge {
		return nil, ErrTooLarge
	}
	return content, err
}

func (w *osWorld) Git() (Git, error) { return w.git() }

func (w *osWorld) Cwd() string { return filepath.ToSlash(w.cwd) }

// Record is all that a Recorder's world was asked, and what it said. It may
// hold secrets from the environment and from files: seal it.
type Record struct {
	Env map[string]string `json:"env,omitempty"`
	// Unset are environment variables that had no value.
	Unset []string          `json:"unset,omitempty"`
	Files map[string][]byte `json:"files,omitempty"`
	// Absent are files that did not exist.
	Absent []string `json:"absent,omitempty"`
	Git    *Git     `json:"git,omitempty"`
	Cwd    string   `json:"cwd,omitempty"`
}

// Recorder is a world that remembers what it said, and says the same when asked
// again.
type Recorder struct {
	world World

	mu     sync.Mutex
	env    map[string]*string
	files  map[string]fileAnswer
	git    *Git
	gitErr error
	asked  struct{ git, cwd bool }
}

type fileAnswer struct {
	content []byte
	err     error
}

// NewRecorder remembers what w says.
func NewRecorder(w World) *Recorder {
	return &Recorder{world: w, env: map[string]*string{}, files: map[string]fileAnswer{}}
}

// Env asks the world once for each name.
func (r *Recorder) Env(name string) (string, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	answer, asked := r.env[name]
	if !asked {
		v, ok, err := r.world.Env(name)
		if err != nil {
			return "", false, err
		}
		if ok {
			answer = &v
		}
		r.env[name] = answer
	}
	if answer == nil {
		return "", false, nil
	}
	return *answer, true, nil
}

// File asks the world once for each path.
func (r *Recorder) File(path string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	answer, asked := r.files[path]
	if !asked {
		answer.content, answer.err = r.world.File(path)
		r.files[path] = answer
	}
	return answer.content, answer.err
}

// Git asks the world once.
func (r *Recorder) Git() (Git, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.asked.git {
		r.asked.git = true
		g, err := r.world.Git()
		r.git, r.gitErr = &g, err
	}
	return *r.git, r.gitErr
}

// Cwd asks the world.
func (r *Recorder) Cwd() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked.cwd = true
	return r.world.Cwd()
}

// Record is what was said so far. It shares no memory with the recorder but the
// content of files.
func (r *Recorder) Record() Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := Record{Env: map[string]string{}, Files: map[string][]byte{}}
	for _, name := range slices.Sorted(maps.Keys(r.env)) {
		if v := r.env[name]; v != nil {
			out.Env[name] = *v
		} else {
			out.Unset = append(out.Unset, name)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(r.files)) {
		switch answer := r.files[path]; {
		case answer.err == nil:
			out.Files[path] = answer.content
		case errors.Is(answer.err, fs.ErrNotExist):
			out.Absent = append(out.Absent, path)
		}
	}
	if r.asked.git && r.gitErr == nil {
		g := *r.git
		out.Git = &g
	}
	if r.asked.cwd {
		out.Cwd = r.world.Cwd()
	}
	return out
}

type replayed struct{ record Record }

// Replay is the world that says what was recorded, and ErrNotRecorded for
// everything else.
func Replay(r Record) World { return replayed{r} }

func (w replayed) Env(name string) (string, bool, error) {
	if v, ok := w.record.Env[name]; ok {
		return v, true, nil
	}
	if slices.Contains(w.record.Unset, name) {
		return "", false, nil
	}
	return "", false, ErrNotRecorded
}

func (w replayed) File(path string) ([]byte, error) {
	if content, ok := w.record.Files[path]; ok {
		return content, nil
	}
	if slices.Contains(w.record.Absent, path) {
		return nil, fs.ErrNotExist
	}
	return nil, ErrNotRecorded
}

func (w replayed) Git() (Git, error) {
	if w.record.Git == nil {
		return Git{}, fmt.Errorf("git: %w", ErrNotRecorded)
	}
	return *w.record.Git, nil
}

func (w replayed) Cwd() string { return w.record.Cwd }
