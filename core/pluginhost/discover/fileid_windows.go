package discover

import (
	"io/fs"
	"time"
)

// fileID tells one state of one file from another.
type fileID struct {
	size     int64
	modified time.Time
}

func identify(info fs.FileInfo) fileID { return fileID{size: info.Size(), modified: info.ModTime()} }

func executable(fs.FileInfo) bool { return true }
