// Package addr names the nodes of a pipeline: module.m["k"].stage.s["k"].
package addr

// Stage is one instance of a stage. It is comparable, so it serves as a map key.
type Stage struct {
	// Module is the address of the module instance that holds the stage, such as
	// module.eu["a"].module.db; empty for the root.
	Module string
	Name   string
	// Key is set when the stage has for_each; Keyed then holds.
	Key   string
	Keyed bool
}

// String writes the address: stage.build, module.eu["a"].stage.release["prod"].
func (s Stage) String() string { panic("skeleton") }

// Parse reads what String writes.
func Parse(text string) (Stage, error) { panic("skeleton") }

// Child is the address of a module instance inside another; parent is empty
// for the root.
func Child(parent, name, key string, keyed bool) string { panic("skeleton") }
