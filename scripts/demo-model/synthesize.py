"""Speak dry sentences and note when every word is said.

    synthesize.py OUTPUT SCRIPTS SEED --engine built-in|espeak|flite

A script is a run of one to six sentences by one voice with one setting. The result is OUTPUT.pcm (16-bit, 16 kHz) and
OUTPUT.pkl, a list of dictionaries: script, engine, voice, text, offset and count of samples, words [(word, start, end)].
Sentences of held-out.txt are never spoken here.
"""
import argparse
import os
import pickle
import random

import numpy as np

import corpus
import voices

FRAME = 160  # samples: 10 ms
MARGIN = 0.03  # seconds of sound kept before the first word and after the last
ENGINES = {engine.name: engine for engine in (voices.BuiltIn, voices.CEspeak, voices.Flite)}


def fill_gaps(words, starts):
    """Gives every word a start: unknown ones share the time between their neighbours by spelling length."""
    starts = list(starts)
    index = 0
    while index < len(words):
        if starts[index] is not None:
            index += 1
            continue
        known = index
        while starts[known] is None:
            known += 1
        lengths = np.cumsum([len(word) for word in words[index - 1:known]])
        before, after = starts[index - 1], starts[known]
        for step in range(index, known):
            starts[step] = before + (after - before) * lengths[step - index] / lengths[-1]
        index = known
    return starts


def place(words, starts, audio):
    """Trims the audio to the speech and finds the end of every word from the energy. None if there is no speech."""
    count = len(audio) // FRAME
    if count < 10:
        return None
    energy = np.sqrt((audio[:count * FRAME].reshape(count, FRAME).astype(np.float32) ** 2).mean(1))
    threshold = 0.02 * np.percentile(energy, 97)
    loud = np.where(energy > threshold)[0]
    if len(loud) < 5:
        return None
    first, last = loud[0] / 100, (loud[-1] + 1) / 100
    starts = [first if starts[0] is None else starts[0], *starts[1:], last]
    starts = [max(first, min(last, start)) for start in fill_gaps(words, starts)]
    cut = max(0, int((first - MARGIN) * voices.SAMPLE_RATE))
    shift = cut / voices.SAMPLE_RATE
    placed = []
    for word, start, following in zip(words, starts, starts[1:]):
        begin, stop = int(start * 100), max(int(start * 100) + 1, int(following * 100))
        active = np.where(energy[begin:stop] > threshold)[0]
        if len(active):
            start, following = max(start, (begin + active[0]) / 100), (begin + active[-1] + 1) / 100
        placed.append((word, max(0, start - shift), max(following, start + 0.02) - shift))
    return audio[cut:int((last + MARGIN) * voices.SAMPLE_RATE)], placed


def plan(rng, engine, count, avoid):
    """Scripts for one engine: a list of (settings, sentences)."""
    scripts = []
    for _ in range(count):
        texts = [corpus.sentence(rng) for _ in range(rng.choice([1, 2, 3, 4, 5, 6]))]
        texts = [text for text in texts if tuple(corpus.normalised(text)) not in avoid]
        scripts.append((engine.random_settings(rng), texts))
    return scripts


def record(engine, scripts, seed, output):
    """Speaks the scripts into OUTPUT.pcm and returns their index."""
    jobs = [(settings, text, number) for number, (settings, texts) in enumerate(scripts) for text in texts]
    index, offset = [], 0
    with open(output + ".pcm", "wb") as pcm:
        for (settings, text, number), spoken in zip(jobs, engine().speak([job[:2] for job in jobs])):
            placed = spoken and place(corpus.WORD.findall(text), spoken[1], spoken[0])
            if not placed:
                continue
            audio, words = placed
            pcm.write(audio.tobytes())
            index.append(dict(script=(engine.name, seed, number), engine=engine.name, voice=settings["voice"], text=text,
                              offset=offset, count=len(audio), words=words))
            offset += len(audio)
    return index


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", help="prefix of the files to write")
    parser.add_argument("scripts", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--engine", choices=ENGINES, required=True)
    options = parser.parse_args()
    rng = random.Random(f"{options.engine} {options.seed}")
    held_out = corpus.held_out(os.path.join(voices.HERE, "held-out.txt"))
    avoid = {tuple(corpus.normalised(text)) for text in held_out}
    engine = ENGINES[options.engine]
    index = record(engine, plan(rng, engine, options.scripts, avoid), options.seed, options.output)
    with open(options.output + ".pkl", "wb") as file:
        pickle.dump(index, file)
    seconds = sum(item["count"] for item in index) / voices.SAMPLE_RATE
    print(f"{options.output}: {len(index)} sentences, {seconds / 3600:.1f} hours")


if __name__ == "__main__":
    main()
