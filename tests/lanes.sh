#!/usr/bin/env bash
# Runs every test in two lanes: the programs that mostly wait (for sound at the pace of a clock, for a watchdog) beside those that mostly
# work. Everything is built before. The first lane's output comes whole when it has ended. Ends with 1 if a test of either lane failed.
# With --list it says which programs of tests it would run.
set -uo pipefail
cd "$(dirname "$0")/.."
waiting=(attacks booth centre link)
waits=() works=()
for program in tests/*.rs tests/*/main.rs crates/*/tests/*.rs; do
    name=$(basename "${program%/main.rs}" .rs)
    lane=works
    for one in "${waiting[@]}"; do [ "$one" = "$name" ] && lane=waits; done
    eval "$lane+=(--test \$name)"
done
if [ "${1:-}" = --list ]; then
    printf '%s\n' "${waits[@]}" "${works[@]}" | grep -v '^--test$'
    exit
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --no-fail-fast --features demo "${waits[@]}" >"$log" 2>&1 &
lane=$!
status=0
cargo test --no-fail-fast --features demo --lib --bins --examples --benches "${works[@]}" || status=1
# No default member: beside the product in one build, its features of other crates would be the product's.
cargo test --no-fail-fast --package booth-testkit --lib || status=1
kill -0 "$lane" 2>/dev/null && echo "-- waiting for: ${waiting[*]}"
wait "$lane" || status=1
cat "$log"
exit "$status"
