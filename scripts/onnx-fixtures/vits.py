"""Writes voices of the VITS kind with random weights: the inputs, the operators and the amount of work of a real one, and
noise for speech.

    python vits.py FILE.onnx [--tiny]

The full size is that of Piper's "medium" voices: text encoder (without attention, which is a few hundredths of the work),
flow and HiFi-GAN vocoder. Beside the model its description is written. --tiny makes one of a few channels, for tests.
"""

import argparse
import json
from pathlib import Path

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

FULL = {
    "symbols": 256,
    "hidden": 192,
    "filter": 768,
    "encoder_layers": 6,
    "flows": 4,
    "flow_layers": 4,
    "initial": 256,
    "upsample": [(8, 16), (8, 16), (4, 8)],
    "resblocks": [(3, (1, 2)), (5, (2, 6)), (7, (3, 12))],
}
TINY = FULL | {
    "symbols": 64,
    "hidden": 6,
    "filter": 8,
    "encoder_layers": 1,
    "flows": 1,
    "flow_layers": 1,
    "initial": 8,
    "resblocks": [(3, (1, 2)), (5, (2, 6))],
}
# What each id takes, in frames of 256 samples, at a length scale of 1.
FRAMES_PER_ID = 3


class Builder:
    def __init__(self, size, seed):
        self.size, self.random = size, numpy.random.default_rng(seed)
        self.nodes, self.weights, self.count = [], [], 0

    def name(self, kind):
        self.count += 1
        return f"{kind}_{self.count}"

    def constant(self, value):
        name = self.name("constant")
        self.weights.append(numpy_helper.from_array(numpy.asarray(value), name))
        return name

    def weight(self, *shape, gain=1.0):
        deviation = gain / numpy.sqrt(numpy.prod(shape[1:]))
        return self.constant(self.random.normal(0, deviation, shape).astype(numpy.float32))

    def node(self, operator, *inputs, **attributes):
        output = self.name(operator)
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))
        return output

    def conv(self, x, channels_in, channels_out, kernel, dilation=1, gain=1.0):
        weight = self.weight(channels_out, channels_in, kernel, gain=gain)
        bias = self.constant(numpy.zeros(channels_out, numpy.float32))
        pad = (kernel - 1) * dilation // 2
        return self.node(
            "Conv", x, weight, bias, kernel_shape=[kernel], dilations=[dilation], pads=[pad, pad], strides=[1]
        )

    def encoder(self, ids):
        size, hidden = self.size, self.size["hidden"]
        embedded = self.node("Gather", self.weight(size["symbols"], hidden, gain=hidden**0.5), ids)
        x = self.node("Transpose", embedded, perm=[0, 2, 1])
        for _ in range(size["encoder_layers"]):
            inner = self.node("Relu", self.conv(x, hidden, size["filter"], 3, gain=1.4))
            x = self.node("Add", x, self.conv(inner, size["filter"], hidden, 3, gain=0.3))
        return x

    def repeated(self, x, length_scale):
        """Every column FRAMES_PER_ID times the length scale."""
        hidden = self.size["hidden"]
        frames = self.node("Ceil", self.node("Mul", length_scale, self.constant(numpy.float32([FRAMES_PER_ID]))))
        frames = self.node("Cast", frames, to=TensorProto.INT64)
        one = self.constant(numpy.array([1]))
        shape = self.node("Concat", one, one, one, frames, axis=0)
        tall = self.node("Unsqueeze", x, self.constant(numpy.array([3])))
        tall = self.node("Expand", tall, shape)
        return self.node("Reshape", tall, self.constant(numpy.array([1, hidden, -1])))

    def flow(self, x):
        hidden, half = self.size["hidden"], self.size["hidden"] // 2
        for _ in range(self.size["flows"]):
            first, second = self.name("half"), self.name("half")
            self.nodes.append(helper.make_node("Split", [x, self.constant(numpy.array([half, half]))], [first, second], axis=1))
            inner = self.conv(first, half, hidden, 1)
            for _ in range(self.size["flow_layers"]):
                both = self.conv(inner, hidden, 2 * hidden, 5)
                left, right = self.name("gate"), self.name("gate")
                self.nodes.append(
                    helper.make_node("Split", [both, self.constant(numpy.array([hidden, hidden]))], [left, right], axis=1)
                )
                gated = self.node("Mul", self.node("Tanh", left), self.node("Sigmoid", right))
                inner = self.node("Add", inner, self.conv(gated, hidden, hidden, 1))
            second = self.node("Sub", second, self.conv(inner, hidden, half, 1, gain=0.3))
            x = self.node("Concat", second, first, axis=1)
        return x

    def vocoder(self, x):
        size, channels = self.size, self.size["initial"]
        x = self.conv(x, size["hidden"], channels, 7)
        for factor, kernel in size["upsample"]:
            x = self.node("LeakyRelu", x, alpha=0.1)
            weight = self.weight(channels, channels // 2, kernel, gain=2.0)
            pad = (kernel - factor) // 2
            x = self.node(
                "ConvTranspose", x, weight, kernel_shape=[kernel], strides=[factor], pads=[pad, pad], dilations=[1]
            )
            channels //= 2
            blocks = [self.resblock(x, channels, kernel, dilations) for kernel, dilations in size["resblocks"]]
            total = blocks[0]
            for block in blocks[1:]:
                total = self.node("Add", total, block)
            x = self.node("Div", total, self.constant(numpy.float32(len(blocks))))
        x = self.node("LeakyRelu", x, alpha=0.01)
        return self.node("Tanh", self.conv(x, channels, 1, 7, gain=0.3))

    def resblock(self, x, channels, kernel, dilations):
        for dilation in dilations:
            inner = self.conv(self.node("LeakyRelu", x, alpha=0.1), channels, channels, kernel, dilation, gain=0.7)
            x = self.node("Add", x, inner)
        return x

    def model(self):
        scale = lambda index: self.node("Gather", "scales", self.constant(numpy.array([index])), axis=0)
        x = self.repeated(self.encoder("input"), scale(1))
        noise = self.node("Mul", self.node("RandomNormalLike", x, seed=1.0), scale(0))
        sound = self.vocoder(self.flow(self.node("Add", x, noise)))
        shape = self.constant(numpy.array([1, 1, 1, -1]))
        self.nodes.append(helper.make_node("Reshape", [sound, shape], ["output"]))
        integers = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.INT64, shape)
        floats = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(
            self.nodes,
            "vits",
            [integers("input", "batch", "ids"), integers("input_lengths", "batch"), floats("scales", 3)],
            [floats("output", "batch", 1, 1, "samples")],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def description(symbols):
    known = "_^$ !',-.:;?abcdefhijklmnopqrstuvwxyzæðŋɐɑɔəɚɛɜɡɪɹɾʃʊʌʒˈˌːθᵻ"
    return {
        "audio": {"sample_rate": 22050, "quality": "medium"},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": {symbol: [number] for number, symbol in enumerate(known)},
        "num_symbols": symbols,
        "num_speakers": 1,
        "speaker_id_map": {},
        "language": {"code": "en_US"},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    size = TINY if arguments.tiny else FULL
    model = Builder(size, seed=7).model()
    onnx.checker.check_model(model)
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, arguments.file)
    config = json.dumps(description(size["symbols"]), ensure_ascii=False, indent=1)
    Path(f"{arguments.file}.json").write_text(config + "\n", encoding="utf-8")
