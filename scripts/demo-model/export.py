"""Write a checkpoint as a whisper.cpp model file.

    export.py CHECKPOINT MODEL.bin [--type f16|q8_0|q5_0]

Rows of the token table that the vocabulary never uses all hold the same vector, so they pack to almost nothing.
"""
import argparse
import os
import struct

import numpy as np
import torch

import tokens
from mel import FILTERS
from model import AUDIO_POSITIONS, BANDS, TEXT_POSITIONS, load_checkpoint, short_mantissa

MAGIC = 0x67676D6C
BLOCK = 32  # values that share one scale
# By type: the file's type (with the version of the block formats in the thousands) and ggml's number for the tensors.
F32 = 0
TYPES = {"f16": (1, 1), "q8_0": (2007, 8), "q5_0": (2008, 6)}
TRAINING_ONLY = ("aux_", "decoder.rows", "decoder.ts_")
# whisper.cpp asks for these in f32, and for the convolutions in f16 whatever the type of the rest.
ALWAYS_F32 = ("encoder.conv1.bias", "encoder.conv2.bias", "encoder.positional_embedding", "decoder.positional_embedding")
ALWAYS_F16 = ("encoder.conv1.weight", "encoder.conv2.weight")


def q8_0(values):
    """Blocks of an f16 scale and 32 signed bytes."""
    blocks = values.reshape(-1, BLOCK)
    scale = np.abs(blocks).max(1, keepdims=True) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    steps = np.round(blocks * inverse).astype(np.int8)
    return np.concatenate([scale.astype(np.float16).view(np.int8), steps], 1).tobytes()


def q5_0(values):
    """Blocks of an f16 scale, 32 high bits and 32 low halves: value = (five bits - 16) * scale."""
    blocks = values.reshape(-1, BLOCK)
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(1)[:, None], 1)
    scale = extreme / -16
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    steps = np.minimum(31, (blocks * inverse + 16.5).astype(np.int8)).astype(np.uint8)
    high = np.packbits(steps >> 4, axis=1, bitorder="little")
    low = (steps[:, :BLOCK // 2] & 15) | ((steps[:, BLOCK // 2:] & 15) << 4)
    return np.concatenate([scale.astype(np.float16).view(np.uint8), high, low], 1).tobytes()


ENCODERS = {"f16": lambda values: values.astype(np.float16).tobytes(), "q8_0": q8_0, "q5_0": q5_0}


def tensors_of(net, compact):
    """The tensors of the file by name, with the token table written out."""
    table = net.decoder.table().detach()
    full = table[compact.shared].repeat(tokens.TABLE_SIZE, 1)
    for token, row in compact.row_of.items():
        full[token] = table[row]
    full[tokens.FIRST_TIMESTAMP:] = table[compact.timestamps:]
    tensors = {name: value.float() for name, value in net.state_dict().items() if not name.startswith(TRAINING_ONLY)}
    tensors["decoder.token_embedding.weight"] = full
    tensors["decoder.positional_embedding"] = short_mantissa(tensors["decoder.positional_embedding"])
    return {name: value.numpy() for name, value in tensors.items()}


def integers(*values):
    return struct.pack(f"<{len(values)}i", *values)


def header(shape, file_type):
    return integers(MAGIC, tokens.TABLE_SIZE, AUDIO_POSITIONS, shape["d"], shape["h"], shape["ne"],
                    TEXT_POSITIONS, shape["d"], shape["h"], shape["nd"], BANDS, file_type)


def vocabulary(tokenizer):
    words = sorted(tokenizer.rank, key=tokenizer.rank.get)
    return integers(len(words)) + b"".join(integers(len(word)) + word for word in words)


def tensor(name, values, kind):
    """One tensor with its own header; dimensions are written innermost first."""
    number = TYPES[kind][1]
    encode = ENCODERS[kind]
    if name in ALWAYS_F16:
        number, encode = TYPES["f16"][1], ENCODERS["f16"]
    if values.ndim < 2 or name in ALWAYS_F32:
        number, encode = F32, lambda plain: plain.astype(np.float32).tobytes()
    if name.endswith(("conv1.bias", "conv2.bias")):
        values = values.reshape(-1, 1)
    label = name.encode()
    return integers(values.ndim, len(label), number, *reversed(values.shape)) + label + encode(np.ascontiguousarray(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("model")
    parser.add_argument("--type", choices=TYPES, default="q8_0")
    options = parser.parse_args()
    with torch.no_grad():
        net, compact = load_checkpoint(options.checkpoint)
        tensors = tensors_of(net, compact)
    with open(options.model, "wb") as file:
        file.write(header(net.shape, TYPES[options.type][0]))
        file.write(integers(*FILTERS.shape) + FILTERS.tobytes())
        file.write(vocabulary(tokens.load()))
        for name, values in tensors.items():
            file.write(tensor(name, values, options.type))
    print(options.model, os.path.getsize(options.model), "bytes")


if __name__ == "__main__":
    main()
