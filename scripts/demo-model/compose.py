"""Build training clips from dry sentences: pauses, several sentences, cut-offs, speed, room, noise and level.

    compose.py FOLDER CLIPS SEED SENTENCES... [--built-in SHARE]

SENTENCES are prefixes written by synthesize.py. FOLDER gets shards of 500 clips: `SEED-NUMBER.mel` (float16 log-mel frames,
80 bands) and `SEED-NUMBER.pkl`, a list of dictionaries with the first frame and count of frames, the value of the silence
that follows the clip, the segments, and where a sentence starts that the 30 s window cuts off.
"""
import argparse
import os
import pickle

import numpy as np

import noise
import tokens
from mel import log_mel
from sentences import Segment, load_sentences
from voices import SAMPLE_RATE

SHARD = 500
WINDOW = 30  # seconds
NO_SPEECH_SHARE = 0.12


class Stock:
    """The sentences to draw from, with the places where a script starts."""

    def __init__(self, sentences, built_in_share):
        self.sentences, self.built_in_share = sentences, built_in_share
        self.heads = self._by_voice([i for i, s in enumerate(sentences) if i == 0 or s["script"] != sentences[i - 1]["script"]])
        self.all = self._by_voice(range(len(sentences)))

    def _by_voice(self, places):
        return {built_in: np.array([i for i in places if (self.sentences[i]["engine"] == "built-in") == built_in])
                for built_in in (True, False)}

    def draw(self, rng, heads):
        places = (self.heads if heads else self.all)[rng.random() < self.built_in_share]
        return int(places[rng.integers(len(places))])

    def next(self, rng, place):
        """The sentence to say after this one: the next of the script, or another script."""
        following = (place + 1) % len(self.sentences)
        same = self.sentences[following]["script"] == self.sentences[place]["script"]
        return following if same or rng.random() < 0.3 else self.draw(rng, heads=True)


def seconds_of(rng, ranges, shares):
    low, high = ranges[rng.choice(len(ranges), p=shares)]
    return rng.uniform(low, high)


def silence(seconds):
    return np.zeros(int(seconds * SAMPLE_RATE), np.float32)


def faster(samples, speed):
    if speed == 1:
        return samples
    return np.interp(np.arange(0, len(samples) - 1, speed), np.arange(len(samples)), samples).astype(np.float32)


def break_off(rng, samples, segment, start):
    """Ends a recording in the middle of its sentence."""
    keep = int(rng.integers(1, len(segment.words)))
    last, following = segment.words[keep - 1], segment.words[keep]
    stop = last[2] + rng.uniform(0, 0.35) * max(0, following[2] - last[2])
    return samples[:max(1, int((stop - start) * SAMPLE_RATE))], segment.first_words(keep)


def speech(rng, stock):
    """A clip with speech: samples and segments."""
    kind = rng.choice(["one", "few", "long", "over", "cut"], p=[0.60, 0.22, 0.09, 0.04, 0.05])
    enough = {"one": 0, "few": rng.uniform(4, 12), "long": rng.uniform(12, 29), "over": 34, "cut": 0}[kind]
    speed = rng.uniform(0.86, 1.16) if rng.random() < 0.45 else 1
    parts = [silence(seconds_of(rng, [(0, 0.05), (0, 0.4), (0, 1), (0.8, 4)], [0.25, 0.35, 0.32, 0.08]))]
    time, segments = len(parts[0]) / SAMPLE_RATE, []
    place = stock.draw(rng, heads=enough > 0)
    while True:
        sentence = stock.sentences[place]
        samples = faster(sentence["pcm"][sentence["offset"]:][:sentence["count"]].astype(np.float32) / 32768, speed)
        segment = Segment(sentence["text"], [(w, time + a / speed, time + b / speed) for w, a, b in sentence["words"]])
        if kind == "cut" and len(segment.words) > 2:
            samples, segment = break_off(rng, samples, segment, time)
        segments.append(segment)
        parts.append(samples * 10 ** rng.uniform(-0.12, 0.12))
        time += len(samples) / SAMPLE_RATE
        if time > enough:
            break
        place = stock.next(rng, place)
        parts.append(silence(seconds_of(rng, [(0.12, 0.5), (0.3, 1.3), (1, 3.5)], [0.45, 0.45, 0.1])))
        time += len(parts[-1]) / SAMPLE_RATE
    if kind == "cut" and rng.random() < 0.7:
        tail = 0
    else:
        tail = seconds_of(rng, [(0, 0.15), (0.1, 0.5), (0.3, 2), (1, 6)], [0.35, 0.3, 0.25, 0.1])
    return np.concatenate([*parts, silence(tail)]), segments


def recorded(rng, samples):
    """What a microphone makes of the clip. A good share stays as clean as the synthesizer made it."""
    if rng.random() < 0.6:
        samples = noise.channel(rng, samples)
    if rng.random() < 0.55:
        power = np.sqrt((samples ** 2).mean() + 1e-12)
        samples = samples + noise.background(rng, len(samples)) * power * 10 ** (-rng.uniform(4, 45) / 20)
    return noise.level(rng, samples)


def window(samples, segments):
    """Cuts a clip to 30 s: whole segments only, and where the first one that is cut off starts."""
    if len(samples) <= WINDOW * SAMPLE_RATE:
        return samples, segments, None
    whole = [segment for segment in segments if segment.end <= WINDOW - 0.1]
    cut = segments[len(whole)].start if len(whole) < len(segments) else None
    return samples[:WINDOW * SAMPLE_RATE + 200], whole, cut if cut is not None and cut < WINDOW - 0.3 else None


def clip(rng, stock):
    if rng.random() < NO_SPEECH_SHARE:
        return noise.without_speech(rng), [], None
    while True:
        samples, segments = speech(rng, stock)
        samples, segments, cut = window(recorded(rng, samples), segments)
        if segments:
            return samples, segments, cut


def write_shard(path, clips, tokenizer):
    index, mels, first = [], [], 0
    for samples, segments, cut in clips:
        frames, padding = log_mel(samples)
        frames = frames[:min(len(frames), 100 * WINDOW) // 2 * 2]
        index.append(dict(first=first, count=len(frames), padding=padding, cut=cut,
                          segments=[(segment.tokens(tokenizer), segment.start, segment.end) for segment in segments]))
        mels.append(frames.astype(np.float16))
        first += len(frames)
    np.concatenate(mels).tofile(path + ".mel")
    with open(path + ".tmp", "wb") as file:
        pickle.dump(index, file)
    os.replace(path + ".tmp", path + ".pkl")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("clips", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("sentences", nargs="+", help="prefixes written by synthesize.py")
    parser.add_argument("--built-in", type=float, default=0.5, help="share of draws that take the built-in voice")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    stock = Stock(load_sentences(options.sentences), options.built_in)
    tokenizer, rng = tokens.load(), np.random.default_rng(options.seed)
    for shard in range(options.clips // SHARD):
        path = f"{options.folder}/{options.seed}-{shard:04d}"
        write_shard(path, [clip(rng, stock) for _ in range(SHARD)], tokenizer)


if __name__ == "__main__":
    main()
