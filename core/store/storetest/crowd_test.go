package storetest

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

// The judge is judged: what the interface forbids is found.
func TestTheModelRefusesWhatAStoreMustNotDo(t *testing.T) {
	type x = exchange
	absent := func(value, version string) x {
		return x{request{Op: "absent", Value: value}, answer{Result: "ok", Version: version}, true}
	}
	get := func(value, version string) x {
		return x{request{Op: "get"}, answer{Result: "ok", Value: value, Version: version}, true}
	}
	put := func(value, from, result, to string) x {
		return x{request{Op: "version", Value: value, Version: from}, answer{Result: result, Version: to}, true}
	}
	del := func(version, result string) x {
		return x{request{Op: "delete", Version: version}, answer{Result: result}, true}
	}
	none := x{request{Op: "list"}, answer{Result: "none"}, true}
	killed := x{request: request{Op: "version", Value: "b", Version: "1"}}
	for name, tc := range map[string]struct {
		steps []x
		want  bool
	}{
		"written and read":                {[]x{none, absent("a", "1"), get("a", "1")}, true},
		"lost":                            {[]x{absent("a", "1"), none}, false},
		"written twice":                   {[]x{absent("a", "1"), absent("b", "2")}, false},
		"an old value":                    {[]x{absent("a", "1"), put("b", "1", "ok", "2"), get("a", "1")}, false},
		"a version that is no more":       {[]x{absent("a", "1"), put("b", "1", "ok", "2"), put("c", "1", "ok", "3")}, false},
		"a conflict about nothing":        {[]x{absent("a", "1"), put("b", "1", "conflict", "")}, false},
		"a conflict":                      {[]x{absent("a", "1"), put("b", "2", "conflict", ""), get("a", "1")}, true},
		"deleted":                         {[]x{absent("a", "1"), del("1", "ok"), none, del("1", "ok")}, true},
		"deleted with a wrong version":    {[]x{absent("a", "1"), del("2", "ok")}, false},
		"a killed one's write happened":   {[]x{absent("a", "1"), killed, get("b", "2"), put("c", "2", "ok", "3")}, true},
		"a killed one's write did not":    {[]x{absent("a", "1"), killed, get("a", "1"), put("c", "1", "ok", "3")}, true},
		"it did, and then it did not":     {[]x{absent("a", "1"), killed, get("b", "2"), get("a", "1")}, false},
		"a version changes without write": {[]x{absent("a", "1"), get("a", "2")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var ops []porcupine.Operation
			for i, s := range tc.steps {
				ops = append(ops, porcupine.Operation{Input: s, Call: int64(10 * i), Return: int64(10*i + 5)})
			}
			if got := porcupine.CheckOperations(keyModel.ToModel(), ops); got != tc.want {
				t.Errorf("the history is accepted: %v, want %v", got, tc.want)
			}
		})
	}
}
