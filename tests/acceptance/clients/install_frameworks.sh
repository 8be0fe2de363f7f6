#!/usr/bin/env bash
# Install Python frameworks around the OpenAI API, at fixed versions, in an environment of their own: they bring a hundred packages.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
folder="$here/../../.cache/frameworks"
mkdir -p "$folder"
cmp -s "$here/frameworks/requirements.txt" "$folder/installed" && exit
rm -rf "$folder/venv"
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-deps --requirement "$here/frameworks/requirements.txt"
cp "$here/frameworks/requirements.txt" "$folder/installed"
