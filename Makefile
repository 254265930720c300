# `make` alone lists the words.
.DEFAULT_GOAL := help
.PHONY: help demo test long deb libraries appliance static power machine arm fuzz soak bench names lint \
	pictures docs lock clean

PY := .venv/bin/python
CAMERA ?=
SECONDS ?= 600
CUTS ?= 500

help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/ready: pyproject.toml setup.sh
	@./setup.sh

.venv/benches: .venv/ready
	@./setup.sh benches

demo: .venv/ready ## show the main job end to end; CAMERA=/dev/video0, a folder or a video for your own codes
	@$(PY) -m demo --camera "$(CAMERA)"

# What measures edges in milliseconds wants the machine for itself.
ALONE := tests/real_libraries/test_pins.py

# Three at once on two cores: what boots machines, or waits for programs of its own, computes little.
test: lint .venv/benches ## check style and types, then run every test
	@$(PY) -m pytest -n 3 --dist loadfile tests $(addprefix --ignore=,$(ALONE))
	@$(PY) -m pytest $(ALONE)

long: .venv/benches ## the long forms of what `make test` cuts short: all photographs and planted mistakes, 200 kills, the wheels for Arm
	@LONG=1 $(PY) -m pytest -s tests/contract/test_decoder.py tests/system/test_nothing_lost.py \
		tests/appliance/test_package.py tests/test_breakages.py \
		-k "photographs or killed or arm_package or planted"

deb: .venv/benches ## build the Debian packages, for arm64 and amd64, into build/
	@sh debian/build.sh arm64 amd64

libraries: .venv/benches ## the real gpiozero, lgpio, picamera2 and libcamera without a Pi
	@$(PY) -m pytest -s tests/real_libraries

appliance: .venv/benches ## the package in a booted Debian 13: install, watchdogs, hardening, upgrade, purge
	@$(PY) -m pytest -s tests/appliance

machine: .venv/benches ## a virtual machine: a kernel's own pins, a watchdog that bites, a kernel that is killed
	@$(PY) -m pytest -s tests/machine

arm: .venv/benches ## the arm64 package under emulation, and on a virtual Raspberry Pi 3B
	@$(PY) -m pytest -s tests/arm

static: .venv/benches ## what systemd and lintian say of the units and the package
	@$(PY) -m pytest -s tests/appliance -k "installs_without or systemd_finds or can_do_little or lintian or locked"

power: .venv/benches ## cut the power CUTS times (500) on a disk that forgets what was not flushed
	@POWER_CUTS=$(CUTS) $(PY) -m pytest tests/power

fuzz: .venv/ready ## give every parser any bytes, SECONDS (600) each; findings go to build/fuzz
	@$(PY) -m tests.fuzz.coverage_guided all $(SECONDS)

soak: .venv/ready ## a simulated week: 50,000 visitors and 300 faults, under two minutes
	@SOAK_VISITS=50000 $(PY) -m pytest tests/simulation/test_a_week.py

bench: .venv/ready ## print measured figures beside their references, a JSON line each
	@$(PY) -m bench

names: .venv/ready ## 100,000 made-up names through code, image, decoder and reader
	@$(PY) -m bench.names

lint: .venv/ready ## check style and types only
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

lock: .venv/ready ## choose the versions that the package carries, with their hashes
	@$(PY) -m pip install --quiet --disable-pip-version-check uv
	@$(PY) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-emit-package numpy --no-annotate --no-header \
		--output-file debian/requirements.txt

docs: .venv/ready ## write docs/settings.md, docs/patterns.md and the catalogue of translations from the code
	@$(PY) -m docs.pages
	@$(PY) -m docs.translations

pictures: .venv/ready ## draw the README's two pictures
	@$(PY) -m docs.pictures

clean: ## remove what the other words made
	rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
