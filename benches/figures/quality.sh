#!/bin/sh
# quality.sh FOLDER: a Python environment in FOLDER with what quality.py needs, made once. Without one `make bench` says that
# STOI and PESQ were not measured; the reason stands here.
set -u
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
wanted=$(sha256sum <"$here/requirements.txt")
[ "$(cat "$folder/complete" 2>/dev/null)" = "$wanted" ] && exit 0
rm -rf "$folder"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if python3 -m venv "$folder" >"$log" 2>&1 &&
    "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >>"$log" 2>&1; then
    echo "$wanted" >"$folder/complete"
    exit 0
fi
rm -rf "$folder"
tail -n 5 "$log" >&2
echo "STOI and PESQ cannot be had: they need the packages python3-venv, python3-dev and build-essential, and PyPI." >&2
exit 1
