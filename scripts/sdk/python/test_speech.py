"""Text in, sound out, through the OpenAI SDK."""

import base64
import io
import json
import time
import wave

import openai
import pytest
from conftest import NARROW_URL, SENTENCE, assert_envelope, assert_says, connect, converted, spoken, words

MAGIC = {
    "mp3": ("audio/mpeg", lambda b: b[:3] == b"ID3" or (b[0] == 0xFF and b[1] & 0xE6 == 0xE2)),
    "opus": ("audio/ogg", lambda b: b[:4] == b"OggS" and b[28:36] == b"OpusHead"),
    "webm": ("audio/webm", lambda b: b[:4] == b"\x1a\x45\xdf\xa3"),
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
@pytest.mark.parametrize("response_format", ["mp3", "opus", "webm", "aac", "flac", "wav"])
def test_other_programs_decode_what_is_spoken(tmp_path, response_format):
    seconds = wav_seconds(spoken(SENTENCE, "wav"))
    decoded = converted(spoken(SENTENCE, response_format), tmp_path, "raw", "-f", "s16le", "-ac", "1", "-ar", "24000")
    assert len(decoded) / 48_000 == pytest.approx(seconds, abs=0.15)


def test_the_gateway_example_says_hello(client):
    answer = speak(client, "Hello, how are you?", model="elevenlabs/eleven-flash-2.5", voice="rachel", response_format="mp3")
    assert answer.headers["content-type"] == "audio/mpeg"
    heard = client.audio.transcriptions.create(file=("hello.mp3", answer.content), model="whisper-1").text
    assert "hello" in words(heard), heard


@pytest.mark.parametrize("response_format", ["mp3", "opus", "webm", "wav"])
def test_a_stream_is_chunked_and_decodes_as_a_whole(client, response_format):
    options = {"model": "tts-1", "voice": "alloy", "input": FOUR_SENTENCES, "response_format": response_format}
    with client.audio.speech.with_streaming_response.create(**options, extra_body={"stream": True}) as answer:
        assert answer.headers.get("transfer-encoding") == "chunked"
        assert answer.headers["content-type"] == MAGIC[response_format][0]
        audio = b"".join(answer.iter_bytes())
    heard = client.audio.transcriptions.create(file=(f"speech.{response_format}", audio), model="whisper-1").text
    assert "fox" in words(heard) and "thank" in words(heard), heard


def events(answer):
    """What server-sent events say: one line with JSON, then an empty one."""
    frames = answer.read().decode().split("\n\n")
    assert frames.pop() == "", "the last event is complete"
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames), frames
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def sound_of(events):
    return b"".join(base64.b64decode(event["audio"]) for event in events if event["type"] == "speech.audio.delta")


