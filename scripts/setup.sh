# Sourced by scripts/run, scripts/test and scripts/jetson-setup: finds or installs a Python. The next steps are in
# scripts/bootstrap.py. Needs only bash.
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
    for name in ${PYTHON:-} python3 python3.13 python3.14 python3.12 python3.11 python3.10; do
        if command -v "$name" >/dev/null &&
            "$name" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))'; then
            command -v "$name"
            return
        fi
    done
}

# sets $python
need_python() {
    python=$(find_python)
    [ -n "$python" ] || apt_install python3 python3-venv
    python=$(find_python)
    [ -n "$python" ] || { say "Python 3.10 to 3.14 is needed; install one and set PYTHON=/path/to/python3"; exit 2; }
}
