// Package ask asks the person at the terminal.
package ask

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/runner-pipelines/runner/core/cli/command"
)

// Approval asks whether to do what was shown. It is nil for yes.
func Approval(env *command.Env, auto bool, name string) error {
	if auto {
		return nil
	}
	if !env.Interactive {
		return &command.ExitError{Code: command.Failed, Message: "Error: Nobody to ask\n\nWithout a terminal nobody can approve the plan. Approve it beforehand:\n  runner " + name + " -auto-approve"}
	}
	fmt.Fprint(env.Stderr, "\nDo this? Only yes is accepted: ")
	answers := make(chan string, 1)
	go func() {
		answer, _ := bufio.NewReader(env.Stdin).ReadString('\n')
		answers <- answer
	}()
	select {
	case answer := <-answers:
		if strings.TrimSpace(answer) == "yes" {
			return nil
		}
		return &command.ExitError{Code: command.Failed, Message: "Nothing was done."}
	case <-env.Interrupts:
		return &command.ExitError{Code: command.Interrupted, Message: "\nNothing was done."}
	}
}
