#!/bin/sh
# run.sh SECONDS TARGET…: runs the fuzz targets that `cargo fuzz build` made, one after the other, and prints a line
# for each. What a target finds lies in artifacts/; the corpus grows in corpus/. Ends with 1 if there was a find.
set -u
cd "$(dirname "$0")"
seconds=$1
shift
bin=target/$(rustc -vV | sed -n 's/^host: //p')/release
"$bin/seeds" seeds || exit 1
failed=0
printf '%-15s %12s %8s %9s %8s %7s\n' target executions exec/s coverage RSS/MB finds
for target in "$@"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    log=artifacts/$target.log
    # A find ends the run of its target; an input of 10 s or 1 GB is one.
    nice -n 10 "$bin/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="artifacts/$target/" "corpus/$target" "seeds/$target" >"$log" 2>&1
    status=$?
    stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    finds=$(find "artifacts/$target" -type f | wc -l)
    printf '%-15s %12s %8s %9s %8s %7s\n' "$target" "$(stat number_of_executed_units)" \
        "$(stat average_exec_per_sec)" "$coverage" "$(stat peak_rss_mb)" "$finds"
    if [ "$status" -ne 0 ] || [ "$finds" -ne 0 ]; then
        failed=1
        echo "  see fuzz/$log; again: fuzz/$bin/$target FILE, with a file of fuzz/artifacts/$target" >&2
    fi
done
exit $failed
