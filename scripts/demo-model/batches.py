"""Clips to training batches: what the encoder hears, and what the decoder and the classifiers should say."""
import glob
import math
import pickle
from dataclasses import dataclass

import numpy as np
import torch

import tokens
from model import BANDS

LETTER_CLASS = {letter: number for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz' ", 1)}
FRAMES_PER_SECOND = 100
FULL_WINDOW = 3000  # frames
STATES_PER_SECOND = 50  # of the encoder, which halves the frames
IGNORE = -1
# Targets that are a mixture of tokens; losses.py holds the shares.
SILENT_WITHOUT_TIMESTAMPS, SILENT_WITH_TIMESTAMPS, SILENT_AFTER_TIMESTAMP = -2, -3, -4
NO_TIMESTAMPS_SHARE = 0.3
SILENT_NO_TIMESTAMPS_SHARE = 0.5
PROMPT_BATCHES = 0.15


class Clips:
    """All clips of some folders. The mel frames stay on disk until a batch needs them."""

    def __init__(self, folders, compact):
        self.folders, self.compact = folders, compact
        self.loaded, self.items = set(), []

    def refresh(self):
        """Takes up shards that were written since the last call."""
        for path in sorted(path for folder in self.folders for path in glob.glob(folder + "/*.pkl")):
            if path not in self.loaded:
                self.loaded.add(path)
                self._load(path)
        return len(self.items)

    def _load(self, path):
        mel = np.memmap(path.removesuffix(".pkl") + ".mel", np.float16, "r").reshape(-1, BANDS)
        with open(path, "rb") as file:
            for item in pickle.load(file):
                item["mel"] = mel[item["first"]:item["first"] + item["count"]]
                item["segments"] = [([(self.compact(token), a, b) for token, a, b in timed], start, end)
                                    for timed, start, end in item["segments"]]
                self.items.append(item)


class FrameClasses:
    """For each text row its letters, and one class whatever its case."""

    def __init__(self, compact, tokenizer):
        spelling = {token: text for text, token in tokenizer.rank.items()}
        texts = [spelling[token].decode("utf-8", "replace").strip().lower() for token in compact.used]
        first = {}
        self.token = [1 + first.setdefault(text, row) for row, text in enumerate(texts)]
        self.letters = [np.array([LETTER_CLASS[c] for c in text if c in LETTER_CLASS] or [0]) for text in texts]

    def of(self, item, length):
        """The letter and the token at each encoder state; 0 is nothing, -100 is not asked."""
        letters, spoken = np.full(length, -100), np.full(length, -100)
        end = min(length, item["count"] // 2 + 12)
        if item["count"] >= FULL_WINDOW - 2 and item["segments"]:
            end = min(end, int(item["segments"][-1][2] * STATES_PER_SECOND))
        letters[:end] = spoken[:end] = 0
        for row, start, stop in (timed for segment in item["segments"] for timed in segment[0]):
            if stop <= start:
                continue
            begin = round(start * STATES_PER_SECOND)
            stop = min(max(begin + 1, round(stop * STATES_PER_SECOND)), length)
            if stop > begin:
                spelled = self.letters[row]
                spoken[begin:stop] = self.token[row]
                letters[begin:stop] = spelled[np.arange(stop - begin) * len(spelled) // (stop - begin)]
        return letters, spoken


class Rows:
    """What the decoder reads and should say next, for one clip."""

    def __init__(self):
        self.read, self.say, self.word_start, self.look = [], [], [], []

    def push(self, read):
        """The decoder reads this; what follows is not asked until `answer`."""
        self.read.append(read)
        self.say.append(IGNORE)
        self.word_start.append(IGNORE)
        self.look.append((-1, -1))

    def answer(self, say, word_start=IGNORE, look=(-1, -1)):
        self.say[-1], self.word_start[-1], self.look[-1] = say, word_start, look


def states(start, stop):
    """The encoder states from one time to another."""
    return int(start * STATES_PER_SECOND), math.ceil(stop * STATES_PER_SECOND)


def push_prompt(rng, rows, compact, pool):
    """Text of other clips, as whisper.cpp gives it: with or without its timestamps, some words unknown."""
    wanted = rng.choice([4, 20, 50, 120], p=[0.2, 0.4, 0.3, 0.1])
    with_times = rng.random() < 0.6
    prompt = []
    while len(prompt) < wanted:
        segments = pool[rng.integers(len(pool))]["segments"]
        for timed, start, end in segments:
            text = [row if rng.random() > 0.03 else compact.shared for row, _, _ in timed]
            prompt += [compact.timestamp(start), *text, compact.timestamp(end)] if with_times else text
    for row in [compact(tokens.PREVIOUS), *prompt[-200:]]:
        rows.push(row)


def push_silence(rng, rows, compact):
    """A clip without speech. After a first token that should never have come, the text ends."""
    rows.push(compact(tokens.START))
    if rng.random() < SILENT_NO_TIMESTAMPS_SHARE:
        rows.push(compact(tokens.NO_TIMESTAMPS))
        rows.answer(SILENT_WITHOUT_TIMESTAMPS)
        rows.push(compact(tokens.NEW_LINE) if rng.random() < 0.8 else int(rng.integers(compact.text)))
        rows.answer(compact(tokens.END_OF_TEXT))
    else:
        rows.answer(SILENT_WITH_TIMESTAMPS)
        rows.push(compact.timestamps + int(rng.integers(0, 3)))
        rows.answer(SILENT_AFTER_TIMESTAMP)


def push_speech(rng, rows, compact, item):
    with_times = rng.random() >= NO_TIMESTAMPS_SHARE
    said = []
    for number, (timed, start, end) in enumerate(item["segments"]):
        if with_times:  # whisper.cpp allows a first timestamp of at most one second
            said.append((compact.timestamp(min(start, 1.0) if number == 0 else start), IGNORE, states(start - 0.08, start + 0.12)))
        for row, a, b in timed:
            look = states(a, b) if b > a else states(a - 0.08, a + 0.08)
            said.append((row, compact.timestamp(a) - compact.timestamps if with_times else IGNORE, look))
        if with_times:
            said.append((compact.timestamp(end), IGNORE, states(end - 0.12, end + 0.08)))
    if item["cut"] is not None and with_times:
        said.append((compact.timestamp(item["cut"]), IGNORE, states(item["cut"] - 0.08, item["cut"] + 0.12)))
    rows.push(compact(tokens.START))
    if not with_times:
        rows.push(compact(tokens.NO_TIMESTAMPS))
    for row, word_start, look in said:
        rows.answer(row, word_start, look)
        rows.push(row)
    rows.answer(compact(tokens.END_OF_TEXT))


@dataclass
class Batch:
    mel: torch.Tensor
    read: torch.Tensor
    say: torch.Tensor
    word_start: torch.Tensor
    look: torch.Tensor
    letters: torch.Tensor
    spoken: torch.Tensor


def window_length(rng, longest, full):
    """Frames the encoder gets: the whole 30 s, a multiple of 256 states, or hardly more than the clip."""
    if full:
        return FULL_WINDOW
    if rng.random() < 0.45:
        return min(FULL_WINDOW, (longest // 512 + 1) * 512)
    extra = rng.choice([0, rng.integers(0, 100), rng.integers(0, 400)], p=[0.25, 0.5, 0.25])
    return min(FULL_WINDOW, (longest + int(extra) + 1) // 2 * 2)


def blot_out(rng, frames):
    """Hides a few bands and short stretches of time, so that the network does not lean on any single one."""
    count = len(frames)
    for _ in range(rng.integers(0, 3)):
        width = int(rng.integers(1, 11))
        band = int(rng.integers(0, BANDS - width))
        frames[:, band:band + width] = frames[:, band:band + width].mean()
    for _ in range(rng.integers(0, 1 + count // 300)):
        width = int(rng.integers(2, 14))
        place = int(rng.integers(0, max(1, count - width)))
        frames[place:place + width] = frames.mean()


def make_batch(rng, items, compact, classes, pool, full):
    """`pool` lends its texts for prompts; `full` asks for the whole 30 s window."""
    length = window_length(rng, max(item["count"] for item in items), full)
    mel = np.empty((len(items), length, BANDS), np.float32)
    prompted = rng.random() < PROMPT_BATCHES
    everything, frame_classes = [], []
    for frames, item in zip(mel, items):
        frames[:] = item["padding"]
        frames[:item["count"]] = item["mel"]
        if rng.random() < 0.7:
            blot_out(rng, frames[:item["count"]])
        rows = Rows()
        if prompted:
            push_prompt(rng, rows, compact, pool)
        if item["segments"]:
            push_speech(rng, rows, compact, item)
        else:
            push_silence(rng, rows, compact)
        everything.append(rows)
        frame_classes.append(classes.of(item, length // 2))
    longest = max(len(rows.read) for rows in everything)

    def padded(lists, fill):
        return torch.tensor([values + [fill] * (longest - len(values)) for values in lists])
    return Batch(
        torch.from_numpy(mel),
        padded([rows.read for rows in everything], compact(tokens.END_OF_TEXT)),
        padded([rows.say for rows in everything], IGNORE),
        padded([rows.word_start for rows in everything], IGNORE),
        padded([rows.look for rows in everything], (-1, -1)),
        torch.from_numpy(np.stack([letters for letters, _ in frame_classes])),
        torch.from_numpy(np.stack([spoken for _, spoken in frame_classes])),
    )
