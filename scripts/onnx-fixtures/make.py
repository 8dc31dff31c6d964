"""Writes the small ONNX models and figures that the tests of speaker models, turn models and neural voices use, into
tests/it/fixtures/onnx.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -r scripts/onnx-fixtures/requirements.txt
    /tmp/venv/bin/python scripts/onnx-fixtures/make.py

The models have the inputs and outputs of the real ones and do something that a test can compute by itself.
"""

import json
from pathlib import Path

import kaldi_native_fbank
import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from transformers import WhisperFeatureExtractor

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


def turn():
    """Turn models: 8 s of Whisper's mel bands in, the probability that the speaker has finished out. Here: the more, the
    quieter the last 20 frames are than all of them."""
    nodes = [
        helper.make_node("Slice", ["input_features", "begin", "end", "axis"], ["last"]),
        helper.make_node("ReduceMean", ["input_features"], ["level"], axes=[1, 2], keepdims=0),
        helper.make_node("ReduceMean", ["last"], ["last_level"], axes=[1, 2], keepdims=0),
        helper.make_node("Sub", ["level", "last_level"], ["fall"]),
        helper.make_node("Mul", ["fall", "steepness"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["probability"]),
        helper.make_node("Reshape", ["probability", "column"], ["logits"]),
    ]
    constants = {
        "begin": numpy.array([780]),
        "end": numpy.array([800]),
        "axis": numpy.array([2]),
        "steepness": numpy.float32(4),
        "column": numpy.array([-1, 1]),
    }
    save("turn", nodes, [floats("input_features", "B", BANDS, 800)], [floats("logits", "B", 1)], constants)


def whisper_mel():
    """Every fiftieth frame and the last of what a turn model is given for a signal, band by band."""
    signal = numpy.array([((n * n * 7 + n * 31) % 2001) / 2000 - 0.5 for n in range(100000)], numpy.float32)
    signal *= numpy.arange(100000, dtype=numpy.float32) / 100000
    padded = numpy.pad(signal, (8 * 16000 - len(signal), 0))
    extractor = WhisperFeatureExtractor(chunk_length=8)
    features = extractor(padded, sampling_rate=16000, return_tensors="np", do_normalize=True).input_features[0]
    return features[:, [*range(0, 800, 50), 799]]


def integers(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.INT64, shape)


def tones(rate, hertz, lengths, quiet):
    """Nodes and constants that speak every number of `ids` as a tone of `hertz` Hz, for `lengths` samples at `rate`;
    numbers up to `quiet` are silent. The result is `sound`, a plain list."""
    nodes = [
        helper.make_node("Reshape", ["ids", "column"], ["ids_down"]),
        helper.make_node("Cast", ["ids_down"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["numbers", "hertz_a_number"], ["hertz_of_numbers"]),
        helper.make_node("Add", ["hertz_of_numbers", hertz], ["hertz"]),
        helper.make_node("Cast", [lengths], ["length"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["length", "nothing"], ["length_alone"]),
        helper.make_node("Range", ["zero", "length_alone", "one"], ["samples"]),
        helper.make_node("Cast", ["samples"], ["times"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["times", "turns_a_sample"], ["angles"]),
        helper.make_node("Mul", ["hertz", "angles"], ["phases"]),
        helper.make_node("Sin", ["phases"], ["waves"]),
        helper.make_node("Greater", ["ids_down", "quiet"], ["heard"]),
        helper.make_node("Cast", ["heard"], ["loudness"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["waves", "loudness"], ["tones"]),
        helper.make_node("Mul", ["tones", "level"], ["levelled"]),
        helper.make_node("Reshape", ["levelled", "flat"], ["sound"]),
    ]
    constants = {
        "column": numpy.array([-1, 1]),
        "flat": numpy.array([-1]),
        "nothing": numpy.array([], numpy.int64),
        "zero": numpy.array(0),
        "one": numpy.array(1),
        "quiet": numpy.array(quiet),
        "hertz_a_number": numpy.float32(20),
        "turns_a_sample": numpy.float32(2 * numpy.pi / rate),
        "level": numpy.float32(0.02),
    }
    return nodes, constants


def vits(name, speakers):
    """Voices of the VITS kind: each phoneme is a tone of 100 Hz and 20 Hz more for each number, and 30 Hz more for each
    speaker, for 1024 samples at 22050 Hz times the length scale. The first three numbers are silent."""
    nodes = [helper.make_node("Identity", ["input"], ["ids"])]
    inputs = [integers("input", "N", "T"), integers("input_lengths", "N"), floats("scales", 3)]
    constants = {"base": numpy.float32([100]), "second": numpy.array([1]), "samples_of_one": numpy.float32(1024)}
    hertz = "base"
    if speakers:
        inputs.append(integers("sid", "N"))
        constants["hertz_a_speaker"] = numpy.float32(30)
        nodes += [
            helper.make_node("Cast", ["sid"], ["speaker"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["speaker", "hertz_a_speaker"], ["hertz_of_speaker"]),
            helper.make_node("Add", ["hertz_of_speaker", "base"], ["hertz_of_all"]),
        ]
        hertz = "hertz_of_all"
    nodes += [
        helper.make_node("Gather", ["scales", "second"], ["length_scale"]),
        helper.make_node("Mul", ["length_scale", "samples_of_one"], ["samples_of_each"]),
    ]
    spoken, known = tones(22050, hertz, "samples_of_each", 2)
    constants |= known | {"output_shape": numpy.array([1, 1, 1, -1])}
    nodes += spoken + [helper.make_node("Reshape", ["sound", "output_shape"], ["output"])]
    save(name, nodes, inputs, [floats("output", "N", 1, "A", "B")], constants)


def kokoro(name, ids, speed, speed_type):
    """Voices of the Kokoro kind: each token is a tone of 100 Hz and 20 Hz more for each number, and 100 Hz more for
    each 1 that the style begins with, for 1200 samples at 24000 Hz divided by the speed. The 0 at both ends is
    silent."""
    nodes = [
        helper.make_node("Identity", [ids], ["ids"]),
        helper.make_node("Slice", ["style", "begin", "end", "axis"], ["first"]),
        helper.make_node("Mul", ["first", "hertz_of_one"], ["hertz_of_style"]),
        helper.make_node("Add", ["hertz_of_style", "base"], ["hertz_of_all"]),
        helper.make_node("Cast", [speed], ["speed_number"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["samples_of_one", "speed_number"], ["samples_of_each"]),
    ]
    constants = {
        "begin": numpy.array([0]),
        "end": numpy.array([1]),
        "axis": numpy.array([1]),
        "hertz_of_one": numpy.float32(100),
        "base": numpy.float32(100),
        "samples_of_one": numpy.float32(1200),
    }
    spoken, known = tones(24000, "hertz_of_all", "samples_of_each", 0)
    constants |= known | {"output_shape": numpy.array([1, -1])}
    nodes += spoken + [helper.make_node("Reshape", ["sound", "output_shape"], ["waveform"])]
    speed_input = helper.make_tensor_value_info(speed, speed_type, [1])
    inputs = [integers(ids, 1, "T"), floats("style", 1, 256), speed_input]
    save(name, nodes, inputs, [floats("waveform", 1, "A")], constants)


def endless():
    """A model that counts for ever."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["go_on_still"]),
            helper.make_node("Add", ["before", "before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            floats("before", 1),
        ],
        [helper.make_tensor_value_info("go_on_still", TensorProto.BOOL, []), floats("after", 1)],
    )
    nodes = [helper.make_node("Loop", ["turns", "yes", "x"], ["y"], body=body)]
    constants = {"turns": numpy.array(2**62), "yes": numpy.array(True)}
    save("endless", nodes, [floats("x", 1)], [floats("y", 1)], constants)


def voice_config(name, **more):
    """The description beside a voice of the VITS kind, as its makers write it."""
    symbols = "_^$ !',-.:;?abcdefhijklmnopqrstuvwxyzæðŋɐɑɔəɚɛɜɡɪɹɾʃʊʌʒˈˌːθᵻ\u0303"
    config = {
        "audio": {"sample_rate": 22050, "quality": "medium"},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": {symbol: [number] for number, symbol in enumerate(symbols)},
        "num_symbols": 256,
        "num_speakers": 1,
        "speaker_id_map": {},
        "language": {"code": "en_US"},
    }
    text = json.dumps(config | more, ensure_ascii=False, indent=1)
    (FOLDER / f"{name}.onnx.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    embedding("wespeaker", "feats", "embs")
    embedding("3dspeaker", "x", "embedding")
    waveform()
    segmentation()
    for window in ["povey", "hamming"]:
        (FOLDER / f"fbank-{window}.f32").write_bytes(fbank(window).astype("<f4").tobytes())
    turn()
    (FOLDER / "whisper-mel.f32").write_bytes(whisper_mel().astype("<f4").tobytes())
    endless()
    vits("en_US-tones-medium", speakers=False)
    voice_config("en_US-tones-medium")
    vits("en_US-choir-medium", speakers=True)
    voice_config("en_US-choir-medium", num_speakers=3, speaker_id_map={"alice": 0, "bob": 1, "carol": 2})
    kokoro("kokoro", "input_ids", "speed", TensorProto.FLOAT)
    kokoro("kokoro-whole-speeds", "tokens", "speed", TensorProto.INT32)
