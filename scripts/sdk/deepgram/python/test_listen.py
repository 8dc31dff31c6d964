"""Recordings in, transcripts out, through Deepgram's SDK."""

import hashlib
import http.server
import io
import threading
import uuid
import wave
from datetime import datetime

import pytest
from conftest import (
    FETCHING_URL,
    KEY,
    KEYED_URL,
    OTHER_SENTENCE,
    SENTENCE,
    Failure,
    alternative,
    connect,
    seconds,
    spoken,
    stereo,
    told,
)


def test_a_recording_becomes_text_with_metadata(client):
    audio = spoken(SENTENCE)
    answer = client.file(audio, model="nova-3", smart_format=True)
    metadata = answer["metadata"]
    assert uuid.UUID(metadata["request_id"])
    assert metadata["sha256"] == hashlib.sha256(audio).hexdigest()
    assert datetime.fromisoformat(metadata["created"].replace("Z", "+00:00")).year >= 2026
    assert abs(metadata["duration"] - seconds(audio)) < 0.1
    assert metadata["channels"] == 1
    (model,) = metadata["models"]
    assert metadata["model_info"][model]["arch"] == "whisper"
    assert alternative(answer)["transcript"] == SENTENCE


class Files(http.server.BaseHTTPRequestHandler):
    """A file server with one recording."""

    def do_GET(self):
        found = self.path == "/speech.wav"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(spoken(SENTENCE) if found else b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def files():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_recording_on_the_web_becomes_text(files):
    answer = connect(FETCHING_URL).url(f"{files}/speech.wav", model="nova-3", smart_format=True)
    assert alternative(answer)["transcript"] == SENTENCE
    assert answer["metadata"]["sha256"] == hashlib.sha256(spoken(SENTENCE)).hexdigest()
    with pytest.raises(Failure) as failure:
        connect(FETCHING_URL).url(f"{files}/nothing.wav", model="nova-3")
    assert "404" in failure.value.text


def test_nothing_is_fetched_from_private_addresses_by_default(files):
    with pytest.raises(Failure) as failure:
        connect(KEYED_URL, KEY).url(f"{files}/speech.wav", model="nova-3")
    assert "private" in failure.value.text


def test_words_have_times_and_confidences(client):
    answer = client.file(spoken(SENTENCE), model="nova-3", punctuate=True)
    words = alternative(answer)["words"]
    assert [word["punctuated_word"] for word in words] == SENTENCE.split()
    assert words[-1]["word"] == "o'clock"
    before = 0
    for word in words:
        assert before <= word["start"] <= word["end"] <= answer["metadata"]["duration"]
        assert 0 <= word["confidence"] <= 1
        before = word["start"]


def test_what_was_not_asked_for_is_not_there(client):
    answer = client.file(spoken(SENTENCE), model="nova-3")
    assert told(answer["results"]) == {"channels"}
    assert told(answer["results"]["channels"][0]) == {"alternatives"}
    only = alternative(answer)
    assert told(only) == {"transcript", "confidence", "words"}
    assert told(only["words"][0]) == {"word", "start", "end", "confidence"}
    assert only["transcript"] == SENTENCE.lower().removesuffix(".")


def test_utterances_and_paragraphs(client):
    answer = client.file(spoken(SENTENCE), model="nova-3", utterances=True, paragraphs=True, utt_split=0.8)
    (utterance,) = answer["results"]["utterances"]
    assert uuid.UUID(utterance["id"])
    assert (utterance["transcript"], utterance["channel"]) == (SENTENCE, 0)
    assert len(utterance["words"]) == len(SENTENCE.split())
    paragraphs = alternative(answer)["paragraphs"]
    assert paragraphs["transcript"] == f"\n{SENTENCE}"
    (paragraph,) = paragraphs["paragraphs"]
    assert paragraph["num_words"] == len(SENTENCE.split())
    assert [sentence["text"] for sentence in paragraph["sentences"]] == [SENTENCE]


def test_who_speaks_is_told_by_number(client):
    answer = client.file(spoken(SENTENCE), model="nova-3", diarize=True, utterances=True, punctuate=True)
    assert [word["speaker"] for word in alternative(answer)["words"]] == [0] * len(SENTENCE.split())
    assert [utterance["speaker"] for utterance in answer["results"]["utterances"]] == [0]


def test_every_channel_has_a_transcript(client):
    answer = client.file(stereo(SENTENCE, OTHER_SENTENCE), model="nova-3", multichannel=True, punctuate=True)
    assert answer["metadata"]["channels"] == 2
    assert [alternative(answer, channel)["transcript"] for channel in (0, 1)] == [SENTENCE, OTHER_SENTENCE]


def test_samples_without_a_header(client):
    with wave.open(io.BytesIO(spoken(SENTENCE))) as file:
        rate, samples = file.getframerate(), file.readframes(file.getnframes())
    answer = client.file(samples, model="nova-3", encoding="linear16", sample_rate=rate, channels=1, punctuate=True)
    assert alternative(answer)["transcript"] == SENTENCE


def test_silence_is_an_empty_transcript(client):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(64_000))
    answer = client.file(out.getvalue(), model="nova-3", utterances=True, punctuate=True)
    only = alternative(answer)
    assert (only["transcript"], only["confidence"], only["words"]) == ("", 0, [])
    assert not answer["results"]["utterances"]


def test_the_language_is_told_when_it_was_to_be_found(client):
    answer = client.file(spoken(SENTENCE), model="nova-3", detect_language=True)
    assert answer["results"]["channels"][0]["detected_language"] == "en"


def test_words_that_are_likely_can_be_given(client):
    answer = client.file(spoken(SENTENCE), model="nova-3", punctuate=True, keyterm=["kitchen lights", "o'clock"])
    assert alternative(answer)["transcript"] == SENTENCE


@pytest.mark.parametrize(
    ("options", "name"),
    [({"summarize": "v2"}, "summarize"), ({"redact": "pci"}, "redact"), ({"model": "nova-99"}, "nova-99")],
)
def test_what_cannot_be_done_is_refused_by_name(client, options, name):
    with pytest.raises(Failure) as failure:
        client.file(spoken("Yes."), **({"model": "nova-3"} | options))
    assert name in failure.value.text


def test_what_is_no_sound_is_refused(client):
    with pytest.raises(Failure) as failure:
        client.file(b"These are words, not sound. " * 50, model="nova-3")
    assert "text" in failure.value.text


def test_a_key_is_wanted_where_one_is_set():
    with pytest.raises(Failure) as failure:
        connect(KEYED_URL, "wrong").file(spoken("Yes."), model="nova-3")
    assert "INVALID_AUTH" in failure.value.text or "401" in str(failure.value.status)
    answer = connect(KEYED_URL, KEY).file(spoken(SENTENCE), model="nova-3", punctuate=True)
    assert alternative(answer)["transcript"] == SENTENCE