@pytest.mark.parametrize("response_format", MAGIC)
def test_events_add_up_to_the_file_that_comes_without_them(client, response_format):
    options = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": FOUR_SENTENCES}
    options |= {"response_format": response_format, "stream_format": "sse"}
    with client.audio.speech.with_streaming_response.create(**options) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        *deltas, done = events(answer)
    assert {event["type"] for event in deltas} == {"speech.audio.delta"} and len(deltas) > 1
    assert done["type"] == "speech.audio.done"
    usage = done["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
    plain = spoken(FOUR_SENTENCES, response_format)
    if response_format == "wav":  # A stream does not know its length.
        assert sound_of(deltas)[44:] == plain[44:]
    else:
        assert sound_of(deltas) == plain


def assert_times(words, text, seconds):
    """That the words are those of the text as it is written, and follow each other within the sound."""
    assert [word["word"].strip(".,?") for word in words] == [word.strip(".,?") for word in text.split()]
    last = 0
    for word in words:
        assert last <= word["start"] < word["end"] <= seconds + 0.01, words
        last = word["start"]


def test_words_have_their_times(client):
    body = {"model": "tts-1", "voice": "alloy", "input": FOUR_SENTENCES, "response_format": "wav"}
    answer = client.post("/audio/speech/timestamps", cast_to=object, body=body)
    audio = base64.b64decode(answer["audio"])
    assert answer["content_type"] == "audio/wav" and answer["format"] == "wav"
    assert audio == spoken(FOUR_SENTENCES), "the file that comes without them"
    assert_times(answer["words"], FOUR_SENTENCES, wav_seconds(audio))
    # The words are where they are heard.
    heard = client.audio.transcriptions.create(
        file=("speech.wav", audio), model="whisper-1", response_format="verbose_json", timestamp_granularities=["word"]
    )
    starts = {word["word"].strip(".,?").lower(): word["start"] for word in answer["words"]}
    both = [(starts[word.word.lower()], word.start) for word in heard.words if word.word.lower() in ("quick", "thank")]
    assert both and all(abs(said - found) < 0.4 for said, found in both), both


def test_words_come_as_events_too(client):
    body = {"model": "tts-1", "voice": "alloy", "input": FOUR_SENTENCES, "response_format": "pcm", "stream": True}
    answer = client.post("/audio/speech/timestamps", cast_to=openai.HttpxBinaryResponseContent, body=body)
    all_events = events(answer)
    assert sound_of(all_events) == spoken(FOUR_SENTENCES, "pcm")
    words = [word for event in all_events for word in event.get("words", [])]
    assert_times(words, FOUR_SENTENCES, len(sound_of(all_events)) / 48_000)
    assert all_events[-1]["type"] == "speech.audio.done"


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_a_file_may_have_another_sample_rate(client, rate):
    audio = speak(client, response_format="wav", extra_body={"sample_rate": rate}).content
    with wave.open(io.BytesIO(audio)) as file:
        assert file.getframerate() == rate
        assert file.getnframes() / rate == pytest.approx(wav_seconds(spoken(SENTENCE)), abs=0.01)
    assert_says(client.audio.transcriptions.create(file=("a.wav", audio), model="whisper-1").text)


@pytest.mark.once
def test_instructions_change_how_it_is_said_where_openai_has_them(client):
    def seconds(model, instructions):
        return len(speak(client, model=model, instructions=instructions, response_format="pcm").content) / 48_000

    plain = seconds("gpt-4o-mini-tts", "Sound like a friendly teacher.")
    assert seconds("gpt-4o-mini-tts", "Speak very slowly.") > 1.2 * plain
    assert seconds("tts-1", "Speak very slowly.") == plain


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


@pytest.mark.once
def test_a_client_that_leaves_gives_the_engine_back_at_once():
    # This server takes one request at a time.
    narrow = connect(NARROW_URL)
    options = {"model": "tts-1", "voice": "alloy", "input": (FOUR_SENTENCES + " ") * 30, "response_format": "pcm"}
    times = []
    for _ in range(5):
        with narrow.audio.speech.with_streaming_response.create(**options) as answer:
            pieces = answer.iter_bytes(256)
            next(pieces)
            with pytest.raises(openai.RateLimitError):
                speak(narrow, "Yes.")
        begin = time.monotonic()
        while True:
            try:
                assert len(speak(narrow, "Yes.", response_format="pcm").content) > 500
                break
            except openai.RateLimitError:
                assert time.monotonic() - begin < 20
        times.append(time.monotonic() - begin)
    print(f"spoken again after {sorted(times)} s")
    # The quickest tells what the server takes; the others tell how busy this machine is.
    assert min(times) < 0.3


def test_speech_survives_a_client_that_leaves(client):
    options = {"model": "tts-1", "voice": "alloy", "input": (FOUR_SENTENCES + " ") * 30, "response_format": "pcm"}
    with client.audio.speech.with_streaming_response.create(**options, extra_body={"stream": True}) as answer:
        next(answer.iter_bytes(256))
    assert_says(client.audio.transcriptions.create(file=("a.wav", spoken(SENTENCE)), model="whisper-1").text)
