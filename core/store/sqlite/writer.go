package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/runner-pipelines/runner/core/store"
)

const (
	// A batch takes what is queued, up to these bounds.
	maxBatch      = 256
	maxBatchBytes = 8 << 20
)

var errClosed = errors.New("state is closed")

// writer carries out all writes of this process, one batch after the other. What
// queues up during one commit shares the next.
type writer struct {
	conn  *sql.Conn
	queue chan *write
	ended chan struct{}

	stmts                 [3]*sql.Stmt
	begin, commit, exists *sql.Stmt

	mu     sync.RWMutex
	closed bool
}

// write is one conditional change.
type write struct {
	kind       writeKind
	key        string
	value      []byte
	version    int64 // that the item must have
	newVersion int64
	ctx        context.Context
	err        error
	done       chan error
}

type writeKind int

const (
	putAbsent writeKind = iota
	putVersion
	remove
)

var writeText = [...]string{
	putAbsent:  "INSERT INTO items (key, version, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
	putVersion: "UPDATE items SET version = ?2, value = ?3 WHERE key = ?1 AND version = ?4",
	remove:     "DELETE FROM items WHERE key = ?1 AND version = ?2",
}

// newWriter takes over the connection, also when it fails.
func newWriter(ctx context.Context, conn *sql.Conn) (*writer, error) {
	w := &writer{conn: conn, queue: make(chan *write, maxBatch), ended: make(chan struct{})}
	texts := map[**sql.Stmt]string{
		&w.begin: "BEGIN IMMEDIATE", &w.commit: "COMMIT", &w.exists: "SELECT 1 FROM items WHERE key = ?",
	}
	for kind, text := range writeText {
		texts[&w.stmts[kind]] = text
	}
	for stmt, text := range texts {
		var err error
		if *stmt, err = conn.PrepareContext(ctx, text); err != nil {
			return nil, errors.Join(err, w.release())
		}
	}
	go w.run()
	return w, nil
}

// do queues a write and waits for it. When ctx ends first the write may still be
// carried out.
func (w *writer) do(ctx context.Context, req *write) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	req.ctx, req.done = ctx, make(chan error, 1)
	if err := w.enqueue(ctx, req); err != nil {
		return err
	}
	select {
	case err := <-req.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) enqueue(ctx context.Context, req *write) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	select {
	case w.queue <- req:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) close() error {
	w.mu.Lock()
	first := !w.closed
	if w.closed = true; first {
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.ended
	if !first {
		return nil
	}
	return w.release()
}

// release ends the statements, without which SQLite keeps the file open, and
// gives the connection back.
func (w *writer) release() error {
	var errs []error
	for _, stmt := range append(w.stmts[:], w.begin, w.commit, w.exists) {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

func (w *writer) run() {
	defer close(w.ended)
	batch := make([]*write, 0, maxBatch)
	for req := range w.queue {
		batch = w.collect(append(batch[:0], req))
		w.carryOut(batch)
		for i, req := range batch {
			req.done <- req.err
			batch[i] = nil
		}
	}
}

// collect adds what is queued at this moment.
func (w *writer) collect(batch []*write) []*write {
	for bytes := len(batch[0].value); len(batch) < maxBatch && bytes < maxBatchBytes; {
		select {
		case req, ok := <-w.queue:
			if !ok {
				return batch
			}
			bytes += len(req.value)
			batch = append(batch, req)
		default:
			return batch
		}
	}
	return batch
}

// carryOut sets the err of every write in the batch. They become durable together.
func (w *writer) carryOut(batch []*write) {
	// SQLite commits a lone statement by itself.
	if len(batch) == 1 {
		batch[0].err = w.apply(batch[0])
		return
	}
	err := exec(w.begin)
	for i := 0; err == nil && i < len(batch); i++ {
		req := batch[i]
		if req.err = w.apply(req); req.err != nil && !errors.Is(req.err, store.ErrConflict) && req.ctx.Err() == nil {
			err = req.err
		}
	}
	if err == nil {
		err = exec(w.commit)
	}
	if err == nil {
		return
	}
	// SQLite may have rolled back by itself; then this fails and changes nothing.
	_, _ = w.conn.ExecContext(context.Background(), "ROLLBACK")
	for _, req := range batch {
		req.err = err
	}
}

// apply carries out one write inside the present transaction. The statements run
// without the caller's context: a batch is not interrupted for one of its members.
func (w *writer) apply(req *write) error {
	if err := req.ctx.Err(); err != nil {
		return err
	}
	args := make([]any, 2, 4)
	args[0], args[1] = []byte(req.key), req.version
	if req.kind != remove {
		req.newVersion = rand.Int64()
		args[1] = req.newVersion
		if req.value == nil {
			req.value = []byte{}
		}
		args = append(args, req.value)
	}
	if req.kind == putVersion {
		args = append(args, req.version)
	}
	result, err := w.stmts[req.kind].ExecContext(context.Background(), args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	if req.kind == remove {
		var one int
		if err := w.exists.QueryRowContext(context.Background(), args[0]).Scan(&one); err != nil {
			return ignoreNoRows(err)
		}
	}
	return store.ErrConflict
}

func exec(stmt *sql.Stmt) error {
	_, err := stmt.ExecContext(context.Background())
	return err
}

func ignoreNoRows(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}
