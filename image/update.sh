#!/bin/bash
# update.sh FOLDER KEY [FROM]: signs the update of the image in FOLDER (of build.sh) with a minisign secret key, and packs it into
# FOLDER/card/out/….update; with the update file FROM of an earlier version, also one that holds only what differs from it.
# minisign asks for the key's password. See docs/updates.md.
set -euo pipefail
folder=$1 key=$2 from=${3:-}
[ -r "$key" ] || { echo "update: KEY names no file that can be read; make a key with \`minisign -G\`" >&2; exit 1; }
[ -e "$folder/card/slot.img" ] || { echo "update: no image yet; run \`make image\` first" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=$(basename "$folder"/card/out/*.manifest.json .manifest.json)
cp "$folder/card/out/$name.manifest.json" "$work/manifest.json"
minisign -S -s "$key" -m "$work/manifest.json" -x "$work/manifest.json.minisig"
ln -s "$(realpath "$folder/card/slot.img")" "$work/slot.img"
tar --format=ustar --dereference --owner=0 --group=0 --mtime=@0 -C "$work" -cf "$folder/card/out/$name.update.part" manifest.json manifest.json.minisig slot.img
mv "$folder/card/out/$name.update.part" "$folder/card/out/$name.update"
echo "update: $(realpath --relative-to=. "$folder/card/out/$name.update"), for booths whose booth.toml has this key in [update] keys" >&2
if [ -n "$from" ]; then
    cargo build --release --bin booth-gateway
    out="$folder/card/out/$name-from-$(basename "$from" .update).update"
    target/release/booth-gateway update "$folder/card/out/$name.update" --differs-from "$from" --into "$out"
fi
