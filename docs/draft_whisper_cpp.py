#!/usr/bin/env python3
"""A hook for [city.transcribe] with whisper.cpp's command line.

    command = ["/usr/bin/python3", "/opt/draft_whisper_cpp.py", "{file}", "{language}", "/opt/whisper/ggml-medium.bin"]

It needs ffmpeg, `whisper-cli` in PATH (or WHISPER_CLI as a fifth argument) and a model. What it makes lies in memory (/dev/shm) and is
deleted. It writes one JSON line and needs no network.

Written after the options and the JSON of whisper.cpp 1.7 (-oj, -of, -np, -l, -t); NOT RUN against whisper.cpp itself: neither it nor a
model was at hand. tests of the hub run it against a program that answers as whisper-cli does.
"""
import json
import os
import subprocess
import sys
import tempfile


def main(file, language, model, program="whisper-cli"):
    with tempfile.TemporaryDirectory(prefix="booth-whisper-", dir="/dev/shm") as folder:
        wav = os.path.join(folder, "sound.wav")
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", file, "-ac", "1", "-ar", "16000", wav], check=True)
        out = os.path.join(folder, "answer")
        subprocess.run(
            [program, "-m", model, "-l", language.split("-")[0], "-t", "1", "-np", "-oj", "-of", out, "-f", wav],
            check=True, stdout=subprocess.DEVNULL)
        with open(out + ".json", encoding="utf-8", errors="replace") as answer:
            said = json.load(answer)
    segments = [
        {"start": piece["offsets"]["from"] / 1000, "end": piece["offsets"]["to"] / 1000, "text": piece["text"]}
        for piece in said.get("transcription", [])
        # What whisper writes where nobody speaks.
        if piece["text"].strip() not in ("", "[BLANK_AUDIO]", "[MUSIC]", "(music)")
    ]
    end = max((piece["end"] for piece in segments), default=0.0)
    language = said.get("result", {}).get("language", language)
    print(json.dumps({"language": language, "duration_s": end, "segments": segments, "model": os.path.basename(model)}))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: draft_whisper_cpp.py FILE LANGUAGE MODEL [WHISPER_CLI]")
    main(*sys.argv[1:5])
