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
	return Yes(env, auto, "Without a terminal nobody can approve the plan. Approve it beforehand:\n  runner "+name+" -auto-approve")
}

// Yes asks whether to do what was shown, unless that was said already. It is nil
// for yes. Nobody is what to say when there is nobody to ask.
func Yes(env *command.Env, said bool, nobody string) error {
	if said {
		return nil
	}
	if !env.Interactive {
		return &command.ExitError{Code: command.Failed, Message: "Error: Nobody to ask\n\n" + nobody}
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
