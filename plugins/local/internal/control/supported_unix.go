//go:build unix

package control

// Supported tells whether services can be kept on this system.
const Supported = true
