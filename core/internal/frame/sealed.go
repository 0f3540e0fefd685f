package frame

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/runner-pipelines/runner/core/internal/strict"
)

// ErrNewer means that a frame is whole, but holds what this version does not know.
var ErrNewer = errors.New("written by a newer runner")

// Marshal is a frame around the JSON of v.
func Marshal(v any) ([]byte, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	b := append(New(len(content)), content...)
	Close(b)
	return b, nil
}

// Unmarshal reads what Marshal wrote; form says what it should be, such as "a
// message". The errors end a sentence that begins with the frame's name; one
// about an unknown field wraps ErrNewer.
func Unmarshal(b []byte, form string, v any) error {
	content, _, err := Open(b)
	if err != nil {
		return err
	}
	err = strict.Unmarshal(content, v)
	if errors.As(err, new(*strict.FieldError)) {
		return fmt.Errorf("was %w: it %w", ErrNewer, err)
	}
	if err != nil {
		return fmt.Errorf("is not in the form of %s: %w", form, err)
	}
	return nil
}
