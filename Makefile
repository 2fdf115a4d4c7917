# Each target calls the command of `digit-recognizer` of its name; the first one that is called also makes .venv, without root.

.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/sh

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@awk -F '#= ' 'BEGIN { print "\nwith, after the target:" } /^#= / { print "  " $$2 }' Makefile

#= SOURCE=kaggle       or bundled, mnist, fashion_mnist, a file, a folder (data)
#= PIPELINE="a b"      pipelines, by name or file; default fast
#= RUN="a b"           runs, by name; with train, the name of the new run
#= DEMO=1              use the data and the run of `make demo`
#= FOLDS=0,2           train only these folds (train)
#= SEEDS=0,1           train one model for each seed (train, rehearse)
#= SET="epochs=2"      change settings; `make settings` lists them
#= MINUTES=30          choose epochs and seeds for this time (train, rehearse)
#= JOBS=2              models trained in parallel (train, rehearse)
#= FULL=1              train on all rows (train); time to accuracies, too (bench)
#= GPU=1               train the pipelines for GPUs, timed (bench)
#= FORCE=1             replace the data (data); rename the old run (train, demo)
#= ON=kaggle           train in a Kaggle notebook; ON=ray on a Ray cluster
#= PARTS=0,1           which of the six parts to rehearse; default 0 (rehearse)
#= HOURS=8  TRIALS=50  when to stop (tune)
#= WORKERS=2           trials in parallel (tune)
#= STORAGE=postgresql://user@host/name  the study's database (tune, dashboard)
#= IMAGES=path         an image, several, a folder, a CSV like test.csv (predict)
#= ALL=1               write the reports of all runs (report)
#= FILE=path           another submission than the run's (submit)
#= MESSAGE="text"      a description that Kaggle shows (submit)
#= HOST=0.0.0.0        the address to serve on (draw, board, dashboard)
#= PORT=8080           and the port

setup:    ## make .venv with the pinned libraries; other targets do, too
data:     ## download the data to input/ and check it
takes.data := SOURCE FORCE
train:    ## train or resume cross-validation
takes.train := PIPELINE RUN FOLDS SEEDS SET JOBS MINUTES FULL FORCE ON DEMO
rehearse: ## train, ensemble and score on mock test sets cut from train.csv
takes.rehearse := PIPELINE RUN PARTS SET SEEDS JOBS MINUTES ON DEMO
report:   ## write runs/<run>/report.html, and a comparison of several runs
takes.report := PIPELINE RUN ALL DEMO
ensemble: ## blend models or runs into submissions/<name>.csv
takes.ensemble := PIPELINE RUN DEMO
submit:   ## upload the submission to Kaggle and wait for the score
takes.submit := PIPELINE RUN FILE MESSAGE DEMO
tune:     ## search for better settings of a pipeline, or resume the search
takes.tune := PIPELINE RUN SET HOURS TRIALS WORKERS STORAGE ON DEMO
predict:  ## recognise the digits in image files
takes.predict := IMAGES PIPELINE RUN DEMO
evaluate: ## score the saved models on public test labels
takes.evaluate := PIPELINE RUN DEMO
compare:  ## compare two runs image by image
takes.compare := PIPELINE RUN DEMO
status:   ## list the runs, studies and submissions
takes.status := PIPELINE RUN DEMO
pipelines: ## list the pipelines
takes.pipelines :=
settings: ## list every setting with its value, default and meaning
takes.settings := PIPELINE
demo:     ## run all steps on bundled digits, in about two minutes
takes.demo := FORCE
draw:     ## draw digits in the browser and see a run's probabilities
takes.draw := PIPELINE RUN HOST PORT DEMO
board:    ## show the curves of trainings in TensorBoard
takes.board := PIPELINE RUN HOST PORT DEMO
dashboard: ## show a study in the browser
takes.dashboard := PIPELINE RUN STORAGE HOST PORT DEMO
bench:    ## time this project against common alternatives
takes.bench := FULL GPU

