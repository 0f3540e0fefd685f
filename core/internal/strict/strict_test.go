package strict_test

import (
	"errors"
	"testing"

	"github.com/runner-pipelines/runner/core/internal/strict"
)

func TestUnmarshal(t *testing.T) {
	type inner struct {
		B int `json:"b"`
	}
	for text, want := range map[string]string{
		`{"a":{"b":1}}`:          "",
		` {"a":{"b":1}} ` + "\n": "",
		`{"a":{"b":1,"c":2}}`:    "c", // also deep inside
		`{"z":1,"a":{"b":1}}`:    "z",
		`{"a":{"b":1}}{}`:        "-",
		`{"a":{"b":1}`:           "-",
		``:                       "-",
		`{"a":{"b":"x"}}`:        "-",
	} {
		var v struct {
			A inner `json:"a"`
		}
		err := strict.Unmarshal([]byte(text), &v)
		field, unknown := errors.AsType[*strict.FieldError](err)
		switch {
		case want == "" && (err != nil || v.A.B != 1), want != "" && err == nil,
			unknown && field.Field != want, want == "-" && unknown, want != "" && want != "-" && !unknown:
			t.Errorf("Unmarshal(%s): %v, want %q", text, err, want)
		}
	}
}
