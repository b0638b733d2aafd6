# Two commands on a fresh machine: `make demo` and `make test`. Everything else is an Invoke task: `.venv/bin/invoke --list`.
# `make soak` takes hours; FILES names the files of it that should run: `make soak FILES=tests/soak/test_fresh_root.py`.
# PYTHON names another interpreter: `make demo PYTHON=python3.12`.

SHELL := /bin/bash
PYTHON ?= python3
export PYTHON

.PHONY: setup demo test soak lock

setup:
	@requirements/setup.sh toolkit

demo: setup
	@.venv/bin/invoke deploy --host local

test:
	@export FLEET_STARTED=$${FLEET_STARTED:-$$(date +%s)} && \
	tests/setup-machine.sh && \
	requirements/setup.sh dev && \
	.venv/bin/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder -p tests.support.layer_times --durations 20 \
	-o faulthandler_timeout=1200 -o faulthandler_exit_on_timeout=true

soak:
	@tests/setup-machine.sh soak && \
	requirements/setup.sh dev && \
	.venv/bin/python -m pytest -m soak -p tests.support.soak_record $(FILES)

lock:
	@requirements/lock.sh
