"""The plugins that listen for LiveKit's agents, as they come: only the address is ours."""

import asyncio
import time

import aiohttp
import pytest
from conftest import KEY, KEYED_URL, RATE, SENTENCE, URL, in_steps, recorded, silence, words
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError
from livekit.agents.stt import SpeechEventType
from livekit.plugins import deepgram

ONCE = APIConnectOptions(max_retry=0)

OTHER_SENTENCE = "Turn off the lights."


async def events_of(stt, samples):
    """What an agent is told of sound that comes as fast as it is made."""
    events = []
    async with stt.stream(conn_options=ONCE) as stream:

        async def feed():
            begun = time.monotonic()
            for count, part in enumerate(in_steps(samples)):
                await asyncio.sleep(begun + count * 0.02 - time.monotonic())
                stream.push_frame(rtc.AudioFrame(part, RATE, 1, len(part) // 2))
            stream.end_input()

        feeding = asyncio.create_task(feed())
        async for event in stream:
            events.append(event)
        await feeding
    await stt.aclose()
    return events


def listen(make, samples):
    async def run():
        async with aiohttp.ClientSession() as session:
            return await events_of(make(session), samples)

    return asyncio.run(run())


def texts(events, kind):
    return [event.alternatives[0].text for event in events if event.type == kind]


def kinds(events):
    return [event.type for event in events]


def test_deepgram_listens():
    samples = silence(0.5) + recorded() + silence(1.5) + recorded(OTHER_SENTENCE) + silence(1)
    events = listen(
        lambda session: deepgram.STT(base_url=f"{KEYED_URL}/v1/listen", api_key=KEY, http_session=session), samples
    )
    heard = " ".join(texts(events, SpeechEventType.FINAL_TRANSCRIPT))
    assert words(heard) == words(f"{SENTENCE} {OTHER_SENTENCE}")
    assert texts(events, SpeechEventType.INTERIM_TRANSCRIPT)
    assert kinds(events).count(SpeechEventType.START_OF_SPEECH) >= 2
    assert kinds(events).count(SpeechEventType.END_OF_SPEECH) >= 2
    first = next(event for event in events if event.type == SpeechEventType.FINAL_TRANSCRIPT).alternatives[0]
    assert 0.3 < first.confidence <= 1 and 0.3 < first.start_time < first.end_time


def test_flux_tells_turns():
    samples = silence(0.5) + recorded() + silence(3) + recorded(OTHER_SENTENCE) + silence(3)
    events = listen(
        lambda session: deepgram.STTv2(
            base_url=f"{KEYED_URL}/v2/listen", api_key=KEY, http_session=session, eager_eot_threshold=0.4
        ),
        samples,
    )
    assert list(map(words, texts(events, SpeechEventType.FINAL_TRANSCRIPT))) == [words(SENTENCE), words(OTHER_SENTENCE)]
    assert texts(events, SpeechEventType.PREFLIGHT_TRANSCRIPT)
    assert kinds(events).count(SpeechEventType.START_OF_SPEECH) == 2
    assert kinds(events).count(SpeechEventType.END_OF_SPEECH) == 2


@pytest.mark.parametrize(("service", "path"), [(deepgram.STT, "/v1/listen"), (deepgram.STTv2, "/v2/listen")])
def test_a_wrong_key_is_told(service, path):
    with pytest.raises(APIError):
        listen(
            lambda session: service(base_url=KEYED_URL + path, api_key="wrong", http_session=session), silence(0.2)
        )


def test_a_model_that_is_none_is_told():
    with pytest.raises(APIError):
        listen(
            lambda session: deepgram.STT(
                base_url=f"{URL}/v1/listen", api_key="unused", http_session=session, model="nova-99"
            ),
            silence(0.2),
        )
