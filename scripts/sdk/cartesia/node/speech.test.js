// Cartesia's SDK for Node: texts in, speech out, over HTTP, as events, and over a WebSocket.

import assert from "node:assert/strict";
import { test } from "node:test";
import Cartesia from "@cartesia/cartesia-js";
import { WebSocket } from "ws";

// The SDK insists on TLS for its WebSocket, whatever the base address says.
globalThis.WebSocket = class extends WebSocket {
  constructor(address) {
    super(String(address).replace("wss:", "ws:"));
  }
};

const { SDK_URL: url, SDK_KEYED_URL: keyedUrl, SDK_KEY: key } = process.env;
const sentence = "Please turn on the kitchen lights at seven o'clock.";
const raw = { container: "raw", encoding: "pcm_s16le", sample_rate: 16000 };
const asked = { model_id: "sonic-3", transcript: sentence, voice: { mode: "id", id: "alloy" }, output_format: raw };
const heardRaw = "encoding=linear16&sample_rate=16000";

/** A client as anybody would make one: only the base address is ours. */
const connect = (baseURL = url, apiKey = "unused") => new Cartesia({ apiKey, baseURL, maxRetries: 0 });

async function heard(sound, query = "") {
  const answer = await fetch(`${url}/v1/listen?model=nova-3&punctuate=true&${query}`, {
    method: "POST",
    headers: { "content-type": "audio/any" },
    body: sound,
  });
  return (await answer.json()).results.channels[0].alternatives[0].transcript;
}

for (const [output_format, query] of [
  [raw, heardRaw],
  [{ container: "wav", encoding: "pcm_alaw", sample_rate: 8000 }, ""],
  [{ container: "mp3", sample_rate: 44100, bit_rate: 64000 }, ""],
]) {
  test(`a text becomes speech: ${output_format.container}`, async () => {
    const answer = await connect().tts.generate({ ...asked, output_format });
    assert.equal(await heard(Buffer.from(await answer.arrayBuffer()), query), sentence);
  });
}

test("events carry sound and the times of words", async () => {
  const [sound, words] = [[], []];
  let last;
  for await (const event of await connect().tts.generateSSE({ ...asked, add_timestamps: true })) {
    last = event.type;
    if (event.type === "chunk") sound.push(Buffer.from(event.data, "base64"));
    if (event.type === "timestamps") words.push(...event.word_timestamps.words);
  }
  assert.equal(last, "done");
  assert.equal(await heard(Buffer.concat(sound), heardRaw), sentence);
  assert.equal(words.length, sentence.split(" ").length);
});

test("text that comes bit by bit", async () => {
  const socket = await connect().tts.websocket();
  const { model_id, voice, output_format } = asked;
  const context = socket.context({ model_id, voice, output_format });
  for (const word of sentence.split(" ")) await context.push({ transcript: `${word} ` });
  await context.no_more_inputs();
  const sound = [];
  for await (const event of context.receive()) {
    if (event.type === "chunk") sound.push(event.audio ?? Buffer.from(event.data, "base64"));
  }
  assert.equal(await heard(Buffer.concat(sound), heardRaw), sentence);
  socket.close();
});

test("what cannot be done is refused", async () => {
  const refused = connect().tts.generate({ ...asked, voice: "nobody" });
  await assert.rejects(refused, (error) => error.status === 404 && error.error.error_code === "voice_not_found");
});

test("a key is wanted where one is set", async () => {
  await assert.rejects(connect(keyedUrl, "wrong").tts.generate(asked), (error) => error.status === 401);
  assert.equal((await connect(keyedUrl, key).tts.generate(asked)).status, 200);
});
