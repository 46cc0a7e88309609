PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
TYPED := rl2_sb3 tests benchmarks docs/docstrings.py docs/hooks.py docs/memory_figure.py docs/episodes_figure.py docs/play/__main__.py docs/play/mazes.py examples plugins/rl2-gaussian plugins/rl2-checkpoints plugins/rl2-vizdoom plugins/rl2-paper plugins/rl2-mujoco plugins/rl2-metaworld plugins/rl2-minigrid plugins/rl2-popgym

.DEFAULT_GOAL := help
.PHONY: help demo test check lint format docs dist clean

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' Makefile | expand -t 15

demo: $(INSTALLED) ## train an agent on bandits in two minutes and evaluate it
	$(BIN)/rl2 train bandit --arms 5 --episodes 10 --steps 1_000_000 --out runs/demo --overwrite
	$(BIN)/rl2 plot runs/demo --reference "Bayes optimum" 6.660 random 5
	$(BIN)/rl2 evaluate runs/demo --against random greedy "ucb1(c=0.1)" bayes-optimum

test: lint ## lint, then run the tests
	@$(BIN)/pytest -q --numprocesses auto --maxprocesses 8 --dist loadfile

check: test ## the same as test

lint: $(INSTALLED) ## check format, lint and types
	@$(BIN)/ruff format -q --check .
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy $(TYPED)

format: $(INSTALLED) ## format the code and fix what ruff can fix
	@$(BIN)/ruff check -q --fix-only .
	@$(BIN)/ruff format -q .

docs: $(INSTALLED) ## build the documentation in site/, from Python 3.11 on
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

dist: $(INSTALLED) ## build wheels and sdists, and try the wheels in a fresh environment
	@rm -rf dist
	@for each in . plugins/*/; do $(BIN)/python -m build --no-isolation --outdir dist $$each > dist.log || { cat dist.log; exit 1; }; done; rm dist.log
	@$(PYTHON) -m venv dist/.venv
	@dist/.venv/bin/python -m pip install -qq -c constraints.txt dist/rl2_sb3-*.whl dist/rl2_checkpoints-*.whl dist/rl2_gaussian-*.whl dist/rl2_paper-*.whl
	@dist/.venv/bin/python tests/dist.py
	@ls dist

clean: ## remove what make and the tools created, but no runs
	@rm -rf .venv build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)
	@echo "Installing into .venv (once, a few minutes)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq -c constraints.txt setuptools torch
	@$(BIN)/python -m pip install -qq -c constraints.txt --no-build-isolation -e ".[dev]" $(addprefix -e ,$(filter-out plugins/rl2-gaussian/,$(wildcard plugins/*/)))
	@touch $@
