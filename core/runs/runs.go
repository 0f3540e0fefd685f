// Package runs is the index of all runs of a store: opened once per plan,
// listed newest first, found by a few characters of their ID.
package runs

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/store"
)

// Record is what the index knows of a run.
type Record struct {
	// ID is short and sorts by start: 20261123-013405-k7q2, in UTC.
	ID string `json:"id"`
	// Nonce is a UUID; keys of operations are derived from it, since IDs may
	// meet between stores.
	Nonce      string    `json:"nonce"`
	Pipeline   string    `json:"pipeline"`
	Initiator  string    `json:"initiator"`
	Host       string    `json:"host"`
	PlanDigest string    `json:"plan_digest"`
	Opened     time.Time `json:"opened"`
	// Closed is zero while the run is open.
	Closed time.Time `json:"closed,omitzero"`
	// Outcome and Summary are the caller's words; empty while the run is open.
	Outcome string `json:"outcome,omitempty"`
	Summary string `json:"summary,omitempty"`
	// Versions of runner and plugins that opened the run, by name.
	Versions map[string]string `json:"versions,omitempty"`
	// Journal is the end of a closed run's journal, so that a shortened one is noticed.
	Journal journal.Head `json:"journal,omitzero"`
}

// PlanUsedError means that the plan has opened its run already.
type PlanUsedError struct {
	// Run that the plan opened.
	Run string
}

func (e *PlanUsedError) Error() string {
	return fmt.Sprintf("this plan was used already: it opened run %s", e.Run)
}

// NotFoundError means that no run matches.
type NotFoundError struct {
	// Ref is what was asked for.
	Ref string
	// Near are IDs of runs that the user may have meant.
	Near []string
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("no run matches %q", e.Ref) }

// AmbiguousError means that several runs match.
type AmbiguousError struct {
	Ref string
	// Runs that match, newest first; at most ten.
	Runs []Record
}

func (e *AmbiguousError) Error() string { return fmt.Sprintf("more than one run matches %q", e.Ref) }

// Index reads and writes the records. Its methods may be called at the same time.
type Index struct{}

// New is the index of a store.
func New(s store.Store) *Index { return &Index{} }

// Create opens a run for a plan. The caller fills Pipeline, Initiator, Host,
// PlanDigest, Opened and Versions; ID and Nonce are made here. plan is kept for
// resuming. A plan opens exactly one run: the second time it is a *PlanUsedError.
func (x *Index) Create(ctx context.Context, rec Record, plan []byte) (Record, error) { panic("") }

// Get reads one record by its full ID.
func (x *Index) Get(ctx context.Context, id string) (Record, error) { panic("") }

// Plan reads the plan that opened the run.
func (x *Index) Plan(ctx context.Context, id string) ([]byte, error) { panic("") }

// Update changes a record; change may be called again when another process
// wrote meanwhile. ID, Nonce and PlanDigest stay as they are.
func (x *Index) Update(ctx context.Context, id string, change func(*Record)) (Record, error) {
	panic("")
}

// Filter chooses runs; zero values choose all.
type Filter struct {
	Pipeline string
	// Open chooses runs that are not closed.
	Open bool
	// Outcome chooses closed runs with that outcome.
	Outcome string
	// Since leaves out runs that were opened earlier.
	Since time.Time
	// Limit is the largest number of runs; 0 means no limit.
	Limit int
}

// List yields the records that the filter chooses, newest first.
func (x *Index) List(ctx context.Context, f Filter) iter.Seq2[Record, error] { panic("") }

// Find reads a run by ID, by the beginning or end of one, or by "latest": the
// newest. No match is a *NotFoundError, several an *AmbiguousError.
func (x *Index) Find(ctx context.Context, ref string) (Record, error) { panic("") }
