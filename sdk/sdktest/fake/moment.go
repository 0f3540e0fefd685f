package fake

// Moment is a place inside an operation of an action or a target.
type Moment string

const (
	// Began: the operation has arrived.
	Began Moment = "began"
	// Ready: its effect is about to happen.
	Ready Moment = "ready"
	// Happened: its effect has happened, and the host does not know yet.
	Happened Moment = "happened"
)

// Watch, when it is set before Main, is called at every moment of every operation
// that may have an effect, and of every reconciliation. It may end the process.
var Watch func(m Moment, operation string)

func reached(m Moment, operation string) {
	if Watch != nil {
		Watch(m, operation)
	}
}
