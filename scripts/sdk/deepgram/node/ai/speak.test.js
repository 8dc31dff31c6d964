// The Vercel AI SDK with its provider for Deepgram: speech.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createDeepgram } from "@ai-sdk/deepgram";
import { experimental_generateSpeech as generateSpeech } from "ai";
import { key, keyedUrl, sentence, url } from "../shared.js";

/** The address is fixed in the provider: only its `fetch` can be ours. */
const connect = (base, apiKey) =>
  createDeepgram({ apiKey, fetch: (address, init) => fetch(address.replace("https://api.deepgram.com", base), init) });

const said = (provider, deepgram, model = "aura-2-thalia-en") =>
  generateSpeech({ model: provider.speech(model), text: sentence, providerOptions: { deepgram }, maxRetries: 0 });

async function heard(sound) {
  const answer = await fetch(`${url}/v1/listen?model=nova-3&punctuate=true`, {
    method: "POST",
    headers: { "content-type": "audio/any" },
    body: sound,
  });
  return (await answer.json()).results.channels[0].alternatives[0].transcript;
}

test("a text becomes speech", async () => {
  assert.equal(await heard((await said(connect(url, "unused"))).audio.uint8Array), sentence);
});

test("a failure of speech says what the server said", async () => {
  const refused = said(connect(url, "unused"), {}, "aura-2-nobody-en");
  await assert.rejects(refused, (error) => error.statusCode === 400 && /model/.test(error.responseBody));
});

test("speech wants a key where one is set", async () => {
  await assert.rejects(said(connect(keyedUrl, "wrong")), (error) => error.statusCode === 401);
  assert.ok((await said(connect(keyedUrl, key))).audio.uint8Array.length > 1000);
});
