"""What the network is trained for: the right tokens, attention to the word being written, and the frame classifiers."""
import math

import torch
import torch.nn.functional as F

import batches
import tokens
from model import ALIGNMENT_HEADS

# A word's token leaves this share to the timestamp at which the word starts: whisper.cpp reads its word times from there.
WORD_START_SHARE = 0.05
# A timestamp is spread over its neighbours, 20 ms apart.
SMEAR = torch.tensor([0.04, 0.16, 0.6, 0.16, 0.04])
ALIGNMENT_WEIGHT = 0.15


def silent_targets(compact):
    """Shares of the tokens where nobody speaks. Without timestamps whisper.cpp allows no end of text as the first token, and
    1.8 looks for the probability of silence in the wrong place; so the model writes an empty line there."""
    end, silent, line = compact(tokens.END_OF_TEXT), compact(tokens.NO_SPEECH), compact(tokens.NEW_LINE)
    return {
        batches.SILENT_WITHOUT_TIMESTAMPS: {silent: 0.5, line: 0.5},
        batches.SILENT_WITH_TIMESTAMPS: {silent: 0.9, compact.timestamps: 0.1},
        batches.SILENT_AFTER_TIMESTAMP: {end: 0.95, compact.shared: 0.05},
    }


def log_probabilities(logits, compact):
    """Counts the shared row as often as there are tokens behind it."""
    row = torch.arange(logits.shape[1]) == compact.shared
    return (logits + row * math.log(compact.count_shared)).log_softmax(-1)


def smeared(log_probability, steps, compact):
    """The cost of timestamps (in steps of 20 ms) that may be one or two steps off."""
    near = (steps[:, None] + torch.arange(-2, 3)).clamp(0, tokens.TIMESTAMPS - 1) + compact.timestamps
    return -(log_probability.gather(1, near) * SMEAR).sum(1)


def decoder_loss(log_probability, say, word_start, compact):
    """The mean cost of all answers, and how many text tokens were right."""
    plain = say >= 0
    asked, wanted, start = log_probability[plain], say[plain], word_start[plain]
    cost = -asked.gather(1, wanted[:, None])[:, 0]
    is_time, has_start = wanted >= compact.timestamps, start >= 0
    cost[is_time] = smeared(asked[is_time], wanted[is_time] - compact.timestamps, compact)
    cost[has_start] = (1 - WORD_START_SHARE) * cost[has_start] + WORD_START_SHARE * smeared(asked[has_start], start[has_start], compact)
    total = cost.sum()
    for kind, shares in silent_targets(compact).items():
        rows = log_probability[say == kind]
        for row, share in shares.items():
            total = total - share * rows[:, row].sum()
    is_text = wanted < compact.text
    right = (asked[is_text].argmax(1) == wanted[is_text]).float().mean() if is_text.any() else torch.tensor(1.0)
    return total / len(say), right


def alignment_loss(attention, look):
    """How little the alignment heads look at the states of their word, give or take one."""
    states = torch.arange(next(iter(attention.values())).shape[-1])
    inside = (states >= look[..., :1] - 1) & (states <= look[..., 1:])
    asked = (look[..., 1] > 0) & inside.any(-1)
    cost = 0
    for layer, heads in ALIGNMENT_HEADS.items():
        seen = (attention[layer][:, heads] * inside[:, None]).sum(-1)
        cost = cost - (seen + 1e-3).log().transpose(1, 2)[asked].mean()
    return cost / len(ALIGNMENT_HEADS)


def frame_loss(net, encoded, middle, batch):
    asked = batch.letters >= 0
    letters, spoken = net.aux_chr(net.aux_ln(middle[asked])).float(), net.aux_tok(encoded[asked]).float()
    return F.cross_entropy(letters, batch.letters[asked]) + F.cross_entropy(spoken, batch.spoken[asked])


def total_loss(net, compact, batch, frame_weight):
    """The loss to minimise, and figures to print."""
    with torch.autocast("cpu", torch.bfloat16):
        encoded, middle = net.encoder(batch.mel.bfloat16())
        asked = batch.say != batches.IGNORE
        logits, attention = net.decoder(batch.read, encoded, at=asked, want_weights=True)
        frames = frame_loss(net, encoded, middle, batch)
    words, right = decoder_loss(log_probabilities(logits, compact), batch.say[asked], batch.word_start[asked], compact)
    figures = dict(words=words, right=right, frames=frames)
    total = words + frame_weight * frames
    if (batch.look[..., 1] > 0).any():
        figures["align"] = alignment_loss(attention, batch.look)
        total = total + ALIGNMENT_WEIGHT * figures["align"]
    return total, {name: float(value.detach()) for name, value in figures.items()}
