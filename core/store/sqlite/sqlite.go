// Package sqlite keeps state in one SQLite file: the default store, which needs
// no plugin. Open it, and close it when the command ends.
//
// Writes of one process that arrive at the same time share a transaction;
// several processes may use the same file. A write that returned nil has been
// flushed to the disk.
package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/runner-pipelines/runner/core/store"
)

const (
	// applicationID marks the file as ours in SQLite's header: "runr".
	applicationID = 0x72756e72
	// schemaVersion is kept in SQLite's user_version.
	schemaVersion = 1
	// busyTimeout is how long an operation waits for another process's transaction.
	busyTimeout = 10 * time.Second
	// cacheKiB bounds the page cache of one connection.
	cacheKiB = 1024
	// maxValue bounds a value, so that one write cannot fill the memory.
	maxValue = 64 << 20
)

// Versions are random, so that none comes back after a delete. Keys are compared
// by bytes. Items have row IDs, so that the index holds keys alone: in a table
// WITHOUT ROWID SQLite reads the whole of every value that it passes on the way to a key.
const schema = `
CREATE TABLE items (key BLOB NOT NULL PRIMARY KEY, version INTEGER NOT NULL, value BLOB NOT NULL);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;`

// Store is a store.Store in one file.
type Store struct {
	path    string
	lineage string
	readers *sql.DB
	get     *sql.Stmt
	list    *sql.Stmt
	listTo  *sql.Stmt
	writer  *writer
	// frozen is why nothing can be written, in a store that was opened for reading
	// only; it has no writer then.
	frozen error
}

var _ store.Store = (*Store)(nil)

// Open opens the file at path and makes it, and its folder, when missing: the
// file with mode 0600, the folder with 0700. Errors wrap ErrReadOnly,
// ErrDamaged, ErrNewer, ErrBusy or ErrFull where one fits.
//
// A file that is there, on a disk that is full or read-only, is opened all the
// same, so that what it has can be read; every write then fails.
func Open(ctx context.Context, path string) (*Store, error) {
	err := makeFile(path)
	var s *Store
	if err == nil {
		s, err = open(ctx, path, dsn(path), nil)
	}
	err = explain(path, err)
	if errors.Is(err, ErrFull) || errors.Is(err, ErrReadOnly) {
		if frozen, ferr := open(ctx, path, frozenDSN(path), err); ferr == nil {
			return frozen, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// frozenDSN opens a file without writing anything beside it. Without a log nobody
// has it open, and it can be read as it is.
func frozenDSN(path string) string {
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		return dsn(path) + "?immutable=1"
	}
	return dsn(path) + "?mode=ro"
}

func open(ctx context.Context, path, dsn string, frozen error) (*Store, error) {
	db := sql.OpenDB(connector{dsn: dsn})
	db.SetMaxOpenConns(3)
	db.SetMaxIdleConns(3)
	s := &Store{path: path, readers: db, frozen: frozen}
	if err := s.start(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) start(ctx context.Context) error {
	conn, err := s.readers.Conn(ctx)
	if err != nil {
		return err
	}
	if s.frozen != nil {
		s.lineage, err = checkFile(ctx, conn)
		err = errors.Join(err, conn.Close())
	} else if s.lineage, err = prepareFile(ctx, conn); err == nil {
		s.writer, err = newWriter(ctx, conn)
	} else {
		_ = conn.Close()
	}
	if err != nil {
		return err
	}
	for stmt, text := range map[**sql.Stmt]string{
		&s.get:    "SELECT value, version FROM items WHERE key = ?",
		&s.list:   "SELECT key, value, version FROM items WHERE key >= ? AND key > ? ORDER BY key LIMIT ?",
		&s.listTo: "SELECT key, value, version FROM items WHERE key >= ? AND key > ? AND key < ? ORDER BY key LIMIT ?",
	} {
		if *stmt, err = s.readers.PrepareContext(ctx, text); err != nil {
			return errors.Join(err, s.closeWriter())
		}
	}
	return nil
}

// makeFile makes the file so that nobody else may read it; SQLite gives the files
// that it puts beside it the same mode.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeFolder(filepath.Dir(path)); err != nil {
			return err
		}
		f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// makeFolder makes a folder whose name is still there when the power fails, as far
// as the system can say so. SQLite does the same for the files in it.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if parent, err := os.Open(filepath.Dir(dir)); err == nil {
		_ = parent.Sync()
		_ = parent.Close()
	}
	return nil
}

