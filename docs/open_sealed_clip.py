"""Opens a sealed clip (docs/sealed-clip.md) with Python's `cryptography` and the `age` command.

    python3 open_sealed_clip.py city.key < clip.sealed > clip.opus

Shares no code with this project, so that a city can open what was said although the project is gone.
"""

import struct
import subprocess
import sys
import uuid

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SALT, FINAL, TAG, FACTS = 24, 1 << 31, 16, 12


def derive(key, salt, purpose):
    return HKDF(SHA256(), 32, salt, b"booth sealed clip 1 " + purpose).derive(key)


def ogg_checksum(page):
    """RFC 3533 section 6: CRC-32 with polynomial 0x04C11DB7, not reflected."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def pages(ogg):
    while ogg:
        size = 27 + ogg[26] + sum(ogg[27 : 27 + ogg[26]])
        yield ogg[:size]
        ogg = ogg[size:]


def closing_page(ogg, samples):
    """What a clip lacks whose end is missing: silence for the encoder's delay, and the end-of-stream flag (RFC 7845 section 4.4)."""
    if ogg.startswith(b"booth text 1 "):  # a written message has no pages
        return b""
    every = list(pages(ogg))
    if not every or every[-1][5] & 4:
        return b""
    pre_skip = struct.unpack_from("<H", every[0], 28 + 10)[0]
    granule, serial, number = struct.unpack_from("<QII", every[-1], 6)
    packets = max(1, -(-pre_skip // 960))
    end = min(max(pre_skip + samples, granule), granule + 960 * packets)
    page = struct.pack("<4sBBQIIIB", b"OggS", 0, 4, end, serial, number + 1, 0, packets)
    page += bytes([3]) * packets + b"\xf8\xff\xfe" * packets
    return page[:22] + struct.pack("<I", ogg_checksum(page)) + page[26:]


def main():
    body = sys.stdin.buffer.read()
    if body[:8] != b"BOOTHSC\x01":
        sys.exit("this is no sealed clip of version 1")
    clip, salt = body[8:SALT], body[:SALT]
    (length,) = struct.unpack_from("<I", body, SALT)
    commitment, at = body[28:60], 60 + length
    age = ["age", "--decrypt", "--identity", sys.argv[1]]
    content = subprocess.run(age, input=body[60:at], stdout=subprocess.PIPE, check=True).stdout
    if content[:16] != clip or derive(content[16:], salt, b"commitment") != commitment:
        sys.exit("the envelope does not belong to this clip")
    cipher = ChaCha20Poly1305(derive(content[16:], salt, b"frames"))
    ogg, samples, number, ending = b"", 0, 0, None
    while ending is None:
        head, rest = body[at : at + 4], body[at + 4 :]
        if len(head) < 4:
            ending = f"cut_within at {at}" if head else "cut"
            break
        (mark,) = struct.unpack("<I", head)
        size, is_final = mark & ~FINAL, bool(mark & FINAL)
        if not FACTS <= size <= 65536:
            ending = f"damaged at {at}"
        elif len(rest) < size + TAG:
            ending = f"cut_within at {at}"
        else:
            nonce = number.to_bytes(11, "big") + bytes([is_final])
            try:
                text = cipher.decrypt(nonce, rest[: size + TAG], head)
            except InvalidTag:
                ending = f"damaged at {at}"
                break
            samples += struct.unpack_from("<I", text)[0]
            ogg, number, at = ogg + text[FACTS:], number + 1, at + 4 + size + TAG
            if is_final:
                ending = "whole" if at == len(body) else f"followed at {at}"
    sys.stdout.buffer.write(ogg + closing_page(ogg, samples))
    print(f"clip {uuid.UUID(bytes=clip)}: {number} frames, {samples} samples, {ending}", file=sys.stderr)
    sys.exit(ending != "whole")


main()
