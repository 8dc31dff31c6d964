"""The gateway's live route with nothing but a WebSocket, at the address that its documentation gives."""

import json
import threading
import time

import pytest
from conftest import KEY, KEYED_URL, SENTENCE, spoken
from test_listen_live import RATE, STEP, samples, silence
from websockets.sync.client import connect

SOCKET = KEYED_URL.replace("http", "ws", 1)


def told(path, sound):
    """Everything that a connection says to sound that comes as fast as it is made, and the code with which it ends."""
    said = []
    with connect(SOCKET + path) as socket:

        def hear():
            said.extend(json.loads(message) for message in socket)

        hearing = threading.Thread(target=hear, daemon=True)
        hearing.start()
        size = 2 * int(STEP * RATE)
        begun = time.monotonic()
        for count, at in enumerate(range(0, len(sound), size)):
            time.sleep(max(0, begun + count * STEP - time.monotonic()))
            socket.send(sound[at : at + size])
        socket.send(json.dumps({"type": "CloseStream"}))
        hearing.join(30)
        return said, socket.protocol.close_code


def transcripts(said, is_final):
    results = [it for it in said if it["type"] == "Results" and it["is_final"] == is_final]
    texts = [it["channel"]["alternatives"][0]["transcript"] for it in results]
    return [text for text in texts if text]


@pytest.mark.parametrize("model", ["deepgram/nova-3", "deepgram/flux"])
def test_results_come_while_somebody_speaks(model):
    path = f"/v1/realtime?model={model}&encoding=linear16&sample_rate={RATE}&interim_results=true&punctuate=true"
    sound = samples(spoken(SENTENCE)) + silence(1)
    said, code = told(f"{path}&api_key={KEY}", sound)
    assert transcripts(said, True) == [SENTENCE]
    assert transcripts(said, False)
    assert said[-1]["type"] == "Metadata" and abs(said[-1]["duration"] - len(sound) / 2 / RATE) < 0.05
    assert code == 1000
