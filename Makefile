# Everything a developer, an operator or the continuous integration calls.
#   make run          set up, build, start the whole product with sample data
#   make test         set up, build, run every test (seeded subsets of the long ones)
#   make test-faults  the long counts: kill -9, full disk, failing sync, a million random commands
#   make bench        the table of figures, each beside its ceiling; writes target/bench/summary.json
#   make load         a load test with its audit against a fresh server
#   make kafka        a real Kafka for development on 127.0.0.1:9092; ends with kafka/broker stop
#   make fuzz         every fuzz target for FUZZ_SECONDS each

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
CARGO ?= cargo
SLOTLINE := target/release/slotline
FUZZ_SECONDS ?= 60

.PHONY: help setup build run test check test-faults bench load kafka fuzz

help:
	@sed -n '2,8s/^# *//p' Makefile

setup:
	@scripts/setup

build:
	@scripts/setup build
	$(CARGO) build --release --locked --bin slotline

run: build
	$(SLOTLINE) dev

check: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" $(CARGO) doc --release --locked --workspace --no-deps --document-private-items --quiet

test: build check
	$(CARGO) test --release --locked --workspace

test-faults: setup build
	SLOTLINE_FAULTS=full $(CARGO) test --release --locked --workspace -- --nocapture --test-threads 1

bench: setup build
	$(CARGO) run --release --locked --package benches --bin bench -- --output target/bench/summary.json

load: build
	scripts/load

kafka: setup
	@kafka/broker start --port 9092

fuzz: setup
	scripts/fuzz $(FUZZ_SECONDS)
