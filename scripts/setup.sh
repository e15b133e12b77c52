# Sourced by scripts/run and scripts/test: an environment in .venv with what `requirements/$1.txt` locks, plus the
# Python packages named after it without hashes. Does nothing where that is already there. Needs bash, nothing else.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export HOME="${HOME:-$(pwd)/.venv/home}"
export PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}:/usr/sbin:/sbin"

say() { printf 'edgeemo: %s\n' "$*" >&2; }

apt_install() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing system packages: $*"
        apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
    else
        say "some system packages are missing. Run this, then try again:"
        printf '    sudo apt-get install %s\n' "$*" >&2
        exit 2
    fi
}

find_python() {
    local name
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.10; do
        if command -v "$name" >/dev/null &&
            "$name" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))'; then
            command -v "$name"
            return
        fi
    done
}

# LIBRARY=PACKAGE pairs: what the wheels of mediapipe, OpenCV and Qt expect from the system
need_libraries() {
    local pair missing=()
    local there
    there=$(ldconfig -p)
    for pair in "$@"; do
        case "$there" in *"${pair%%=*} "*) ;; *) missing+=("${pair#*=}") ;; esac
    done
    [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

# Qt draws boxes instead of letters on a machine without a font
need_font() {
    if [ -z "$(find /usr/share/fonts /usr/local/share/fonts "$HOME/.fonts" -name '*.[to]tf' -print -quit 2>/dev/null)" ]; then
        apt_install fonts-dejavu-core
    fi
}

# need_commands COMMAND=PACKAGE...
need_commands() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

# GStreamer's Python bindings and an RTSP server: what streams and CSI cameras are tested with. Only some machines have
# a Python that they fit, so a machine without them is no fault: those tests are skipped and say so.
want_gstreamer() {
    local typelib
    for typelib in /usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib; do
        [ ! -e "$typelib" ] || return 0
    done
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    (apt_install python3-gi gir1.2-gst-plugins-base-1.0 gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base \
        gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly) || say "no GStreamer: its tests will be skipped"
}

make_environment() {
    local lock="requirements/$1.txt" python stamp
    shift
    python=$(find_python)
    if [ -z "$python" ]; then
        apt_install python3 python3-venv
        python=$(find_python)
        [ -n "$python" ] || { say "Python 3.10 to 3.13 is needed; set PYTHON=/path/to/python3"; exit 2; }
    fi
    stamp=".venv/$(basename "$lock" .txt).installed"
    if [ -f "$stamp" ] && [ "$(cat "$lock" pyproject.toml; echo "$*")" = "$(cat "$stamp")" ]; then
        return
    fi
    if [ ! -x .venv/bin/pip ]; then
        say "making an environment in .venv"
        rm -rf .venv
        "$python" -m venv .venv 2>/dev/null || { apt_install python3-venv && "$python" -m venv .venv; }
    fi
    say "installing packages (a few minutes the first time)"
    .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    local package
    for package in "$@"; do
        .venv/bin/pip install --quiet --disable-pip-version-check "$package"
    done
    .venv/bin/pip install --quiet --disable-pip-version-check --no-deps -e .
    { cat "$lock" pyproject.toml; echo "$*"; } >"$stamp"
}

WINDOW_LIBRARIES=(
    libEGL.so.1=libegl1 libGL.so.1=libgl1 libGLESv2.so.2=libgles2 libglib-2.0.so.0=libglib2.0-0
    libdbus-1.so.3=libdbus-1-3 libfontconfig.so.1=libfontconfig1 libxkbcommon-x11.so.0=libxkbcommon-x11-0
    libxcb-cursor.so.0=libxcb-cursor0 libxcb-icccm.so.4=libxcb-icccm4 libxcb-image.so.0=libxcb-image0
    libxcb-keysyms.so.1=libxcb-keysyms1 libxcb-randr.so.0=libxcb-randr0
    libxcb-render-util.so.0=libxcb-render-util0 libxcb-shape.so.0=libxcb-shape0 libxcb-xkb.so.1=libxcb-xkb1
    libX11-xcb.so.1=libx11-xcb1 libxcb-util.so.1=libxcb-util1 libSM.so.6=libsm6 libXext.so.6=libxext6
)
