//go:build unix

package keeper

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/link"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
)

// Ports are chosen below those that systems give to outgoing connections, so
// that no client gets hold of one in the moment in which its owner starts again.
const (
	lowPort  = 20_000
	highPort = 32_000
)

// loopback is where all but the public port is.
const loopback = "127.0.0.1"

// bindAll opens the sockets that the state names and nobody gave us.
func (k *Keeper) bindAll() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.bindAgain(link.MetricsSocket, loopback, &k.state.MetricsPort); err != nil {
		return err
	}
	if k.state.Port != 0 {
		if err := k.bindAgain(link.PublicSocket, k.state.Host, &k.state.Port); err != nil {
			return err
		}
	}
	for _, rel := range k.state.Releases {
		if rel.Installed {
			if err := k.bindAgain(link.ReleaseSocket(rel.ID), loopback, &rel.Port); err != nil {
				return err
			}
		}
	}
	return nil
}

// bindAgain gives a process that had the port, and is just ending, a second.
func (k *Keeper) bindAgain(name, host string, port *int) error {
	for try := 0; ; try++ {
		err := k.bind(name, host, port)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || try == 20 {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// bind opens a socket at the port, or at one that it chooses when that is 0.
func (k *Keeper) bind(name, host string, port *int) error {
	if k.sockets[name] != nil {
		return nil
	}
	var ln *net.TCPListener
	var err error
	if *port == 0 {
		ln, *port, err = choosePort(host, k.state)
	} else {
		ln, err = listen(host, *port)
	}
	if err != nil {
		return err
	}
	k.sockets[name] = ln
	return nil
}

func listen(host string, port int) (*net.TCPListener, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return ln.(*net.TCPListener), nil
}

// choosePort opens a socket at a free port that this service does not use.
func choosePort(host string, s *service.State) (*net.TCPListener, int, error) {
	taken := map[int]bool{s.Port: true, s.MetricsPort: true, s.ControlPort: true}
	for _, rel := range s.Releases {
		taken[rel.Port] = true
		for _, rep := range rel.Replicas {
			taken[rep.Port] = true
		}
	}
	var err error
	for range 200 {
		port := lowPort + rand.IntN(highPort-lowPort)
		if taken[port] {
			continue
		}
		var ln *net.TCPListener
		if ln, err = listen(host, port); err == nil {
			return ln, port, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, 0, err
		}
	}
	return nil, 0, fmt.Errorf("no free port from %d to %d: %w", lowPort, highPort, err)
}

// freePort is a port that a replica can have.
func freePort(s *service.State) (int, error) {
	ln, port, err := choosePort(loopback, s)
	if err != nil {
		return 0, err
	}
	return port, ln.Close()
}
