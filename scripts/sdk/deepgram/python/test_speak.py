"""Texts in, speech out, through Deepgram's SDK: over HTTP and over a WebSocket."""

import queue

import deepgram
import pytest
from conftest import KEY, KEYED_URL, MAJOR, SENTENCE, URL, Failure, alternative, client_of

MODEL = "aura-2-thalia-en"


class OldSpeech:
    """Versions 3 and 4."""

    def __init__(self, url, key):
        self.speak = client_of(url, key).speak

    def file(self, text, **options):
        try:
            answer = self.speak.rest.v("1").stream_memory({"text": text}, deepgram.SpeakOptions(**options))
        except Exception as error:
            raise Failure(error) from error
        assert (answer.model_name, answer.characters) == (MODEL, len(text))
        return answer.stream.getvalue()

    def conversation(self, **options):
        return OldConversation(self.speak.websocket.v("1"), options)


class OldConversation:
    """What a connection sends, in its order."""

    def __init__(self, connection, options):
        self.connection, self.messages = connection, queue.Queue()
        events = deepgram.SpeakWebSocketEvents
        put = self.messages.put
        connection.on(events.AudioData, lambda _, data, **__: put(bytes(data)))
        connection.on(events.Metadata, lambda _, metadata, **__: put(metadata.type))
        connection.on(events.Flushed, lambda _, flushed, **__: put((flushed.type, flushed.sequence_id)))
        connection.on(events.Cleared, lambda _, cleared, **__: put((cleared.type, cleared.sequence_id)))
        if not connection.start(deepgram.SpeakWSOptions(**options)):
            raise Failure("no connection")

    def text(self, text):
        assert self.connection.send_text(text)

    def flush(self):
        assert self.connection.flush()

    def clear(self):
        assert self.connection.clear()

    def next(self):
        return self.messages.get(timeout=30)

    def end(self):
        self.connection.finish()


class NewSpeech:
    """Versions from 5 on."""

    def __init__(self, url, key):
        self.v1 = client_of(url, key).speak.v1

    def file(self, text, **options):
        try:
            return b"".join(self.v1.audio.generate(text=text, **options, request_options={"max_retries": 0}))
        except Exception as error:
            raise Failure(error) from error

    def conversation(self, **options):
        return NewConversation(self.v1.connect(**{name: str(value) for name, value in options.items()}))


class NewConversation:
    """What a connection sends, in its order."""

    def __init__(self, manager):
        self.manager = manager
        try:
            self.socket = manager.__enter__()
        except Exception as error:
            raise Failure(error) from error

    def text(self, text):
        if MAJOR == 5:
            from deepgram.extensions.types.sockets import SpeakV1TextMessage as Text
        else:
            from deepgram.speak.v1.types import SpeakV1Text as Text
        self.socket.send_text(Text(type="Speak", text=text))

    def flush(self):
        self._control("Flush")

    def clear(self):
        self._control("Clear")

    def _control(self, order):
        if MAJOR == 5:
            from deepgram.extensions.types.sockets import SpeakV1ControlMessage

            self.socket.send_control(SpeakV1ControlMessage(type=order))
        else:
            getattr(self.socket, f"send_{order.lower()}")()

    def next(self):
        message = self.socket.recv()
        if isinstance(message, bytes):
            return message
        return message.type if message.type == "Metadata" else (message.type, message.sequence_id)

    def end(self):
        self._control("Close")
        self.manager.__exit__(None, None, None)


def speech(url=URL, key="unused"):
    return OldSpeech(url, key) if MAJOR < 5 else NewSpeech(url, key)


def heard(client, sound, **options):
    return alternative(client.file(sound, model="nova-3", punctuate=True, **options))["transcript"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encoding": "linear16", "container": "wav", "sample_rate": 24000},
        {"encoding": "opus", "container": "ogg", "bit_rate": 24000},
        {"encoding": "flac", "sample_rate": 48000},
        {"encoding": "aac"},
        {"encoding": "mulaw", "container": "wav", "sample_rate": 8000},
    ],
)
def test_a_text_becomes_speech(client, options):
    assert heard(client, speech().file(SENTENCE, model=MODEL, **options)) == SENTENCE


def test_what_cannot_be_done_is_refused_by_name():
    with pytest.raises(Failure) as failure:
        speech().file(SENTENCE, model="aura-2-nobody-en")
    assert "model" in failure.value.text


def test_a_key_is_wanted_where_one_is_set():
    with pytest.raises(Failure):
        speech(KEYED_URL, "wrong").file(SENTENCE, model=MODEL)
    assert speech(KEYED_URL, KEY).file(SENTENCE, model=MODEL)


def sound_until(conversation, what):
    """All sound up to this answer."""
    sound = b""
    while isinstance(message := conversation.next(), bytes):
        sound += message
    assert message == what
    return sound


def test_text_that_comes_word_by_word_is_spoken(client):
    conversation = speech().conversation(model=MODEL, encoding="linear16", sample_rate=16000)
    assert conversation.next() == "Metadata"
    for number in (0, 1):
        for word in SENTENCE.split():
            conversation.text(f"{word} ")
        conversation.flush()
        sound = sound_until(conversation, ("Flushed", number))
        assert heard(client, sound, encoding="linear16", sample_rate=16000) == SENTENCE
    conversation.end()


def test_what_is_cleared_is_not_spoken():
    conversation = speech().conversation(model=MODEL, encoding="linear16", sample_rate=16000)
    assert conversation.next() == "Metadata"
    conversation.text("This has no end")
    conversation.clear()
    sound_until(conversation, ("Cleared", 0))
    conversation.text("Yes.")
    conversation.flush()
    assert 0.2 < len(sound_until(conversation, ("Flushed", 1))) / 32000 < 1.5
    conversation.end()


def test_a_connection_wants_a_key_where_one_is_set():
    with pytest.raises(Failure):
        speech(KEYED_URL, "wrong").conversation(model=MODEL).end()
    conversation = speech(KEYED_URL, KEY).conversation(model=MODEL)
    assert conversation.next() == "Metadata"
    conversation.end()
