"""Recordings handed in for later, through the OpenAI SDK, and their results pushed to a receiver."""

import http.server
import json
import queue
import threading
import time

import openai
import pytest
from conftest import FETCHING_URL, KEY, KEYED_URL, SENTENCE, assert_envelope, assert_says, connect, spoken


def get(client, path):
    return client.get(path, cast_to=object)


def finished(client, job_id):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        job = get(client, f"/jobs/{job_id}")
        if job["status"] != "processing":
            return job
        time.sleep(0.05)
    pytest.fail(f"the job {job_id} is not done")


def hand_in(client, recording, **body):
    answer = client.audio.transcriptions.with_raw_response.create(
        file=("speech.wav", recording), model="whisper-1", extra_body={"async": True, **body}
    )
    assert answer.http_response.status_code == 202
    job = answer.parse()
    assert job.id.startswith("job_") and job.status == "processing" and job.object == "job"
    return job.id


def test_a_recording_is_handed_in_and_read_later(client, recording):
    job = finished(client, hand_in(client, recording))
    assert job["status"] == "completed" and job["progress"] == 1
    transcript = job["result"]["transcript"]
    assert_says(transcript["text"])
    assert isinstance(transcript["segments"], list) and transcript["segments"][0]["start"] >= 0


def test_a_job_of_another_key_is_not_there(recording):
    stranger = connect(KEYED_URL, KEY)
    with pytest.raises(openai.NotFoundError) as failure:
        get(stranger, f"/jobs/{hand_in(connect(), recording)}")
    assert_envelope(failure.value, 404, "job_not_found")


@pytest.fixture
def receiver():
    received = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.put((dict(self.headers.items()), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received
    server.shutdown()


@pytest.mark.once
def test_a_pushed_result_verifies_with_the_libraries_of_receivers(receiver):
    import standardwebhooks

    url, received = receiver
    client = connect(FETCHING_URL)
    secret = get(client, "/webhook-secret")["secret"]
    job_id = hand_in(client, spoken(SENTENCE), webhook_url=url)
    headers, body = received.get(timeout=60)
    event = standardwebhooks.Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
    assert event == json.loads(body) and event["type"] == "job.completed"
    assert event["data"]["job_id"] == job_id
    assert_says(event["data"]["result"]["transcript"]["text"])
    unwrapped = client.webhooks.unwrap(body, {name.lower(): value for name, value in headers.items()}, secret=secret)
    assert unwrapped.type == "job.completed"
    rotated = client.post("/webhook-secret/rotate", cast_to=object)["secret"]
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(rotated).verify(body, {name.lower(): value for name, value in headers.items()})
