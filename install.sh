#!/usr/bin/env bash
# Sets up sdrest in this folder: a virtual environment, the native library for one ggml backend, and the package itself.
# Run again at any time: what is there already is kept, and it takes a second.
set -euo pipefail
cd "$(dirname "$0")"

BACKEND=auto ENGINE_SOURCE="" EXTRAS="" QUIET=0 SERVICE=0 PYTHON=${PYTHON:-python3}
VENV=.venv
NATIVE_PACKAGE=stable-diffusion-cpp-python

usage() {
    cat <<TEXT
usage: ./install.sh [options]
  --backend NAME   ggml backend: auto cpu cuda vulkan metal rocm sycl opencl   [auto]
  --engine-source DIR   build the native library from this source tree of stable-diffusion.cpp; it is used only if its interface is
                   the known one. "package": back to the library that the Python package brings
  --extras LIST    optional parts, comma-separated: pam video download mcp cluster oidc test clients
  --python FILE    Python 3.11 or newer                                        [python3]
  --service        also install a systemd service: for the whole machine as root, else for this user
  --quiet          say only what goes wrong or takes long
PAM is among the extras where libpam is installed; set ENABLE_PAM_AUTH=OFF to leave it out.
TEXT
}

die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
say() { [ "$QUIET" = 1 ] || printf '%s\n' "$*"; }

while [ $# -gt 0 ]; do
    case $1 in
        --backend) BACKEND=${2:?--backend needs a name}; shift 2 ;;
        --engine-source) ENGINE_SOURCE=${2:?--engine-source needs a folder}; shift 2 ;;
        --extras) EXTRAS=${2:?--extras needs a list}; shift 2 ;;
        --python) PYTHON=${2:?--python needs a file}; shift 2 ;;
        --service) SERVICE=1; shift ;;
        --quiet) QUIET=1; shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; die "unknown option $1" ;;
    esac
done

# ---- what must be there

command -v "$PYTHON" >/dev/null || die "$PYTHON was not found. Install Python 3.11 or newer (Debian, Ubuntu: apt install python3 python3-venv)"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "$("$PYTHON" --version) is too old: Python 3.11 or newer is needed"
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null || die "the venv module is missing (Debian, Ubuntu: apt install python3-venv)"
CXX_FOUND=""
for compiler in ${CXX:-} c++ g++ clang++; do
    if command -v "$compiler" >/dev/null; then CXX_FOUND=$compiler; break; fi
done
[ -n "$CXX_FOUND" ] || die "no C++ compiler was found. Install one (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install)"

case $ENGINE_SOURCE in
    "" | package) ;;
    *)
        [ -f "$ENGINE_SOURCE/include/stable-diffusion.h" ] || die "$ENGINE_SOURCE is no source tree of stable-diffusion.cpp (include/stable-diffusion.h is not there)"
        [ -f "$ENGINE_SOURCE/ggml/CMakeLists.txt" ] || die "$ENGINE_SOURCE lacks ggml: git -C $ENGINE_SOURCE submodule update --init --recursive"
        ENGINE_SOURCE=$(cd "$ENGINE_SOURCE" && pwd) ;;
esac

# ---- PAM: part of the installation where the machine has it

has_libpam() { "$PYTHON" -c 'import ctypes.util, sys; sys.exit(ctypes.util.find_library("pam") is None)'; }
case "${ENABLE_PAM_AUTH:-ON}" in
    OFF | off | 0 | NO | no | FALSE | false)
        EXTRAS=$(printf ',%s,' "$EXTRAS" | sed 's/,pam,/,/; s/^,*//; s/,*$//') ;;
    *)
        if has_libpam; then
            case ",$EXTRAS," in *,pam,*) ;; *) EXTRAS="${EXTRAS:+$EXTRAS,}pam" ;; esac
        elif [ -n "${ENABLE_PAM_AUTH:-}" ]; then
            say "libpam was not found: --auth pam will not work (Debian, Ubuntu: apt install libpam0g; Fedora: dnf install pam)"
        fi ;;
esac

# ---- which backend

detect_backend() {
    if [ "$(uname -s)" = Darwin ]; then
        echo metal
    elif command -v nvcc >/dev/null && { [ -e /dev/nvidia0 ] || [ -e /dev/nvidiactl ]; }; then
        echo cuda
    elif command -v hipcc >/dev/null && [ -e /dev/kfd ]; then
        echo rocm
    elif command -v glslc >/dev/null && { ls /dev/dri/renderD* >/dev/null 2>&1; } && [ -e /usr/include/vulkan/vulkan.h ]; then
        echo vulkan
    else
        echo cpu
    fi
}
WANTED=$BACKEND
[ "$BACKEND" != auto ] || BACKEND=$(detect_backend)
case $BACKEND in
    cpu) FLAGS="" ;;
    cuda) FLAGS="-DSD_CUDA=ON" ;;
    vulkan) FLAGS="-DSD_VULKAN=ON" ;;
    metal) FLAGS="-DSD_METAL=ON" ;;
    rocm) FLAGS="-DSD_HIPBLAS=ON" ;;
    sycl) FLAGS="-DSD_SYCL=ON" ;;
    opencl) FLAGS="-DSD_OPENCL=ON" ;;
    *) die "unknown backend $BACKEND: choose auto cpu cuda vulkan metal rocm sycl or opencl" ;;
esac
[ "$BACKEND" != cuda ] || command -v nvcc >/dev/null || die "the backend cuda needs the CUDA toolkit (nvcc was not found)"
[ "$BACKEND" != vulkan ] || command -v glslc >/dev/null || die "the backend vulkan needs glslc and the Vulkan headers (Debian 13, Ubuntu 24.04: apt install libvulkan-dev glslc)"

