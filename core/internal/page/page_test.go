package page

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOnlyWhatIsBetweenTheMarkersIsReplaced(t *testing.T) {
	begin, end := Markers("make bench")
	page := "before\n" + begin + "old\n" + end + "after\n"
	got, err := between([]byte(page), "make bench", []byte("new\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Replace(page, "old", "new", 1), string(got)); diff != "" {
		t.Error(diff)
	}
	for _, page := range []string{"", begin, end + begin} {
		if got, err := between([]byte(page), "make bench", nil); err == nil {
			t.Errorf("a page without both markers in order was written as %q", got)
		}
	}
}
