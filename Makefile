# Everything that is done with this repository has a target here; `make help` lists them.
# Needs Go and make; everything else is a Go module. With a C compiler the tests look for data races too.

GO      ?= go
VERSION ?= 0.1.0
FUZZTIME ?= 3s
BENCHTIME ?= 1s
# The tests of one package may take so long; a machine may be slow, and nothing is timed.
TESTTIME ?= 30m

# Releases say what they are and hold no path of the machine that built them.
# The version comes from here, not from git: a checkout without history builds the same.
BUILD := $(GO) build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)"
EXE   := $(shell $(GO) env GOEXE)
RACE  := $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race)

# Those of the workspace: a new module has no other list to go to.
MODULES  := $(shell sed -n 's|^[[:space:]]*\./||p' go.work)
PATTERNS := $(MODULES:%=./%/...)

# Tools are pinned by modules of their own and built once per version, outside the repository.
CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/runner-tools
tool_dir  = $(CACHE)/$(1)-$(shell cksum < tools/$(1)/go.sum | cut -d' ' -f1)
BUF      := $(call tool_dir,buf)/buf$(EXE)
GEN      := $(call tool_dir,gen)/protoc-gen-go$(EXE)
LINT     := $(call tool_dir,lint)/golangci-lint$(EXE)

# What `buf breaking` compares with: the last release of the SDK, else the main branch, else the commit before.
BASE = $(shell git describe --tags --abbrev=0 --match 'sdk/v*' 2>/dev/null \
	|| { b=$$(git rev-parse -q --verify origin/main) && [ "$$b" != "$$(git rev-parse HEAD)" ] && echo $$b; } \
	|| git rev-parse -q --verify HEAD~1)

.DEFAULT_GOAL := help
.PHONY: help build run test test-modules test-real reliability fuzz bench bench-judge bench-parts docs recordings lint lint-go lint-proto new-plugin man fmt generate tools clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## Build runner, its three plugins, the shop of the examples and its demo into bin/
	$(BUILD) -o bin/runner$(EXE) ./core/cmd/runner
	$(BUILD) -o bin/runner-plugin-local$(EXE) ./plugins/local
	$(BUILD) -o bin/runner-plugin-canary$(EXE) ./plugins/canary
	$(BUILD) -o bin/runner-plugin-prometheus$(EXE) ./plugins/prometheus
	$(BUILD) -o bin/shop$(EXE) ./examples/shop
	$(BUILD) -o bin/demo$(EXE) ./examples/shop/demo

run: build ## Deploy the shop by canary under load, then a bad release that is rolled back by itself
	bin/demo$(EXE) $(ARGS)

test: ## Run the quick tests of all modules
	@$(if $(RACE),,echo "No C compiler found: running without the race detector.")
	$(GO) test $(RACE) -timeout $(TESTTIME) work

test-modules: ## Build and test each module alone, without the workspace that hides wrong requirements
	@set -e; for m in $(MODULES); do echo "== $$m"; \
		(cd $$m && GOWORK=off $(GO) build ./... && GOWORK=off $(GO) vet ./... && GOWORK=off $(GO) test -timeout $(TESTTIME) ./...); done

test-real: build ## Run the tests with real processes under real load: kill and resume, switches, the demo
	RUNNER_TEST_REAL="$(CURDIR)/bin" $(GO) test -count=1 -timeout $(TESTTIME) -run '^TestReal' -v \
		$$(grep -rl --include='*_test.go' '^func TestReal' $(MODULES) | xargs -n1 dirname | sort -u | sed 's|^|./|')

reliability: build ## Run the tests that count what they survive, and write docs/reliability.md; takes many minutes
	@set -e; figures=$$(mktemp -d); trap 'rm -rf "$$figures"' EXIT; \
	RUNNER_FIGURES="$$figures" RUNNER_TEST_REAL="$(CURDIR)/bin" $(GO) test -count=1 -timeout 60m \
		$$(grep -rl --include='*_test.go' 'figures\.Record(' $(MODULES) | xargs -n1 dirname | sort -u | sed 's|^|./|'); \
	$(GO) run ./core/internal/figures/render -from "$$figures" -write docs/reliability.md

fuzz: ## Run each fuzz target for FUZZTIME
	@set -e; grep -rlE --include='*_test.go' '^func Fuzz' $(MODULES) | while read -r file; do \
		for f in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do echo "== $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 2s "./$$(dirname "$$file")" </dev/null; done; done

bench: build ## Measure beside Terraform and make, and write docs/performance.md; takes many minutes
	$(GO) run ./core/bench -bin bin -write docs/performance.md $(ARGS)

bench-judge: ## Play worlds against the judge and the rules of other programs, and write docs/analysis.md; takes hours
	$(GO) run ./core/judgebench -write docs/analysis.md $(ARGS)

bench-parts: ## Run the benchmarks of single packages
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) $(PATTERNS)

docs: build ## Write the reference from commands, language and plugins into docs/reference
	RUNNER_TEST_REAL="$(CURDIR)/bin" $(GO) test -count=1 ./core/cli/reference -update

recordings: build ## Play the demo on terminals of two sizes and write docs/recordings; needs tmux
	RUNNER_TEST_REAL="$(CURDIR)/bin" $(GO) test -count=1 -run '^TestReal(Recordings|GitHubSummary)$$' ./docs -update

lint: lint-go lint-proto ## Check code and protocol files

lint-go: $(LINT)
	$(LINT) run --allow-serial-runners $(PATTERNS)

lint-proto: $(BUF)
	$(BUF) lint sdk/proto
	@base="$(BASE)"; if [ -n "$$base" ] && git cat-file -e "$$base:sdk/proto/buf.yaml" 2>/dev/null; then \
		echo "$(notdir $(BUF)) breaking sdk/proto, against $$base"; \
		$(BUF) breaking sdk/proto --against "$$(git rev-parse --git-common-dir)#ref=$$base,subdir=sdk/proto"; \
	else echo "Nothing to compare the protocol files with: no release, no main branch and no earlier commit has them."; fi

new-plugin: ## Begin a plugin: make new-plugin NAME=x KIND=action, target, strategy or metrics
	@test -n "$(NAME)" || { echo "Say which: make new-plugin NAME=x KIND=action"; exit 1; }
	$(GO) run ./core/cmd/runner new-plugin -kind="$(or $(KIND),action)" -dir="plugins/$(NAME)" -sdk=sdk \
		-module="github.com/runner-pipelines/runner/plugins/$(NAME)" "$(NAME)"
	$(GO) work use "./plugins/$(NAME)"
	cd "plugins/$(NAME)" && GOWORK=off $(GO) mod tidy && GOWORK=off $(GO) test ./...

man: build ## Write the manual pages into dist/man
	bin/runner$(EXE) man dist/man

fmt: $(LINT) ## Format the code
	$(LINT) fmt $(MODULES)

generate: $(BUF) $(GEN) ## Generate code from the protocol files
	cd sdk/proto && PATH="$(dir $(GEN)):$$PATH" $(BUF) generate

tools: $(BUF) $(GEN) $(LINT) ## Build the tools of lint and generate

$(BUF) $(GEN) $(LINT):
	@mkdir -p "$(@D)"
	cd tools/$(firstword $(subst -, ,$(notdir $(@D)))) && GOWORK=off $(GO) build -o "$(@D)/" tool

clean: ## Remove what was built here; the tools and Go's caches stay
	rm -rf bin dist
