"""Everything a transcription request may ask for, through the OpenAI SDK. Fields that it does not know go into
`extra_body`, as its users do."""

import base64
import io
import json
import re
import threading
import wave
from http.server import BaseHTTPRequestHandler, HTTPServer

import openai
import pytest
from conftest import FETCHING_URL, KEY, KEYED_URL, SENTENCE, assert_envelope, assert_says, connect, spoken


def transcribe(client, audio, **options):
    options.setdefault("model", "whisper-1")
    return client.audio.transcriptions.create(file=("speech.wav", audio), **options)


def refused(param, status=400):
    class Refused:
        def __enter__(self):
            self.raises = pytest.raises(openai.APIStatusError)
            self.failure = self.raises.__enter__()

        def __exit__(self, *details):
            handled = self.raises.__exit__(*details)
            assert assert_envelope(self.failure.value, status)["param"] == param
            return handled

    return Refused()


@pytest.mark.parametrize(
    "strategy",
    ["auto", {"type": "server_vad"}, {"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 400}],
    ids=["auto", "object", "object-with-numbers"],
)
def test_a_chunking_strategy_is_taken(client, recording, strategy):
    assert_says(transcribe(client, recording, chunking_strategy=strategy).text)


def test_a_chunking_strategy_out_of_range_is_named(client, recording):
    with refused("chunking_strategy"):
        transcribe(client, recording, chunking_strategy={"type": "server_vad", "threshold": 7})


def test_keywords_and_languages_are_taken(client, recording):
    extra = {"keywords": ["fox", "Smith, Ann"], "languages": ["en"]}
    assert_says(transcribe(client, recording, model="gpt-transcribe", extra_body=extra).text)


def test_logprobs_make_up_the_text(client, recording):
    answer = transcribe(client, recording, model="gpt-4o-transcribe", include=["logprobs"])
    assert all(entry.logprob <= 0 for entry in answer.logprobs)
    text = b"".join(bytes(int(byte) for byte in entry.bytes) for entry in answer.logprobs).decode()
    assert text.split() == answer.text.split()


def test_logprobs_come_with_the_events_of_a_stream(client, recording):
    events = list(transcribe(client, recording, model="gpt-4o-transcribe", include=["logprobs"], stream=True))
    assert events[0].logprobs and len(events[-1].logprobs) == sum(len(event.logprobs) for event in events[:-1])


def test_usage_has_the_form_of_the_model(client, recording):
    tokens = transcribe(client, recording, model="gpt-4o-transcribe").usage
    assert tokens.type == "tokens" and tokens.total_tokens == tokens.input_tokens + tokens.output_tokens
    duration = transcribe(client, recording).usage
    assert duration.type == "duration" and duration.seconds == int(duration.seconds) > 1
    done = list(transcribe(client, recording, model="gpt-4o-transcribe", stream=True))[-1]
    assert done.usage.type == "tokens" and done.usage.input_token_details.audio_tokens > 10


@pytest.mark.parametrize("response_format", ["srt", "vtt"])
def test_subtitles_are_laid_out(client, recording, response_format):
    extra = {"max_line_width": 16, "max_line_count": 1}
    text = transcribe(client, recording, response_format=response_format, extra_body=extra)
    cues = [cue.splitlines() for cue in text.strip().split("\n\n") if "-->" in cue]
    lines = [line for cue in cues for line in cue[cue.index(next(it for it in cue if "-->" in it)) + 1 :]]
    assert len(lines) == len(cues) > 1 and all(len(line) <= 16 for line in lines), text
    assert_says(" ".join(lines))


def test_every_answer_says_how_much_of_the_speech_it_holds(client, recording):
    for response_format in ["json", "text", "srt", "vtt", "verbose_json"]:
        answer = client.audio.transcriptions.with_raw_response.create(
            file=("speech.wav", recording), model="whisper-1", response_format=response_format
        )
        assert re.fullmatch(r"speech=\d+\.\d\d; covered=\d+\.\d\d; gaps=0", answer.headers["x-mynah-coverage"])
    verbose = transcribe(client, recording, response_format="verbose_json", extra_body={"strict": "true"})
    assert verbose.model_dump()["coverage"]["gaps"] == []


def test_channels_are_transcribed_apart(client):
    left, right = (wave.open(io.BytesIO(spoken(text))) for text in (SENTENCE, "How are you today?"))
    frames = [(wav.getnframes(), wav.readframes(wav.getnframes())) for wav in (left, right)]
    longest = max(count for count, _ in frames)
    padded = [sound.ljust(2 * longest, b"\0") for _, sound in frames]
    file = io.BytesIO()
    with wave.open(file, "wb") as stereo:
        stereo.setparams((2, 2, left.getframerate(), longest, "NONE", ""))
        stereo.writeframes(b"".join(sound[at : at + 2] for at in range(0, 2 * longest, 2) for sound in padded))
    body = transcribe(client, file.getvalue(), response_format="verbose_json", extra_body={"multichannel": True})
    said = {0: "", 1: ""}
    for segment in body.model_dump()["segments"]:
        said[segment["channel"]] += segment["text"]
    assert_says(said[0])
    assert_says(said[1], "How are you today?")


def test_a_recording_may_come_as_base64_in_json(client, recording):
    sound = {"data": base64.b64encode(recording).decode(), "format": "wav"}
    body = {"model": "whisper-1", "input_audio": sound, "language": "en"}
    assert_says(client.post("/audio/transcriptions", body=body, cast_to=object)["text"])
    with refused("input_audio"):
        client.post("/audio/transcriptions", body={**body, "input_audio": {"data": "?"}}, cast_to=object)


@pytest.fixture
def files(recording):
    """A file server on this machine; `/secret` is there only for those who bring a key."""
    asked = []

    class Files(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path == "/hop.wav":
                self.send_response(302)
                self.send_header("Location", "/speech.wav")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            found = self.path == "/speech.wav" and "Authorization" not in self.headers
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(recording) if found else 0))
            self.end_headers()
            self.wfile.write(recording if found else b"")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()


def fetched(client, url):
    body = {"model": "deepgram/nova-3", "audio_url": url, "response_format": "verbose_json"}
    return client.post("/audio/transcriptions", body=body, cast_to=object)


def test_a_recording_is_fetched_from_where_it_is(files):
    url, asked = files
    client = connect(FETCHING_URL)
    assert_says(fetched(client, f"{url}/speech.wav")["text"])
    assert_says(fetched(client, f"{url}/hop.wav")["text"])
    assert asked == ["/speech.wav", "/hop.wav", "/speech.wav"]
    with refused("audio_url"):
        fetched(client, f"{url}/nothing.wav")


def test_nothing_is_fetched_from_private_addresses_by_default(files):
    url, asked = files
    for address in [f"{url}/speech.wav", "http://169.254.169.254/latest", url.replace("127.0.0.1", "localhost")]:
        with refused("audio_url"):
            fetched(connect(KEYED_URL, KEY), address)
    assert asked == []


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("webhook_url", "http://127.0.0.1/"),
        ("async", "perhaps"),
        ("max_line_width", 20),
        ("known_speaker_names", ["Ann"]),
        ("languages", ["klingon"]),
        ("guard", "perhaps"),
    ],
)
def test_what_cannot_be_honoured_is_named(client, recording, param, value):
    with refused(param):
        transcribe(client, recording, extra_body={param: value})


def test_a_stream_that_cannot_begin_is_an_ordinary_failure(client):
    with pytest.raises(openai.BadRequestError) as failure:
        transcribe(client, json.dumps({"no": "sound"}).encode() * 100, model="gpt-4o-transcribe", stream=True)
    assert_envelope(failure.value, 400)
