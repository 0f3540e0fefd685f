// Package seal encrypts what must not lie readable in the state: sensitive outputs,
// opaque plans, what is needed to undo. Load the state key once, then Seal and Open
// with the place that a value belongs to.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

var (
	// ErrKey means that there is a state key, but it cannot be used.
	ErrKey = errors.New("state key cannot be used")
	// ErrWrongKey means that the value was sealed with another key.
	ErrWrongKey = errors.New("sealed with another state key")
	// ErrDamaged means that the value, or the place it is said to belong to, is not
	// what was sealed.
	ErrDamaged = errors.New("sealed value is damaged or belongs elsewhere")
	// ErrNewer means that a later runner sealed in a form that this one does not know.
	ErrNewer = errors.New("sealed by a newer runner")
)

// Place is what a sealed value is bound to: it opens nowhere else.
type Place struct {
	Run  string
	Node string
	Name string
}

const (
	keyLen = 32
	idLen  = 8
	// A sealed value begins with mark and format, the key's ID, and the nonce.
	mark    = "rsl"
	format  = 1
	headLen = len(mark) + 1 + idLen + chacha20poly1305.NonceSizeX
)

// Key seals and opens. Its methods may be called at the same time.
type Key struct {
	id   [idLen]byte
	aead cipher.AEAD
}

// ParseKey reads a key from text: 32 bytes in base64, standard or URL alphabet.
func ParseKey(text string) (*Key, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	secret, err := base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(text))
	// Errors tell nothing of the key.
	if err != nil {
		return nil, fmt.Errorf("%w: it is not base64", ErrKey)
	}
	if len(secret) != keyLen {
		return nil, fmt.Errorf("%w: it has %d bytes instead of %d", ErrKey, len(secret), keyLen)
	}
	return newKey(secret)
}

// newKey derives from one secret what is used for each purpose.
func newKey(secret []byte) (*Key, error) {
	sealing, err := hkdf.Key(sha256.New, secret, nil, "runner seal", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	id, err := hkdf.Key(sha256.New, secret, nil, "runner key id", idLen)
	if err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(sealing)
	if err != nil {
		return nil, err
	}
	return &Key{id: [idLen]byte(id), aead: aead}, nil
}

// ID names the key without telling it: 16 hex digits.
func (k *Key) ID() string { return hex.EncodeToString(k.id[:]) }

// Seal encrypts. Sealing the same value twice gives different bytes.
func (k *Key) Seal(plain []byte, at Place) []byte {
	out := make([]byte, headLen, headLen+len(plain)+k.aead.Overhead())
	n := copy(out, mark)
	out[n] = format
	n++
	n += copy(out[n:], k.id[:])
	nonce := out[n:headLen]
	_, _ = rand.Read(nonce) // never fails
	return k.aead.Seal(out, nonce, plain, bound(out[:n], at))
}

// Sealed reports whether b has the form of what Seal makes, with whatever key.
func Sealed(b []byte) bool { return len(b) >= headLen && string(b[:len(mark)]) == mark }

// Open decrypts what Seal made for the same place. Errors are ErrWrongKey, with both
// key IDs in the message, ErrDamaged and ErrNewer.
func (k *Key) Open(sealed []byte, at Place) ([]byte, error) {
	if len(sealed) < headLen+k.aead.Overhead() || string(sealed[:len(mark)]) != mark {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, at.describe())
	}
	if f := sealed[len(mark)]; f != format {
		return nil, fmt.Errorf("%w: %s has format %d, this runner knows %d", ErrNewer, at.describe(), f, format)
	}
	named := headLen - chacha20poly1305.NonceSizeX
	if id := sealed[len(mark)+1 : named]; string(id) != string(k.id[:]) {
		return nil, fmt.Errorf("%w: %s needs key %x, this is %s", ErrWrongKey, at.describe(), id, k.ID())
	}
	plain, err := k.aead.Open(nil, sealed[named:headLen], sealed[headLen:], bound(sealed[:named], at))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, at.describe())
	}
	return plain, nil
}

// bound is what the encryption vouches for besides the value itself.
func bound(head []byte, at Place) []byte {
	out := append([]byte{}, head...)
	for _, s := range []string{at.Run, at.Node, at.Name} {
		out = binary.AppendUvarint(out, uint64(len(s)))
		out = append(out, s...)
	}
	return out
}

func (p Place) describe() string {
	return fmt.Sprintf("%s of %s in run %s", p.Name, p.Node, p.Run)
}
