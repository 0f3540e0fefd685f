package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Digest is the SHA-256, in hex, of the schema's canonical JSON: equal schemas
// have equal digests, also after a way over the wire.
func (s Schema) Digest() string {
	b, err := json.Marshal(s.canonical())
	if err != nil {
		panic(err) // canonical left only what marshals
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// canonical sorts the keys inside the defaults.
func (s Schema) canonical() Schema {
	out := s
	out.Attributes = make([]Attribute, len(s.Attributes))
	for i, a := range s.Attributes {
		if a.Default != nil {
			a.Default = canonicalJSON(a.Default)
		}
		out.Attributes[i] = a
	}
	out.Blocks = make([]Block, len(s.Blocks))
	for i, b := range s.Blocks {
		b.Schema = b.Schema.canonical()
		out.Blocks[i] = b
	}
	return out
}

// canonicalJSON writes text that is no JSON as a string.
func canonicalJSON(raw []byte) []byte {
	tree, err := parseJSON(raw)
	if err != nil {
		tree = string(raw)
	}
	b, err := json.Marshal(tree)
	if err != nil {
		panic(err) // a tree that was parsed always marshals
	}
	return b
}
