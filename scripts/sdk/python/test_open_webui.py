"""What Open WebUI sends, request by request: it has no SDK."""

import json
import urllib.error
import urllib.request

import pytest
from conftest import KEY, KEYED_URL, SENTENCE, assert_says, connect

pytestmark = pytest.mark.once

BASE = f"{KEYED_URL}/v1"

# Its client library asks for everything; who is logged in is told where an administrator wants that.
HEADERS = {
    "User-Agent": "Python/3.11 aiohttp/3.14.5",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "Content-Type": "application/json",
    "Authorization": f"Bearer {KEY}",
    "X-OpenWebUI-User-Name": "J%C3%BCrgen",
    "X-OpenWebUI-User-Id": "9a7b2d1e-0b6c-4b5f-8a0e-3f1c2d4e5f60",
    "X-OpenWebUI-User-Email": "j@example.com",
    "X-OpenWebUI-User-Role": "user",
}


def get(path):
    """A list for a menu, which it asks for without the key."""
    request = urllib.request.Request(BASE + path, headers={"User-Agent": "python-requests/2.34.2", "Accept": "*/*"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
        return json.load(answer)


def speak(**body):
    body = {"model": "tts-1", "input": SENTENCE, "voice": "alloy"} | body
    request = urllib.request.Request(f"{BASE}/audio/speech", json.dumps(body).encode(), HEADERS)
    with urllib.request.urlopen(request) as answer:
        return answer.headers, answer.read()


def test_the_menu_of_voices_is_filled():
    # It makes {id: name} of them, and shows OpenAI's six when a single entry lacks one of the two.
    voices = {voice["id"]: voice["name"] for voice in get("/audio/voices")["voices"]}
    assert len(voices) > 6 and all(voices) and all(isinstance(name, str) and name for name in voices.values())


def test_the_menu_of_models_is_filled():
    ids = [model["id"] for model in get("/audio/models")["models"]]
    assert "tts-1" in ids and len(ids) == len(set(ids))


def test_every_voice_of_the_menu_speaks():
    voices = get("/audio/voices")["voices"]
    # A few of the many: they all come from the same list.
    for voice in voices[:: max(1, len(voices) // 12)]:
        assert len(speak(input="Yes.", voice=voice["id"])[1]) > 500, voice


def test_a_whole_file_comes_that_needs_no_conversion():
    headers, audio = speak()
    assert headers["content-type"] == "audio/mpeg"
    text = connect(KEYED_URL, KEY).audio.transcriptions.create(file=("speech.mp3", audio), model="whisper-1").text
    assert_says(text)


def test_what_an_administrator_adds_is_taken():
    # These come from a setting of its own, as JSON that is put into every request.
    quick, normal = (speak(response_format="wav", **more)[1] for more in ({"speed": 2}, {}))
    assert len(quick) < 0.75 * len(normal)


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [({"voice": "nobody"}, 400, "nobody"), ({"input": ""}, 400, "input"), ({"model": "none"}, 404, "none")],
    ids=["voice", "input", "model"],
)
def test_a_failure_has_a_message_to_show(change, status, word):
    with pytest.raises(urllib.error.HTTPError) as failure:
        speak(**change)
    assert failure.value.code == status
    assert word in json.load(failure.value)["error"]["message"]
