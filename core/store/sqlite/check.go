package sqlite

import "context"

// Check has SQLite read the whole file and compare its parts: pages, order of keys,
// index and table. It returns what is wrong, in SQLite's words, at most twenty things. What it cannot see
// is a changed byte inside a value; the records themselves have hashes.
func (s *Store) Check(ctx context.Context) ([]string, error) {
	rows, err := s.readers.QueryContext(ctx, "PRAGMA integrity_check(20)")
	if err != nil {
		return nil, explain(s.path, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return out, explain(s.path, err)
		}
		if text != "ok" {
			out = append(out, text)
		}
	}
	return out, explain(s.path, rows.Err())
}
