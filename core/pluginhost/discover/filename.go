package discover

import (
	"regexp"

	"github.com/hashicorp/go-version"
)

const filePrefix = "runner-plugin-"

// fileName is what the name of a plugin's program tells: runner-plugin-NAME, or
// runner-plugin-NAME_vX.Y.Z_xP.M_OS_ARCH, on Windows with .exe.
type fileName struct {
	plugin string
	// version and platform are empty in the short form.
	version  *version.Version
	platform string
}

var fileForm = regexp.MustCompile(`^runner-plugin-([a-z0-9][a-z0-9-]*)(?:_v([0-9][0-9A-Za-z.+-]*)_x[0-9]+\.[0-9]+_([a-z0-9]+_[a-z0-9]+))?(?:\.exe)?$`)

func parseFileName(name string) (fileName, bool) {
	m := fileForm.FindStringSubmatch(name)
	if m == nil {
		return fileName{}, false
	}
	out := fileName{plugin: m[1], platform: m[3]}
	if m[2] != "" {
		v, err := version.NewSemver(m[2])
		if err != nil {
			return fileName{}, false
		}
		out.version = v
	}
	return out, true
}
