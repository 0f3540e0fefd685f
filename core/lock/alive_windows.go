package lock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// openLocked opens the file for writing, which nobody else may do as long as
// this handle, or one that a child process inherited, is open. Locks of a range
// would end with the process that took them.
func openLocked(path string) (*os.File, error) {
	f, err := open(path, windows.FILE_SHARE_READ, windows.OPEN_ALWAYS)
	if errors.Is(err, errHeld) {
		if held, lookErr := isLocked(path); lookErr == nil && !held {
			err = errLookedAt
		}
	}
	return f, err
}

// isLocked looks by opening the file for writing as well, and lets others who look
// do the same.
func isLocked(path string) (bool, error) {
	f, err := open(path, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, windows.OPEN_EXISTING)
	if errors.Is(err, errHeld) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, f.Close()
}

func open(path string, share, how uint32) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, share, nil, how, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return nil, errHeld
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// removeLocked leaves the file: an open one cannot be removed here, and an empty
// lock is as free as a missing one.
func removeLocked(string) error { return nil }

func processExists(pid int) bool {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return errors.Is(err, windows.ERROR_ACCESS_DENIED)
	}
	defer windows.CloseHandle(h)
	var code uint32
	const stillActive = 259
	return windows.GetExitCodeProcess(h, &code) == nil && code == stillActive
}