// prepareFile checks the schema, makes it in a new file, and returns the lineage.
func prepareFile(ctx context.Context, conn *sql.Conn) (string, error) {
	lineage, err := checkFile(ctx, conn)
	if !errors.Is(err, errEmpty) {
		return lineage, err
	}
	// Several processes may find the file empty; the first to get the write lock
	// fills it. The change to WAL does not wait for locks by itself.
	deadline := time.Now().Add(busyTimeout)
	for {
		_, err = conn.ExecContext(ctx, "PRAGMA journal_mode = WAL")
		if err == nil {
			break
		}
		if code(err) != lib.SQLITE_BUSY || time.Now().After(deadline) {
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return "", err
	}
	if lineage, err = checkFile(ctx, conn); errors.Is(err, errEmpty) {
		lineage = rand.Text()
		_, err = conn.ExecContext(ctx, schema+fmt.Sprintf(`
			INSERT INTO meta VALUES ('lineage', '%s');
			PRAGMA application_id = %d;
			PRAGMA user_version = %d;`, lineage, applicationID, schemaVersion))
	}
	if err != nil {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return "", err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return lineage, err
}

var errEmpty = errors.New("new file")

func checkFile(ctx context.Context, conn *sql.Conn) (lineage string, err error) {
	// One statement, and so one snapshot: another process may be filling the file.
	var app, version, tables int
	err = conn.QueryRowContext(ctx, `SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
		FROM pragma_application_id, pragma_user_version`).Scan(&app, &version, &tables)
	if err != nil {
		return "", err
	}
	switch {
	case app == 0 && version == 0 && tables == 0:
		return "", errEmpty
	case app != applicationID:
		return "", fmt.Errorf("%w: it is the database of another program", ErrDamaged)
	case version > schemaVersion:
		return "", fmt.Errorf("%w: its format is %d, this runner knows up to %d", ErrNewer, version, schemaVersion)
	}
	err = conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'lineage'").Scan(&lineage)
	return lineage, err
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Item, error) {
	it := store.Item{Key: key}
	var version int64
	err := s.get.QueryRowContext(ctx, []byte(key)).Scan(&it.Value, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Item{}, store.ErrNotFound
	}
	if err != nil {
		return store.Item{}, explain(s.path, err)
	}
	it.Version = formatVersion(version)
	return it, nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix, startAfter string, limit int) ([]store.Item, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	stmt, args := s.list, []any{[]byte(prefix), []byte(startAfter), limit}
	if end, ok := prefixEnd(prefix); ok {
		stmt, args = s.listTo, []any{[]byte(prefix), []byte(startAfter), end, limit}
	}
	if startAfter == "" {
		args[1] = -1 // a number sorts before every blob
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, explain(s.path, err)
	}
	defer rows.Close()
	var out []store.Item
	for rows.Next() {
		var it store.Item
		var version int64
		if err := rows.Scan(&it.Key, &it.Value, &version); err != nil {
			return nil, explain(s.path, err)
		}
		it.Version = formatVersion(version)
		out = append(out, it)
	}
	return out, explain(s.path, rows.Err())
}

// prefixEnd is the first key behind all with the prefix, when there is one.
func prefixEnd(prefix string) ([]byte, bool) {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1], true
		}
	}
	return nil, false
}

// PutAbsent implements store.Store.
func (s *Store) PutAbsent(ctx context.Context, key string, value []byte) (string, error) {
	return s.write(ctx, &write{kind: putAbsent, key: key, value: value})
}

// PutVersion implements store.Store.
func (s *Store) PutVersion(ctx context.Context, key string, value []byte, version string) (string, error) {
	v, err := parseVersion(version)
	if err != nil {
		return "", store.ErrConflict
	}
	return s.write(ctx, &write{kind: putVersion, key: key, value: value, version: v})
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key, version string) error {
	v, err := parseVersion(version)
	if err != nil {
		v = -1 // no item has it
	}
	_, err = s.write(ctx, &write{kind: remove, key: key, version: v})
	return err
}

func (s *Store) write(ctx context.Context, w *write) (string, error) {
	if s.frozen != nil {
		return "", s.frozen
	}
	if len(w.value) > maxValue {
		return "", fmt.Errorf("state %s: %d bytes under one key are more than the limit of %d", s.path, len(w.value), maxValue)
	}
	if err := s.writer.do(ctx, w); err != nil {
		return "", explain(s.path, err)
	}
	return formatVersion(w.newVersion), nil
}

// Lineage implements store.Store.
func (s *Store) Lineage(context.Context) (string, error) { return s.lineage, nil }

// Local implements store.IsLocal: the write-ahead log needs memory that all
// processes share, so that they are on one machine.
func (s *Store) Local() bool { return true }

// Close waits for writes under way and closes the file.
func (s *Store) Close() error {
	return errors.Join(s.closeWriter(), s.readers.Close())
}

func (s *Store) closeWriter() error {
	if s.writer == nil {
		return nil
	}
	return s.writer.close()
}

func formatVersion(v int64) string { return strconv.FormatInt(v, 36) }

func parseVersion(s string) (int64, error) { return strconv.ParseInt(s, 36, 64) }

// dsn names the file in the form of SQLite's URIs.
func dsn(path string) string {
	p := filepath.ToSlash(path)
	if runtime.GOOS == "windows" && filepath.IsAbs(path) {
		p = "/" + p
	}
	return "file:" + (&url.URL{Path: p}).EscapedPath()
}

// connector opens connections and sets what is not kept in the file.
type connector struct{ dsn string }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	base, err := sqlite.NewConnector(c.dsn)
	if err != nil {
		return nil, err
	}
	conn, err := base.Connect(ctx)
	if err != nil {
		return nil, err
	}
	pragmas := fmt.Sprintf(`PRAGMA busy_timeout = %d; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;
		PRAGMA checkpoint_fullfsync = ON; PRAGMA cache_size = -%d;
		PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 4194304;`, busyTimeout.Milliseconds(), cacheKiB)
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, pragmas, nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (c connector) Driver() driver.Driver { return &sqlite.Driver{} }
