package program

import (
	"errors"
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/redact"
	"github.com/runner-pipelines/runner/core/scope"
)

// secrets tells the redactor what is sensitive.
type secrets struct {
	redactor *redact.Redactor
	mu       sync.Mutex
	tooShort bool
}

// keep is called for every text that an expression marks.
func (s *secrets) keep(text string) {
	if s.redactor == nil {
		return
	}
	if err := s.redactor.Add(text); errors.Is(err, redact.ErrShort) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tooShort = true
	}
}

// variables keeps the values of sensitive variables.
func (s *secrets) variables(p *config.Pipeline, sc *scope.Scope) hcl.Diagnostics {
	if s.redactor == nil {
		return nil
	}
	var diags hcl.Diagnostics
	for name, v := range sc.Variables() {
		for _, text := range lang.SensitiveTexts(v) {
			if err := s.redactor.Add(text); err != nil {
				at := hcl.Range{}
				if cfg, ok := p.Root.Variable(name); ok {
					at = cfg.NameRange
				}
				diags = append(diags, tooShort(at))
			}
		}
	}
	return diags
}

// short complains about texts that cannot be told from ordinary ones.
func (s *secrets) short() hcl.Diagnostics {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tooShort {
		return nil
	}
	return hcl.Diagnostics{tooShort(hcl.Range{})}
}

func tooShort(at hcl.Range) *hcl.Diagnostic {
	return diagnostics.Error(at, "Secret too short",
		"A sensitive value of fewer than 4 characters cannot be told from ordinary text, so it cannot be kept out of logs. Use a longer secret.")
}
