"""Measure a model: make the evaluation recordings once, transcribe them with whisper.cpp, count wrong words.

    evaluate.py MODEL.bin [--folder evaluation] [--only NAME...] [--context fit|0|512|...] [--show N]

All sentences come from held-out.txt, which no training has seen. The program in `transcribe/` decodes: greedy, with timestamps,
no temperature fallback, one thread.
"""
import argparse
import json
import os
import random
import subprocess

import numpy as np
from scipy.io import wavfile

import corpus
import noise
import voices
from synthesize import place

DEFAULTS = dict(voice="en-us", rate=175, pitch=50, range=50)
PACKED_SECONDS = 27


def edits(wanted, heard):
    """The least number of words to insert, remove or change."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(wanted, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


# Making the recordings. A clip is (samples, [(text, words)]), one entry for each sentence.

def spoken(engine, settings, texts):
    """One clip for each text, as the synthesizer gives it."""
    clips = []
    for text, result in zip(texts, engine.speak(list(zip(settings, texts)))):
        if result is None:
            continue
        samples, starts = result
        trimmed, words = place(corpus.WORD.findall(text), starts, samples)
        lead = int(np.argmax(samples == trimmed[0])) if len(trimmed) == len(samples) else find(samples, trimmed)
        shift = lead / voices.SAMPLE_RATE
        clips.append((samples, [(text, [(word, a + shift, b + shift) for word, a, b in words])]))
    return clips


def find(samples, part):
    """Where `part`, a slice of `samples`, begins."""
    return (part.ctypes.data - samples.ctypes.data) // samples.itemsize


def cut_short(clip):
    """The same clip, ending 20 ms after its last word."""
    samples, sentences = clip
    return samples[:int((sentences[-1][1][-1][2] + 0.02) * voices.SAMPLE_RATE)], sentences


def packed(rng, clips):
    """Clips joined with pauses, as long as they fit."""
    joined, parts, sentences, time = [], [], [], 0.0
    for samples, ((text, words),) in clips:
        if time + len(samples) / voices.SAMPLE_RATE > PACKED_SECONDS:
            joined.append((np.concatenate(parts), sentences))
            parts, sentences, time = [], [], 0.0
        sentences.append((text, [(word, a + time, b + time) for word, a, b in words]))
        parts += [samples, np.zeros(int(rng.uniform(0.05, 0.9) * voices.SAMPLE_RATE), np.int16)]
        time += sum(len(part) for part in parts[-2:]) / voices.SAMPLE_RATE
    return joined


def silences():
    """Recordings without speech, the plainest ones first."""
    rng = np.random.default_rng(9)
    second = voices.SAMPLE_RATE
    plain = [np.zeros(length * second // 2) for length in (1, 6, 60)]
    plain += [rng.standard_normal(10 * second) * loudness for loudness in (0.05, 3e-4)]
    plain += [np.sin(np.arange(5 * second) * 2 * np.pi * pitch / second) * 0.3 for pitch in (440, 1000)]
    everything = plain + [noise.without_speech(rng) for _ in range(53)]
    return [(np.round(samples * 32767).astype(np.int16), []) for samples in everything]


def make_sets():
    rng = random.Random(5)
    texts = corpus.held_out(os.path.join(voices.HERE, "held-out.txt"))
    digits = [text for text in texts if set(corpus.normalised(text)) <= set(corpus.WORDS["digit"])]
    grammar = [text for text in texts if text not in digits]
    built_in, espeak = voices.BuiltIn(), voices.CEspeak()

    def speak(engine, settings, texts):
        return spoken(engine, [settings() for _ in texts], texts)
    default = speak(built_in, lambda: DEFAULTS, grammar)
    return {
        "built-in": default,
        "digits": speak(built_in, lambda: DEFAULTS, digits),
        "cut-short": [cut_short(clip) for clip in default[:60]],
        "speeds": speak(built_in, lambda: dict(DEFAULTS, rate=int(175 * rng.uniform(0.7, 1.5))), grammar[60:120]),
        "built-in-others": speak(built_in, lambda: built_in.random_settings(rng), texts[::3]),
        "espeak": speak(espeak, lambda: espeak.random_settings(rng), texts[::2]),
        "espeak-unseen": speak(espeak, lambda: espeak.unseen_settings(rng), texts[1::3]),
        "packed": packed(rng, default + speak(built_in, lambda: DEFAULTS, digits)),
        "silence": silences(),
    }


def write_sets(folder):
    for name, clips in make_sets().items():
        os.makedirs(os.path.join(folder, name))
        for number, (samples, _) in enumerate(clips):
            wavfile.write(os.path.join(folder, name, f"{number:03d}.wav"), voices.SAMPLE_RATE, samples)
        with open(os.path.join(folder, name + ".json"), "w") as file:
            json.dump([sentences for _, sentences in clips], file, default=float)


# Measuring.

def transcribe(model, folder, name, count, flags):
    paths = "".join(f"{folder}/{name}/{number:03d}.wav\n" for number in range(count))
    program = [os.environ.get("TRANSCRIBE", "transcribe"), model, *flags]
    lines = subprocess.run(program, input=paths, text=True, stdout=subprocess.PIPE, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def said(segments):
    return "".join(segment["text"] for segment in segments).strip()


def measure_words(name, truth, heard, show):
    wrong = total = exact = 0
    for sentences, segments in zip(truth, heard):
        text = " ".join(text for text, _ in sentences)
        errors = edits(corpus.normalised(text), corpus.normalised(said(segments)))
        wrong, total, exact = wrong + errors, total + len(corpus.normalised(text)), exact + (said(segments) == text)
        if errors and show > 0:
            show -= 1
            print(f"    {text} | {said(segments)}")
    rate = f"{100 * wrong / total:.1f} % of {total} words wrong" if total else f"{wrong} words invented"
    print(f"{name}: {rate}, {exact} of {len(truth)} exact", flush=True)


def spread(label, errors):
    if not errors:
        print(f"    {label}: no transcript is right enough to compare")
        return
    errors = np.abs(errors)
    print(f"    {label}: off by {np.median(errors):.0f} ms at the median, 90 % within {np.percentile(errors, 90):.0f} ms (of {len(errors)})")


def measure_times(truth, segments, words):
    """Segment edges where the segments are right, and word starts where the words are."""
    starts, ends, word_starts = [], [], []
    for sentences, heard, heard_words in zip(truth, segments, words):
        if len(heard) == len(sentences):
            starts += [segment["start"] - 1000 * spoken[0][1] for segment, (_, spoken) in zip(heard, sentences)]
            ends += [segment["end"] - 1000 * spoken[-1][2] for segment, (_, spoken) in zip(heard, sentences)]
        named = [(corpus.normalised(word["text"]), word["start"]) for word in heard_words]
        named = [(name[0], start) for name, start in named if name]
        wanted = [word for _, spoken in sentences for word in spoken]
        if [name for name, _ in named] == [word.lower() for word, _, _ in wanted]:
            word_starts += [start - 1000 * begin for (_, start), (_, begin, _) in zip(named, wanted)]
    spread("segment starts", starts)
    spread("segment ends", ends)
    spread("word starts", word_starts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--folder", default="evaluation")
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--limit", type=int, default=1000, help="clips of each set")
    parser.add_argument("--context", default="fit", help="encoder states: a number, 0 for all 1500, or as many as the clip needs")
    parser.add_argument("--prompt")
    parser.add_argument("--times", action="store_true", help="measure segment and word times too")
    parser.add_argument("--show", type=int, default=0, help="print this many wrong transcripts of each set")
    options = parser.parse_args()
    if not os.path.exists(options.folder):
        write_sets(options.folder)
    names = options.only or sorted(file.removesuffix(".json") for file in os.listdir(options.folder) if file.endswith(".json"))
    flags = ["--audio-ctx", options.context] + (["--prompt", options.prompt] if options.prompt else [])
    for name in names:
        with open(os.path.join(options.folder, name + ".json")) as file:
            truth = json.load(file)[:options.limit]
        heard = transcribe(options.model, options.folder, name, len(truth), flags)
        measure_words(name, truth, heard, options.show)
        if name == "silence":
            bare = transcribe(options.model, options.folder, name, len(truth), [*flags, "--no-timestamps"])
            measure_words("silence, no timestamps", truth, bare, options.show)
        elif options.times:
            measure_times(truth, heard, transcribe(options.model, options.folder, name, len(truth), [*flags, "--words"]))


if __name__ == "__main__":
    main()
