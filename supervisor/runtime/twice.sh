#!/bin/sh
# Run pytest, and what failed once more by itself. Both runs are shown: a test that only passes alone was
# disturbed by something, the machine or another test, and is worth a look; it is no reason to stop.
# Usage: twice.sh PYTEST ARGUMENT...
set -u
cache=$(mktemp -d "${TMPDIR:-/tmp}/pytest-cache-XXXXXX")
trap 'rm -rf "$cache"' EXIT

"$@" -o cache_dir="$cache"
status=$?
# 1 is tests that failed; anything else is no matter of tests.
[ "$status" = 1 ] || exit "$status"
echo "== once more, what failed"
"$@" -o cache_dir="$cache" --last-failed --last-failed-no-failures none
