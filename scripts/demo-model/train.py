"""Train the model on the CPU in bfloat16.

    train.py FOLDER... --out CHECKPOINT --minutes M [--resume CHECKPOINT]

The schedule follows the wall clock. A training from nothing first needs short clips (--short 0.1 --medium 0.4); one that
goes on from a checkpoint takes all lengths from the start.
"""
import argparse
import os
import time

import numpy as np
import torch

import tokens
from batches import Clips, FrameClasses, make_batch
from losses import total_loss
from model import Compact, MicroWhisper, load_checkpoint, save_checkpoint
from muon import Muon

DRAW = 2500  # clips that are sorted by length at a time, so that a batch pads little
SHORTEST = 200  # frames; shorter clips count as this long when a batch is filled
LONG = 1000  # frames; clips above cost far more than they teach, so only a share of them is taken
MUON_FACTOR = 2


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="what compose.py wrote; new shards are taken up as they come")
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--resume")
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--warm", type=int, default=30, help="steps until the highest rate is reached")
    parser.add_argument("--decay", type=float, default=0.75, help="share of the time in which the rate falls")
    parser.add_argument("--frames", type=int, default=6000, help="audio frames in a batch")
    parser.add_argument("--full", type=float, nargs=2, default=[0.02, 0.12], help="share of 30 s batches, early and late")
    parser.add_argument("--short", type=float, default=0, help="share of the time with clips up to 4.5 s only")
    parser.add_argument("--medium", type=float, default=0, help="share of the time after which clips are longer than 10 s")
    parser.add_argument("--long", type=float, default=0.4, help="share of the clips above 10 s that is taken")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


class Schedule:
    """Everything that changes while the clock runs."""

    def __init__(self, options):
        self.options, self.start = options, time.time()

    @property
    def passed(self):
        return (time.time() - self.start) / (60 * self.options.minutes)

    def rate(self, step):
        warm = min(1, (step + 1) / self.options.warm)
        return self.options.rate * warm * min(1, max(0.01, (1 - self.passed) / self.options.decay))

    def longest_clip(self):
        return 450 if self.passed < self.options.short else 1000 if self.passed < self.options.medium else 3000

    def frame_weight(self):
        return 1.0 if not self.options.resume and self.passed < 0.55 else 0.4

    def full_share(self):
        return self.options.full[self.passed > 0.5]


def fill_batches(rng, clips, budget, longest, long_share):
    """A shuffled list of batches; each holds clips of about one length and at most `budget` frames."""
    drawn = [clips[i] for i in rng.choice(len(clips), min(len(clips), DRAW), replace=False)]
    drawn = [item for item in drawn if item["count"] <= longest and (item["count"] <= LONG or rng.random() < long_share)]
    drawn.sort(key=lambda item: item["count"] + rng.uniform(0, 40))
    filled = [[]]
    for item in drawn:
        if filled[-1] and max(item["count"], SHORTEST) * (len(filled[-1]) + 1) > budget:
            filled.append([])
        filled[-1].append(item)
    return [filled[i] for i in rng.permutation(len(filled))]


def make_optimisers(net, rate):
    hidden, others = [], []
    for name, parameter in net.named_parameters():
        (hidden if parameter.ndim == 2 and ".blocks." in name else others).append(parameter)
    return [(Muon(hidden, rate), MUON_FACTOR),
            (torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True), 1)]


def step_optimisers(net, optimisers, loss, rate):
    for optimiser, factor in optimisers:
        optimiser.zero_grad()
        optimiser.param_groups[0]["lr"] = rate * factor
    loss.backward()
    if torch.isfinite(torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)):
        for optimiser, _ in optimisers:
            optimiser.step()


def save(options, net, compact):
    save_checkpoint(options.out + ".tmp", net, compact)
    os.replace(options.out + ".tmp", options.out)


def main():
    options = parse_arguments()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(options.seed)
    tokenizer = tokens.load()
    compact = Compact(tokens.used_tokens(tokenizer))
    net = load_checkpoint(options.resume)[0] if options.resume else MicroWhisper(compact.text)
    clips, classes = Clips(options.folders, compact), FrameClasses(compact, tokenizer)
    optimisers = make_optimisers(net, options.rate)
    schedule, queue, figures, step, seen, saved = Schedule(options), [], [], 0, 0, time.time()
    while schedule.passed < 1:
        if not queue:
            clips.refresh()
            queue = fill_batches(rng, clips.items, options.frames, schedule.longest_clip(), options.long)
        items = queue.pop()
        full = rng.random() < schedule.full_share()
        if full:
            items = items[:max(4, options.frames * 3 // 2 // 3000)]
        batch = make_batch(rng, items, compact, classes, clips.items, full)
        loss, found = total_loss(net, compact, batch, schedule.frame_weight())
        step_optimisers(net, optimisers, loss, schedule.rate(step))
        step, seen = step + 1, seen + len(items)
        figures.append(found)
        if step % 50 == 0:
            means = " ".join(f"{name} {np.mean([f[name] for f in figures if name in f]):.3f}" for name in figures[0])
            elapsed = time.time() - schedule.start
            print(f"{step} {elapsed:.0f}s clips/s {seen / elapsed:.1f} of {len(clips.items)} rate {schedule.rate(step):.5f} {means}", flush=True)
            figures = []
        if time.time() - saved > 120:
            saved = time.time()
            save(options, net, compact)
    save(options, net, compact)


if __name__ == "__main__":
    main()
