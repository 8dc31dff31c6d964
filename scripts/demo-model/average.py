"""The mean of checkpoints that were trained on from the same one: better than each of them.

    average.py OUT CHECKPOINT CHECKPOINT...
"""
import sys

import torch

from model import load_checkpoint, save_checkpoint


def main():
    loaded = [load_checkpoint(path) for path in sys.argv[2:]]
    net, compact = loaded[0]
    states = [other.state_dict() for other, _ in loaded]
    net.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    save_checkpoint(sys.argv[1], net, compact)


if __name__ == "__main__":
    main()
