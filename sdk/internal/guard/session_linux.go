package guard

import (
	"os"
	"strconv"
	"strings"
)

// session lists the living processes of the session, this one excepted.
func session(sid int) []int {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	names, _ := proc.Readdirnames(-1)
	_ = proc.Close()
	var members []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue
		}
		// The name of the program, in parentheses, may hold anything.
		text := string(stat)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		const state, of = 0, 3
		if len(fields) > of && fields[of] == strconv.Itoa(sid) && fields[state] != "Z" && fields[state] != "X" {
			members = append(members, pid)
		}
	}
	return members
}
