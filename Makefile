# Everything a person types. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := bash
TESTBED := cargo run --quiet --bin testbed --
DEMO := cargo run --bin demo --

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Start everything, run the four examples, publish, GET (or on your cluster: CONTEXT=… KAFKA_CONFIG=file)
	@.ci/preflight
	@$(if $(CONTEXT),,cargo run --bin testbed -- prepare --name demo)
	@$(DEMO) run $(if $(CONTEXT),--context $(CONTEXT) --kafka-config $(KAFKA_CONFIG))

.PHONY: publish
publish: ## Publish one message to the demo: PIPELINE=passengers MESSAGE='{"id":…}'
	@$(DEMO) publish "$$PIPELINE" "$$MESSAGE"

.PHONY: demo-kubectl
demo-kubectl: ## kubectl on the demo's cluster: ARGS='get pods -A'
	@$(TESTBED) kubectl --name demo -- $(ARGS)

.PHONY: demo-status
demo-status: ## What of the demo's stack runs, and where
	@$(TESTBED) status --name demo

.PHONY: demo-logs
demo-logs: ## Collect the demo's logs and objects into one archive
	@$(TESTBED) logs --name demo

.PHONY: demo-down
demo-down: ## End the demo's stack and leave nothing
	@$(TESTBED) down --name demo

.PHONY: test
test: ## Format, lints, unit tests, tests with the real parts, end to end
	@.ci/preflight test
	@.ci/test

.PHONY: lint
lint: ## Format, clippy, licences and sources of dependencies
	@.ci/lint

.PHONY: chaos
chaos: ## Kill, freeze and pause everything at random: SECONDS=600 SEED=7
	@CAUDAL_CHAOS_SECONDS=$(or $(SECONDS),600) $(if $(SEED),CAUDAL_CHAOS_SEED=$(SEED)) \
		cargo test --workspace --test ingest -- --nocapture whatever_happens

.PHONY: crashes
crashes: ## Kill ClickHouse between token and rows: KILLS=300
	@CAUDAL_TEST_KILLS=$(or $(KILLS),300) cargo test --workspace --test ingest -- --nocapture kills_between

.PHONY: bench
bench: ## Measure the ingestor against bare librdkafka, and idle memory
	@cargo build --release --package caudal-ingestor --package caudal-bench
	@target/release/bench

.PHONY: generate
generate: ## Write the generated files (CRD, API snapshots) anew
	@cargo run --bin caudal-crd
