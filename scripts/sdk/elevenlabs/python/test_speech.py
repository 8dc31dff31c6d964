"""Texts in, speech out, through ElevenLabs' SDK."""

import base64

import pytest
from conftest import KEY, KEYED_URL, SENTENCE, URL, connect, heard
from elevenlabs.core.api_error import ApiError
from elevenlabs.types import VoiceSettings

VOICE = "alloy"
RAW = "encoding=linear16&sample_rate=16000"


@pytest.mark.parametrize(
    "output_format, query",
    [
        ("mp3_44100_128", ""),
        ("mp3_22050_32", ""),
        ("opus_48000_64", ""),
        ("wav_44100", ""),
        ("pcm_16000", RAW),
        ("ulaw_8000", "encoding=mulaw&sample_rate=8000"),
    ],
)
def test_a_text_becomes_speech(output_format, query):
    speech = connect().text_to_speech
    whole = b"".join(speech.convert(VOICE, text=SENTENCE, output_format=output_format))
    assert heard(whole, query) == SENTENCE
    options = {"output_format": output_format, "model_id": "eleven_flash_v2_5", "optimize_streaming_latency": 3}
    assert b"".join(speech.stream(VOICE, text=SENTENCE, **options)) == whole


def test_settings_of_a_voice():
    def length(speed):
        settings = VoiceSettings(stability=0.4, similarity_boost=0.8, style=0.1, use_speaker_boost=True, speed=speed)
        options = {"voice_settings": settings, "language_code": "en", "seed": 3, "previous_text": "Well."}
        sound = connect().text_to_speech.convert(VOICE, text=SENTENCE, output_format="pcm_16000", **options)
        return len(b"".join(sound))

    assert length(0.7) > 1.4 * length(1.2)


def test_every_character_has_its_time():
    speech = connect().text_to_speech
    whole = speech.convert_with_timestamps(VOICE, text=SENTENCE, output_format="pcm_16000")
    assert heard(base64.b64decode(whole.audio_base_64), RAW) == SENTENCE
    assert "".join(whole.alignment.characters) == SENTENCE
    ends = whole.alignment.character_end_times_seconds
    assert ends == sorted(ends) and len(ends) == len(SENTENCE)
    sound, characters = b"", ""
    for piece in speech.stream_with_timestamps(VOICE, text=SENTENCE, output_format="pcm_16000"):
        sound += base64.b64decode(piece.audio_base_64)
        characters += "".join(piece.alignment.characters) if piece.alignment else ""
    assert (sound, characters) == (base64.b64decode(whole.audio_base_64), SENTENCE)


def test_text_that_comes_bit_by_bit():
    speech = connect().text_to_speech
    # The SDK insists on TLS here, whatever the base address says.
    speech._ws_base_url = URL.replace("http", "ws", 1)
    words = (f"{word} " for word in SENTENCE.split())
    sound = speech.convert_realtime(VOICE, text=words, model_id="eleven_flash_v2_5", output_format="pcm_16000")
    assert heard(b"".join(sound), RAW) == SENTENCE


@pytest.mark.parametrize(
    "voice, options, status, name",
    [
        ("nobody", {}, 404, "voice_not_found"),
        (VOICE, {"model_id": "nothing"}, 404, "model_not_found"),
        (VOICE, {"output_format": "mp3_1_1"}, 400, "invalid_parameters"),
        (VOICE, {"apply_text_normalization": "off"}, 400, "invalid_parameters"),
    ],
)
def test_what_cannot_be_done_is_refused(voice, options, status, name):
    with pytest.raises(ApiError) as failure:
        b"".join(connect().text_to_speech.convert(voice, text=SENTENCE, **options))
    assert (failure.value.status_code, failure.value.body["detail"]["status"]) == (status, name)


def test_a_key_is_wanted_where_one_is_set():
    with pytest.raises(ApiError) as failure:
        b"".join(connect(KEYED_URL, "wrong").text_to_speech.convert(VOICE, text="Yes."))
    assert failure.value.status_code == 401
    assert b"".join(connect(KEYED_URL, KEY).text_to_speech.convert(VOICE, text="Yes."))
