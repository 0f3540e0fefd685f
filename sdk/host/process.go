package host

import (
	"context"
	"errors"
)

// Process is one running plugin.
type Process struct {
	Plugin
	pid int
}

// Start launches the program and waits until it answers.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	return nil, errors.New("host cannot start processes yet")
}

// PID is the process id.
func (p *Process) PID() int { return p.pid }
