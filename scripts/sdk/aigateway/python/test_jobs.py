"""The gateway's own client library: waiting for jobs, their files, links, webhooks, models."""

import asyncio
import http.server
import json
import queue
import threading
import time
import urllib.error
import urllib.request

import pytest
from aigateway import AIgatewayError, AsyncAIgateway, verify_webhook
from conftest import FETCHING_URL, KEY, KEYED_URL, SENTENCE, connect, hand_in, spoken


@pytest.fixture(scope="session")
def recording():
    return spoken(SENTENCE)


@pytest.fixture
def client():
    with connect() as client:
        yield client


def test_a_job_can_be_waited_for(client, recording):
    job = client.jobs.wait(hand_in(recording), timeout_seconds=60, poll_interval_seconds=0.1)
    assert (job.status, job.modality, job.model, job.error) == ("completed", "audio-stt", "whisper-1", None)
    assert job.result["transcript"]["text"] == SENTENCE
    assert job.created_at <= job.updated_at <= time.time() + 1


def test_a_job_can_be_waited_for_at_the_usual_pace(client, recording):
    assert client.jobs.wait(hand_in(recording)).status == "completed"


def test_many_wait_at_once(recording):
    async def wait_for_all():
        async with connect(client=AsyncAIgateway) as client:
            ids = [hand_in(recording) for _ in range(8)]
            jobs = await asyncio.gather(*(client.jobs.wait(it, poll_interval_seconds=0.1) for it in ids))
            assert [job.id for job in jobs] == ids
            return [job.result["transcript"]["text"] for job in jobs]

    assert asyncio.run(wait_for_all()) == [SENTENCE] * 8


def test_what_has_failed_is_waited_for_no_longer(client):
    job = client.jobs.wait(hand_in(b"no sound at all"), timeout_seconds=60, poll_interval_seconds=0.1)
    assert job.status == "failed" and isinstance(job.error, str) and job.error
    assert job.result is None


def test_a_cancelled_job_is_waited_for_no_longer(client, recording):
    for _ in range(3):  # those in front of it
        hand_in(recording)
    job_id = hand_in(recording)
    cancelled = client.jobs.cancel(job_id)
    assert client.jobs.cancel(job_id) == cancelled
    job = client.jobs.wait(job_id, timeout_seconds=60, poll_interval_seconds=0.1)
    assert (job.status, job.error) in [("failed", "cancelled"), ("completed", None)]


def test_looking_often_is_never_answered_with_nothing(client, recording):
    job_id = hand_in(recording)
    assert all(client.jobs.get(job_id).id == job_id for _ in range(100))


def test_the_result_is_a_file(client, recording):
    job = client.jobs.wait(hand_in(recording), poll_interval_seconds=0.1)
    assert client.files.download(job.id, "transcript.txt").decode().strip() == SENTENCE
    link = client.files.signed_url(job.id, "transcript.srt", expires_in=60)
    assert 0 < link["expires_at"] - time.time() <= 60
    with urllib.request.urlopen(link["url"]) as answer:
        assert SENTENCE in answer.read().decode()
    with pytest.raises(AIgatewayError) as failure:
        client.files.signed_url(job.id, "transcript.srt", expires_in=0)
    assert failure.value.status_code == 400 and "expires_in" in str(failure.value)


def test_a_link_needs_no_key_but_nothing_else_does_without():
    with connect(KEYED_URL, KEY) as client:
        job = client.jobs.wait(hand_in(spoken(SENTENCE, KEYED_URL, KEY), KEYED_URL, KEY), poll_interval_seconds=0.1)
        link = client.files.signed_url(job.id, "transcript.txt")["url"]
    with urllib.request.urlopen(link) as answer:
        assert SENTENCE in answer.read().decode()
    with pytest.raises(urllib.error.HTTPError) as failure:
        urllib.request.urlopen(link.replace("transcript.txt", "transcript.srt"))
    assert failure.value.code == 403
    with connect(KEYED_URL, "wrong") as stranger, pytest.raises(AIgatewayError) as failure:
        stranger.jobs.get(job.id)
    assert failure.value.status_code == 401


def test_what_is_not_there_is_not_found(client, recording):
    job = client.jobs.wait(hand_in(recording), poll_interval_seconds=0.1)
    for missing in [
        lambda: client.jobs.get("job_00000000000000000000000000000000"),
        lambda: client.jobs.cancel("job_unknown"),
        lambda: client.files.download(job.id, "video.mp4"),
        lambda: client.files.signed_url(job.id, "video.mp4"),
        lambda: client.models.get("openai/gpt-9"),
    ]:
        with pytest.raises(AIgatewayError) as failure:
            missing()
        assert failure.value.status_code == 404 and failure.value.type


def test_a_push_verifies():
    received = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.put((self.headers["x-gateway-signature"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with connect(FETCHING_URL) as client:
        secret = client.webhook_secret.get()["secret"]
        job_id = hand_in(spoken(SENTENCE), FETCHING_URL, webhook_url=f"http://127.0.0.1:{server.server_port}/")
        signature, body = received.get(timeout=60)
        server.shutdown()
        assert verify_webhook(secret, body, signature)
        assert not verify_webhook(secret, body + b" ", signature)
        assert json.loads(body)["data"]["job_id"] == job_id
        rotated = client.webhook_secret.rotate()["secret"]
        assert rotated != secret and client.webhook_secret.get()["secret"] == rotated
        assert not verify_webhook(rotated, body, signature)


def test_models_are_listed_by_what_they_do(client):
    ears, mouths = client.models.list(modality="audio-stt"), client.models.list(modality="audio-tts")
    assert {"openai/whisper-1", "deepgram/nova-3"} <= {model["id"] for model in ears}
    assert "openai/tts-hd" in {model["id"] for model in mouths}
    assert not {model["id"] for model in ears} & {model["id"] for model in mouths}
    assert client.models.get("deepgram/nova-3")["id"] == "deepgram/nova-3"
