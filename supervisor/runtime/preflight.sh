#!/bin/sh
# Say in one sentence what this machine lacks to build and run Cloister, with the command that mends it.
# The kernel's part is checked by `cloister doctor`, which tries each thing.
# Usage: preflight.sh [root]: with `root`, also what running sandboxes takes.
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}

lack() {
    echo "cloister: $1" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

[ "$(uname -sm)" = "Linux x86_64" ] || lack "this runs on Linux on x86-64 only, this is $(uname -sm)"

if [ "${1:-}" = root ] && [ "$(id -u)" != 0 ]; then
    lack "sandboxes need root to begin with: sudo env \"PATH=\$PATH\" make"
fi

if ! has cargo; then
    # sudo resets PATH, and rustup lives in the home directory of whoever called it.
    home=$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)
    [ ! -x "$home/.cargo/bin/cargo" ] || lack "cargo is not in PATH: export PATH=\"$home/.cargo/bin:\$PATH\""
    lack "there is no Rust toolchain: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
fi
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
# A rustup without a toolchain has a rustc that only says so.
found=$(rustc --version) || lack "rustc does not run, its message is above: rustup default stable"
found=$(echo "$found" | cut -d' ' -f2)
if [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" != "$wanted" ]; then
    lack "Rust $wanted or newer is needed, this is $found: rustup update stable"
fi

has cc || lack "there is no C compiler, which links the programs: apt-get install gcc libc6-dev"
has "$python" || lack "there is no $python: apt-get install python3 python3-pip"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    lack "Python 3.10 or newer is needed, this is $("$python" --version 2>&1): apt-get install python3.11, then make PYTHON=python3.11"
