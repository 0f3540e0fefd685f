//go:build unix

package discover

import (
	"io/fs"
	"syscall"
	"time"
)

// fileID tells one state of one file from another.
type fileID struct {
	device, inode uint64
	size          int64
	modified      time.Time
	changed       int64 // set by the system alone, also when a file is renamed
}

func identify(info fs.FileInfo) fileID {
	id := fileID{size: info.Size(), modified: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		id.device, id.inode, id.changed = uint64(st.Dev), st.Ino, changeTime(st)
	}
	return id
}

func executable(info fs.FileInfo) bool { return info.Mode()&0o111 != 0 }
