"""Sentences with word times: loading what synthesize.py wrote, and turning text into timed tokens."""
import pickle
import re
from dataclasses import dataclass

import numpy as np

WORD_OR_MARK = re.compile(r"[A-Za-z']+|[.,?!]+")


def load_sentences(prefixes):
    """All sentences of these files; `pcm` of each is the audio of its whole file."""
    sentences = []
    for prefix in prefixes:
        pcm = np.memmap(prefix + ".pcm", np.int16, "r")
        with open(prefix + ".pkl", "rb") as file:
            sentences += [dict(sentence, pcm=pcm) for sentence in pickle.load(file)]
    return sentences


@dataclass
class Segment:
    """One sentence in a clip: its text, and its words as (word, start, end) in seconds of the clip."""

    text: str
    words: list

    @property
    def start(self):
        return self.words[0][1]

    @property
    def end(self):
        return self.words[-1][2]

    def first_words(self, count):
        """The same sentence broken off after `count` words."""
        pieces, seen = [], 0
        for piece in WORD_OR_MARK.findall(self.text):
            is_word = piece[0].isalpha()
            if is_word and seen == count:
                break
            seen += is_word
            pieces.append(" " + piece if is_word else piece)
        return Segment("".join(pieces).strip().rstrip(".,?!"), self.words[:count])

    def tokens(self, tokenizer):
        """(token, start, end) in order. A punctuation mark has no length and sits at the end of the word before it."""
        timed, word = [], -1
        for piece in WORD_OR_MARK.findall(self.text):
            if piece[0].isalpha():
                word += 1
                _, start, end = self.words[word]
                ids = tokenizer.encode(" " + piece)
                step = (end - start) / len(ids)
                timed += [(id, start + step * k, start + step * (k + 1)) for k, id in enumerate(ids)]
            else:
                end = self.words[word][2]
                timed += [(id, end, end) for id in tokenizer.encode(piece)]
        return timed
