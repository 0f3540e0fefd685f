package plan

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/runner-pipelines/runner/core/internal/strict"
)

// Magic begins every plan file; the number is the format's version.
const Magic = "runner plan 1\n"

// MaxFile is the largest plan file, in bytes.
const MaxFile = 256 << 20

// maxPlan bounds what Decode unpacks, in bytes.
const maxPlan = 512 << 20

// ErrNotPlan means that the bytes are no plan of any runner.
var ErrNotPlan = errors.New("not a runner plan")

// DamageError means that a plan file is not what was written.
type DamageError struct{ What string }

func (e *DamageError) Error() string { return "plan file is damaged: " + e.What }

// Encode writes the plan and fixes its digest: a header line, the digest of
// what follows, gzipped JSON.
func (p *Plan) Encode() ([]byte, error) {
	graphPlan := p.Graph.Plan
	p.Graph.Plan = ""
	content, err := json.Marshal(p)
	p.Graph.Plan = graphPlan
	if err != nil {
		return nil, fmt.Errorf("encode plan: %w", err)
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(content); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(packed.Bytes())
	p.setDigest(sum[:])
	out := append([]byte(Magic), hex.EncodeToString(sum[:])...)
	out = append(out, '\n')
	return append(out, packed.Bytes()...), nil
}

func (p *Plan) setDigest(sum []byte) {
	p.digest = "sha256:" + hex.EncodeToString(sum)
	p.Graph.Plan = p.digest
}

// Decode reads what Encode wrote. Other bytes are ErrNotPlan, changed ones a
// *DamageError.
func Decode(b []byte) (*Plan, error) {
	rest, ok := bytes.CutPrefix(b, []byte(Magic))
	if !ok {
		if bytes.HasPrefix(b, []byte("runner plan ")) {
			return nil, fmt.Errorf("%w of a version that this runner reads: it was made by a newer one", ErrNotPlan)
		}
		return nil, ErrNotPlan
	}
	want, packed, ok := bytes.Cut(rest, []byte("\n"))
	if !ok {
		return nil, &DamageError{What: "it is cut off"}
	}
	sum := sha256.Sum256(packed)
	if hex.EncodeToString(sum[:]) != string(want) {
		return nil, &DamageError{What: "its content does not have the digest that it names"}
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, &DamageError{What: err.Error()}
	}
	content, err := io.ReadAll(io.LimitReader(z, maxPlan+1))
	if err != nil {
		return nil, &DamageError{What: err.Error()}
	}
	if len(content) > maxPlan {
		return nil, &DamageError{What: "it unpacks to more than 512 MiB"}
	}
	p := &Plan{}
	err = strict.Unmarshal(content, p)
	if errors.As(err, new(*strict.FieldError)) {
		return nil, fmt.Errorf("%w that this runner can read: it was made by runner %s, and %w", ErrNotPlan, writerOf(content), err)
	}
	if err != nil {
		return nil, &DamageError{What: err.Error()}
	}
	if len(p.Nodes) != len(p.Graph.Nodes) {
		return nil, &DamageError{What: "its nodes do not match its graph"}
	}
	if err := p.Graph.Validate(); err != nil {
		return nil, &DamageError{What: err.Error()}
	}
	p.setDigest(sum[:])
	return p, nil
}

// writerOf is the version of the runner that made a plan which is not read further.
func writerOf(content []byte) string {
	var p struct{ Runner string }
	if json.Unmarshal(content, &p) != nil || p.Runner == "" {
		return "of another version"
	}
	return p.Runner
}
