package artifact

// syncWhenWritten: only a file that is open for writing can be flushed here, and no
// folder.
const syncWhenWritten = true

func flush(string, tree) error { return nil }

func flushOne(string) error { return nil }
