#!/usr/bin/env bash
# Build the web page of stable-diffusion.cpp's own server, from the source package that sdrest depends on, where its test looks for it.
#
#   build_sdcpp_webui.sh [FOLDER]    FOLDER: the unpacked source package; without it, pip fetches it
#
# The package leaves out the page's src/lib; the modules in sdcpp_webui/lib stand in for it. All else is upstream's, unchanged.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
work="$here/../../.cache/sdcpp_webui"
mkdir -p "$work"
cd "$work"
source_folder="${1:-}"
if [ -z "$source_folder" ]; then
    if ! ls stable_diffusion_cpp_python-*.tar.gz > /dev/null 2>&1; then
        python3 -m pip download --quiet --no-deps --no-binary :all: stable-diffusion-cpp-python==0.4.7
    fi
    tar -xzf stable_diffusion_cpp_python-*.tar.gz --wildcards '*/examples/server/frontend/*'
    source_folder="$(ls -d stable_diffusion_cpp_python-*/)"
fi
mkdir -p page
cp -r "$source_folder"/vendor/stable-diffusion.cpp/examples/server/frontend/. page/
mkdir -p page/src/lib
cp "$here"/sdcpp_webui/lib/*.ts page/src/lib/
cd page
npm install --legacy-peer-deps --no-audit --no-fund --loglevel error
npx vite build
