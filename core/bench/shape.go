package main

import (
	"fmt"
	"strings"
)

// shape is a graph of stages that do nothing.
type shape struct {
	stages int
	// chain: each waits for the one before it; else none waits.
	chain bool
}

func (s shape) String() string {
	switch {
	case s.stages == 1:
		return "1 stage"
	case s.chain:
		return fmt.Sprintf("%s in a chain", count(s.stages))
	}
	return fmt.Sprintf("%s in parallel", count(s.stages))
}

// count writes a number as people do: 1,000.
func count(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// each calls write for every stage, with the name of the one it waits for.
func (s shape) each(write func(name, after string)) {
	name := func(i int) string { return fmt.Sprintf("s%d", i) }
	for i := range s.stages {
		after := ""
		if s.chain && i > 0 {
			after = name(i - 1)
		}
		write(name(i), after)
	}
}

// pipelineHead is what every pipeline of the benchmark begins with.
const pipelineHead = `runner {
  required_plugins {
    local = { source = "runner/local", version = "~> 0.1" }
  }
}

pipeline "bench" {}
`

// pipeline is the shape for runner.
func (s shape) pipeline() string {
	var b strings.Builder
	b.WriteString(pipelineHead)
	s.each(func(name, after string) {
		fmt.Fprintf(&b, "\nstage %q {\n", name)
		if after != "" {
			fmt.Fprintf(&b, "  depends_on = [stage.%s]\n", after)
		}
		b.WriteString("  use \"local_noop\" {}\n}\n")
	})
	return b.String()
}

// terraform is the shape for Terraform, whose terraform_data is built in.
func (s shape) terraform() string {
	var b strings.Builder
	s.each(func(name, after string) {
		fmt.Fprintf(&b, "resource \"terraform_data\" %q {\n", name)
		if after != "" {
			fmt.Fprintf(&b, "  depends_on = [terraform_data.%s]\n", after)
		}
		b.WriteString("}\n")
	})
	return b.String()
}

// makefile is the shape for GNU make. The command is true: make leaves out
// commands that are empty or a lone colon, which would measure nothing.
func (s shape) makefile() string {
	var all, rules strings.Builder
	s.each(func(name, after string) {
		fmt.Fprintf(&all, " %s", name)
		fmt.Fprintf(&rules, "%s: %s\n\t@true\n", name, after)
	})
	return ".PHONY: all" + all.String() + "\nall:" + all.String() + "\n" + rules.String()
}
