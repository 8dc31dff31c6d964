"""A small Whisper: encoder and decoder with the parameter names that whisper.cpp reads.

It differs from a stock Whisper only while it trains:

* The token table is compact: one row for each text token in use, one row shared by all others, and timestamp rows made from
  Fourier features of their time. Export writes it out as plain rows.
* Two classifiers on the encoder say for each frame which letter and which token is being spoken, and some heads of the
  decoder are told where to look. Both learn from the synthesizers' word times.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn

import tokens

BANDS = 80
AUDIO_POSITIONS = 1500
TEXT_POSITIONS = 448
LETTERS = 28
# Heads of each decoder layer that learn to look at the word being written: whisper.cpp's alignment heads for `tiny.en`.
ALIGNMENT_HEADS = {1: [0], 2: [0, 5], 3: [0, 1, 2, 3, 4]}


def sinusoids(count, width):
    steps = torch.exp(-math.log(10000) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(count)[:, None] * steps[None]
    return torch.cat([angles.sin(), angles.cos()], 1)


def short_mantissa(values, bits=8):
    """Rounds to a few mantissa bits, so that the file compresses well. Training sees the rounded values too."""
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 2 ** bits) / 2 ** bits, exponent)


def gelu(values):
    return F.gelu(values, approximate="tanh")


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def _split(self, projected, parts):
        batch, length, _ = projected.shape
        return projected.view(batch, length, parts, self.heads, -1).permute(2, 0, 3, 1, 4).contiguous()

    def forward(self, x, memory=None, causal=False, want_weights=False):
        """Plain products and softmax: on a CPU the backward pass of fused attention is slower at these lengths."""
        scale = (x.shape[2] // self.heads) ** -0.5
        no_bias = torch.zeros_like(self.value.bias)
        source = x if memory is None else memory
        (query,) = self._split(F.linear(x, self.query.weight * scale, self.query.bias * scale), 1)
        weight = torch.cat([self.key.weight, self.value.weight])
        key, value = self._split(F.linear(source, weight, torch.cat([no_bias, self.value.bias])), 2)
        scores = query @ key.transpose(2, 3)
        if causal:
            scores = scores + torch.full(scores.shape[-2:], -1e4, dtype=scores.dtype).triu(1)
        weights = scores.float().softmax(-1) if want_weights else torch._softmax(scores, -1, False)
        mixed = (weights.to(value.dtype) @ value).transpose(1, 2).reshape(x.shape)
        return self.out(mixed), weights if want_weights else None


class Block(nn.Module):
    def __init__(self, width, heads, in_decoder):
        super().__init__()
        self.attn = Attention(width, heads)
        self.attn_ln = nn.LayerNorm(width)
        self.in_decoder = in_decoder
        if in_decoder:
            self.cross_attn = Attention(width, heads)
            self.cross_attn_ln = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.mlp_ln = nn.LayerNorm(width)

    def forward(self, x, memory=None, want_weights=False):
        x = x + self.attn(self.attn_ln(x), causal=self.in_decoder)[0]
        weights = None
        if self.in_decoder:
            seen, weights = self.cross_attn(self.cross_attn_ln(x), memory, want_weights=want_weights)
            x = x + seen
        return x + self.mlp(self.mlp_ln(x)), weights


class Encoder(nn.Module):
    def __init__(self, width, heads, layers):
        super().__init__()
        self.conv1 = nn.Conv1d(BANDS, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.register_buffer("positional_embedding", short_mantissa(sinusoids(AUDIO_POSITIONS, width)))
        self.blocks = nn.ModuleList(Block(width, heads, in_decoder=False) for _ in range(layers))
        self.ln_post = nn.LayerNorm(width)

    @staticmethod
    def _convolve(x, convolution, stride):
        """A convolution of width three as one matrix product, which is faster for these shapes."""
        x = F.pad(x, (0, 0, 1, 1))
        x = torch.cat([x[:, 0:-2:stride], x[:, 1:-1:stride], x[:, 2::stride]], 2)
        weight = convolution.weight.permute(0, 2, 1).reshape(convolution.weight.shape[0], -1)
        return gelu(F.linear(x, weight, convolution.bias))

    def forward(self, mel):
        """Batch x frames x bands to the encoded audio, and the state half way up the layers."""
        x = self._convolve(mel, self.conv1, 1)
        x = self._convolve(x, self.conv2, 2)
        x = x + self.positional_embedding[:x.shape[1]].to(x.dtype)
        middle = None
        for number, block in enumerate(self.blocks, 1):
            x = block(x)[0]
            if number == len(self.blocks) // 2:
                middle = x
        return self.ln_post(x), middle


class Decoder(nn.Module):
    def __init__(self, width, heads, layers, used):
        super().__init__()
        self.rows = nn.Parameter(torch.randn(used + 6, width) * 0.05)  # see Compact for their order
        self.ts_lin = nn.Linear(64, width)
        self.ts_res = nn.Parameter(torch.zeros(tokens.TIMESTAMPS, width))
        periods = torch.logspace(math.log10(6.0), math.log10(6000.0), 32)[None]
        angles = torch.arange(tokens.TIMESTAMPS)[:, None].float() * 2 * math.pi / periods
        self.register_buffer("ts_feat", torch.cat([angles.sin(), angles.cos()], 1))
        nn.init.normal_(self.ts_lin.weight, std=0.02)
        self.positional_embedding = nn.Parameter(sinusoids(TEXT_POSITIONS, width) * 0.05)
        self.blocks = nn.ModuleList(Block(width, heads, in_decoder=True) for _ in range(layers))
        self.ln = nn.LayerNorm(width)

    def table(self):
        return torch.cat([self.rows, self.ts_lin(self.ts_feat) + self.ts_res])

    def forward(self, rows, memory, at, want_weights=False):
        """Logits at the positions `at` (a mask), and the attention weights of the layers with alignment heads."""
        table = self.table()
        x = (F.embedding(rows, table) + self.positional_embedding[:rows.shape[1]]).to(memory.dtype)
        attention = {}
        for number, block in enumerate(self.blocks):
            x, weights = block(x, memory, want_weights=want_weights and number in ALIGNMENT_HEADS)
            if weights is not None:
                attention[number] = weights
        return F.linear(self.ln(x[at]), table.to(x.dtype)).float(), attention


class MicroWhisper(nn.Module):
    def __init__(self, n_used, d=192, h=6, ne=4, nd=4):
        super().__init__()
        self.shape = dict(n_used=n_used, d=d, h=h, ne=ne, nd=nd)
        self.encoder = Encoder(d, h, ne)
        self.decoder = Decoder(d, h, nd, n_used)
        self.aux_chr = nn.Linear(d, LETTERS + 1)
        self.aux_tok = nn.Linear(d, n_used + 1)
        self.aux_ln = nn.LayerNorm(d)
        self._start_quietly()

    def _start_quietly(self):
        """Small weights at the end of each residual branch, so that the untrained network passes its input through."""
        for module in self.modules():
            if isinstance(module, nn.Linear) and module is not self.decoder.ts_lin:
                nn.init.normal_(module.weight, std=module.weight.shape[1] ** -0.5 * 0.7)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for block in [*self.encoder.blocks, *self.decoder.blocks]:
            for last in [block.attn.out, block.mlp[2]] + ([block.cross_attn.out] if block.in_decoder else []):
                last.weight.data *= 0.4


class Compact:
    """Whisper token ids to rows of the compact table: text tokens, five special tokens, the shared row, timestamps."""

    def __init__(self, used):
        self.used = list(used)
        self.text = len(self.used)
        special = (tokens.END_OF_TEXT, tokens.START, tokens.PREVIOUS, tokens.NO_SPEECH, tokens.NO_TIMESTAMPS)
        self.row_of = {token: row for row, token in enumerate([*self.used, *special])}
        self.shared = self.text + len(special)
        self.timestamps = self.shared + 1
        self.count_shared = tokens.TABLE_SIZE - self.shared - tokens.TIMESTAMPS

    def __call__(self, token):
        return self.row_of.get(token, self.shared)

    def timestamp(self, seconds):
        step = round(seconds / tokens.SECONDS_PER_STEP)
        return self.timestamps + int(min(max(step, 0), tokens.TIMESTAMPS - 1))


def load_checkpoint(path):
    """The network and its token rows."""
    checkpoint = torch.load(path, weights_only=True)
    net = MicroWhisper(**checkpoint["cfg"])
    net.load_state_dict(checkpoint["net"])
    return net, Compact(checkpoint["used"])


def save_checkpoint(path, net, compact):
    torch.save(dict(net=net.state_dict(), cfg=net.shape, used=compact.used), path)
