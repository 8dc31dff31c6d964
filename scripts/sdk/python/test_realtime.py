"""Live transcription through the SDK's own connections, in every version that has them."""

import asyncio
import base64
import functools

import openai
import pytest
from conftest import KEY, KEYED_URL, SENTENCES, URL, assert_says, connect

pytestmark = pytest.mark.live

COMPLETED = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"
FIRST, SECOND = SENTENCES[1], SENTENCES[2]

# The bytes of a second of sound as sessions have it.
RATE = 48_000

HAS_BETA = hasattr(openai.OpenAI(api_key="unused").beta, "realtime")


def live(url=URL, key="unused"):
    """A client as anybody would make one: only the addresses are ours."""
    return openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key=key, websocket_base_url=f"{url.replace('http', 'ws', 1)}/v1", max_retries=0
    )


@functools.cache
def samples(text):
    """`text` as 24 kHz samples."""
    speech = connect().audio.speech.create(model="tts-1", voice="alloy", input=text, response_format="pcm")
    return speech.content


async def append(connection, sound):
    for at in range(0, len(sound), 4_800):
        audio = base64.b64encode(sound[at : at + 4_800]).decode()
        await connection.input_audio_buffer.append(audio=audio)


async def until(connection, name, count=1):
    """Everything that comes up to and with so many events of this type."""
    events = []
    async with asyncio.timeout(60):
        async for event in connection:
            assert event.type != "error", event
            assert event.event_id
            events.append(event)
            count -= event.type == name
            if count == 0:
                return events
    raise AssertionError(f"the connection ended after {[event.type for event in events]}")


def session(**settings):
    transcription = {"model": "whisper-1", **settings.pop("transcription", {})}
    return {"type": "transcription", "audio": {"input": {"transcription": transcription, **settings}}}


def short(events):
    return [event.type.rsplit(".", 1)[-1] for event in events]


def run(scene, make=live):
    async def whole():
        async with make() as client:
            await scene(client)

    asyncio.run(whole())


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe"])
def test_what_is_committed_is_transcribed(model):
    async def scene(client):
        async with client.realtime.connect(model=model) as connection:
            (created,) = await until(connection, "session.created")
            assert created.session.type == "transcription"
            settings = session(turn_detection=None, transcription={"model": model, "language": "en"})
            await connection.session.update(session=settings)
            (updated,) = await until(connection, "session.updated")
            assert updated.session.audio.input.transcription.model == model
            assert updated.session.audio.input.turn_detection is None
            await append(connection, samples(FIRST))
            await connection.input_audio_buffer.commit()
            events = await until(connection, COMPLETED)
            assert short(events)[:3] == ["committed", "added", "done"]
            completed = events[-1]
            assert_says(completed.transcript, FIRST)
            assert completed.transcript == "".join(event.delta for event in events if event.type == DELTA)
            assert {event.item_id for event in events if hasattr(event, "item_id")} == {completed.item_id}
            assert completed.usage.type == ("duration" if model == "whisper-1" else "tokens")

    run(scene)


