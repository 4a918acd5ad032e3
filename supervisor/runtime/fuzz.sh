#!/bin/bash
# Fuzz what reads strangers' bytes: each parser for SECONDS, two at a time, from the corpora on that lie beside the fuzzers.
# What covers more goes to TARGET/fuzz/corpus, an input that breaks something to TARGET/fuzz/artifacts, and then this fails.
# Usage: fuzz.sh TARGET SECONDS [NAME...]: all of them, or the named ones.
#
# libFuzzer comes with libfuzzer-sys, which a C++ compiler builds. What cargo-fuzz asks a nightly compiler for, a stable
# one does through options of LLVM's: edges counted, compared values told. Without a sanitizer, for there is no unsafe code
# in what is fuzzed; overflows and debug assertions are checked.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$1 seconds=$2
shift 2
crates=(policy supervisor/protocol gateway)
triple=x86_64-unknown-linux-gnu
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"

command -v g++ >/dev/null || { echo "cloister: there is no C++ compiler, which builds libFuzzer: apt-get install g++" >&2; exit 1; }
mkdir -p "$target/fuzz"
fuzz=$(realpath "$target/fuzz")
names=()
for crate in "${crates[@]}"; do
    # With a target of its own, what runs while it is built is not instrumented.
    RUSTFLAGS=$flags cargo build --quiet --release --locked --manifest-path "$crate/fuzz/Cargo.toml" --target "$triple" --target-dir "$fuzz"
    for corpus in "$crate"/fuzz/corpus/*/; do
        names+=("$(basename "$corpus")=$corpus")
    done
done

run() {
    name=${1%%=*} corpus=${1#*=}
    mkdir -p "$fuzz/corpus/$name" "$fuzz/artifacts"
    log=$fuzz/$name.log
    if "$fuzz/$triple/release/$name" -max_total_time="$seconds" -max_len=16384 -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$fuzz/artifacts/$name-" "$fuzz/corpus/$name" "$corpus" >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        first=$(sed -n 's/.*INITED *cov: \([0-9]*\).*/\1/p' "$log")
        last=$(sed -n 's/.*DONE *cov: \([0-9]*\).*/\1/p' "$log")
        echo "$name: $runs runs, $first edges at first, $last in the end"
    else
        tail -n 30 "$log"
        echo "$name: broken, see $log" >&2
        exit 255
    fi
}
export -f run
export fuzz seconds triple
for name in "${names[@]}"; do
    if [ $# = 0 ] || [[ " $* " == *" ${name%%=*} "* ]]; then
        printf '%s\0' "$name"
    fi
done | xargs -0 -n 1 -P 2 bash -euo pipefail -c 'run "$1"' bash
