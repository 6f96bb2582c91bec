#!/usr/bin/env python3
"""A hook for [city.transcribe] with the small recogniser PocketSphinx (English alone; it shows how a hook works).

    command = ["/opt/sphinx/bin/python", "/opt/draft_pocketsphinx.py", "{file}", "{language}"]

It needs ffmpeg and `pip install pocketsphinx` (5.1.1, model inside). It writes one JSON line, nothing to a disk, and needs no network.
"""
import json
import subprocess
import sys

from pocketsphinx import Decoder

RATE = 16_000


def main(file, language):
    if language.split("-")[0] != "en":
        sys.exit(f"this recogniser knows English alone, and not {language}")
    raw = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", file, "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"],
        check=True, stdout=subprocess.PIPE).stdout
    decoder = Decoder(samprate=RATE, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(raw, full_utt=True)
    decoder.end_utt()
    words = [word for word in decoder.seg() or [] if not word.word.startswith(("<", "["))]
    segments = []
    if words:
        segments.append({
            "start": words[0].start_frame / 100, "end": words[-1].end_frame / 100,
            "text": " ".join(word.word.split("(")[0] for word in words),
        })
    print(json.dumps({"language": "en", "duration_s": len(raw) / 2 / RATE, "segments": segments, "model": "pocketsphinx"}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
