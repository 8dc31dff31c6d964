"""Sound in, text out, through the OpenAI SDK."""

import io
import re
import wave
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from conftest import assert_envelope, assert_says, connect, converted, demo_sentences, spoken, word_errors, words


def transcribe(client, audio, **options):
    options.setdefault("model", "whisper-1")
    name = options.pop("name", "speech.wav")
    return client.audio.transcriptions.create(file=(name, audio), **options)


def test_a_recording_becomes_text(client, recording):
    answer = client.audio.transcriptions.with_raw_response.create(file=("speech.wav", recording), model="whisper-1")
    assert answer.headers["content-type"].startswith("application/json")
    assert_says(answer.parse().text)


@pytest.mark.once
def test_speech_comes_back_as_the_words_that_were_said(client):
    sentences, errors, total, report = demo_sentences(), 0, 0, []
    for sentence in sentences:
        heard = transcribe(client, spoken(sentence)).text
        wrong = word_errors(sentence, heard)
        errors, total = errors + wrong, total + len(words(sentence))
        if wrong:
            report.append(f"{wrong} wrong: {sentence!r} became {heard!r}")
    rate = errors / total
    print(f"word error rate {rate:.1%} over {len(sentences)} sentences")
    assert rate <= 0.10, f"word error rate {rate:.1%}\n" + "\n".join(report)


def test_bytes_without_a_name_are_recognised(client, recording):
    assert_says(client.audio.transcriptions.create(file=recording, model="whisper-1").text)


def test_the_name_of_a_file_does_not_matter(client, recording):
    assert_says(transcribe(client, recording, name="notes.mp3").text)


@pytest.mark.parametrize("response_format", ["mp3", "opus", "aac", "flac", "wav"])
def test_every_format_that_is_spoken_is_understood(client, response_format):
    sentence = "The quick brown fox jumps over the lazy dog."
    audio = spoken(sentence, response_format)
    assert_says(transcribe(client, audio, name=f"speech.{response_format}").text, sentence)


@pytest.mark.once
@pytest.mark.parametrize(
    ("extension", "options"),
    [
        ("m4a", ["-c:a", "aac"]),
        ("webm", ["-c:a", "libopus"]),
        ("ogg", ["-c:a", "libvorbis"]),
        ("mp4", ["-c:a", "aac"]),
        ("wav", ["-ar", "8000", "-c:a", "pcm_mulaw"]),
        ("wav", ["-ar", "48000", "-ac", "2", "-c:a", "pcm_s24le"]),
    ],
    ids=["m4a", "webm", "ogg-vorbis", "mp4", "wav-mulaw-8k", "wav-stereo-24bit"],
)
def test_formats_of_other_programs_are_understood(client, recording, tmp_path, extension, options):
    audio = converted(recording, tmp_path, extension, *options)
    assert_says(transcribe(client, audio, name=f"speech.{extension}").text)


def test_plain_text_is_a_string(client, recording):
    text = transcribe(client, recording, response_format="text")
    assert isinstance(text, str) and text.endswith("\n")
    assert_says(text)


def cue_seconds(cues):
    return [
        [int(h) * 3600 + int(m) * 60 + float(s.replace(",", ".")) for h, m, s in re.findall(r"(\d+):(\d\d):([\d.,]+)", c)]
        for c in cues
    ]


def assert_cues_in_order(cues):
    times = cue_seconds(cues)
    assert times and all(start <= end for start, end in times), cues
    assert all(a[1] <= b[0] + 0.001 for a, b in zip(times, times[1:])), cues


def test_srt_has_numbered_cues_with_comma_milliseconds(client, recording):
    srt = transcribe(client, recording, response_format="srt")
    assert isinstance(srt, str) and srt.startswith("1\n")
    cues = re.findall(r"^\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}$", srt, re.M)
    assert_cues_in_order(cues)


def test_vtt_begins_with_its_name_and_has_dot_milliseconds(client, recording):
    vtt = transcribe(client, recording, response_format="vtt")
    assert isinstance(vtt, str) and vtt.startswith("WEBVTT\n\n")
    cues = re.findall(r"^\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}$", vtt, re.M)
    assert_cues_in_order(cues)


SEGMENT_KEYS = {
    "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob",
}  # fmt: skip


def test_verbose_json_has_segments_inside_the_recording(client, recording):
    body = transcribe(client, recording, response_format="verbose_json").model_dump()
    assert_says(body["text"])
    assert body["language"] == "english"
    duration = float(body["duration"])
    assert body["segments"] and [segment["id"] for segment in body["segments"]] == list(range(len(body["segments"])))
    last = 0.0
    for segment in body["segments"]:
        assert SEGMENT_KEYS <= set(segment) and all(segment[key] is not None for key in SEGMENT_KEYS), segment
        assert last <= segment["start"] <= segment["end"] <= duration + 0.2, segment
        last = segment["end"]
    assert not body.get("words")


def test_verbose_json_has_words_inside_the_recording(client, recording):
    body = transcribe(
        client, recording, response_format="verbose_json", timestamp_granularities=["word"]
    ).model_dump()
    assert not body.get("segments"), "segments were not asked for"
    duration, last = float(body["duration"]), 0.0
    assert [w for word in body["words"] for w in words(word["word"])] == words(body["text"])
    for word in body["words"]:
        assert last <= word["start"] <= word["end"] <= duration + 0.2, word
        last = word["start"]
    assert body["words"][-1]["end"] > duration / 2


def test_words_and_segments_come_together_when_both_are_asked_for(client, recording):
    answer = transcribe(
        client, recording, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )
    assert answer.words and answer.segments


@pytest.mark.parametrize("model", ["openai/whisper-1", "deepgram/nova-3", "gpt-4o-transcribe"])
def test_names_of_other_vendors_models_are_understood(client, recording, model):
    assert_says(transcribe(client, recording, model=model).text)


def test_a_stream_is_deltas_and_then_one_whole_text(client, recording):
    events = list(transcribe(client, recording, model="gpt-4o-transcribe", stream=True))
    assert [event.type for event in events[:-1]] == ["transcript.text.delta"] * (len(events) - 1)
    assert len(events) > 1 and events[-1].type == "transcript.text.done"
    assert "".join(event.delta for event in events[:-1]) == events[-1].text
    assert_says(events[-1].text)


def test_whisper_1_answers_a_stream_request_with_plain_json(client, recording):
    answer = client.audio.transcriptions.with_raw_response.create(
        file=("speech.wav", recording), model="whisper-1", extra_body={"stream": "true"}
    )
    assert answer.headers["content-type"].startswith("application/json")
    assert_says(answer.parse().text)


@pytest.mark.once
def test_several_languages_and_names_for_english_are_accepted(client, recording):
    for language in ["en", "en-US", "english"]:
        assert_says(transcribe(client, recording, language=language).text)


@pytest.mark.once
def test_silence_has_no_text(client):
    silence = io.BytesIO()
    with wave.open(silence, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(2 * 16000 * 3))
    assert transcribe(client, silence.getvalue()).text == ""


def test_translating_needs_a_model_of_several_languages(client, recording):
    with pytest.raises(openai.BadRequestError) as failure:
        client.audio.translations.create(file=("speech.wav", recording), model="mynah-demo.en")
    assert_envelope(failure.value, 400)


@pytest.mark.once
def test_twenty_clients_at_once_are_all_answered(recording):
    with ThreadPoolExecutor(20) as threads:
        texts = list(threads.map(lambda _: transcribe(connect(), recording).text, range(20)))
    assert len(set(texts)) == 1
    assert_says(texts[0])
