"""The plugins that speak for LiveKit's agents, as they come: only the address is ours."""

import asyncio
import contextlib
import json
import typing
import urllib.request

import aiohttp
import pytest
from conftest import KEY, KEYED_URL, SENTENCE, URL, assert_says
from livekit import rtc
from livekit.agents import APIConnectOptions, APIStatusError
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT
from livekit.plugins import cartesia, deepgram, elevenlabs, openai
from livekit.plugins.cartesia.models import TTSModels as CartesiaModel
from livekit.plugins.deepgram.models import TTSModels as DeepgramModel
from livekit.plugins.elevenlabs.models import TTSModels as ElevenLabsModel
from livekit.plugins.openai.models import TTSModels as OpenAIModel
from livekit.plugins.openai.models import TTSVoices as OpenAIVoice

ONCE = APIConnectOptions(max_retry=0)


async def said(tts, text=SENTENCE):
    """What an agent hands to its room: samples, their rate, and what the plugin says it has used."""
    used = []
    tts.on("metrics_collected", used.append)
    async with tts.synthesize(text, conn_options=ONCE) as stream:
        frame = await stream.collect()
    assert frame.num_channels == 1
    await tts.aclose()
    return bytes(frame.data), frame.sample_rate, used


async def said_live(tts, text=SENTENCE):
    """What an agent hands to its room while a language model still writes: samples, their rate, words with times."""
    frames, words = [], []
    async with tts.stream(conn_options=ONCE) as stream:
        for at in range(0, len(text), 3):
            stream.push_text(text[at : at + 3])
            await asyncio.sleep(0)
        stream.end_input()
        async for event in stream:
            frames.append(event.frame)
            words.extend(event.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, []))
    await tts.aclose()
    frame = rtc.combine_audio_frames(frames)
    return bytes(frame.data), frame.sample_rate, words


def speak(make, text=SENTENCE, how=said):
    """`make` gets a session, which the plugins that need one share in an agent."""

    async def run():
        async with contextlib.AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return await how(make(session), text)

    return asyncio.run(run())


FORMATS = ["mp3", "opus", "webm", "aac", "flac", "wav", "pcm"]


# The plugin asks for plain sound from a model of this name, and for events from all others.
@pytest.mark.parametrize(
    ("model", "response_format"),
    [("tts-1", format) for format in FORMATS]
    + [("gpt-4o-mini-tts", format) for format in FORMATS]
    + [("tts-1-hd", "mp3"), ("elevenlabs/eleven-flash-2.5", "mp3"), ("cartesia/sonic-2", "mp3")],
)
def test_openai_speaks(model, response_format):
    samples, rate, used = speak(
        lambda _: openai.TTS(model=model, base_url=f"{URL}/v1", api_key="unused", response_format=response_format)
    )
    assert rate == 24_000
    assert_says(samples, rate)
    assert used[-1].characters_count == len(SENTENCE) and not used[-1].cancelled
    if model not in ("tts-1", "tts-1-hd"):
        assert used[-1].input_tokens > 0, "the last event is understood"


def test_openai_speaks_as_it_is_instructed():
    def pace(instructions):
        samples, _, _ = speak(
            lambda _: openai.TTS(
                voice="ash", base_url=f"{URL}/v1", api_key="unused", response_format="pcm", instructions=instructions
            )
        )
        return len(samples)

    assert pace("Speak very slowly.") > 1.2 * pace("Speak in a calm voice.")


def test_openai_says_why_it_does_not_speak():
    with pytest.raises(APIStatusError) as failure:
        speak(lambda _: openai.TTS(voice="nobody", base_url=f"{URL}/v1", api_key="unused"))
    assert failure.value.status_code == 400 and "nobody" in str(failure.value)
    with pytest.raises(APIStatusError) as failure:
        speak(lambda _: openai.TTS(base_url=f"{KEYED_URL}/v1", api_key="wrong"))
    assert failure.value.status_code == 401
    samples, rate, _ = speak(lambda _: openai.TTS(base_url=f"{KEYED_URL}/v1", api_key=KEY))
    assert_says(samples, rate)


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 24_000, 48_000])
def test_deepgram_speaks(sample_rate):
    samples, rate, _ = speak(
        lambda session: deepgram.TTS(
            base_url=f"{KEYED_URL}/v1/speak", api_key=KEY, sample_rate=sample_rate, http_session=session
        )
    )
    assert rate == sample_rate
    assert_says(samples, rate)


SERVICES = {
    "deepgram": lambda session: deepgram.TTS(base_url=f"{KEYED_URL}/v1/speak", api_key=KEY, http_session=session),
    "elevenlabs": lambda session: elevenlabs.TTS(base_url=f"{KEYED_URL}/v1", api_key=KEY, http_session=session),
    "cartesia": lambda session: cartesia.TTS(base_url=KEYED_URL, api_key=KEY, http_session=session),
}


@pytest.mark.parametrize("service", SERVICES)
def test_other_services_speak(service):
    samples, rate, _ = speak(SERVICES[service])
    assert_says(samples, rate)


@pytest.mark.parametrize("service", SERVICES)
def test_text_that_is_still_being_written_is_spoken(service):
    text = "Please turn on the kitchen lights. What is the weather like tomorrow?"
    samples, rate, words = speak(SERVICES[service], text, said_live)
    assert_says(samples, rate, text)
    if service == "deepgram":  # It tells no times.
        return
    assert "".join(words).split() == text.split()
    seconds = len(samples) / 2 / rate
    assert all(0 <= word.start_time < seconds and 0 < word.end_time <= seconds for word in words), words
    if service != "elevenlabs":  # Its times begin anew with every message, which this plugin does not add up.
        assert all(word.start_time < word.end_time for word in words)
        assert [word.start_time for word in words] == sorted(word.start_time for word in words)


def listed():
    """What to ask for every model and voice that a plugin offers while its user types."""
    for model in typing.get_args(DeepgramModel):
        yield f"/v1/speak?model={model}", {"text": "Yes."}
    for model in typing.get_args(ElevenLabsModel):
        yield "/v1/text-to-speech/EXAVITQu4vr4xnSDxMaL", {"text": "Yes.", "model_id": model}
    for model in typing.get_args(CartesiaModel):
        output = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24_000}
        yield "/tts/bytes", {"model_id": model, "transcript": "Yes.", "voice": "katie", "output_format": output}
    for model in typing.get_args(OpenAIModel):
        yield "/v1/audio/speech", {"model": model, "voice": "alloy", "input": "Yes."}
    for voice in typing.get_args(OpenAIVoice):
        yield "/v1/audio/speech", {"model": "tts-1", "voice": voice, "input": "Yes."}


def test_every_name_that_a_plugin_lists_is_known():
    names = list(listed())
    assert len(names) > 50
    for path, body in names:
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(URL + path, json.dumps(body).encode(), headers)) as answer:
            assert len(answer.read()) > 500, (path, body)
