"""Sound in while it is made, text out while it is said, through Deepgram's SDK."""

import io
import json
import queue
import threading
import time
import wave

import deepgram
import pytest
from conftest import KEY, KEYED_URL, MAJOR, OTHER_SENTENCE, SENTENCE, URL, Failure, client_of, spoken, stereo

RATE = 24_000

# How much sound goes into a message, in seconds.
STEP = 0.05

USUAL = {
    "model": "nova-3",
    "language": "en-US",
    "encoding": "linear16",
    "sample_rate": RATE,
    "channels": 1,
    "punctuate": True,
}


def samples(wav):
    """The bytes of a WAV file without its header."""
    with wave.open(io.BytesIO(wav)) as file:
        assert file.getframerate() == RATE
        return file.readframes(file.getnframes())


def silence(seconds):
    return bytes(2 * int(seconds * RATE))


class Listening:
    """A connection, and everything that it has said as JSON."""

    def __init__(self):
        self.said, self.all, self.failures = queue.Queue(), [], []

    def take(self, message):
        text = message.to_json() if MAJOR < 5 else message.json()
        self.said.put(json.loads(text))

    def next(self):
        assert not self.failures, self.failures
        message = self.said.get(timeout=30)
        self.all.append(message)
        return message

    def until(self, is_it):
        while not is_it(self.next()):
            pass

    def hear(self, sound, channels=1, pace=1.0):
        """Sends `sound` as fast as it is made."""
        size = 2 * channels * int(STEP * RATE)
        begun = time.monotonic()
        for count, at in enumerate(range(0, len(sound), size)):
            time.sleep(max(0, begun + pace * count * STEP - time.monotonic()))
            self.send(sound[at : at + size])

    def rest(self):
        """Ends the sound; everything that was said, which nothing comes after."""
        self.close()
        self.until(lambda message: message["type"] == "Metadata")
        self.end()
        assert self.said.empty() and not self.failures, self.failures
        return self.all


class OldListening(Listening):
    """Versions 3 and 4."""

    def __init__(self, url, key, options):
        super().__init__()
        events = deepgram.LiveTranscriptionEvents
        self.connection = connection = client_of(url, key).listen.websocket.v("1")
        connection.on(events.Transcript, lambda _, result, **__: self.take(result))
        connection.on(events.Metadata, lambda _, metadata, **__: self.take(metadata))
        connection.on(events.UtteranceEnd, lambda _, utterance_end, **__: self.take(utterance_end))
        connection.on(events.SpeechStarted, lambda _, speech_started, **__: self.take(speech_started))
        connection.on(events.Error, lambda *error, **named: self.failures.append((error, named)))
        connection.on(events.Unhandled, lambda *message, **named: self.failures.append((message, named)))
        if not connection.start(deepgram.LiveOptions(**options)):
            raise Failure("no connection")

    def send(self, sound):
        assert self.connection.send(sound)

    def finalize(self):
        assert self.connection.finalize()

    def keep_alive(self):
        assert self.connection.keep_alive()

    def close(self):
        assert self.connection.send(json.dumps({"type": "CloseStream"}))

    def end(self):
        self.connection.finish()


class NewListening(Listening):
    """Versions from 5 on."""

    def __init__(self, url, key, options):
        super().__init__()
        from deepgram.core.events import EventType

        # Version 6 writes True and False into the query.
        text = {name: str(value).lower() if MAJOR == 5 else value for name, value in options.items()}
        self.manager = client_of(url, key).listen.v1.connect(**text)
        try:
            self.socket = self.manager.__enter__()
        except Exception as error:
            raise Failure(error) from error
        self.socket.on(EventType.MESSAGE, self.take)
        self.socket.on(EventType.ERROR, self.failures.append)
        self.listener = threading.Thread(target=self.socket.start_listening, daemon=True)
        self.listener.start()

    def send(self, sound):
        self.socket.send_media(sound)

    def finalize(self):
        self._control("Finalize", "finalize")

    def keep_alive(self):
        self._control("KeepAlive", "keep_alive")

    def close(self):
        self._control("CloseStream", "close_stream")

    def _control(self, order, name):
        if MAJOR == 5:
            from deepgram.extensions.types.sockets import ListenV1ControlMessage

            self.socket.send_control(ListenV1ControlMessage(type=order))
        else:
            getattr(self.socket, f"send_{name}")()

    def end(self):
        # The server closes, and the SDK sees that it was in order.
        self.listener.join(30)
        assert not self.listener.is_alive()
        self.manager.__exit__(None, None, None)


