"""The three speech synthesizers: the built-in voice (the Rust port of espeak-ng), the C espeak-ng, and flite.

Each class speaks a batch of (settings, text) and yields 16 kHz samples with the start of every word in seconds, or None.
"""
import difflib
import os
import subprocess
import tempfile
from fractions import Fraction

import numpy as np
from scipy.signal import resample_poly

from corpus import WORD
from espeak import Espeak

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLE_RATE = 16000

ACCENTS = "en-us en-us en-us en-gb en-gb en-gb-scotland en-gb-x-rp en-029 en-gb-x-gbclan en-us-nyc".split()
VARIANTS = """m1 m2 m3 m4 m5 m6 m8 f1 f2 f3 f4 klatt klatt2 klatt3 klatt5 klatt6 Alex Alicia Andrea Andy adam antonio aunty
belinda benjamin boris caleb david Denis Diogo ed edward edward2 Gene2 grandma grandpa Henrique iven iven2 iven3 Jacky john
kaukovalta Lee Marcelo Marco Mario max michel miguel mike norbert pablo paul pedro quincy rob robert sandro shelby steph steph3
victor Zac Storm Tweaky anika""".split()
# Never used in training, so that they can measure how well the model takes to a new voice.
UNSEEN_VARIANTS = "Annie m7 Hugo linda steph2 travis klatt4 Gene Michael f5".split()
FLITE_VOICES = "awb rms slt slt awb rms kal16 kal".split()


def to_16k(samples, rate):
    if rate == SAMPLE_RATE:
        return samples.astype(np.int16)
    ratio = Fraction(SAMPLE_RATE, rate)
    resampled = resample_poly(samples.astype(np.float32), ratio.numerator, ratio.denominator)
    return np.clip(np.round(resampled), -32767, 32767).astype(np.int16)


class BuiltIn:
    """The voice of the server, spoken in one batch by the program in `speak/`."""

    name = "built-in"
    sample_rate = 22050

    @staticmethod
    def random_settings(rng):
        """Half of the time exactly what the server speaks with when nothing is asked for."""
        if rng.random() < 0.5:
            return dict(voice="en-us", rate=175, pitch=50, range=50)
        voice = rng.choice(ACCENTS) if rng.random() < 0.5 else "en-us"
        if rng.random() < 0.4:
            voice += "+" + rng.choice(VARIANTS)
        return dict(voice=voice, rate=rng.randint(120, 265), pitch=rng.choice([50, rng.randint(20, 85)]), range=50)

    def speak(self, jobs):
        lines = "".join(f"{s['voice']}\t{s['rate']}\t{s['pitch']}\t{s['range']}\t{text}\n" for s, text in jobs)
        with tempfile.NamedTemporaryFile(suffix=".pcm") as audio:
            program = os.environ.get("SPEAK", "speak")
            times = subprocess.run([program, audio.name], input=lines, text=True, stdout=subprocess.PIPE, check=True).stdout
            samples, offset = np.fromfile(audio.name, np.int16), 0
        for (_, text), line in zip(jobs, times.splitlines()):
            count, marks = line.split("\t")
            own = samples[offset:offset + int(count)]
            offset += int(count)
            starts = {int(mark.split(":")[0]): int(mark.split(":")[1]) / 1000 for mark in marks.split(",") if mark}
            yield (to_16k(own, self.sample_rate), starts_by_position(text, starts)) if len(own) else None


class CEspeak:
    name = "espeak"

    def __init__(self):
        self.engine = Espeak()

    @staticmethod
    def random_settings(rng):
        variant = rng.choice(VARIANTS + [""] * 8)
        voice = rng.choice(ACCENTS) + ("+" + variant if variant else "")
        return dict(voice=voice, rate=rng.randint(115, 265), pitch=rng.randint(15, 85), range=rng.randint(20, 90))

    @staticmethod
    def unseen_settings(rng):
        voice = rng.choice(["en-us", "en-gb", "en-gb-x-gbcwmd"]) + "+" + rng.choice(UNSEEN_VARIANTS)
        return dict(voice=voice, rate=rng.randint(130, 190), pitch=rng.randint(30, 70), range=rng.randint(30, 70))

    def speak(self, jobs):
        for settings, text in jobs:
            try:
                samples, starts = self.engine.say(text, settings["voice"], settings["rate"], settings["pitch"], settings["range"])
            except ValueError:
                yield None
                continue
            yield to_16k(samples, self.engine.sample_rate), starts_by_position(text, starts)


class Flite:
    name = "flite"

    @staticmethod
    def random_settings(rng):
        voice = rng.choice(FLITE_VOICES)
        pitch = rng.randint(80, 180) if voice.startswith("kal") else 0
        return dict(voice=voice, stretch=round(rng.uniform(0.75, 1.35), 2), pitch=pitch)

    def speak(self, jobs):
        with tempfile.TemporaryDirectory() as folder:
            audio = os.path.join(folder, "line.raw")
            program = subprocess.Popen([os.environ.get("FLITE_WORDS", os.path.join(HERE, "flite_words"))],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for settings, text in jobs:
                program.stdin.write(f"{settings['voice']}\t{settings['stretch']}\t{settings['pitch']}\t{audio}\t{text}\n")
                program.stdin.flush()
                _, rate, words = program.stdout.readline().rstrip("\n").split("\t")
                named = [(word.split(",")[0], float(word.split(",")[1])) for word in words.split(";") if word]
                yield to_16k(np.fromfile(audio, np.int16), int(rate)), starts_by_name(text, named)
            program.stdin.close()
            program.wait()


def starts_by_position(text, starts):
    """The start of each word of the text, from starts keyed by character position."""
    return [starts.get(word.start()) for word in WORD.finditer(text)]


def starts_by_name(text, named):
    """The start of each word of the text, from (name, start) pairs that may be cut up differently ("o", "clock")."""
    wanted = [word.lower().replace("'", "") for word in WORD.findall(text)]
    spoken = [name.lower().replace("'", "") for name, _ in named]
    starts = [None] * len(wanted)
    for here, there, length in difflib.SequenceMatcher(None, wanted, spoken, autojunk=False).get_matching_blocks():
        for step in range(length):
            starts[here + step] = named[there + step][1]
    return starts
