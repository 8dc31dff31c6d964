"""Who says what, through the OpenAI SDK."""

import base64
import functools
import io
import itertools
import wave

import pytest
from conftest import connect

# Nobody would take one of these voices for the other.
BOB, ANN = "en-us", "en-us+f4"
LINES = [
    (BOB, "Please turn on the kitchen lights at six o'clock."),
    (ANN, "We will go to the office tomorrow morning."),
    (BOB, "The meeting is on Monday, October third."),
    (ANN, "Turn on the bathroom music."),
]
MODEL = "gpt-4o-transcribe-diarize"


@functools.cache
def say(voice, text):
    speech = connect().audio.speech.create(model="tts-1", voice=voice, input=text, response_format="wav")
    return speech.content


@functools.cache
def conversation():
    """The lines one after the other, a little apart."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        for voice, text in LINES:
            with wave.open(io.BytesIO(say(voice, text))) as line:
                if not out.getnframes():
                    out.setparams(line.getparams())
                out.writeframes(line.readframes(line.getnframes()) + bytes(line.getframerate() // 2))
    return file.getvalue()


def reference(voice):
    sound = say(voice, "Where is the garden? I need a new book for tomorrow.")
    return "data:audio/wav;base64," + base64.b64encode(sound).decode()


def transcribe(client, **options):
    options = {"model": MODEL, "response_format": "diarized_json", "chunking_strategy": "auto"} | options
    return client.audio.transcriptions.create(file=("speech.wav", conversation()), **options)


def turns(pieces):
    # The first generation knows no diarized_json and hands out what is in it as it comes.
    return [speaker for speaker, _ in itertools.groupby(dict(piece)["speaker"] for piece in pieces)]


def test_voices_are_letters(client):
    answer = transcribe(client)
    assert answer.task == "transcribe" and answer.duration > 5
    assert turns(answer.segments) == ["A", "B", "A", "B"]
    segments = [dict(segment) for segment in answer.segments]
    assert [segment["id"] for segment in segments][:2] == ["seg_001", "seg_002"]
    assert all(segment["type"] == "transcript.text.segment" for segment in segments)
    assert [line[:3] for line in answer.text.splitlines()] == ["A: ", "B: ", "A: ", "B: "]


def test_known_speakers_have_their_names(client):
    known = {"known_speaker_names": ["Ann", "Bob"], "known_speaker_references": [reference(ANN), reference(BOB)]}
    assert turns(transcribe(client, extra_body=known).segments) == ["Bob", "Ann", "Bob", "Ann"]


def test_a_known_speaker_among_others(client):
    known = {"known_speaker_names": ["Ann"], "known_speaker_references": [reference(ANN)]}
    assert turns(transcribe(client, extra_body=known).segments) == ["A", "Ann", "A", "Ann"]


def test_segments_of_a_stream_have_speakers(client):
    events = list(transcribe(client, stream=True))
    segments = [event for event in events if event.type == "transcript.text.segment"]
    deltas = [event for event in events if event.type == "transcript.text.delta"]
    assert turns(segments) == ["A", "B", "A", "B"]
    assert [delta.segment_id for delta in deltas] == [segment.id for segment in segments]
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == "".join(delta.delta for delta in deltas)


@pytest.mark.parametrize(("model", "speakers"), [("deepgram/nova-3", [0, 1, 0, 1]), ("whisper-1", list("ABAB"))])
def test_words_have_speakers(client, model, speakers):
    answer = transcribe(client, model=model, response_format="verbose_json", extra_body={"diarize": True})
    assert turns(answer.words) == turns(answer.segments) == speakers
