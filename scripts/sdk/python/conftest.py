"""What the tests share: clients of the running servers, and speech that the server itself has made.

scripts/sdk/run starts the servers and says where they are:

    SDK_URL           a server without keys
    SDK_KEYED_URL     one that wants SDK_KEY
    SDK_NARROW_URL    one that takes one request at a time
    SDK_FETCHING_URL  one that may fetch recordings, also from this machine
    SDK_SERVER        the binary, for tests that start their own
"""

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

import openai
import pytest

URL = os.environ["SDK_URL"]
KEYED_URL = os.environ["SDK_KEYED_URL"]
NARROW_URL = os.environ["SDK_NARROW_URL"]
FETCHING_URL = os.environ["SDK_FETCHING_URL"]
KEY = os.environ["SDK_KEY"]
SERVER = os.environ["SDK_SERVER"]

SENTENCE = "The quick brown fox jumps over the lazy dog."

# Inside what the built-in model knows.
SENTENCES = [
    SENTENCE,
    "Please turn on the kitchen lights at seven o'clock.",
    "What is the weather like tomorrow?",
    "Set a timer for twenty minutes.",
    "This is a test of the speech server.",
    "Call me tomorrow morning.",
    "Open the window.",
    "She has a small dog and he has a red car.",
    "Thank you very much.",
    "How are you today?",
]


def connect(url=URL, key="unused", **options):
    """A client as anybody would make one: only the base address is ours."""
    options.setdefault("max_retries", 0)
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, **options)


@pytest.fixture(scope="session")
def client():
    return connect()


@functools.cache
def spoken(text, response_format="wav"):
    """`text` as sound, made by the server."""
    speech = connect().audio.speech.create(model="tts-1", voice="alloy", input=text, response_format=response_format)
    return speech.content


@pytest.fixture(scope="session")
def recording():
    """A WAV file in which SENTENCE is said."""
    return spoken(SENTENCE)


def words(text):
    return re.sub(r"[^a-z0-9' ]+", " ", text.lower()).split()


def word_errors(said, heard):
    """Substitutions, insertions and deletions between two texts, in words."""
    said, heard = words(said), words(heard)
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


def assert_says(heard, said=SENTENCE):
    """That a transcript of one sentence is right, give or take one word of a small model."""
    assert word_errors(said, heard) <= 1, f"said {said!r}, heard {heard!r}"


def assert_envelope(error, status, code=None):
    """That a failure has the body every OpenAI client expects."""
    assert error.status_code == status, f"{error.status_code}: {error.response.text}"
    assert error.response.headers["content-type"].startswith("application/json")
    body = error.response.json()
    assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}, body
    assert body["error"]["message"] and isinstance(body["error"]["message"], str)
    assert isinstance(body["error"]["type"], str)
    assert error.response.headers["x-request-id"] and error.request_id
    if code is not None:
        assert body["error"]["code"] == code, body
    return body["error"]


def demo_sentences():
    """The sentences of the repository's own fixtures, where there are any."""
    path = Path(__file__).parents[3] / "tests/it/fixtures/demo-sentences.txt"
    if not path.exists():
        return SENTENCES
    lines = [line.strip() for line in path.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def converted(recording, tmp_path, extension, *options):
    """The recording in a format that the server does not write, by ffmpeg."""
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    source, target = tmp_path / "in.wav", tmp_path / f"out.{extension}"
    source.write_bytes(recording)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-i", source, *options, target], check=True, stdin=subprocess.DEVNULL
    )
    return target.read_bytes()
