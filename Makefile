# What CI does, one step at a time. `make` alone builds both programs into bin/.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  = -s -w -X main.version=$(VERSION)
FUZZTIME ?= 20s

.PHONY: build test race lint fuzz bench lab image clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

test:
	$(GO) test ./...

race:
	$(GO) test -race ./...

lint:
	test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

# Each fuzz target for FUZZTIME, two at a time with one worker each, found by
# name so that none is forgotten. One that fails is run twice more: an input that
# was found is kept and fails again at once, but the go command now and then
# reports the end of FUZZTIME itself as "context deadline exceeded", the sooner
# the busier the machine is.
fuzz:
	@for pkg in $$($(GO) list ./...); do \
		$(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' | sed "s|^|$$pkg |"; \
	done | xargs -P 2 -L 1 sh -c 'run() { $(GO) test -run "^$$" -fuzz "^$$2$$" -fuzztime $(FUZZTIME) \
			-fuzzminimizetime 20x -parallel 1 $$1; }; \
		echo "fuzz $$1 $$2 $(FUZZTIME)"; run $$1 $$2 || run $$1 $$2 || run $$1 $$2 || exit 255' fuzz

bench:
	$(GO) test -run '^$$' -bench . -benchmem -count 10 ./wire ./cache ./server ./resolver/upstream

# The whole anycast system on this machine, every drill. Needs root or user namespaces.
lab:
	$(GO) run ./test/lab

image:
	docker build -t proxima:$(VERSION) --build-arg VERSION=$(VERSION) .

clean:
	rm -rf bin
