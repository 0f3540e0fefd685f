// Package kernel decides what a run does next. It is two functions over one
// state: Evolve folds what happened into the state, Decide says what should
// happen now. It knows no I/O, no clock and no plugin: time is that of the
// latest event, and no float enters a decision.
//
// The engine appends what Decide returns to the journal, together with the
// events that led to it, before it carries any of it out. Folding never
// decides, so a journal may be resumed by a newer kernel than the one that wrote
// it: start with New, Evolve every event of the journal, then Decide.
package kernel
