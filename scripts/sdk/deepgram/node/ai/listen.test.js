// The Vercel AI SDK with its provider for Deepgram.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createDeepgram } from "@ai-sdk/deepgram";
import { experimental_transcribe as transcribe } from "ai";
import { key, keyedUrl, sentence, spoken, url } from "../shared.js";

/** The address is fixed in the provider: only its `fetch` can be ours. */
const connect = (base, apiKey) =>
  createDeepgram({ apiKey, fetch: (address, init) => fetch(address.replace("https://api.deepgram.com", base), init) });

const heard = async (provider, deepgram) =>
  transcribe({
    model: provider.transcription("nova-3"),
    audio: await spoken(),
    // The provider asks for speakers unless it is told not to.
    providerOptions: { deepgram },
    maxRetries: 0,
  });

test("a recording becomes text with times", async () => {
  const result = await heard(connect(url, "unused"), { smartFormat: true, detectLanguage: true });
  assert.equal(result.text, sentence);
  assert.equal(result.language, "en");
  assert.equal(result.segments.length, sentence.split(" ").length);
  assert.ok(result.durationInSeconds > 1);
});

test("a failure says what the server said", async () => {
  await assert.rejects(heard(connect(url, "unused"), { topics: true }), (error) => /topics/.test(error.responseBody));
});

test("a key is wanted where one is set", async () => {
  await assert.rejects(heard(connect(keyedUrl, "wrong")), (error) => error.statusCode === 401);
  assert.equal((await heard(connect(keyedUrl, key), { punctuate: true })).text, sentence);
});
