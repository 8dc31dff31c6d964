"""OpenAI's plugin listens for LiveKit's agents over OpenAI's live sessions: only the address is ours."""

import asyncio

import aiohttp
import pytest
from conftest import KEY, KEYED_URL, RATE, SENTENCE, URL, in_steps, recorded, silence, words
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError
from livekit.agents.stt import SpeechEventType
from livekit.agents.utils import http_context
from livekit.plugins import openai

ONCE = APIConnectOptions(max_retry=0)

OTHER_SENTENCE = "Turn off the lights."


async def events_of(stt, samples, count):
    """What an agent is told of this sound up to so many final transcripts and what is told with the last of them."""
    events = []
    async with stt.stream(conn_options=ONCE) as stream:
        for part in in_steps(samples):
            stream.push_frame(rtc.AudioFrame(part, RATE, 1, len(part) // 2))
        async with asyncio.timeout(60):
            async for event in stream:
                events.append(event)
                count -= event.type == SpeechEventType.RECOGNITION_USAGE
                if count == 0:
                    break
    await stt.aclose()
    return events


def listen(samples, count, url=URL, key="unused", **settings):
    async def run():
        async with http_context.open():
            stt = openai.STT(base_url=f"{url}/v1", api_key=key, use_realtime=True, **settings)
            return await events_of(stt, samples, count)

    return asyncio.run(run())


def texts(events, kind):
    return [event.alternatives[0].text for event in events if event.type == kind]


TWO_TURNS = (SENTENCE, OTHER_SENTENCE)


@pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-transcribe", "whisper-1"])
def test_turns_are_found_and_written_down(model):
    samples = silence(0.5) + recorded() + silence(1.5) + recorded(OTHER_SENTENCE) + silence(1.5)
    events = listen(samples, 2, KEYED_URL, KEY, model=model, noise_reduction_type="near_field")
    finals = texts(events, SpeechEventType.FINAL_TRANSCRIPT)
    assert [words(final) for final in finals] == [words(sentence) for sentence in TWO_TURNS]
    kinds = [event.type for event in events]
    assert kinds.count(SpeechEventType.START_OF_SPEECH) == kinds.count(SpeechEventType.END_OF_SPEECH) == 2
    used = [event.recognition_usage for event in events if event.type == SpeechEventType.RECOGNITION_USAGE]
    assert all(usage.audio_duration > 0.5 for usage in used)


def test_a_pause_in_meaning_ends_a_turn():
    samples = silence(0.5) + recorded() + silence(5)
    events = listen(samples, 1, turn_detection={"type": "semantic_vad", "eagerness": "high"})
    assert [words(final) for final in texts(events, SpeechEventType.FINAL_TRANSCRIPT)] == [words(SENTENCE)]


def test_a_wrong_key_and_a_model_that_is_none_are_told():
    with pytest.raises((APIError, aiohttp.ClientError)):
        listen(silence(0.2), 1, KEYED_URL, "wrong")
    with pytest.raises((APIError, aiohttp.ClientError)):
        listen(silence(0.2), 1, model="nothing")
