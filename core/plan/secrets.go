package plan

import (
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/redact"
	"github.com/runner-pipelines/runner/core/seal"
)

// hiddenWorld begins what stands for a version of the world with a secret in it.
const hiddenWorld = "hidden:"

// WorldVersion is a version of the world as plans and journals may hold it: with
// a secret in it, its salted hash, which can only be compared.
func WorldVersion(r *redact.Redactor, salt, version string) string {
	if r.Redact(version) == version {
		return version
	}
	return hiddenWorld + seal.Hash([]byte(salt), []byte(version))
}

// ExpectedWorld is what a plugin can be told to expect; empty, which is no
// expectation, where the version itself was not kept.
func ExpectedWorld(kept string) string {
	if strings.HasPrefix(kept, hiddenWorld) {
		return ""
	}
	return kept
}

// ownRelease are names that Identity.Of gives: they are hashes, whatever they look like.
var ownRelease = regexp.MustCompile(`^r-[0-9a-f]{12}$`)

// Nameable refuses a target that names its stable release by a secret: names stand in plans,
// journals and messages.
func Nameable(r *redact.Redactor, o *Observed, s *program.Slot) hcl.Diagnostics {
	if id := o.Target.Stable; ownRelease.MatchString(id) || r.Redact(id) == id {
		return nil
	}
	return hcl.Diagnostics{diagnostics.Error(s.Use.Range, "Secret in the name of a release",
		"The stable release of target %q has a name that holds a sensitive value of this pipeline. Names are shown and recorded, so the rollout cannot begin. Give the release another name, or change the secret.", s.Name)}
}
