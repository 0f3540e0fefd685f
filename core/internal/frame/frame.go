// Package frame puts a hash ahead of what is stored, so that every changed byte is
// noticed: a line with the SHA-256 of the body in hex, then the body.
package frame

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// HashLen is the length of a hash in hex.
const HashLen = 2 * sha256.Size

// New is an empty frame to append a body to; sizeHint is the body's likely length.
func New(sizeHint int) []byte {
	b := make([]byte, HashLen+1, HashLen+1+sizeHint)
	b[HashLen] = '\n'
	return b
}

// Close fills in the hash of the body that was appended, and returns it.
func Close(b []byte) (hash string) {
	sum := sha256.Sum256(b[HashLen+1:])
	hex.Encode(b, sum[:])
	return string(b[:HashLen])
}

// Open checks a frame. The errors end a sentence that begins with its name.
func Open(b []byte) (body []byte, hash string, err error) {
	if len(b) <= HashLen || b[HashLen] != '\n' {
		return nil, "", errors.New("is cut off, or is something else")
	}
	body = b[HashLen+1:]
	sum := sha256.Sum256(body)
	var want [HashLen]byte
	hex.Encode(want[:], sum[:])
	if !bytes.Equal(want[:], b[:HashLen]) {
		return nil, "", errors.New("has other bytes than were written")
	}
	return body, string(want[:]), nil
}
