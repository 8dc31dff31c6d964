"""Which models and voices there are, and who may see them."""

import openai
import pytest
from conftest import KEY, KEYED_URL, assert_envelope, assert_says, connect, spoken

GATEWAY_IDS = {
    "openai/whisper-1", "deepgram/nova-3", "deepgram/flux", "elevenlabs/eleven-flash-2.5", "elevenlabs/eleven-v3",
    "cartesia/sonic-2", "openai/tts-hd",
}  # fmt: skip
STOCK_IDS = {
    "whisper-1", "tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-transcribe", "gpt-4o-mini-transcribe",
    "gpt-4o-transcribe-diarize",
}  # fmt: skip


def test_the_list_of_models_has_the_names_that_clients_know(client):
    page = client.models.list()
    assert page.object == "list"
    assert GATEWAY_IDS | STOCK_IDS <= {model.id for model in page.data}
    for model in page.data:
        assert model.object == "model" and type(model.created) is int and model.owned_by, model


def test_every_model_of_the_list_can_be_looked_up(client):
    for model in client.models.list().data:
        assert client.models.retrieve(model.id).id == model.id


@pytest.mark.parametrize("path", ["/models/deepgram/nova-3", "/models/deepgram%2Fnova-3"])
def test_a_slash_in_an_id_may_be_written_either_way(client, path):
    assert client.get(path, cast_to=object)["id"] == "deepgram/nova-3"


def test_a_model_that_does_not_exist_is_not_found(client):
    calls = [
        lambda: client.models.retrieve("no-such-model"),
        lambda: client.audio.speech.create(model="no-such-model", voice="alloy", input="Yes."),
        lambda: client.audio.transcriptions.create(model="no-such-model", file=("a.wav", spoken("Yes."))),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError) as failure:
            call()
        assert_envelope(failure.value, 404, "model_not_found")


@pytest.mark.parametrize("key", ["wrong", f"{KEY}x", KEY[:-1]])
def test_a_wrong_key_is_refused_everywhere(key):
    client = connect(KEYED_URL, key)
    calls = [
        lambda: client.models.list(),
        lambda: client.models.retrieve("whisper-1"),
        lambda: client.audio.speech.create(model="tts-1", voice="alloy", input="Yes."),
        lambda: client.audio.transcriptions.create(model="whisper-1", file=("a.wav", spoken("Yes."))),
    ]
    for call in calls:
        with pytest.raises(openai.AuthenticationError) as failure:
            call()
        assert isinstance(assert_envelope(failure.value, 401)["code"], str)


@pytest.mark.parametrize("size", [10_000, 300_000, 8_000_000])
def test_a_refused_upload_leaves_a_connection_that_works(size):
    # The SDK keeps connections, so a refusal that leaves the upload unread must not spoil the request after it.
    client = connect(KEYED_URL, "wrong")
    for _ in range(20):
        with pytest.raises(openai.AuthenticationError):
            client.audio.transcriptions.create(model="whisper-1", file=("a.wav", bytes(size)))


def test_no_key_is_refused():
    headers = {"Authorization": openai.Omit()} if hasattr(openai, "Omit") else {}
    with pytest.raises(openai.AuthenticationError) as failure:
        connect(KEYED_URL).models.list(extra_headers=headers)
    assert isinstance(assert_envelope(failure.value, 401)["code"], str)


def test_the_right_key_opens_everything():
    client = connect(KEYED_URL, KEY)
    assert client.models.list().data
    audio = client.audio.speech.create(model="tts-1", voice="alloy", input="This is a test.", response_format="wav")
    text = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", audio.content)).text
    assert_says(text, "This is a test.")


@pytest.mark.parametrize("path", ["/audio/voices", "/audio/models"])
def test_lists_for_menus_need_no_key(path):
    body = connect(KEYED_URL, "wrong").get(path, cast_to=object)
    entries = body["voices" if path.endswith("voices") else "models"]
    assert entries and all(entry["id"] for entry in entries)
