# Sluice's commands. `make` or `make help` lists them. Every target installs what it needs first.

# scripts/env.sh is Bash; /bin/sh need not be.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help run run-edge up down migrate seed run-server run-sender-normal run-sender-express run-relay \
	run-dlr run-webhook run-admin test quick typecheck lint format bench mutate faults fuzz simulate clients \
	peer install

in_env := . scripts/env.sh && exec

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{printf "  make %-20s %s\n", $$1, $$2}'

install: ## install what is missing: runtimes, packages, the Kafka addon, the engines
	@scripts/install.sh

run: ## start everything in the foreground: engines, migrations, demo customers, all roles; Ctrl-C stops it
	@exec ./sluice up

run-edge: ## like run, with nginx in front of the API: TLS, HTTP/2, pipelining
	@exec ./sluice up --edge

up: ## start the engines (MySQL, Kafka, ClickHouse) in the background
	@exec ./sluice up --engines-only

down: ## stop everything that runs in the state folder .sluice/
	@exec ./sluice down

migrate: ## create the Kafka topics and apply new migrations to both databases (engines must be running)
	@exec ./sluice migrate

seed: ## create the demo customers (engines must be running)
	@exec ./sluice seed

run-server: ## one ingest process in the foreground
	@scripts/install.sh --tools && $(in_env) bun src/main/ingest.ts

run-sender-normal: ## the normal lane's sender in the foreground
	@scripts/install.sh --tools && $(in_env) node src/main/sender.ts --lane normal

run-sender-express: ## the express lane's sender in the foreground
	@scripts/install.sh --tools && $(in_env) node src/main/sender.ts --lane express

run-relay: ## the relay in the foreground
	@scripts/install.sh --tools && $(in_env) node src/main/relay.ts

run-dlr: ## the process that settles delivery reports in the foreground
	@scripts/install.sh --tools && $(in_env) node src/main/dlr.ts

run-webhook: ## the process that calls customers' webhooks in the foreground
	@scripts/install.sh --tools && $(in_env) node src/main/webhook.ts

run-admin: ## the admin API in the foreground
	@scripts/install.sh --tools && $(in_env) bun src/main/admin.ts

test: ## everything: types, lint, format, structure, unit and integration tests, on separate engines
	@exec scripts/test.sh

quick: ## the checks that need no engines, about a minute: types, lint, format, structure, unit tests
	@exec scripts/test.sh --quick

typecheck: ## TypeScript, strict
	@scripts/install.sh --tools && $(in_env) bun run tsc --noEmit

lint: ## oxlint, type-aware
	@scripts/install.sh --tools && $(in_env) bun run oxlint --type-aware --deny-warnings

format: ## format all files
	@scripts/install.sh --tools && $(in_env) bun run biome format --write

bench: install ## four of the benches that the README quotes: ingest, end-to-end, hot-wallet, replays (minutes; starts the gateway if none is running); ARGS="--seconds 10" for the first three
	@exec scripts/bench.sh $(ARGS)

mutate: ## mutation testing of the modules that decide about money (minutes); MODULE=src/core/money.ts for one
	@scripts/install.sh --tools && $(in_env) node test/mutation/run.ts $(MODULE)

simulate: ## 10,000 simulated runs of the money code, each from a seed, on 2 cores (minutes); ARGS="--seed 7 --trace"
	@scripts/install.sh --tools && $(in_env) bun test/simulation/run.ts $(or $(ARGS),--seeds 10000)

clients: ## test 12 HTTP clients against the direct port and the edge, run docs/examples, and try /docs in a browser; installs what is missing
	@exec scripts/clients.sh

peer: ## 100,000 messages to an SMPP operator that isn't ours (jSMPP), its links cut 20 times, then every status and all money is compared (minutes); ARGS="--messages 5000 --cuts 3"
	@exec scripts/peer.sh $(ARGS)

fuzz: ## 50,000 valid and invalid requests, made by schemathesis from /openapi.json of both APIs, to a gateway of its own; every answer must be as documented, and the books right (half an hour); ARGS="--cases 5000 --seed 7"
	@exec scripts/fuzz.sh $(ARGS)

faults: install ## 200 faults under load (kills, cut connections, full disks, outages), then all logs and books are compared (half an hour); ARGS="--seed 2"
	@$(in_env) bun test/faults/run.ts $(ARGS)
