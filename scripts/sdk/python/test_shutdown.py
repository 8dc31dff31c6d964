"""What a termination signal does: requests in progress are finished, nothing new is taken, and the exit is clean."""

import http.client
import os
import signal
import subprocess
from urllib.parse import urlsplit

import pytest
from conftest import SERVER, assert_says, spoken

pytestmark = pytest.mark.once

LONG_TEXT = "The quick brown fox jumps over the lazy dog. " * 80


@pytest.fixture
def server(tmp_path):
    """A server of the test's own: the process and where it listens."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MYNAH_")}
    process = subprocess.Popen(
        [SERVER, "serve", "--port", "0", "--offline", "--data-dir", tmp_path],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True, env=environment,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on http://"), line
        yield process, urlsplit(line.split()[-1])
    finally:
        process.kill()
        process.communicate()


def connection_to(address):
    return http.client.HTTPConnection(address.hostname, address.port, timeout=60)


def test_an_idle_server_stops_at_once(server):
    process, _ = server
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


def test_speech_that_has_begun_is_finished(server):
    process, address = server
    connection = connection_to(address)
    body = f'{{"model":"tts-1","voice":"alloy","input":"{LONG_TEXT}","response_format":"pcm","stream":true}}'
    connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 200
    audio = answer.read(4096)
    process.send_signal(signal.SIGTERM)
    audio += answer.read()  # fails when the stream is cut off before its last chunk
    assert len(audio) / 48_000 > 60
    assert process.wait(timeout=20) == 0


def test_an_upload_that_has_begun_is_answered(server):
    process, address = server
    sentence = "This is a test of the speech server."
    body = (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--b\r\nContent-Disposition: form-data; name="response_format"\r\n\r\ntext\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + spoken(sentence) + b"\r\n--b--\r\n"
    )
    connection = connection_to(address)
    connection.putrequest("POST", "/v1/audio/transcriptions")
    connection.putheader("Content-Type", "multipart/form-data; boundary=b")
    connection.putheader("Content-Length", str(len(body)))
    # "100 Continue" means that the server reads the body, so the request counts as begun.
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    assert connection.sock.recv(1000).startswith(b"HTTP/1.1 100")
    connection.send(body[: len(body) // 2])
    process.send_signal(signal.SIGTERM)
    connection.send(body[len(body) // 2 :])
    answer = connection.getresponse()
    assert answer.status == 200
    assert_says(answer.read().decode(), sentence)
    connection.close()
    assert process.wait(timeout=20) == 0
