"""OpenAI's service listens for Pipecat's agents over OpenAI's live sessions: only the address is ours."""

import pytest
from conftest import KEY, KEYED_URL, SENTENCE, recorded, silence, words
from pipecat.frames.frames import (
    InterimTranscriptionFrame,
    ProposedUserStartedSpeakingFrame,
    ProposedUserStoppedSpeakingFrame,
    TranscriptionFrame,
)
from pipecat.services.openai.stt import OpenAIRealtimeSTTService
from test_pipecat_listen import OTHER_SENTENCE, frames, texts

ADDRESS = f"{KEYED_URL.replace('http', 'ws', 1)}/v1/realtime"


def service(turn_detection, **settings):
    return OpenAIRealtimeSTTService(
        api_key=KEY, base_url=ADDRESS, turn_detection=turn_detection,
        settings=OpenAIRealtimeSTTService.Settings(**settings),
    )  # fmt: skip


@pytest.mark.parametrize("model", ["gpt-transcribe", "gpt-realtime-whisper"])
def test_turns_are_found_and_written_down(model):
    samples = silence(0.5) + recorded() + silence(1.5) + recorded(OTHER_SENTENCE) + silence(1.5)
    told = frames(lambda: service({"type": "server_vad"}, model=model, noise_reduction="far_field"), samples)
    finals = texts(told, TranscriptionFrame)
    assert [words(final) for final in finals] == [words(SENTENCE), words(OTHER_SENTENCE)]
    assert words("".join(texts(told, InterimTranscriptionFrame))) == words("".join(finals))
    for kind in (ProposedUserStartedSpeakingFrame, ProposedUserStoppedSpeakingFrame):
        assert any(isinstance(frame, kind) for frame in told)