def listening(url=URL, key="unused", **options):
    return (OldListening if MAJOR < 5 else NewListening)(url, key, {**USUAL, **options})


def results(said, channel=0):
    return [it for it in said if it["type"] == "Results" and it["channel_index"][0] == channel]


def text(result):
    return result["channel"]["alternatives"][0]["transcript"]


def heard(said, channel=0):
    return " ".join(text(it) for it in results(said, channel) if it["is_final"] and text(it))


def assert_tiles(said, seconds):
    """That final results follow each other, and interim ones begin with the final one that they become."""
    end = 0
    for result in results(said):
        assert abs(result["start"] - end) < 0.05, result
        if result["is_final"]:
            end = result["start"] + result["duration"]
    assert abs(end - seconds) < 0.05
    assert abs(said[-1]["duration"] - seconds) < 0.05


def test_interim_results_become_final_ones():
    sound = silence(0.5) + samples(spoken(SENTENCE)) + silence(2)
    live = listening(interim_results=True, vad_events=True, utterance_end_ms=1000, endpointing=25)
    live.hear(sound)
    said = live.rest()
    assert heard(said) == SENTENCE
    assert_tiles(said, len(sound) / 2 / RATE)
    assert any(not it["is_final"] and text(it) for it in results(said))
    types = [it["type"] for it in said]
    assert types.index("SpeechStarted") < next(i for i, it in enumerate(said) if it["type"] == "Results" and text(it))
    (last,) = [it for it in results(said) if it["speech_final"]]
    (end,) = [it for it in said if it["type"] == "UtteranceEnd"]
    assert end["last_word_end"] == last["channel"]["alternatives"][0]["words"][-1]["end"]


def test_everything_so_far_can_be_asked_for():
    live = listening()
    live.hear(samples(spoken(SENTENCE)), pace=0.1)
    live.finalize()
    live.until(lambda message: message["type"] == "Results" and message["from_finalize"])
    live.keep_alive()
    live.hear(samples(spoken(OTHER_SENTENCE)), pace=0.1)
    assert heard(live.rest()) == f"{SENTENCE} {OTHER_SENTENCE}"


def test_nobody_speaks_in_silence():
    live = listening(interim_results=True)
    live.hear(silence(5), pace=0.1)
    said = live.rest()
    assert_tiles(said, 5)
    for result in results(said):
        (only,) = result["channel"]["alternatives"]
        assert (only["transcript"], only["words"], only["confidence"]) == ("", [], 0)


def test_every_channel_is_heard_by_itself():
    live = listening(channels=2, multichannel=True)
    live.hear(samples(stereo(SENTENCE, OTHER_SENTENCE)), channels=2, pace=0.1)
    said = live.rest()
    assert (heard(said, 0), heard(said, 1)) == (SENTENCE, OTHER_SENTENCE)


def test_speakers_are_numbers():
    live = listening(diarize=True)
    live.hear(samples(spoken(SENTENCE)), pace=0.1)
    words = [word for it in results(live.rest()) for word in it["channel"]["alternatives"][0]["words"]]
    assert {word["speaker"] for word in words} == {0}


def test_a_wrong_key_opens_nothing():
    with pytest.raises(Failure):
        listening(KEYED_URL, "wrong")
    live = listening(KEYED_URL, KEY)
    assert heard(live.rest()) == ""


@pytest.mark.skipif(MAJOR < 7, reason="older versions cannot")
def test_keyterms_can_be_changed():
    from deepgram.listen.v1.types import ListenV1Configure

    live = listening()
    live.socket.send_configure(ListenV1Configure(keyterms=["Mynah"]))
    live.until(lambda message: message["type"] == "ConfigureSuccess" and message["keyterms"] == ["Mynah"])
    live.socket.send_configure(ListenV1Configure(features={"numerals": True}))
    live.until(lambda message: message["type"] == "ConfigureFailure")
    live.rest()
