"""What the tests share. scripts/sdk/run starts the servers and says where they are:

    SDK_URL           a server without keys
    SDK_KEYED_URL     one that wants SDK_KEY
    SDK_FETCHING_URL  one that may call private addresses
"""

import json
import os
import urllib.request
import uuid

from aigateway import AIgateway, AsyncAIgateway

URL = os.environ["SDK_URL"]
KEYED_URL = os.environ["SDK_KEYED_URL"]
FETCHING_URL = os.environ["SDK_FETCHING_URL"]
KEY = os.environ["SDK_KEY"]

SENTENCE = "Please turn on the kitchen lights at seven o'clock."


def connect(url=URL, key="unused", client=AIgateway):
    """A client as anybody would make one: only the addresses are ours."""
    return client(api_key=key, base_url=url, media_base_url=url)


def spoken(text, url=URL, key="unused"):
    """`text` as a WAV file, made by the server."""
    body = json.dumps({"model": "tts-1", "voice": "alloy", "input": text, "response_format": "wav"}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/audio/speech", body, headers)) as answer:
        return answer.read()


def hand_in(recording, url=URL, key="unused", **fields):
    """The id of the job that a recording has become."""
    boundary = uuid.uuid4().hex
    fields = {"model": "whisper-1", "async": "true", **fields}
    parts = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = parts.encode() + head.encode() + recording + f"\r\n--{boundary}--\r\n".encode()
    headers = {"content-type": f"multipart/form-data; boundary={boundary}", "authorization": f"Bearer {key}"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/audio/transcriptions", body, headers)) as answer:
        assert answer.status == 202
        return json.load(answer)["id"]
