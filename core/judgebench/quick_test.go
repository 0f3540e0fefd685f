package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestQuick(t *testing.T) {
	n := 400
	if v := os.Getenv("N"); v != "" {
		n, _ = strconv.Atoi(v)
	}
	eq := func(r, b float64) traffic { return traffic{"", r, r, b} }
	x5 := func(r, b float64) traffic { return traffic{"", r, 19 * r, b} }
	show := func(name string, s setup) {
		start := time.Now()
		ab, pass := 0, 0
		var at, pt []float64
		for i := range n {
			o := s.run(newDice(name, i))
			if o.abort > 0 {
				ab++
				at = append(at, o.abort)
			}
			if o.pass > 0 {
				pass++
				pt = append(pt, o.pass)
			}
		}
		slices.Sort(at)
		slices.Sort(pt)
		med, mean, pmed := 0.0, 0.0, 0.0
		if len(at) > 0 {
			med = at[len(at)/2]
			for _, v := range at {
				mean += v / float64(len(at))
			}
		}
		if len(pt) > 0 {
			pmed = pt[len(pt)/2]
		}
		fmt.Printf("%-60s abort %.2f%% med %.4g mean %.4g | pass %.2f%% med %.4g (%v)\n", name, 100*float64(ab)/float64(n), med, mean, 100*float64(pass)/float64(n), pmed, time.Since(start).Round(time.Millisecond))
	}
	sel := os.Getenv("SEL")
	if sel == "" || sel == "det" {
		for _, nat := range []nature{independent, betaMinutes} {
			for _, tol := range []float64{0, .1} {
				show(fmt.Sprint("x10 eq100 .1 ", nat, tol), setup{Tolerance: tol, Nature: nat, Traffic: eq(100, .001), Effect: 10, Minutes: 60})
				show(fmt.Sprint("x3 eq100 .5 ", nat, tol), setup{Tolerance: tol, Nature: nat, Traffic: eq(100, .005), Effect: 3, Minutes: 60})
				show(fmt.Sprint("x10 5/95 10 .5 ", nat, tol), setup{Tolerance: tol, Nature: nat, Traffic: x5(10, .005), Effect: 10, Minutes: 60})
			}
		}
	}
	if sel == "hard" {
		for _, nat := range []nature{bursts, unaligned, longBursts} {
			for _, tr := range []traffic{{"eq100 .5", 100, 100, .005}, {"5/95 10", 10, 190, .005}} {
				for _, tol := range []float64{0, .1} {
					show(fmt.Sprint(tr.Name, " ", nat, " ", tol), setup{Tolerance: tol, Nature: nat, Traffic: tr, Effect: 1, Minutes: 60, Second: os.Getenv("SECOND") != ""})
				}
			}
		}
	}
	if sel == "false" {
		for _, nat := range []nature{independent, drift, outage, betaMinutes, bursts, unaligned, longBursts} {
			for _, tol := range []float64{0, .1} {
				for _, tr := range []traffic{{"eq100 .1", 100, 100, .001}, {"eq100 .5", 100, 100, .005}, {"eq1000 .5", 1000, 1000, .005}, {"eq1000 2", 1000, 1000, .02}, {"5/95 10", 10, 190, .005}, {"5/95 100", 100, 1900, .005}, {"5/95 1000", 1000, 19000, .005}} {
					show(fmt.Sprint(tr.Name, " ", nat, " ", tol), setup{Tolerance: tol, Nature: nat, Traffic: tr, Effect: 1, Minutes: 60, Second: os.Getenv("SECOND") != ""})
				}
			}
		}
	}
}
