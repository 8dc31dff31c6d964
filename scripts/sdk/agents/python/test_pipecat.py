"""The services that speak for Pipecat's agents, each in a pipeline and as it comes: only the address is ours."""

import asyncio
import re

import aiohttp
import pytest
from conftest import KEY, KEYED_URL, SENTENCE, URL, assert_says
from pipecat.frames.frames import (
    ErrorFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
)
from pipecat.pipeline.worker import PipelineParams
from pipecat.services.cartesia.tts import CartesiaHttpTTSService, CartesiaTTSService
from pipecat.services.deepgram.tts import DeepgramHttpTTSService, DeepgramTTSService
from pipecat.services.elevenlabs.tts import ElevenLabsHttpTTSService, ElevenLabsTTSService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.tests.utils import run_test


def frames(make, *sent):
    """What a pipeline hands on and what it tells of failures, when it is sent these. `make` gets a session."""

    async def run():
        async with aiohttp.ClientSession() as session:
            down, up = await run_test(
                make(session), frames_to_send=sent, start_timeout=30,
                pipeline_params=PipelineParams(audio_out_sample_rate=24_000),
            )  # fmt: skip
        return down, [frame for frame in up if isinstance(frame, ErrorFrame)]

    return asyncio.run(run())


def speak(make, text=SENTENCE):
    """The sound of a text, in pieces."""
    down, errors = frames(make, TTSSpeakFrame(text))
    assert not errors, errors
    sounds = [frame for frame in down if isinstance(frame, TTSAudioRawFrame)]
    assert {(sound.sample_rate, sound.num_channels) for sound in sounds} == {(24_000, 1)}
    return [sound.audio for sound in sounds]


def openai(**settings):
    return lambda _: OpenAITTSService(
        base_url=f"{URL}/v1", api_key="unused", settings=OpenAITTSService.Settings(**settings)
    )


@pytest.mark.parametrize("voice", ["alloy", "cedar"])
def test_openai_speaks(voice):
    assert_says(b"".join(speak(openai(voice=voice))), 24_000)


def test_openai_speaks_in_pieces_that_play_at_once():
    assert len(speak(openai(), f"{SENTENCE} {SENTENCE} {SENTENCE}")) > 3


def test_openai_speaks_quickly():
    assert len(b"".join(speak(openai(speed=2.0)))) < 0.75 * len(b"".join(speak(openai())))


def test_openai_speaks_what_a_language_model_writes():
    tokens = re.findall(r"\S+\s*", f"{SENTENCE} How are you today?")
    texts = [LLMTextFrame(token) for token in tokens]
    down, errors = frames(openai(), LLMFullResponseStartFrame(), *texts, LLMFullResponseEndFrame())
    assert not errors, errors
    sound = b"".join(frame.audio for frame in down if isinstance(frame, TTSAudioRawFrame))
    assert_says(sound, 24_000, "".join(tokens))


def test_openai_says_why_it_does_not_speak():
    _, (error, *_) = frames(openai(speed=9.0), TTSSpeakFrame(SENTENCE))
    assert "speed" in error.error


SOCKET = KEYED_URL.replace("http", "ws", 1)

ELEVENLABS_VOICE, CARTESIA_VOICE = "EXAVITQu4vr4xnSDxMaL", "f786b574-daa5-4673-aa0c-cbe3e8534c02"

SERVICES = {
    "deepgram over HTTP": lambda session: DeepgramHttpTTSService(
        api_key=KEY, aiohttp_session=session, base_url=KEYED_URL
    ),
    "deepgram": lambda _: DeepgramTTSService(api_key=KEY, base_url=SOCKET),
    "elevenlabs over HTTP": lambda session: ElevenLabsHttpTTSService(
        api_key=KEY, aiohttp_session=session, base_url=KEYED_URL,
        settings=ElevenLabsHttpTTSService.Settings(voice=ELEVENLABS_VOICE),
    ),
    "elevenlabs": lambda _: ElevenLabsTTSService(
        api_key=KEY, url=SOCKET, settings=ElevenLabsTTSService.Settings(voice=ELEVENLABS_VOICE)
    ),
    "cartesia over HTTP": lambda session: CartesiaHttpTTSService(
        api_key=KEY, aiohttp_session=session, base_url=KEYED_URL,
        settings=CartesiaHttpTTSService.Settings(voice=CARTESIA_VOICE),
    ),
    "cartesia": lambda _: CartesiaTTSService(
        api_key=KEY, url=f"{SOCKET}/tts/websocket", settings=CartesiaTTSService.Settings(voice=CARTESIA_VOICE)
    ),
}  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
def test_other_services_speak(service):
    assert_says(b"".join(speak(SERVICES[service])), 24_000)
