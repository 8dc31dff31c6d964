"""Text in, sound out, through the OpenAI SDK."""

import io
import time
import wave

import openai
import pytest
from conftest import SENTENCE, assert_envelope, assert_says, converted, spoken, words

MAGIC = {
    "mp3": ("audio/mpeg", lambda b: b[:3] == b"ID3" or (b[0] == 0xFF and b[1] & 0xE6 == 0xE2)),
    "opus": ("audio/ogg", lambda b: b[:4] == b"OggS" and b[28:36] == b"OpusHead"),
    "aac": ("audio/aac", lambda b: b[0] == 0xFF and b[1] & 0xF6 == 0xF0),
    "flac": ("audio/flac", lambda b: b[:4] == b"fLaC"),
    "wav": ("audio/wav", lambda b: b[:4] == b"RIFF" and b[8:12] == b"WAVE"),
    "pcm": ("audio/pcm", lambda b: b[:4] != b"RIFF"),
}
FOUR_SENTENCES = "This is a test. The quick brown fox jumps over the lazy dog. How are you today? Thank you very much."


def speak(client, text=SENTENCE, **options):
    options = {"model": "tts-1", "voice": "alloy"} | options
    return client.audio.speech.with_raw_response.create(input=text, **options)


def wav_seconds(audio):
    """The length of a WAV file, whose header may have been written before the end was known."""
    with wave.open(io.BytesIO(audio)) as file:
        return (len(audio) - 44) / (file.getframerate() * file.getnchannels() * file.getsampwidth())


@pytest.mark.parametrize("response_format", MAGIC)
def test_every_format_has_its_type_and_its_first_bytes(client, response_format):
    content_type, is_right = MAGIC[response_format]
    answer = speak(client, response_format=response_format)
    assert answer.http_response.status_code == 200
    assert answer.headers["content-type"] == content_type
    assert answer.headers["x-request-id"]
    audio = answer.content
    assert len(audio) > 1000 and is_right(audio), audio[:40]


def test_mp3_is_what_comes_when_no_format_is_named(client):
    assert speak(client).headers["content-type"] == "audio/mpeg"


def test_pcm_is_24_khz_16_bit_mono(client):
    pcm, seconds = spoken(SENTENCE, "pcm"), wav_seconds(spoken(SENTENCE, "wav"))
    assert len(pcm) % 2 == 0
    assert len(pcm) == pytest.approx(seconds * 48_000, rel=0.05)
    assert seconds > 1


@pytest.mark.once
@pytest.mark.parametrize("response_format", ["mp3", "opus", "aac", "flac", "wav"])
def test_other_programs_decode_what_is_spoken(tmp_path, response_format):
    seconds = wav_seconds(spoken(SENTENCE, "wav"))
    decoded = converted(spoken(SENTENCE, response_format), tmp_path, "raw", "-f", "s16le", "-ac", "1", "-ar", "24000")
    assert len(decoded) / 48_000 == pytest.approx(seconds, abs=0.15)


def test_the_gateway_example_says_hello(client):
    answer = speak(client, "Hello, how are you?", model="elevenlabs/eleven-flash-2.5", voice="rachel", response_format="mp3")
    assert answer.headers["content-type"] == "audio/mpeg"
    heard = client.audio.transcriptions.create(file=("hello.mp3", answer.content), model="whisper-1").text
    assert "hello" in words(heard), heard


@pytest.mark.parametrize("response_format", ["mp3", "opus", "wav"])
def test_a_stream_is_chunked_and_decodes_as_a_whole(client, response_format):
    options = {"model": "tts-1", "voice": "alloy", "input": FOUR_SENTENCES, "response_format": response_format}
    with client.audio.speech.with_streaming_response.create(**options, extra_body={"stream": True}) as answer:
        assert answer.headers.get("transfer-encoding") == "chunked"
        assert answer.headers["content-type"] == MAGIC[response_format][0]
        audio = b"".join(answer.iter_bytes())
    heard = client.audio.transcriptions.create(file=(f"speech.{response_format}", audio), model="whisper-1").text
    assert "fox" in words(heard) and "thank" in words(heard), heard


@pytest.mark.once
def test_the_first_sound_comes_long_before_the_last(client):
    spoken(SENTENCE)  # so that the voice is loaded
    options = {"model": "tts-1", "voice": "alloy", "input": (FOUR_SENTENCES + " ") * 30, "response_format": "mp3"}
    begin = time.monotonic()
    with client.audio.speech.with_streaming_response.create(**options, extra_body={"stream": True}) as answer:
        pieces = answer.iter_bytes(256)
        next(pieces)
        first = time.monotonic() - begin
        rest = sum(map(len, pieces))
    total = time.monotonic() - begin
    print(f"first byte after {first:.3f} s of {total:.3f} s, {rest} bytes")
    assert first < 0.4 * total


@pytest.mark.once
def test_a_quicker_voice_takes_less_time(client):
    normal = len(speak(client, response_format="pcm").content)
    quick = len(speak(client, response_format="pcm", speed=2.0).content)
    assert 0.35 < quick / normal < 0.75


def test_a_voice_may_be_an_object(client):
    assert speak(client, voice={"id": "alloy"}).content == speak(client, voice="alloy").content


@pytest.mark.once
@pytest.mark.parametrize(
    "voice", "alloy ash ballad coral echo fable onyx nova sage shimmer verse marin cedar".split()
)
def test_every_stock_voice_speaks(client, voice):
    assert len(speak(client, "Yes.", voice=voice).content) > 500


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"text": "a" * 4097}, "input"),
        ({"text": ""}, "input"),
        ({"speed": 0.1}, "speed"),
        ({"speed": 5.0}, "speed"),
        ({"voice": "nobody"}, "voice"),
        ({"response_format": "mp4"}, "response_format"),
    ],
    ids=["too-long", "empty", "too-slow", "too-fast", "unknown-voice", "unknown-format"],
)
def test_a_wrong_field_is_named(client, change, param):
    with pytest.raises(openai.BadRequestError) as failure:
        speak(client, **change)
    assert assert_envelope(failure.value, 400)["param"] == param


@pytest.mark.once
def test_4096_characters_are_spoken(client):
    text = ("This is a test of the speech server. " * 120)[:4096]
    assert len(speak(client, text, response_format="opus").content) > 50_000


@pytest.mark.once
def test_long_speech_keeps_every_sentence(client):
    audio = speak(client, FOUR_SENTENCES, response_format="flac").content
    answer = client.audio.transcriptions.create(file=("long.flac", audio), model="whisper-1")
    assert len(words(answer.text)) >= len(words(FOUR_SENTENCES)) - 3, answer.text


def test_a_voice_list_names_only_voices_that_speak(client):
    voices = client.get("/audio/voices", cast_to=object)["voices"]
    assert voices and all(isinstance(voice["id"], str) and isinstance(voice["name"], str) for voice in voices)
    assert len(speak(client, "Yes.", voice=voices[0]["id"]).content) > 500


def test_speech_survives_a_client_that_leaves(client):
    options = {"model": "tts-1", "voice": "alloy", "input": (FOUR_SENTENCES + " ") * 30, "response_format": "pcm"}
    with client.audio.speech.with_streaming_response.create(**options, extra_body={"stream": True}) as answer:
        next(answer.iter_bytes(256))
    assert_says(client.audio.transcriptions.create(file=("a.wav", spoken(SENTENCE)), model="whisper-1").text)
