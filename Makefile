# `make demo` tells the whole story on real data, `make test` proves it.
# Both need Rust; whatever else is missing they install (Debian, as root) or name in one line.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/plimsoll
# Outside the checkout, so that a fresh clone does not build the dependencies again.
export CARGO_TARGET_DIR ?= $(CACHE)/target
NUMPY := $(CACHE)/golden-river-venv/bin/python
# Arguments for the command behind `demo`, `up`, `bench` and `test`: make demo ARGS="--once"
ARGS ?=

.PHONY: help
help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: ## Watches a real model drift, decay and ask for retraining (ARGS="--once" ends after the replay)
	@tests/setup.sh build
	@cargo run --locked -- demo $(ARGS)

.PHONY: up
up: ## Starts the service with its configuration
	@tests/setup.sh build
	@cargo run --locked -- up $(ARGS)

.PHONY: loop
loop: ## Closes the loop on real data: drift, a request for retraining, three candidates, a rollback and a promotion
	@tests/setup.sh build
	@CI=true tests/setup.sh serve
	@cargo build --locked
	@"$(CACHE)/serve-venv/bin/python" examples/loop/loop.py --plimsoll "$(CARGO_TARGET_DIR)/debug/plimsoll" $(ARGS)

.PHONY: test
test: ## Formatting, lints and every test, with a real Kafka and a real SMTP server
	@tests/setup.sh test
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	PLIMSOLL_TEST_PYTHON="$$(ls $(CACHE)/venv/bin/python 2>/dev/null || true)" $(if $(filter true,$(CI)),PLIMSOLL_TEST_REQUIRE_ALL=1) \
		cargo test --locked $(ARGS)

SEEDS ?= 2000
SEED ?=
.PHONY: simulate
simulate: ## Runs the whole service under every fault from SEEDS seeds and checks the invariants (SEED=n: replays one)
	@tests/setup.sh build
	PLIMSOLL_SIMULATE_SEEDS="$(SEEDS)" PLIMSOLL_SIMULATE_SEED="$(SEED)" \
		cargo test --locked --test it -- --nocapture simulation::

.PHONY: bench
bench: ## Events per second of ingest beside a bare consumer, on a real Kafka (release build)
	@tests/setup.sh build
	@tests/kafka/kafka.sh resolve
	@cargo build --locked --release
	@folder=$$(mktemp -d); \
	trap 'tests/kafka/kafka.sh stop "$$folder/kafka"; rm -rf "$$folder"' EXIT; \
	mkdir "$$folder/kafka"; \
	tests/kafka/kafka.sh start "$$folder/kafka"; \
	"$(CARGO_TARGET_DIR)/release/plimsoll" bench --brokers "$$(cat "$$folder/kafka/bootstrap")" $(ARGS)

# One test that `make test` leaves out or runs in a shorter form; its output is the report.
RUN_ONE = PLIMSOLL_TEST_REQUIRE_ALL=1 cargo test --locked $(RELEASE) --test it -- --exact --include-ignored --nocapture

.PHONY: chaos
chaos: ## Three workers and three brokers that are killed, stopped and paused under load (LONG=1: 3 minutes; SEED=…)
	@tests/setup.sh build
	@tests/kafka/kafka.sh resolve
	PLIMSOLL_TEST_CHAOS_SECONDS=$(if $(LONG),180,60) PLIMSOLL_TEST_SEED=$(SEED) \
		$(RUN_ONE) chaos::workers_and_brokers_that_come_and_go_change_nothing_in_the_tables

.PHONY: soak
soak: ## Half an hour at a steady load: does memory, descriptors, state or lag grow without bound? (MINUTES=10)
	@tests/setup.sh build
	@tests/kafka/kafka.sh resolve
	PLIMSOLL_TEST_SOAK_MINUTES=$(or $(MINUTES),30) $(RUN_ONE) soak::nothing_grows_without_bound_at_a_steady_load

.PHONY: scale
scale: RELEASE := --release
scale: ## How long one process and two take to read the same events (release build)
	@tests/setup.sh build
	@tests/kafka/kafka.sh resolve
	$(RUN_ONE) chaos::scale::two_processes_are_not_slower_than_one

.PHONY: bench-registry
bench-registry: RELEASE := --release
bench-registry: ## Durable commands per second of the registry, and how long listing 10,000 versions takes (release build)
	@tests/setup.sh build
	$(RUN_ONE) mlflow::commands_per_second_and_the_time_to_list_ten_thousand_versions

