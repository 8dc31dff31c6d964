"""The plugins that speak for LiveKit's agents, as they come: only the address is ours."""

import asyncio
import contextlib

import aiohttp
import pytest
from conftest import KEY, KEYED_URL, SENTENCE, URL, assert_says
from livekit.agents import APIConnectOptions, APIStatusError
from livekit.plugins import deepgram, openai

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


def speak(make, text=SENTENCE):
    """`make` gets a session, which the plugins that need one share in an agent."""

    async def run():
        async with contextlib.AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return await said(make(session), text)

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
