// Package ask asks the person at the terminal.
package ask

import (
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
	answer, err := Line(env, "\nDo this? Only yes is accepted: ")
	if interrupted(err) {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return &command.ExitError{Code: command.Failed, Message: "Nothing was done."}
	}
	return nil
}

// Choice asks for one of several words until one is given; an empty answer is the
// first of them.
func Choice(env *command.Env, question string, words ...string) (string, error) {
	for {
		answer, err := Line(env, fmt.Sprintf("%s (%s) [%s]: ", question, strings.Join(words, ", "), words[0]))
		if err != nil {
			return "", err
		}
		answer = strings.TrimSpace(answer)
		if answer == "" {
			return words[0], nil
		}
		for _, w := range words {
			if strings.EqualFold(w, answer) {
				return w, nil
			}
		}
	}
}

// Text asks for a text; an empty answer is the suggestion.
func Text(env *command.Env, question, suggestion string) (string, error) {
	if suggestion != "" {
		question += " [" + suggestion + "]"
	}
	answer, err := Line(env, question+": ")
	if answer = strings.TrimSpace(answer); answer == "" {
		answer = suggestion
	}
	return answer, err
}