.PHONY: bench-serve
bench-serve: ## What serving adds to a call of ONNX Runtime, requests of the stream and rows of files per second (release build)
	@tests/setup.sh build
	@CI=true tests/setup.sh serve
	cargo build --locked --release
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	"$(CACHE)/serve-venv/bin/python" benches/serving_models.py "$$folder"; \
	"$(CARGO_TARGET_DIR)/release/plimsoll" bench serve --models "$$folder" \
		--onnxruntime "$$(ls "$(CACHE)"/serve-venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so*)" $(ARGS)

.PHONY: bench-statistics
bench-statistics: ## Speed of profiles, statistics and detectors beside their budgets and beside NumPy
	@tests/setup.sh build
	@CI=true tests/setup.sh numpy
	cargo bench --locked --profile release --bench statistics -- --numpy "$(NUMPY)"

.PHONY: bench-compare
bench-compare: ## Memory that `plimsoll compare` takes for two files of 10 M rows and 20 columns (2.3 GB on disk)
	@tests/setup.sh build
	@CI=true tests/setup.sh golden
	cargo build --locked --release
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	"$(CACHE)/golden-performance-venv/bin/python" benches/large_files.py "$$folder" $(ARGS); \
	"$(CACHE)/golden-performance-venv/bin/python" benches/peak_memory.py \
		"$(CARGO_TARGET_DIR)/release/plimsoll" compare --quiet \
		--reference "$$folder/reference.parquet" --current "$$folder/current.parquet"

.PHONY: quiet
quiet: ## How often drift is found where there is none, and where there is, beside SciPy's tests (ARGS=300: fewer windows)
	@tests/setup.sh build
	@CI=true tests/setup.sh numpy
	@table=$$(mktemp); trap 'rm -f "$$table"' EXIT; \
	cargo bench --locked --profile release --bench quiet -- $(ARGS) | tee "$$table"; \
	echo; "$(NUMPY)" tests/golden/power.py --beside "$$table" $(ARGS)

.PHONY: fmt
fmt: ## Formats the code
	cargo fmt

# NannyML would report each call to its makers.
golden: export NML_DISABLE_USAGE_LOGGING := 1
.PHONY: golden
golden: ## Computes the expected results of the tests anew with NumPy, SciPy, scikit-learn, Fairlearn, NannyML, River and Evidently
	@CI=true tests/setup.sh golden
	"$(CACHE)/golden-venv/bin/python" tests/golden/make.py
	"$(CACHE)/golden-venv/bin/python" tests/golden/drift.py
	"$(CACHE)/golden-venv/bin/python" tests/golden/quality.py
	"$(CACHE)/golden-venv/bin/python" tests/golden/attribution.py
	"$(CACHE)/golden-venv/bin/python" tests/golden/reconstruction.py
	"$(CACHE)/golden-performance-venv/bin/python" tests/golden/performance.py
	"$(CACHE)/golden-river-venv/bin/python" tests/golden/detectors.py
	"$(CACHE)/golden-presets-venv/bin/python" tests/golden/presets.py

.PHONY: agreement
agreement: ## How far each statistic is from SciPy's, scikit-learn's, NannyML's and Fairlearn's: cases and the largest difference
	@tests/setup.sh build
	@cargo test --locked --test it golden:: -- --nocapture --test-threads 1 | awk -F '\t' ' \
		$$1 ~ /agreement$$/ { sub(/^(at |[{]).*/, "", $$3); name = $$2 " " $$3; cases[name]++; if ($$4 + 0 > most[name] + 0) most[name] = $$4 } \
		END { for (name in cases) printf "%9.1e in %6d cases  %s\n", most[name], cases[name], name }' | sort -k 5

.PHONY: kafka-start kafka-stop
kafka-start: ## Starts the tests' Kafka in data/kafka on 127.0.0.1:9092, for trying things out
	@tests/kafka/kafka.sh start data/kafka 9092
	@cat data/kafka/bootstrap
kafka-stop: ## Stops it
	@tests/kafka/kafka.sh stop data/kafka

.PHONY: clean-tools
clean-tools: ## Removes the tests' Kafka and Python environments from the cache
	rm -rf "$(CACHE)/kafka" "$(CACHE)/venv" "$(CACHE)"/golden-*venv "$(CACHE)"/mlflow-*venv "$(CACHE)/serve-venv"
