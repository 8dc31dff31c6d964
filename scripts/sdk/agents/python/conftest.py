"""What the tests share: how the sound is checked that a voice agent would play.

scripts/sdk/run starts the servers and says where they are:

    SDK_URL        a server without keys
    SDK_KEYED_URL  one that wants SDK_KEY
"""

import array
import functools
import io
import os
import re
import wave

import openai

URL = os.environ["SDK_URL"]
KEYED_URL = os.environ["SDK_KEYED_URL"]
KEY = os.environ["SDK_KEY"]

# Inside what the built-in model knows.
SENTENCE = "Please turn on the kitchen lights at seven o'clock."


def words(text):
    return re.sub(r"[^a-z0-9' ]+", " ", text.lower()).split()


def sounds(samples, sample_rate):
    """`samples`, 16 bits each, without the silence around them."""
    loud = [index for index, sample in enumerate(array.array("h", samples)) if abs(sample) > 500]
    assert loud, "there is nothing to hear"
    return (loud[-1] - loud[0]) / sample_rate


def assert_says(samples, sample_rate, said=SENTENCE):
    """That mono samples of 16 bits are `said`, at the pace of a person and understood by the built-in model."""
    assert len(samples) % 2 == 0
    seconds, count = sounds(samples, sample_rate), len(words(said))
    assert 0.2 * count < seconds < 0.6 * count, f"{seconds} s for {count} words"
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(sample_rate)
        out.writeframes(samples)
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key="unused", max_retries=0)
    heard = client.audio.transcriptions.create(file=("speech.wav", file.getvalue()), model="whisper-1").text
    # Give or take one word of a small model.
    missing = set(words(said)) - set(words(heard))
    assert len(missing) <= 1 and abs(len(words(heard)) - count) <= 1, f"said {said!r}, heard {heard!r}"


RATE = 24_000


@functools.cache
def recorded(text=SENTENCE):
    """What the server's own voice makes of `text`: mono samples of 16 bits at `RATE`."""
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key="unused", max_retries=0)
    return client.audio.speech.create(model="tts-1", voice="alloy", input=text, response_format="pcm").content


def silence(seconds):
    return bytes(2 * int(seconds * RATE))


def in_steps(samples, seconds=0.02):
    """The samples in the frames in which a room hands them over."""
    size = 2 * int(seconds * RATE)
    return [samples[at : at + size] for at in range(0, len(samples), size)]
