"""What the tests share: one way to use every version of the SDK, and speech that the server itself has made.

scripts/sdk/run starts the servers and says where they are:

    SDK_URL           a server without keys
    SDK_KEYED_URL     one that wants SDK_KEY
    SDK_FETCHING_URL  one that may fetch recordings, also from this machine
"""

import array
import functools
import io
import json
import os
import urllib.request
import wave
from importlib.metadata import version

import deepgram
import pytest

URL = os.environ["SDK_URL"]
KEYED_URL = os.environ["SDK_KEYED_URL"]
FETCHING_URL = os.environ["SDK_FETCHING_URL"]
KEY = os.environ["SDK_KEY"]

SENTENCE = "Please turn on the kitchen lights at seven o'clock."
OTHER_SENTENCE = "Turn off the lights."

MAJOR = int(version("deepgram-sdk").split(".")[0])


class Failure(Exception):
    """What any version of the SDK raises for an answer that is a failure: its status, where it is told, and its text."""

    def __init__(self, error):
        super().__init__(str(error))
        self.status = getattr(error, "status_code", None) or getattr(error, "status", None)
        self.text = str(error)


def client_of(url, key):
    """The SDK's own client, as anybody would make one: only the addresses are ours."""
    if MAJOR < 5:
        return deepgram.DeepgramClient(key, deepgram.DeepgramClientOptions(url=url))
    from deepgram.environment import DeepgramClientEnvironment

    socket = url.replace("http", "ws", 1)
    addresses = {"base": url, "production": socket, "agent": socket}
    if MAJOR >= 7:
        addresses["agent_rest"] = url
    return deepgram.DeepgramClient(api_key=key, environment=DeepgramClientEnvironment(**addresses))


class OldClient:
    """Versions 3 and 4."""

    def __init__(self, url, key):
        self.media = client_of(url, key).listen.rest.v("1")

    def file(self, audio, **options):
        return self._dict(self.media.transcribe_file, {"buffer": audio}, options)

    def url(self, address, **options):
        return self._dict(self.media.transcribe_url, {"url": address}, options)

    @staticmethod
    def _dict(transcribe, source, options):
        try:
            return json.loads(transcribe(source, deepgram.PrerecordedOptions(**options)).to_json())
        except Exception as error:
            raise Failure(error) from error


class NewClient:
    """Versions from 5 on, which check what they receive."""

    def __init__(self, url, key):
        self.media = client_of(url, key).listen.v1.media

    def file(self, audio, **options):
        return self._dict(self.media.transcribe_file, {"request": audio}, options)

    def url(self, address, **options):
        return self._dict(self.media.transcribe_url, {"url": address}, options)

    @staticmethod
    def _dict(transcribe, source, options):
        # What only headerless sound needs is no parameter here, but can be sent.
        extra = {name: options.pop(name) for name in ("sample_rate", "channels") if name in options}
        request_options = {"max_retries": 0, "additional_query_parameters": extra}
        try:
            answer = transcribe(**source, **options, request_options=request_options)
        except Exception as error:
            raise Failure(error) from error
        return json.loads(answer.json())


def connect(url=URL, key="unused"):
    """A client as anybody would make one: only the base address is ours."""
    return OldClient(url, key) if MAJOR < 5 else NewClient(url, key)


@pytest.fixture(scope="session")
def client():
    return connect()


@functools.cache
def spoken(text):
    """`text` as a WAV file, made by the server."""
    body = json.dumps({"model": "tts-1", "voice": "alloy", "input": text, "response_format": "wav"}).encode()
    request = urllib.request.Request(f"{URL}/v1/audio/speech", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return answer.read()


@functools.cache
def stereo(left, right):
    """A WAV file in which one text is said on the left and another on the right."""
    channels = []
    for text in (left, right):
        with wave.open(io.BytesIO(spoken(text))) as file:
            rate, samples = file.getframerate(), array.array("h", file.readframes(file.getnframes()))
            channels.append(samples)
    frames = max(map(len, channels))
    both = array.array("h", bytes(4 * frames))
    for index, samples in enumerate(channels):
        both[index : 2 * len(samples) : 2] = samples
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(both.tobytes())
    return out.getvalue()


def seconds(audio):
    with wave.open(io.BytesIO(audio)) as file:
        return file.getnframes() / file.getframerate()


def alternative(answer, channel=0):
    """The only alternative of a channel."""
    (only,) = answer["results"]["channels"][channel]["alternatives"]
    return only


def told(thing):
    """The keys of an object that are not null: some versions of the SDK fill in what the server left out."""
    return {key for key, value in thing.items() if value is not None}