# ---- virtual environment

[ -x $VENV/bin/python ] || { say "making the virtual environment in $VENV"; "$PYTHON" -m venv $VENV; }
PIP="$VENV/bin/python -m pip --disable-pip-version-check --quiet"

stamp() { cat "$VENV/$1" 2>/dev/null || true; }

# ---- native library: built once for each version, backend and flags, kept in the user's cache

VERSION=$(sed -n "s/.*\"$NATIVE_PACKAGE==\([0-9.]*\)\".*/\1/p" pyproject.toml)
PYTAG=$($VENV/bin/python -c 'import platform, sys; print(f"{platform.machine()}-py{sys.version_info[0]}{sys.version_info[1]}")')
NATIVE_ID="$VERSION-$BACKEND-$PYTAG${CMAKE_ARGS:+-$(printf '%s' "$CMAKE_ARGS" | cksum | cut -d' ' -f1)}"
if [ "$(stamp .native)" != "$NATIVE_ID" ]; then
    CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/sdrest/wheels/$NATIVE_ID"
    if ! ls "$CACHE"/*.whl >/dev/null 2>&1; then
        printf 'building the native library for the backend %s (once; about two minutes on two cores) …\n' "$BACKEND"
        mkdir -p "$CACHE"
        # pip's own cache knows nothing of CMAKE_ARGS and would hand out a build for another backend.
        CMAKE_ARGS="$FLAGS ${CMAKE_ARGS:-}" CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(getconf _NPROCESSORS_ONLN)} \
            $PIP wheel --no-cache-dir --no-deps --wheel-dir "$CACHE" "$NATIVE_PACKAGE==$VERSION" \
            || die "the native library could not be built for $BACKEND; the lines above say why"
    fi
    $PIP install --force-reinstall --no-deps "$CACHE"/*.whl
    printf '%s' "$NATIVE_ID" >$VENV/.native
fi
printf '{"backend": "%s", "wanted": "%s", "native": "%s"}\n' "$BACKEND" "$WANTED" "$VERSION" >$VENV/sdrest-build.json

# ---- the package, editable, with what it needs

# An editable install knows the package's modules by name: it is made again when one comes, goes or moves.
PACKAGE_ID=$( { cat pyproject.toml requirements.lock CMakeLists.txt native/* 2>/dev/null; find sdrest -name '*.py' | sort; true; } | cksum)-$EXTRAS
if [ "$(stamp .package)" != "$PACKAGE_ID" ]; then
    say "installing sdrest and what it needs"
    CONSTRAINTS=""
    [ ! -f requirements.lock ] || CONSTRAINTS="--constraint requirements.lock"
    # shellcheck disable=SC2086 # one word or none
    $PIP install $CONSTRAINTS --editable ".${EXTRAS:+[$EXTRAS]}"
    printf '%s' "$PACKAGE_ID" >$VENV/.package
fi
# ---- a native library from the user's own source tree: beside the package's, and only if it passes the check that every start makes

ENGINE=$VENV/lib/sdrest-engine
build_engine() {
    CMAKE=$(command -v cmake || true)
    [ -n "$CMAKE" ] || { $PIP install cmake; CMAKE=$VENV/bin/cmake; }
    BUILT="${XDG_CACHE_HOME:-$HOME/.cache}/sdrest/engine/$(printf '%s' "$ENGINE_SOURCE" | cksum | cut -d' ' -f1)-$BACKEND"
    printf 'building the native library from %s for the backend %s …\n' "$ENGINE_SOURCE" "$BACKEND"
    # shellcheck disable=SC2086 # several words
    "$CMAKE" -S "$ENGINE_SOURCE" -B "$BUILT" -DCMAKE_BUILD_TYPE=Release -DSD_BUILD_SHARED_LIBS=ON -DSD_BUILD_EXAMPLES=OFF $FLAGS ${CMAKE_ARGS:-} >"$BUILT.log" 2>&1 &&
        "$CMAKE" --build "$BUILT" --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-$(getconf _NPROCESSORS_ONLN)}" >>"$BUILT.log" 2>&1 ||
        { tail -n 20 "$BUILT.log" >&2; die "$ENGINE_SOURCE could not be built; all of it is in $BUILT.log"; }
    LIBRARY=$(find "$BUILT" -name 'libstable-diffusion.so' -o -name 'libstable-diffusion.dylib' | head -n 1)
    [ -n "$LIBRARY" ] || die "$ENGINE_SOURCE was built, and made no libstable-diffusion"
    STABLE_DIFFUSION_CPP_LIB=$LIBRARY $VENV/bin/python -m sdrest.engine.child.check ||
        die "this source tree's library cannot be used; what was installed before stays"
    mkdir -p "$ENGINE"
    cp "$LIBRARY" "$ENGINE/.new" && mv "$ENGINE/.new" "$ENGINE/$(basename "$LIBRARY")"
}
case $ENGINE_SOURCE in
    "") [ ! -d "$ENGINE" ] || say "the native library is the one in $ENGINE (--engine-source package goes back to the package's)" ;;
    package) rm -rf "$ENGINE" ;;
    *) mkdir -p "${XDG_CACHE_HOME:-$HOME/.cache}/sdrest/engine"; build_engine ;;
esac
say "sdrest is installed in $PWD/$VENV (backend $BACKEND). Next: $VENV/bin/sdrest serve"
[ "$SERVICE" = 0 ] || packaging/service.sh install
