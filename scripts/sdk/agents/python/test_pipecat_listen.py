"""The services that listen for Pipecat's agents, each in a pipeline and as it comes: only the address is ours."""

import asyncio

from conftest import KEY, KEYED_URL, RATE, SENTENCE, in_steps, recorded, silence, words
from pipecat.frames.frames import (
    ErrorFrame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
)
from pipecat.pipeline.worker import PipelineParams
from pipecat.services.deepgram.flux.stt import DeepgramFluxSTTService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.tests.utils import SleepFrame, run_test

SOCKET = KEYED_URL.replace("http", "ws", 1)

OTHER_SENTENCE = "Turn off the lights."


def frames(make, samples):
    """What a pipeline hands on of sound that comes as fast as it is made."""
    sent = []
    for part in in_steps(samples):
        sent += [InputAudioRawFrame(part, RATE, 1), SleepFrame(0.018)]

    async def run():
        return await run_test(
            make(), frames_to_send=[*sent, SleepFrame(2)], start_timeout=30,
            pipeline_params=PipelineParams(audio_in_sample_rate=RATE),
        )  # fmt: skip

    down, up = asyncio.run(run())
    errors = [frame for frame in [*down, *up] if isinstance(frame, ErrorFrame)]
    assert not errors, errors
    return [*down, *up]


def texts(frames, kind):
    return [frame.text for frame in frames if type(frame) is kind]


def test_deepgram_listens():
    samples = silence(0.5) + recorded() + silence(1.5) + recorded(OTHER_SENTENCE) + silence(1)
    told = frames(lambda: DeepgramSTTService(api_key=KEY, base_url=SOCKET), samples)
    assert words(" ".join(texts(told, TranscriptionFrame))) == words(f"{SENTENCE} {OTHER_SENTENCE}")
    assert texts(told, InterimTranscriptionFrame)


def test_flux_tells_turns():
    samples = silence(0.5) + recorded() + silence(3) + recorded(OTHER_SENTENCE) + silence(2)
    settings = DeepgramFluxSTTService.Settings(eager_eot_threshold=0.4)
    told = frames(lambda: DeepgramFluxSTTService(api_key=KEY, url=f"{SOCKET}/v2/listen", settings=settings), samples)
    assert list(map(words, texts(told, TranscriptionFrame))) == [words(SENTENCE), words(OTHER_SENTENCE)]
    assert any(isinstance(frame, ProposedUserStartedSpeakingFrame) for frame in told)
    assert any(isinstance(frame, ProposedUserStoppedSpeakingFrame) for frame in told)
