# streamgist: from a fresh Debian 12 to chapters. `make help` lists the targets.
#
# Assumed: Rust, make and a package manager. `make deps` installs the rest, and is quick when nothing is missing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help deps deps-test deps-demo models build demo demo-rtsp demo-delay demo-vl test test-long quality-features lint deny fmt doc eval bench-peers asan

PACKAGES := build-essential pkg-config clang libclang-dev python3 python3-pip ca-certificates \
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstreamer-plugins-bad1.0-dev libgstrtspserver-1.0-dev \
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
  gstreamer1.0-plugins-ugly gstreamer1.0-libav gstreamer1.0-rtsp \
  libtesseract-dev libleptonica-dev tesseract-ocr tesseract-ocr-eng tesseract-ocr-chi-sim \
  espeak-ng ffmpeg fonts-dejavu-core libfaketime

# What `make test` needs; the demo takes the default models.
TEST_MODELS := qwen2.5-coder-0.5b whisper-tiny.en all-minilm-l6-v2
MODELS := qwen2.5-coder-1.5b whisper-base all-minilm-l6-v2
EVAL_DATA ?= tests/data/chapters/talks.jsonl

help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

deps: ## Installs what building, testing and the demo need and this machine lacks
	@if ! command -v dpkg-query >/dev/null; then \
	  echo "This is no Debian. Install the equivalents of: $(PACKAGES)"; exit 1; fi; \
	installed=$$(dpkg-query -W -f='$${Package} $${db:Status-Status}\n' $(PACKAGES) 2>/dev/null || true); \
	missing=; for p in $(PACKAGES); do grep -qx "$$p installed" <<<"$$installed" || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" != 0 ]; then \
	  printf 'Some packages are missing. Run this, then make again:\n\n  sudo apt-get install --no-install-recommends%s\n\n' "$$missing"; \
	  exit 1; fi; \
	if [ -n "$$missing" ]; then \
	  echo "Installing$$missing"; apt-get update -q; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; fi
	@cargo --version >/dev/null || { echo "Rust is missing: install rustup or the toolchain of your choice"; exit 1; }

# The test runner is built from source once, and only for who runs tests.
deps-test: deps
	@cargo nextest --version >/dev/null 2>&1 || cargo install --locked cargo-nextest

deps-demo: deps models ## The same, and the default models

models: build ## Fetches the default models (1.4 GB, once)
	target/release/streamgist model pull $(MODELS)

build: deps ## Builds application, plugin and demo tools
	cargo build --release --workspace

demo: build models ## Makes a lecture, plays it through gst-launch and compares found with true chapters
	target/release/lecture make --talk-data tests/data/talks --out target/demo
	tools/demo.sh file

demo-rtsp: build models ## The same lecture from a real RTSP server, in real time
	target/release/lecture make --talk-data tests/data/talks --out target/demo
	tools/demo.sh rtsp

demo-delay: build models ## The same in real time, measuring how long the element holds each video buffer
	target/release/lecture make --talk-data tests/data/talks --out target/demo
	tools/demo.sh delay

demo-vl: build ## A film of title slides, seen by a tiny Qwen3-VL that lies in the repository: no download
	target/release/lecture titles --words models/nano-vl/words.txt --out target/demo/titles
	tools/demo.sh vl

# The tests are built before the models are fetched, so that the application that fetches them is one of the things
# built: another build of it, with the features of one package alone, would compile half of the dependencies again.
test: deps-test ## Runs the tests, after fetching the three small models they need
	cargo nextest run --workspace --no-run
	target/debug/streamgist model pull $(TEST_MODELS)
	cargo nextest run --workspace
	cargo test --workspace --doc --quiet

test-long: deps-test build models ## Tests that take minutes and need the default models
	cargo nextest run --workspace --cargo-profile release --profile long

asan: deps ## Runs the tests of the kernels under AddressSanitizer (needs a nightly toolchain)
	RUSTFLAGS=-Zsanitizer=address cargo +nightly test --lib -p gist-kernels --target-dir target/asan \
	  --target $$(rustc -vV | sed -n 's/^host: //p')

lint: deps ## Format, clippy, and cargo-deny if it is installed (`make deny` installs it)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --all-features check bans licenses sources; fi

deny: ## Installs cargo-deny and checks licences, sources and advisories
	@cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny
	cargo deny --all-features check

fmt: ## Formats
	cargo fmt --all

doc: deps ## Builds the documentation
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

eval: build models ## Measures chapters against those of people (EVAL_DATA=file.jsonl)
	target/release/streamgist eval $(EVAL_DATA)

# 37 hours of lines, about 17,000 embeddings: minutes, once. What is there when it is interrupted stays.
QUALITY_TALKS ?= talks-dev.jsonl
QUALITY_SCREENS ?= screenshare-dev.jsonl
quality-features: build ## Computes the embeddings that fitting the boundary weights takes, into target/quality
	target/release/streamgist model pull all-minilm-l6-v2
	mkdir -p target/quality
	target/release/fit-boundary $(QUALITY_TALKS) $(QUALITY_SCREENS) --features target/quality/features.bin --fill

# What others are built with is installed by deps, here alone.
bench-peers: PACKAGES += cmake python3-venv
bench-peers: build ## Measures llama.cpp and transformers beside ours, into docs/performance.md (PEERS=--help)
	python3 tools/bench_peers.py $(PEERS)
