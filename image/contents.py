#!/usr/bin/env python3
"""contents.py ROOT: the packages installed in ROOT, one a line: name, version, architecture, licences as the package's own
copyright file names them (where it is machine readable)."""
import os
import re
import sys

root = sys.argv[1]
print("package\tversion\tarchitecture\tlicences")
for paragraph in open(f"{root}/var/lib/dpkg/status", encoding="utf-8").read().split("\n\n"):
    fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if re.match(r"[A-Za-z-]+: ", line))
    if not fields.get("Status", "").endswith(" installed"):
        continue
    name = fields["Package"]
    path = f"{root}/usr/share/doc/{name}/copyright"
    licences = set()
    if os.path.exists(path):
        for line in open(path, encoding="utf-8", errors="replace"):
            if found := re.match(r"License:\s*(\S.*)", line):
                licences.add(found[1].strip())
    told = "; ".join(sorted(licences)) or f"see usr/share/doc/{name}/copyright in the image"
    print(name, fields["Version"], fields["Architecture"], told, sep="\t")
