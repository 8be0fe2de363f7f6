#!/usr/bin/env bash
# Install SillyTavern from npm where its test looks for it; the test is skipped without.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=.cache/sillytavern
mkdir -p "$folder"
[ -f "$folder/package.json" ] || echo '{"private": true}' > "$folder/package.json"
npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel error sillytavern@1.19.0