def test_turns_are_found_in_what_is_heard():
    async def scene(client):
        async with client.realtime.connect(model="whisper-1") as connection:
            silence = bytes(RATE * 3 // 2)
            await append(connection, silence + samples(FIRST) + silence + samples(SECOND) + silence)
            events = await until(connection, COMPLETED, 2)
            turn = ["speech_started", "speech_stopped", "committed", "added", "done", "delta", "completed"]
            assert short(events) == ["created", *turn, *turn]
            first, second = (event for event in events if event.type == COMPLETED)
            assert_says(first.transcript, FIRST)
            assert_says(second.transcript, SECOND)
            added = [event for event in events if event.type == "conversation.item.added"]
            assert [event.previous_item_id for event in added] == [None, first.item_id]

    run(scene)


def test_words_come_while_somebody_speaks():
    async def scene(client):
        async with client.realtime.connect(model="gpt-realtime-whisper") as connection:
            settings = session(turn_detection=None, transcription={"model": "gpt-realtime-whisper", "delay": "low"})
            await connection.session.update(session=settings)
            await append(connection, samples(" ".join(SENTENCES[1:5])))
            early = await until(connection, DELTA)
            assert "input_audio_buffer.committed" not in [event.type for event in early]
            await connection.input_audio_buffer.commit()
            events = early + await until(connection, COMPLETED)
            assert events[-1].transcript == "".join(event.delta for event in events if event.type == DELTA)
            assert {event.item_id for event in events if event.type == DELTA} == {events[-1].item_id}

    run(scene)


def test_mistakes_are_told_and_the_session_goes_on():
    async def scene(client):
        async with client.realtime.connect(model="whisper-1") as connection:
            await until(connection, "session.created")
            for sound in (b"", bytes(2_400)):
                await append(connection, sound)
                await connection.send({"type": "input_audio_buffer.commit", "event_id": "mine"})
                event = await connection.recv()
                assert (event.type, event.error.code) == ("error", "input_audio_buffer_commit_empty")
                assert event.error.event_id == "mine"
            await connection.send({"type": "response.create"})
            event = await connection.recv()
            assert (event.error.type, event.error.param) == ("invalid_request_error", "type")
            await connection.session.update(session=session(turn_detection=None))
            await until(connection, "session.updated")
            await append(connection, samples(SECOND))
            await connection.input_audio_buffer.commit()
            assert_says((await until(connection, COMPLETED))[-1].transcript, SECOND)

    run(scene)


def test_a_secret_opens_a_session_that_begins_as_asked():
    async def scene(client):
        made = await client.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60}, session=session(turn_detection=None)
        )
        assert made.value.startswith("ek_") and made.session.type == "transcription"
        async with live(KEYED_URL, made.value) as holder:
            async with holder.realtime.connect(model="whisper-1") as connection:
                (created,) = await until(connection, "session.created")
                assert created.session.audio.input.turn_detection is None
                await append(connection, samples(FIRST))
                await connection.input_audio_buffer.commit()
                assert_says((await until(connection, COMPLETED))[-1].transcript, FIRST)
            with pytest.raises(openai.PermissionDeniedError):
                await holder.models.list()

    run(scene, lambda: live(KEYED_URL, KEY))


def test_without_a_key_there_is_no_session():
    async def scene(client):
        with pytest.raises(Exception, match="401"):
            async with client.realtime.connect(model="whisper-1"):
                pass

    run(scene, lambda: live(KEYED_URL, "wrong"))


def test_connections_that_block_are_served_too():
    client = openai.OpenAI(
        base_url=f"{URL}/v1", api_key="unused", websocket_base_url=f"{URL.replace('http', 'ws', 1)}/v1", max_retries=0
    )
    with client.realtime.connect(model="whisper-1") as connection:
        connection.session.update(session=session(turn_detection=None))
        connection.input_audio_buffer.append(audio=base64.b64encode(samples(FIRST)).decode())
        connection.input_audio_buffer.commit()
        for event in connection:
            assert event.type != "error", event
            if event.type == COMPLETED:
                assert_says(event.transcript, FIRST)
                break


@pytest.mark.skipif(not HAS_BETA, reason="this version has no beta any more")
def test_the_beta_hears_telephones():
    import urllib.request

    async def scene(client):
        request = urllib.request.Request(
            f"{URL}/v1/speak?encoding=mulaw&sample_rate=8000&container=none", FIRST.encode(),
            {"Content-Type": "text/plain"},
        )  # fmt: skip
        with urllib.request.urlopen(request) as answer:
            sound = answer.read() + b"\xff" * 8_000
        made = await client.beta.realtime.transcription_sessions.create(input_audio_format="g711_ulaw")
        assert made.input_audio_format == "g711_ulaw" and made.client_secret.value.startswith("ek_")
        async with client.beta.realtime.connect(model="whisper-1") as connection:
            await until(connection, "transcription_session.created")
            await connection.transcription_session.update(
                session={"input_audio_format": "g711_ulaw", "input_audio_transcription": {"model": "whisper-1"}}
            )
            (updated,) = await until(connection, "transcription_session.updated")
            assert updated.session.input_audio_format == "g711_ulaw"
            await append(connection, sound)
            events = await until(connection, COMPLETED)
            turn = ["speech_started", "speech_stopped", "committed", "created", "delta", "completed"]
            assert short(events) == turn
            assert_says(events[-1].transcript, FIRST)

    run(scene)
