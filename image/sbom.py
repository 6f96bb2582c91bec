#!/usr/bin/env python3
"""sbom.py NAME VERSION image.json image.lock packages.tsv Cargo.lock crates.tsv: what the image consists of, as CycloneDX 1.6:
every Debian package with the hash of its .deb, every crate that is compiled into the program with the hash of its archive. The same
input gives the same bytes; its serial number comes from the image's own hash."""
import csv
import json
import os
import sys
import time
import tomllib
import urllib.parse
import uuid

name, version, image, image_lock, packages, cargo_lock, crates = sys.argv[1:]
image_id = json.load(open(image))["image_id"]


def table(path):
    return list(csv.DictReader(open(path, encoding="utf-8"), delimiter="\t"))


licences = {row["package"]: row["licences"] for row in table(packages)}
components = []
for line in open(image_lock, encoding="utf-8"):
    if line.startswith("#"):
        continue
    sha256, _, package, of_package, architecture, where, path = line.split()
    quoted = urllib.parse.quote(of_package, safe=".~-")
    component = {
        "type": "firmware" if where == "boot" else "library",
        "bom-ref": f"deb/{package}",
        "name": package,
        "version": of_package,
        "purl": f"pkg:deb/debian/{package}@{quoted}?arch={architecture}&distro=debian-13",
        "hashes": [{"alg": "SHA-256", "content": sha256}],
    }
    if told := licences.get(package):
        component["licenses"] = [{"license": {"name": told}}]
    components.append(component)
sums = {(row["name"], row["version"]): row.get("checksum") for row in tomllib.load(open(cargo_lock, "rb"))["package"]}
for row in table(crates):
    component = {
        "type": "library",
        "bom-ref": f"crate/{row['crate']}@{row['version']}",
        "name": row["crate"],
        "version": row["version"],
        "purl": f"pkg:cargo/{row['crate']}@{row['version']}",
        "licenses": [{"expression": row["licences"].replace("/", " OR ")}],
    }
    if sha256 := sums[row["crate"], row["version"]]:
        component["hashes"] = [{"alg": "SHA-256", "content": sha256}]
    components.append(component)
json.dump({
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, image_id)}",
    "version": 1,
    "metadata": {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))),
        "component": {"type": "operating-system", "bom-ref": "image", "name": name, "version": version,
                      "hashes": [{"alg": "SHA-256", "content": image_id}]},
    },
    "components": components,
}, sys.stdout, indent=1, ensure_ascii=False)
print()
