# The front door. Each target is one line that calls `digit-recognizer`; the first one also makes .venv, without root.

.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/sh

# What a person can set on the command line, as PIPELINE="a b"; it becomes the option of that name, quoted for the shell.
VARIABLES := SOURCE PIPELINE RUN FOLDS SET SEEDS JOBS MINUTES FULL FORCE HOURS TRIALS WORKERS STORAGE IMAGES FILE MESSAGE
SWITCHES := FULL FORCE

typed := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
unknown := $(filter-out $(VARIABLES) PYTHON SHELL MAKE% -%,$(typed))
$(if $(unknown),$(error unknown variable $(unknown): there are $(VARIABLES)))

# Nothing of this reaches the programs: a VERBOSE=1 or a password in their environment would be taken for theirs.
MAKEOVERRIDES :=
unexport $(VARIABLES) MAKEFLAGS MFLAGS

lower = $(shell echo $(1) | tr A-Z a-z)
quoted = '$(subst ','\'',$(value $(1)))'
option = --$(call lower,$(1))$(if $(filter $(1),$(SWITCHES)),,=$(call quoted,$(1)))
given = $(if $(filter $(1),$(SWITCHES)),$(filter-out 0,$(value $(1))),$(value $(1)))
options = $(foreach name,$(1),$(if $(call given,$(name)),$(call option,$(name))))

BIN := .venv/bin
READY := .venv/ready
READY_TO_TEST := .venv/ready-to-test
CLI := @$(BIN)/digit-recognizer

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@awk -F '#= ' 'BEGIN { print "\nwith, after the target:" } /^#= / { print "  " $$2 }' Makefile

#= SOURCE=kaggle        or bundled, mnist, fashion_mnist, a file or a folder (data)
#= PIPELINE="a b"       one or several pipelines, by name or file; default fast
#= RUN=name             the run's name; default the pipeline's
#= FOLDS=0,2  SEEDS=0,1 only these folds; a model for each seed (train)
#= SET="epochs=2 augmentation.rotation=15"  other settings (train, tune)
#= MINUTES=30           choose epochs and seeds so that training takes this long on this machine (train)
#= JOBS=2  FULL=1       models side by side; on all rows instead of folds (train); times to accuracies (bench)
#= FORCE=1              replace the data (data); move the old run aside (train)
#= HOURS=8  TRIALS=50  WORKERS=2  STORAGE=postgresql://...  how long, and where, to search (tune)
#= IMAGES=path          an image, several, a folder, or a CSV like test.csv (predict)
#= FILE=path  MESSAGE="text"  another submission than the run's; what Kaggle shows beside it (submit)

setup: $(READY) ## make .venv with the pinned libraries; every target does so by itself the first time

data: $(READY) ## bring the data to input/, checked
	$(CLI) data $(call options,SOURCE FORCE)

train: $(READY) ## train a pipeline's folds, or go on where that stopped
	$(CLI) train $(call options,PIPELINE RUN FOLDS SEEDS SET JOBS MINUTES FULL FORCE)

report: $(READY) ## write runs/<run>/report.html, and a comparison of several
	$(CLI) report $(call options,PIPELINE RUN)

ensemble: $(READY) ## blend a run's models, or several runs, into submissions/<name>.csv
	$(CLI) ensemble $(call options,PIPELINE RUN)

submit: $(READY) ## send that to Kaggle and wait for the score
	$(CLI) submit $(call options,PIPELINE RUN FILE MESSAGE)

tune: $(READY) ## search better settings, or go on with that
	$(CLI) tune $(call options,PIPELINE RUN SET HOURS TRIALS WORKERS STORAGE)

predict: $(READY) ## recognise the digits in image files
	$(CLI) predict $(call options,IMAGES PIPELINE RUN)

evaluate: $(READY) ## score the saved models on test labels, where these are public
	$(CLI) evaluate $(call options,PIPELINE RUN)

status: $(READY) ## list all runs, studies and submissions
	$(CLI) status

demo: $(READY) ## go the whole way on bundled digits, in demo/, in about two minutes
	$(CLI) demo $(call options,FORCE)

test: $(READY_TO_TEST) ## run the tests but the slow ones
	@$(BIN)/pytest -m "not slow"

test-all: $(READY_TO_TEST) ## run all tests
	@$(BIN)/pytest

lint: $(READY_TO_TEST) ## check style and formatting
	@$(BIN)/ruff check && $(BIN)/ruff format --check

bench: $(READY) ## time this project against the usual ways
	$(CLI) bench $(call options,FULL)

dashboard: $(READY) ## watch a study in the browser
	$(CLI) dashboard $(call options,PIPELINE RUN STORAGE)

board: $(READY) ## watch trainings in TensorBoard
	$(CLI) board $(call options,PIPELINE RUN)

draw: $(READY) ## draw digits in the browser and see what a run makes of them
	$(CLI) draw $(call options,PIPELINE RUN)

clean: ## remove .venv, demo/ and caches; never data, runs, studies or submissions
	@rm -rf .venv demo build .pytest_cache .ruff_cache src/*.egg-info && find src tests pipelines -name __pycache__ -prune -exec rm -rf {} +

# Python 3.11 to 3.13, and with an NVIDIA GPU the libraries for it.
PYTHON = $(shell for python in python3.13 python3.12 python3.11 python3; do $$python -c \
	'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$python && break; done)
REQUIREMENTS = requirements$(if $(shell nvidia-smi -L 2>/dev/null),-gpu).txt
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install

$(READY): requirements.txt requirements-gpu.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 to 3.13 with venv found (python3 is $$(python3 --version 2>&1)): install one, or make PYTHON=path/to/it" >&2; exit 1; }
	@echo "setting up .venv from $(REQUIREMENTS): once, some minutes, about 3 GB"
	@$(PYTHON) -m venv .venv && $(PIP) -r $(REQUIREMENTS) && $(PIP) --no-deps --editable . && touch $@

$(READY_TO_TEST): $(READY) requirements-test.txt
	@$(PIP) -r requirements-test.txt && touch $@

.PHONY: help setup data train report ensemble submit tune predict evaluate status demo test test-all lint bench dashboard board draw clean
