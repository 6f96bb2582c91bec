"""How well a clip is understood: STOI and PESQ (ITU-T P.862.2, wide band) against what was spoken.

quality.py SPOKEN.wav CLIP.wav ...: 48 kHz, mono, 16-bit. Each clip is laid over SPOKEN, cut into stretches of 10 s, and
each stretch is judged. Prints "stoi MEDIAN LOWEST N" and "pesq MEDIAN LOWEST N".
"""

import statistics
import sys
import wave

import numpy
from pesq import pesq
from pystoi import stoi
from scipy.signal import correlate, resample_poly

RATE = 16_000
STRETCH = 10 * RATE
# A stretch may lie so much beside the place that the whole clip has: samples that the sound path lost or made up.
SLACK = RATE // 10


def samples(path):
    with wave.open(path) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (48_000, 1, 2):
            sys.exit(f"{path} is not 48 kHz, mono, 16-bit: decode it with `opusdec --rate 48000`")
        raw = file.readframes(file.getnframes())
    return resample_poly(numpy.frombuffer(raw, "<i2").astype(float) / 32_768, 1, 3)


def lag(clip, spoken):
    """Where in `clip` `spoken` begins."""
    return int(numpy.argmax(correlate(clip, spoken))) - len(spoken) + 1


def main():
    spoken = samples(sys.argv[1])
    found = {"stoi": [], "pesq": []}
    for path in sys.argv[2:]:
        clip = samples(path)
        start = lag(clip, spoken)
        for at in range(0, len(spoken) - STRETCH + 1, STRETCH):
            said = spoken[at : at + STRETCH]
            first = max(start + at - SLACK, 0)
            near = clip[first : start + at + STRETCH + SLACK]
            heard = near[max(lag(near, said), 0) :][:STRETCH]
            # What is missing at the end is missing: it counts as silence.
            heard = numpy.pad(heard, (0, STRETCH - len(heard)))
            found["stoi"].append(stoi(said, heard, RATE))
            found["pesq"].append(pesq(RATE, said, heard, "wb"))
    for name, values in found.items():
        print(name, f"{statistics.median(values):.4f} {min(values):.4f}", len(values))


main()
