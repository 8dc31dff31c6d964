"""The services that speak for Pipecat's agents, as they come: only the address is ours."""

import asyncio

import pytest
from conftest import SENTENCE, URL, assert_says
from pipecat.clocks.system_clock import SystemClock
from pipecat.frames.frames import ErrorFrame, TTSAudioRawFrame
from pipecat.services.openai.tts import OpenAITTSService


def frames(text=SENTENCE, **settings):
    """What the service hands to its pipeline for a text."""

    async def run():
        service = OpenAITTSService(
            base_url=f"{URL}/v1", api_key="unused", sample_rate=24_000,
            settings=OpenAITTSService.Settings(**settings),
        )  # fmt: skip
        service._sample_rate = 24_000  # A pipeline that starts tells it this.
        return [frame async for frame in service.run_tts(text, "context")]

    return asyncio.run(run())


def sound(frames):
    assert all(isinstance(frame, TTSAudioRawFrame) for frame in frames), frames
    assert {(frame.sample_rate, frame.num_channels) for frame in frames} == {(24_000, 1)}
    return b"".join(frame.audio for frame in frames)


@pytest.mark.parametrize("voice", ["alloy", "cedar"])
def test_openai_speaks(voice):
    assert_says(sound(frames(voice=voice)), 24_000)


def test_openai_speaks_in_pieces_that_play_at_once():
    assert len(frames(f"{SENTENCE} {SENTENCE} {SENTENCE}")) > 3


def test_openai_speaks_quickly():
    assert len(sound(frames(speed=2.0))) < 0.75 * len(sound(frames()))


def test_openai_says_why_it_does_not_speak():
    (failure,) = frames(speed=9.0)
    assert isinstance(failure, ErrorFrame) and "speed" in failure.error
