// Package strict reads JSON that this program itself wrote, now or earlier. A
// field that it does not know was written by a later version, and is an error:
// dropping it would change what the record says.
package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// FieldError means that a record has a field that this version does not know.
type FieldError struct{ Field string }

func (e *FieldError) Error() string { return fmt.Sprintf("has the unknown field %q", e.Field) }

// Unmarshal reads one JSON value into v; nothing may follow it. Unknown fields
// are a *FieldError.
func Unmarshal(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return &FieldError{Field: strings.Trim(field, `"`)}
		}
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows the value")
	}
	return nil
}
