#!/usr/bin/env python3
"""slot.py FAT image.json PAYLOAD: the part of a slot's FAT32 that has been written to, as PAYLOAD, and on the output the manifest
of an update with it (docs/updates.md). What comes after PAYLOAD in the partition is never looked at."""
import hashlib
import json
import struct
import sys

fat, image, payload = sys.argv[1:]
content = open(fat, "rb").read()
sector, per_cluster, reserved, fats = struct.unpack_from("<HBHB", content, 11)
sectors_of_fat = struct.unpack_from("<I", content, 36)[0]
table = struct.unpack_from(f"<{sectors_of_fat * sector // 4}I", content, reserved * sector)
last = max(number for number, entry in enumerate(table) if entry & 0x0FFFFFFF)
end = (reserved + fats * sectors_of_fat + (last - 1) * per_cluster) * sector
if any(content[end:]):
    sys.exit("slot.py: something lies beyond the last cluster in use")
content = content[:end]
word = b"booth.slot=a"
found = content.find(word)
if found < 0 or content.find(word, found + 1) >= 0:
    sys.exit(f"slot.py: {word!r} is not there exactly once")
with open(payload, "wb") as file:
    file.write(content)
manifest = {"format": 1, **json.load(open(image)), "slot_bytes": len(content),
            "slot_sha256": hashlib.sha256(content).hexdigest(), "slot_letter_at": [found + len(word) - 1], "allow_older": False}
print(json.dumps(manifest, indent=1))
