#!/usr/bin/env bash
# Install the JavaScript clients, at the versions of their lockfile, where their tests look for them.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
folder="$here/../../.cache/javascript"
mkdir -p "$folder"
cmp -s "$here/javascript/package-lock.json" "$folder/installed" && exit
cp "$here"/javascript/package{,-lock}.json "$folder"
npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel error
cp "$here/javascript/package-lock.json" "$folder/installed"
