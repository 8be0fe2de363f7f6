#!/usr/bin/env bash
# Removes what install.sh made in this folder. Pictures, models and the queue stay, unless --all is given.
set -euo pipefail
cd "$(dirname "$0")"
case "${1:-}" in
    "") ;;
    --all) rm -rf data "${XDG_CACHE_HOME:-$HOME/.cache}/sdrest" ;;
    -h | --help) echo "usage: ./uninstall.sh [--all]    --all: also the data folder and the cached native builds"; exit 0 ;;
    *) echo "uninstall.sh: unknown option $1" >&2; exit 2 ;;
esac
packaging/service.sh remove
rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache
echo "sdrest has been removed from $PWD"
