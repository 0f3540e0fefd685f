package proc

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// jobs holds, by process number, the job object that a group is here.
var jobs struct {
	sync.Mutex
	byPID map[int]windows.Handle
}

func setGroup(cmd *exec.Cmd) {
	attr(cmd).CreationFlags |= windows.CREATE_NEW_PROCESS_GROUP
}

func setSession(cmd *exec.Cmd) {
	attr(cmd).CreationFlags |= windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS
}

func attr(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	return cmd.SysProcAttr
}

// startBound puts the child into a job that the system ends with the last
// handle to it, which this program holds.
func startBound(cmd *exec.Cmd) error {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return fmt.Errorf("job object: %w", err)
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		windows.CloseHandle(job)
		return fmt.Errorf("job object: %w", err)
	}
	if err := cmd.Start(); err != nil {
		windows.CloseHandle(job)
		return err
	}
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(cmd.Process.Pid))
	if err == nil {
		err = windows.AssignProcessToJobObject(job, process)
		windows.CloseHandle(process)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		windows.CloseHandle(job)
		return fmt.Errorf("job object: %w", err)
	}
	jobs.Lock()
	defer jobs.Unlock()
	if jobs.byPID == nil {
		jobs.byPID = map[int]windows.Handle{}
	}
	jobs.byPID[cmd.Process.Pid] = job
	return nil
}

// terminateGroup: there is no polite way that reaches a whole group.
func terminateGroup(int) bool { return false }

func killGroup(pid int) {
	jobs.Lock()
	defer jobs.Unlock()
	if job, ok := jobs.byPID[pid]; ok {
		_ = windows.TerminateJobObject(job, 1)
		windows.CloseHandle(job)
		delete(jobs.byPID, pid)
	}
}

func groupRuns(pid int) bool {
	_, err := startOf(pid)
	return err == nil
}

func startOf(pid int) (string, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.SYNCHRONIZE, false, uint32(pid))
	if err != nil {
		return "", ErrGone
	}
	defer windows.CloseHandle(h)
	if event, err := windows.WaitForSingleObject(h, 0); err == nil && event == windows.WAIT_OBJECT_0 {
		return "", ErrGone
	}
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return "", ErrGone
	}
	return fmt.Sprint(created.Nanoseconds()), nil
}

func selfPath() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return os.Args[0]
}

// keepFilesHere has nothing to do: handles are inherited only where named.
func keepFilesHere() {}

// guardNeeded: the job object does it.
const guardNeeded = false
