"""A conversation in turns, through Deepgram's SDK: versions from 5 on know it."""

import json
import threading
import time

import pytest
from conftest import MAJOR, OTHER_SENTENCE, SENTENCE, URL, client_of, spoken
from test_listen_live import RATE, STEP, samples, silence

pytestmark = pytest.mark.skipif(MAJOR < 5, reason="older versions have no Flux")


class Flux:
    """A connection, and everything that it has said as JSON."""

    def __init__(self, **options):
        from deepgram.core.events import EventType

        options = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": RATE, **options}
        if MAJOR == 5:
            options = {name: str(value) for name, value in options.items()}
        self.all, self.failures, self.news = [], [], threading.Condition()
        self.manager = client_of(URL, "unused").listen.v2.connect(**options)
        self.socket = self.manager.__enter__()
        self.socket.on(EventType.MESSAGE, self.take)
        self.socket.on(EventType.ERROR, self.failures.append)
        self.listener = threading.Thread(target=self.socket.start_listening, daemon=True)
        self.listener.start()

    def take(self, message):
        with self.news:
            self.all.append(json.loads(message.json()))
            self.news.notify()

    def until(self, is_it):
        with self.news:
            assert self.news.wait_for(lambda: any(map(is_it, self.all)), 30), self.all

    def hear(self, sound):
        size = 2 * int(STEP * RATE)
        begun = time.monotonic()
        for count, at in enumerate(range(0, len(sound), size)):
            time.sleep(max(0, begun + count * STEP - time.monotonic()))
            self.socket.send_media(sound[at : at + size])

    def rest(self):
        if MAJOR == 5:
            from deepgram.extensions.types.sockets import ListenV2ControlMessage

            self.socket.send_control(ListenV2ControlMessage(type="CloseStream"))
        else:
            self.socket.send_close_stream()
        self.listener.join(30)
        self.manager.__exit__(None, None, None)
        assert not self.failures, self.failures
        return self.all


def turns(said):
    """What is told of turns, after checking what clients rely on."""
    assert said[0]["type"] == "Connected"
    assert [it["sequence_id"] for it in said] == list(range(len(said)))
    told = [it for it in said if it["type"] == "TurnInfo"]
    turn, is_open, promised = 0, False, None
    for it in told:
        event, text = it["event"], it["transcript"]
        assert it["turn_index"] == turn
        assert bool(text) == bool(it["words"]) and all(0 <= word["confidence"] <= 1 for word in it["words"])
        if promised is not None:
            assert event == "TurnResumed" or (event == "EndOfTurn" and text == promised)
        promised = text if event == "EagerEndOfTurn" else None
        if event == "StartOfTurn":
            assert text and not is_open
            is_open = True
        elif event == "EndOfTurn":
            assert is_open
            turn, is_open = turn + 1, False
    return told


def ends(told):
    return [it["transcript"] for it in told if it["event"] == "EndOfTurn"]


def test_turns_begin_and_end_in_order():
    flux = Flux(eager_eot_threshold=0.4, eot_threshold=0.7)
    flux.hear(samples(spoken(SENTENCE)) + silence(3) + samples(spoken(OTHER_SENTENCE)) + silence(3))
    told = turns(flux.rest())
    assert ends(told) == [SENTENCE, OTHER_SENTENCE]
    events = {it["event"] for it in told}
    assert {"Update", "StartOfTurn", "EagerEndOfTurn", "EndOfTurn"} <= events
    # About four messages a second.
    windows = [it["audio_window_end"] for it in told]
    assert all(after - before < 0.8 for before, after in zip(windows, windows[1:], strict=False) if after < 4)


@pytest.mark.skipif(MAJOR < 7, reason="older versions cannot")
def test_a_client_can_end_a_turn_and_change_when_they_end():
    flux = Flux(eot_threshold=1.0, eot_timeout_ms=60000)
    flux.socket.send_configure({"type": "Configure", "thresholds": {"eot_timeout_ms": 30000}, "keyterms": ["Mynah"]})
    flux.until(lambda it: it["type"] == "ConfigureSuccess" and it["thresholds"]["eot_timeout_ms"] == 30000)
    flux.socket.send_configure({"type": "Configure", "thresholds": {"eot_threshold": 7}})
    flux.until(lambda it: it["type"] == "ConfigureFailure")
    flux.hear(samples(spoken(SENTENCE)) + silence(1.5))
    flux.until(lambda it: it.get("event") == "StartOfTurn")
    flux.socket.send_force_end_turn()
    flux.until(lambda it: it.get("event") == "EndOfTurn" and it["trigger"] == "manual")
    assert ends(turns(flux.rest())) == [SENTENCE]
