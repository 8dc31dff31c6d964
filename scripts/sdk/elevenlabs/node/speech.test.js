// ElevenLabs' SDK for Node: texts in, speech out.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ElevenLabsClient } from "@elevenlabs/elevenlabs-js";

const { SDK_URL: url, SDK_KEYED_URL: keyedUrl, SDK_KEY: key } = process.env;
const sentence = "Please turn on the kitchen lights at seven o'clock.";
const voice = "alloy";

/** A client as anybody would make one: only the base address is ours. */
const connect = (baseUrl = url, apiKey = "unused") =>
  new ElevenLabsClient({ apiKey, baseUrl, maxRetries: 0 }).textToSpeech;

/** All bytes of a stream. */
async function all(stream) {
  const pieces = [];
  for await (const piece of await stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function heard(sound, query = "") {
  const answer = await fetch(`${url}/v1/listen?model=nova-3&punctuate=true&${query}`, {
    method: "POST",
    headers: { "content-type": "audio/any" },
    body: sound,
  });
  return (await answer.json()).results.channels[0].alternatives[0].transcript;
}

for (const [outputFormat, query] of [
  ["mp3_44100_128", ""],
  ["opus_48000_32", ""],
  ["pcm_16000", "encoding=linear16&sample_rate=16000"],
]) {
  test(`a text becomes speech: ${outputFormat}`, async () => {
    const body = { text: sentence, modelId: "eleven_multilingual_v2", outputFormat };
    const whole = await all(connect().convert(voice, body));
    assert.equal(await heard(whole, query), sentence);
    assert.ok(whole.equals(await all(connect().stream(voice, { ...body, voiceSettings: { stability: 0.5 } }))));
  });
}

test("every character has its time", async () => {
  const body = { text: sentence, outputFormat: "pcm_16000" };
  const whole = await connect().convertWithTimestamps(voice, body);
  assert.equal(whole.alignment.characters.join(""), sentence);
  assert.equal(whole.alignment.characterEndTimesSeconds.length, sentence.length);
  let characters = "";
  const sound = [];
  for await (const piece of await connect().streamWithTimestamps(voice, body)) {
    sound.push(Buffer.from(piece.audioBase64, "base64"));
    characters += piece.alignment?.characters.join("") ?? "";
  }
  assert.equal(characters, sentence);
  assert.equal(Buffer.concat(sound).toString("base64"), whole.audioBase64);
});

test("what cannot be done is refused", async () => {
  const refused = all(connect().convert("nobody", { text: sentence }));
  await assert.rejects(refused, (error) => error.statusCode === 404 && /voice_not_found/.test(JSON.stringify(error.body)));
});

test("a key is wanted where one is set", async () => {
  await assert.rejects(all(connect(keyedUrl, "wrong").convert(voice, { text: "Yes." })), (error) => error.statusCode === 401);
  assert.ok((await all(connect(keyedUrl, key).convert(voice, { text: "Yes." }))).length > 1000);
});
