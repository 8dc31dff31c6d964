"""Writes the small ONNX models and figures that the tests of speaker models use, into tests/it/fixtures/onnx.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -r scripts/onnx-fixtures/requirements.txt
    /tmp/venv/bin/python scripts/onnx-fixtures/make.py

The models have the inputs and outputs of the real ones and do something that a test can compute by itself.
"""

from pathlib import Path

import kaldi_native_fbank
import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).resolve().parents[2] / "tests/it/fixtures/onnx"
BANDS = 80
DIMENSIONS = 8
CLASSES = 7


def save(name, nodes, inputs, outputs, constants):
    constants = [numpy_helper.from_array(numpy.asarray(value), key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="fixtures")
    onnx.checker.check_model(model)
    (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString())


def floats(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def embedding(name, feats, embs):
    """Speaker models: mel bands in, a vector out. Here: how much each ten bands vary."""
    project = numpy.zeros((BANDS, DIMENSIONS), numpy.float32)
    for band in range(BANDS):
        project[band, band * DIMENSIONS // BANDS] = 1
    nodes = [
        helper.make_node("Mul", [feats, feats], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["power"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["power", "project"], [embs]),
    ]
    save(name, nodes, [floats(feats, "B", "T", BANDS)], [floats(embs, "B", DIMENSIONS)], {"project": project})


def waveform():
    """A model that takes sound, which is not supported."""
    nodes = [helper.make_node("ReduceMean", ["wav"], ["embedding"], axes=[1], keepdims=1)]
    save("waveform", nodes, [floats("wav", "B", "S")], [floats("embedding", "B", 1)], {})


def segmentation():
    """Segmentation: 10 s of sound in, log-probabilities of seven classes out. Here: below 0.02 in mean level nobody
    speaks, from there on the first voice, from 0.15 on the first two."""
    slopes = numpy.zeros((1, CLASSES), numpy.float32)
    offsets = numpy.full(CLASSES, -100, numpy.float32)
    offsets[0] = 0
    slopes[0, 1], offsets[1] = 10, -0.2
    slopes[0, 4], offsets[4] = 30, -3.2
    nodes = [
        helper.make_node("Abs", ["x"], ["level"]),
        helper.make_node("AveragePool", ["level"], ["levels"], kernel_shape=[991], strides=[270]),
        helper.make_node("Transpose", ["levels"], ["frames"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["frames", "slopes"], ["sloped"]),
        helper.make_node("Add", ["sloped", "offsets"], ["scores"]),
        helper.make_node("LogSoftmax", ["scores"], ["y"], axis=2),
    ]
    constants = {"slopes": slopes, "offsets": offsets}
    save("segmentation", nodes, [floats("x", "N", 1, "T")], [floats("y", "N", "F", CLASSES)], constants)


def fbank(window):
    """Kaldi's mel bands of a signal that is the same everywhere because it is made of whole numbers."""
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.samp_freq = 16000
    options.frame_opts.window_type = window
    options.mel_opts.num_bins = BANDS
    computer = kaldi_native_fbank.OnlineFbank(options)
    signal = [((n * n * 7 + n * 31) % 2001 - 1000) / 2000 for n in range(880)]
    computer.accept_waveform(16000, [sample * 32768 for sample in signal])
    computer.input_finished()
    return numpy.stack([computer.get_frame(frame) for frame in range(computer.num_frames_ready)])


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    embedding("wespeaker", "feats", "embs")
    embedding("3dspeaker", "x", "embedding")
    waveform()
    segmentation()
    for window in ["povey", "hamming"]:
        (FOLDER / f"fbank-{window}.f32").write_bytes(fbank(window).astype("<f4").tobytes())