BIN := .venv/bin
READY := .venv/ready
READY_TO_TEST := .venv/ready-to-test
PYTEST := $(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile

setup: $(READY)

test: $(READY_TO_TEST) ## run the tests but the slow ones
	@$(PYTEST) -m "not slow"

test-all: $(READY_TO_TEST) ## run all tests
	@$(PYTEST)

lint: $(READY_TO_TEST) ## check style and formatting
	@$(BIN)/ruff check && $(BIN)/ruff format --check

clean: ## remove .venv, demo/ and caches, never data or results
	@rm -rf .venv demo build .pytest_cache .ruff_cache src/*.egg-info && find src tests pipelines -name __pycache__ -prune -exec rm -rf {} +

COMMANDS := $(patsubst takes.%,%,$(filter takes.%,$(.VARIABLES)))
VARIABLES := $(sort $(foreach command,$(COMMANDS),$(takes.$(command))))
SWITCHES := ALL DEMO FORCE FULL GPU

# A variable that is misspelt, or that none of the targets takes, is refused.
typed := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(name)))
typed := $(filter-out PYTHON SHELL MAKE% -%,$(typed))
unknown := $(filter-out $(VARIABLES),$(typed))
$(if $(unknown),$(error unknown variable $(unknown): there are $(VARIABLES)))
taken := $(foreach goal,$(MAKECMDGOALS),$(takes.$(goal)))
unused := $(strip $(filter-out $(taken),$(typed)))
goals := $(strip make $(MAKECMDGOALS))
$(if $(unused),$(error no effect: $(unused); `$(goals)` takes $(or $(strip $(taken)),no variables)))

# The environment sets no option, since its HOST or FILE may be meant for another program.
ignored := $(strip $(foreach name,$(sort $(taken)),$(if $(findstring environment,$(origin $(name))),$(name))))
$(if $(ignored),$(warning ignored, as set in the environment: $(ignored); type variables after `$(goals)`))

# And the programs get none of these in their environment, where they would take VERBOSE=1 or a password for theirs.
MAKEOVERRIDES :=
unexport $(VARIABLES) MAKEFLAGS MFLAGS

lower = $(shell echo $(1) | tr A-Z a-z)
quoted = '$(subst ','\'',$(value $(1)))'
option = --$(call lower,$(1))$(if $(filter $(1),$(SWITCHES)),,=$(call quoted,$(1)))
given = $(if $(filter $(1),$(SWITCHES)),$(filter-out 0,$(value $(1))),$(value $(1)))
options = $(foreach name,$(filter $(typed),$(1)),$(if $(call given,$(name)),$(call option,$(name))))

$(COMMANDS): $(READY)
	@$(BIN)/digit-recognizer $@ $(call options,$(takes.$@))

# Python 3.11 to 3.13, and with an NVIDIA GPU the libraries for it.
PYTHON = $(shell for python in python3.13 python3.12 python3.11 python3; do $$python -c \
	'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$python && break; done)
REQUIREMENTS = requirements$(if $(shell nvidia-smi -L 2>/dev/null),-gpu).txt
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install

$(READY): requirements.txt requirements-gpu.txt pyproject.toml setup.py
	@test -n "$(PYTHON)" || { echo "no Python 3.11 to 3.13 with venv found (python3 is $$(python3 --version 2>&1)): install one, or make PYTHON=path/to/it" >&2; exit 1; }
	@echo "installing $(REQUIREMENTS) in .venv: once, about 3 GB, some minutes without output"
	@$(PYTHON) -m venv .venv && $(PIP) -r $(REQUIREMENTS) && $(PIP) --no-deps --editable . && touch $@

$(READY_TO_TEST): $(READY) requirements-test.txt requirements-ray.txt
	@$(PIP) -r requirements-test.txt && touch $@

.PHONY: help setup test test-all lint clean $(COMMANDS)
