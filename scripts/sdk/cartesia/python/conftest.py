"""What the tests share. scripts/sdk/run starts the servers and says where they are:

    SDK_URL        a server without keys
    SDK_KEYED_URL  one that wants SDK_KEY
"""

import json
import os
import urllib.request

from cartesia import Cartesia

URL = os.environ["SDK_URL"]
KEYED_URL = os.environ["SDK_KEYED_URL"]
KEY = os.environ["SDK_KEY"]

SENTENCE = "Please turn on the kitchen lights at seven o'clock."


def connect(url=URL, key="unused"):
    """A client as anybody would make one: only the addresses are ours."""
    return Cartesia(api_key=key, base_url=url, websocket_base_url=url.replace("http", "ws", 1), max_retries=0)


def heard(sound, query=""):
    """What the server hears in sound; `query` tells what it is where it has no header."""
    address = f"{URL}/v1/listen?model=nova-3&punctuate=true&{query}"
    request = urllib.request.Request(address, sound, {"content-type": "audio/any"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["results"]["channels"][0]["alternatives"][0]["transcript"]
