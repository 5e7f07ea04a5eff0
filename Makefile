# The desk: every job of this repository in one place.
GO ?= go
SHELL = /bin/bash
.SHELLFLAGS = -o pipefail -c
# More for go test in the longer tiers, as -json.
TESTFLAGS ?= -v
export CGO_ENABLED = 0

.PHONY: all check test boot long equal bench guest docs fuzz cover clean

all: slipway

slipway: FORCE
	$(GO) build -trimpath -ldflags "-s -w" -o slipway ./cmd/slipway
FORCE:

# What a change must pass before it is committed.
check:
	@test -z "$$(gofmt -l cmd internal)" || { gofmt -l cmd internal; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	$(GO) test -short ./...

test:
	$(GO) test ./...

# The longer tier: the gallery started and proved, equality of one set each.
boot:
	SLIPWAY_TIER=boot $(GO) test -count=1 -timeout 40m $(TESTFLAGS) -run 'Boot|Gallery|Equality|Faults|Oracle|Alpine' ./internal/e2e/... ./internal/distro/... | grep -vE '^=== (RUN|PAUSE|CONT)'

# The whole grid, by hand; its last result is recorded in bench/.
long:
	SLIPWAY_TIER=long $(GO) test -count=1 -timeout 6h $(TESTFLAGS) ./internal/e2e/... ./internal/distro/...

# make equal SET=web RELEASE=trixie: a set of internal/e2e/equal/sets.go, or packages with commas
equal: slipway
	SLIPWAY_TIER=boot SLIPWAY_EQUAL_SET=$(SET) SLIPWAY_EQUAL_RELEASE=$(RELEASE) $(GO) test -count=1 -timeout 60m -v -run Equality ./internal/e2e/equal

bench: slipway
	bench/run

# Rebuild the embedded guest helper.
guest:
	$(GO) generate ./internal/guest

# The generated pages of docs/: a page per verb, and the keys.
docs:
	$(GO) generate ./cmd/slipway

# Every fuzz target, briefly.
fuzz:
	.ci/fuzz 10s

clean:
	rm -f slipway
