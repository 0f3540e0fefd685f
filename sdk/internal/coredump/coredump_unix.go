//go:build unix && !linux

package coredump

func forbid() { limit() }
