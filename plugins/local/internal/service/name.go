package service

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/runner-pipelines/runner/sdk/call"
)

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// CheckName tells what is wrong with a name that a person chose.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%q is not a name for a service: use up to 63 lower case letters, digits and hyphens", name)
	}
	return nil
}

// NameFor derives the name of the service that a stage's target stands for. It
// is readable, fit for a folder, and different for different targets.
func NameFor(c call.Call) string {
	parts := []string{c.Pipeline, strings.TrimPrefix(c.Node, "stage.")}
	if c.Environment != "" && !strings.Contains(c.Node, `"`+c.Environment+`"`) {
		parts = append(parts, c.Environment)
	}
	if c.Target != "main" {
		parts = append(parts, c.Target)
	}
	words := notName.ReplaceAllString(strings.ToLower(strings.Join(parts, "-")), "-")
	words = strings.Trim(words[:min(len(words), 48)], "-")
	hash := shortHash(fmt.Sprintf("%q %q %q %q", c.Pipeline, c.Node, c.Environment, c.Target))
	if words == "" {
		return "service-" + hash
	}
	return words + "-" + hash
}

var notName = regexp.MustCompile(`[^a-z0-9]+`)

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:3])
}
