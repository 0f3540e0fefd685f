package seal

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

const (
	hashKind = "pbkdf2-sha256"
	// rounds make guessing slower; about two milliseconds.
	rounds = 10_000
	// maxRounds keeps a forged hash from taking long.
	maxRounds = 10_000_000
	saltLen   = 16
)

// NewSalt makes a salt for Hash.
func NewSalt() []byte {
	salt := make([]byte, saltLen)
	_, _ = rand.Read(salt) // never fails
	return salt
}

// Hash is a salted, deliberately slow hash of a sensitive value, for plans and records
// where the value itself must not stand. canonical is the value in one fixed form,
// such as JSON with sorted keys.
func Hash(salt, canonical []byte) string {
	return fmt.Sprintf("%s:%d:%s", hashKind, rounds, derive(salt, canonical, rounds))
}

// SameHash reports whether hash is that of the value, in constant time.
func SameHash(hash string, salt, canonical []byte) bool {
	kind, rest, _ := strings.Cut(hash, ":")
	count, digest, _ := strings.Cut(rest, ":")
	n, err := strconv.Atoi(count)
	if kind != hashKind || err != nil || n < 1 || n > maxRounds {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(digest), []byte(derive(salt, canonical, n))) == 1
}

func derive(salt, canonical []byte, rounds int) string {
	sum, err := pbkdf2.Key(sha256.New, string(canonical), salt, rounds, sha256.Size)
	if err != nil {
		// Only where a policy of the Go runtime forbids the parameters.
		panic(fmt.Sprintf("seal: %v", err))
	}
	return hex.EncodeToString(sum)
}
