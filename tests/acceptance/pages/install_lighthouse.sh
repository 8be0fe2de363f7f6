#!/usr/bin/env bash
# Install Lighthouse, at the version of its lockfile, where its test looks for it.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
folder="$here/../../.cache/lighthouse"
mkdir -p "$folder"
cmp -s "$here/lighthouse/package-lock.json" "$folder/installed" && exit
cp "$here"/lighthouse/package{,-lock}.json "$folder"
npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel error
cp "$here/lighthouse/package-lock.json" "$folder/installed"
