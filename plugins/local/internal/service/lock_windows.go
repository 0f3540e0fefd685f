package service

import (
	"context"
	"errors"
	"os"
)

// Lock always fails: services cannot be kept on this system.
func (d Dir) Lock(context.Context) (*os.File, error) {
	return nil, errors.New("services cannot be kept on this system")
}
