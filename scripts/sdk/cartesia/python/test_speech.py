"""Texts in, speech out, through Cartesia's SDK: over HTTP, as events, and over a WebSocket."""

import base64

import cartesia
import pytest
from conftest import KEY, KEYED_URL, SENTENCE, connect, heard

MODEL = "sonic-3"
VOICE = {"mode": "id", "id": "alloy"}
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000}
HEARD_RAW = "encoding=linear16&sample_rate=16000"


def asked(**changes):
    return {"model_id": MODEL, "transcript": SENTENCE, "voice": VOICE, "output_format": RAW, **changes}


@pytest.mark.parametrize(
    "output_format, query",
    [
        (RAW, HEARD_RAW),
        ({"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}, "encoding=mulaw&sample_rate=8000"),
        ({"container": "wav", "encoding": "pcm_f32le", "sample_rate": 44100}, ""),
        ({"container": "mp3", "sample_rate": 44100, "bit_rate": 128000}, ""),
    ],
)
def test_a_text_becomes_speech(output_format, query):
    sound = connect().tts.generate(**asked(output_format=output_format, voice="alloy")).read()
    assert heard(sound, query) == SENTENCE


def test_speed_and_volume():
    def sound(**config):
        return connect().tts.generate(**asked(generation_config=config)).read()

    assert len(sound(speed=0.7)) > 1.4 * len(sound(speed=1.2))
    assert len(sound(volume=0.5)) == len(sound())


def test_events_carry_sound_and_the_times_of_words():
    sound, words, last = b"", [], None
    for event in connect().tts.generate_sse(**asked(add_timestamps=True, context_id="mine")):
        assert event.context_id == "mine"
        last = event.type
        if event.type == "chunk":
            sound += base64.b64decode(event.data)
        elif event.type == "timestamps":
            words += event.word_timestamps.words
    assert last == "done"
    assert heard(sound, HEARD_RAW) == SENTENCE
    assert len(words) == len(SENTENCE.split())


def test_text_that_comes_bit_by_bit():
    with connect().tts.websocket_connect() as connection:
        settings = {"model_id": MODEL, "voice": VOICE, "output_format": RAW, "add_timestamps": True}
        context = connection.context(**settings)
        for word in SENTENCE.split():
            context.push(f"{word} ")
        context.no_more_inputs()
        sound, words = b"", []
        for event in context.receive():
            if event.type == "chunk":
                sound += event.audio
            elif event.type == "timestamps":
                words += event.word_timestamps.words
        assert heard(sound, HEARD_RAW) == SENTENCE
        assert len(words) == len(SENTENCE.split())


def test_what_is_cancelled_is_said_no_further():
    with connect().tts.websocket_connect() as connection:
        settings = {"model_id": MODEL, "voice": VOICE, "output_format": RAW}
        first = connection.context(**settings)
        first.push("This has no end")
        first.cancel()
        second = connection.context(**settings)
        second.push("Yes.")
        second.no_more_inputs()
        assert any(event.type == "chunk" for event in second.receive())


def test_voices_are_listed_to_the_end():
    ids = [voice.id for voice in connect().voices.list(limit=100)]
    assert "alloy" in ids and len(ids) == len(set(ids)) > 20
    assert connect().voices.get("alloy").language == "en"


@pytest.mark.parametrize(
    "changes, error, code",
    [
        ({"voice": "nobody"}, cartesia.NotFoundError, "voice_not_found"),
        ({"model_id": "nothing"}, cartesia.NotFoundError, "model_not_found"),
        ({"save": True}, cartesia.BadRequestError, "invalid_request"),
    ],
)
def test_what_cannot_be_done_is_refused(changes, error, code):
    with pytest.raises(error) as failure:
        connect().tts.generate(**asked(**changes))
    assert failure.value.body["error_code"] == code


def test_a_key_is_wanted_where_one_is_set():
    with pytest.raises(cartesia.AuthenticationError):
        connect(KEYED_URL, "wrong").tts.generate(**asked())
    assert connect(KEYED_URL, KEY).tts.generate(**asked()).read()
