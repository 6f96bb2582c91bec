#!/usr/bin/env python3
"""initrd.py ROOT KERNEL FILES OUT MODULE…: a cpio archive (newc, uncompressed) with busybox, what is in the folder FILES, and
the modules with what they depend on, in the order in which they must be loaded. The same input gives the same bytes: numbers are counted, owners are
root, dates are SOURCE_DATE_EPOCH. A module that the kernel neither has nor needs is an error."""
import lzma
import os
import stat
import sys

root, kernel, files, out, *wanted = sys.argv[1:]
date = int(os.environ["SOURCE_DATE_EPOCH"])
folder = f"{root}/usr/lib/modules/{kernel}"


def plain(path):
    return os.path.basename(path).split(".ko")[0].replace("-", "_")


needs = {}
for line in open(f"{folder}/modules.dep"):
    path, others = line.rstrip("\n").split(":")
    needs[path] = others.split()
by_name = {plain(path): path for path in needs}
built_in = {plain(line.strip()) for line in open(f"{folder}/modules.builtin")}
order = []


def add(path):
    for other in reversed(needs[path]):
        add(other)
    if path not in order:
        order.append(path)


for name in (name.replace("-", "_") for name in wanted):
    if name in by_name:
        add(by_name[name])
    elif name not in built_in:
        sys.exit(f"initrd.py: the kernel {kernel} has no module {name}")

archive = bytearray()
count = 0


def put(name, mode, content=b"", device=(0, 0)):
    global count
    count += 1
    links = 2 if stat.S_ISDIR(mode) else 1
    path = name.encode() + b"\0"
    fields = (count, mode, 0, 0, links, date, len(content), 0, 0, *device, len(path), 0)
    archive.extend(("070701" + "".join(f"{field:08x}" for field in fields)).encode())
    archive.extend(path)
    archive.extend(b"\0" * (-len(archive) % 4))
    archive.extend(content)
    archive.extend(b"\0" * (-len(archive) % 4))


def read(path):
    with open(path, "rb") as file:
        content = file.read()
    return lzma.decompress(content) if path.endswith(".xz") else content


for name in ["bin", "dev", "proc", "sys", "run", "mod"]:
    put(name, stat.S_IFDIR | 0o755)
put("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
put("bin/busybox", stat.S_IFREG | 0o755, read(f"{root}/usr/bin/busybox"))
put("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
for place, _, names in sorted(os.walk(files)):
    for path in sorted(f"{place}/{name}" for name in names):
        put(os.path.relpath(path, files), stat.S_IFREG | stat.S_IMODE(os.stat(path).st_mode), read(path))
for path in order:
    put(f"mod/{plain(path)}.ko", stat.S_IFREG | 0o644, read(f"{folder}/{path}"))
put("mod/order", stat.S_IFREG | 0o644, "".join(f"{plain(path)}.ko\n" for path in order).encode())
put("TRAILER!!!", 0)
archive.extend(b"\0" * (-len(archive) % 512))
with open(out, "wb") as file:
    file.write(archive)
