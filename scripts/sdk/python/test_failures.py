"""Requests that are wrong, and servers that are busy."""

import http.client
import threading
from urllib.parse import urlsplit

import openai
import pytest
from conftest import NARROW_URL, assert_envelope, assert_says, connect, spoken


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"file": ("empty.wav", b"")}, None),
        ({"file": ("notes.txt", b"These are words, not sound. " * 50)}, None),
        ({"file": ("half.wav", b"RIFF\xff\xff\xff\xffWAVEfmt ")}, None),
        ({"response_format": "docx"}, "response_format"),
        ({"temperature": 9}, "temperature"),
        ({"response_format": "verbose_json", "timestamp_granularities": ["sentence"]}, "timestamp_granularities"),
        ({"language": "klingonese"}, "language"),
    ],
    ids=["empty-file", "text-file", "half-a-header", "format", "temperature", "granularity", "language"],
)
def test_a_wrong_transcription_request_is_explained(client, change, param):
    request = {"model": "whisper-1", "file": ("speech.wav", spoken("Yes."))} | change
    with pytest.raises(openai.BadRequestError) as failure:
        client.audio.transcriptions.create(**request)
    error = assert_envelope(failure.value, 400)
    if param:
        assert (error["param"] or "").removesuffix("[]") == param


def test_a_missing_file_is_named(client):
    with pytest.raises(openai.BadRequestError) as failure:
        client.post("/audio/transcriptions", cast_to=object, body={"model": "whisper-1"}, files=[("other", b"x")],
                    options={"headers": {"Content-Type": "multipart/form-data"}})  # fmt: skip
    assert assert_envelope(failure.value, 400)["param"] == "file"


def test_a_route_that_does_not_exist_answers_with_the_envelope(client):
    with pytest.raises(openai.NotFoundError) as failure:
        client.get("/nothing/here", cast_to=object)
    assert_envelope(failure.value, 404)


class Held:
    """A request that the server has begun to read and that does not end until it is released."""

    def __init__(self, url):
        address = urlsplit(url)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        self.body = b'{"model":"tts-1","voice":"alloy","input":"Yes."}'
        self.connection.putrequest("POST", "/v1/audio/speech")
        self.connection.putheader("Content-Type", "application/json")
        self.connection.putheader("Content-Length", str(len(self.body)))
        # The server says "100 Continue" when it reads the body, so this waits until the request counts.
        self.connection.putheader("Expect", "100-continue")
        self.connection.endheaders()
        assert self.connection.sock.recv(1000).startswith(b"HTTP/1.1 100")

    def release(self):
        self.connection.send(self.body)
        answer = self.connection.getresponse()
        assert answer.status == 200 and answer.read()
        self.connection.close()


def test_a_full_server_says_when_to_come_back():
    held = Held(NARROW_URL)
    with pytest.raises(openai.RateLimitError) as failure:
        connect(NARROW_URL).models.list()
    assert_envelope(failure.value, 429)
    assert 0 < float(failure.value.response.headers["retry-after"]) <= 60
    held.release()


def test_a_client_that_retries_gets_through_a_full_server():
    held = Held(NARROW_URL)
    timer = threading.Timer(0.7, held.release)
    timer.start()
    audio = connect(NARROW_URL, max_retries=5).audio.speech.create(
        model="tts-1", voice="alloy", input="This is a test.", response_format="wav"
    )
    timer.join()
    assert_says(connect().audio.transcriptions.create(model="whisper-1", file=("a.wav", audio.content)).text,
                "This is a test.")  # fmt: skip
