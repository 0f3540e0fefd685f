// Package seal encrypts what must not lie readable in the state: sensitive
// outputs, opaque plans, what is needed to undo. Load the state key once, then
// Seal and Open with the place that a value belongs to.
package seal

import (
	"errors"
)

// EnvKey is the environment variable that holds the state key: 32 bytes in base64.
const EnvKey = "RUNNER_STATE_KEY"

var (
	// ErrKey means that there is a state key, but it cannot be used.
	ErrKey = errors.New("state key cannot be used")
	// ErrWrongKey means that the value was sealed with another key.
	ErrWrongKey = errors.New("sealed with another state key")
	// ErrDamaged means that the value, or the place it is said to belong to, is
	// not what was sealed.
	ErrDamaged = errors.New("sealed value is damaged or belongs elsewhere")
)

// Place is what a sealed value is bound to: it opens nowhere else.
type Place struct {
	Run  string
	Node string
	Name string
}

// Key seals and opens. Its methods may be called at the same time.
type Key struct{}

// Load reads the state key from the environment variable RUNNER_STATE_KEY, else from
// the file dir/state.key, which is made with mode 0600 when missing. A file that
// others may read is refused.
func Load(dir string, lookupEnv func(string) (string, bool)) (*Key, error) { panic("") }

// ParseKey reads a key from text: 32 bytes in base64, standard or URL alphabet.
func ParseKey(text string) (*Key, error) { panic("") }

// ID names the key without telling it: 16 hex digits.
func (k *Key) ID() string { panic("") }

// Seal encrypts. Sealing the same value twice gives different bytes.
func (k *Key) Seal(plain []byte, at Place) ([]byte, error) { panic("") }

// Open decrypts what Seal made for the same place. Errors are ErrWrongKey, with
// both key IDs in the message, and ErrDamaged.
func (k *Key) Open(sealed []byte, at Place) ([]byte, error) { panic("") }

// NewSalt makes a salt for Hash.
func NewSalt() []byte { panic("") }

// Hash is a salted, deliberately slow hash of a sensitive value, for plans and
// records where the value itself must not stand. canonical is the value in one
// fixed form, such as JSON with sorted keys.
func Hash(salt, canonical []byte) string { panic("") }

// SameHash reports whether hash is that of the value, in constant time.
func SameHash(hash string, salt, canonical []byte) bool { panic("") }
