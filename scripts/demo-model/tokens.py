"""GPT-2's byte-pair tokens, as far as the vocabulary needs them, and Whisper's special tokens."""
import base64
import os
import re

import corpus

END_OF_TEXT, START, PREVIOUS, NO_SPEECH, NO_TIMESTAMPS, FIRST_TIMESTAMP = 50256, 50257, 50360, 50361, 50362, 50363
NEW_LINE = 198
TABLE_SIZE = 51864
TIMESTAMPS = 1501
SECONDS_PER_STEP = 0.02

PIECE = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+")


class Tokenizer:
    """Text to GPT-2 tokens. `rank` maps the bytes of every token to its id."""

    def __init__(self, path):
        self.rank = {}
        with open(path, "rb") as lines:
            for line in filter(bytes.strip, lines):
                token, rank = line.split()
                self.rank[base64.b64decode(token)] = int(rank)
        self.known = {}

    def encode(self, text):
        tokens = []
        for piece in PIECE.findall(text):
            if piece not in self.known:
                self.known[piece] = self._merge(piece.encode())
            tokens += self.known[piece]
        return tokens

    def _merge(self, piece):
        """Joins the neighbours of lowest rank until no pair is a token."""
        parts = [bytes([byte]) for byte in piece]
        while len(parts) > 1:
            ranks = [self.rank.get(left + right, TABLE_SIZE) for left, right in zip(parts, parts[1:])]
            best = min(range(len(ranks)), key=ranks.__getitem__)
            if ranks[best] == TABLE_SIZE:
                break
            parts[best:best + 2] = [parts[best] + parts[best + 1]]
        return [self.rank[part] for part in parts]


def load():
    """The tokenizer from `gpt2.tiktoken`, which the source package of openai-whisper carries."""
    return Tokenizer(os.environ.get("GPT2_TOKENS", "gpt2.tiktoken"))


def used_tokens(tokenizer):
    """Every text token that the model may write, in ascending order."""
    used = {NEW_LINE}
    for word in corpus.VOCABULARY:
        used.update(tokenizer.encode(" " + word), tokenizer.encode(" " + corpus.capitalised(word)))
    for mark in (".", ",", "?", "!", " -", "...", " "):
        used.update(tokenizer.encode(mark))
    return sorted(used)
