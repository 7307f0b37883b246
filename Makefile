# halcyon: what a developer and an operator call. `make help` lists it.
CACHE   := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/halcyon
export CARGO_TARGET_DIR ?= $(CACHE)/target
export PATH := $(HOME)/.cargo/bin:$(PATH)
STACK   := docker/stack/stack

# TLS toward Kafka needs OpenSSL: the system's, or one built from source (needs perl).
FEATURES := $(shell (pkg-config --exists openssl 2>/dev/null || test -e /usr/include/openssl/ssl.h) && echo "" || echo "--no-default-features --features ssl-vendored")

.PHONY: help demo test check simulate stack stack-stop matrix bench bench-list bench-client bench-frozen soak fuzz deny

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: ## the whole idea in one process: no server, no download but crates
	@echo "building halcyon (the first time takes some minutes) ..."
	@cargo build --locked --bin halcyon $(FEATURES) --quiet
	@$(CARGO_TARGET_DIR)/debug/halcyon demo $(DEMO)

test: ## everything: format, lints, all tests, the real servers started and stopped by the run
	@bash tests/run

check: ## format and lints only
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets $(FEATURES) -- -D warnings

simulate: ## the engine in simulated worlds, one for each seed, on all cores (SEEDS=1000000, FIRST=n; SEED=n replays one)
	@$(if $(SEED),SIM_SEED=$(SEED)) SIM_SEEDS=$(or $(SEEDS),100000) SIM_FIRST=$(or $(FIRST),0) cargo test --locked $(FEATURES) --test tests simulation::seeds -- --nocapture

stack: ## a real Kafka and two real HBase clusters on loopback (STACK_ARGS="--green 2.5.13-hadoop3")
	@$(STACK) up $(STACK_ARGS)
	@echo "topology: topology/stack.toml"

stack-stop: ## stop them and remove their data
	@$(STACK) down

matrix: ## the HBase client on every server version that is known to start (VERSIONS="1.4.14 2.6.4-hadoop3" for some)
	@bash tests/matrix $(VERSIONS)

bench: ## benchmarks on real servers, answers checked: all, or CASE="clusters client" (BENCH="--quick --record DIR")
	@cargo build --locked --release --bin halcyon $(FEATURES)
	@cargo run --locked --release -p bench -- run $(or $(CASE),--all) $(BENCH)

bench-list: ## the benchmarks: what each needs and how long it takes
	@cargo run --locked --release --quiet -p bench -- list

bench-client: ## the HBase client beside Java's and Go's, with all options (BENCH="--rows 200000 --rounds 1")
	@cargo run --locked --release -p bench -- client $(BENCH)

bench-frozen: ## what one frozen region server costs the others, with all options
	@cargo run --locked --release -p bench -- frozen $(BENCH)

soak: ## 1,000,000 events with five kills (EVENTS=n), ten minutes of trouble around Kafka (KAFKA_SECONDS=s), then 10,000,000 rows for ten minutes of trouble (ROWS=n SECONDS=s SEED=n), a minute of fuzzing each (FUZZ=n)
	@SOAK_EVENTS=$(or $(EVENTS),1000000) SOAK_ROWS=$(or $(ROWS),10000000) SOAK_SECONDS=$(or $(SECONDS),600) SOAK_KAFKA_SECONDS=$(or $(KAFKA_SECONDS),600) SOAK_SEED=$(or $(SEED),7) bash tests/run soak

fuzz: ## the decoders of foreign bytes, guided by coverage (SECONDS_EACH=n for each target, TARGET=name for one)
	@hbase/fuzz/run $(or $(SECONDS_EACH),60) $(TARGET)

deny: ## licences, doubles, sources (needs cargo-deny: cargo install cargo-deny --locked)
	cargo deny check bans licenses sources
