package lock

import "os"

// Life is what is known of the processes of a holder.
type Life string

const (
	// Unknown: they are on another machine, or were; only their lease tells.
	Unknown Life = ""
	// Living: at least one of them is there.
	Living Life = "living"
	// Gone: all of them have ended, plugins too.
	Gone Life = "gone"
)

// Liveness tells, by the liveness locks in a folder, whether holders live.
type Liveness struct {
	dir   string
	place string
	// local: all processes that reach the store share this folder.
	local bool
}

// NewLiveness looks into dir, which is made when missing. With local, every
// process that can reach the store keeps its liveness lock in dir, as is so for a
// store in a file beside it: then the locks there are the whole truth, and leases
// do not count.
func NewLiveness(dir string, local bool) (*Liveness, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &Liveness{dir: dir, place: place(dir), local: local}, nil
}

// Place names the folder among all machines; empty when that cannot be known.
func (l *Liveness) Place() string { return l.place }

// Of tells what is known of a holder. Asker is who wants to know: what holds the
// same liveness lock now was gone before it got it.
func (l *Liveness) Of(h, asker Holder) Life {
	if l == nil || h.Alive == "" || !l.local && (h.Place == "" || h.Place != l.place) {
		return Unknown
	}
	if h.Alive == asker.Alive && h.Process != asker.Process {
		return Gone
	}
	switch alive, err := IsAlive(l.dir, h.Alive); {
	case err != nil && !l.local:
		return Unknown
	case err != nil, alive:
		return Living
	}
	return Gone
}
