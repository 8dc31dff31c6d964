// The Vercel AI SDK against a running server.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ai, assertSays, createOpenAI, sentence, spoken, url } from "./shared.js";

const { experimental_generateSpeech: generateSpeech, experimental_transcribe: transcribe } = ai;
const provider = createOpenAI({ baseURL: `${url}/v1`, apiKey: "unused" });

test("a recording becomes text", async () => {
  const { text } = await transcribe({ model: provider.transcription("whisper-1"), audio: await spoken(), maxRetries: 0 });
  assertSays(text);
});

test("a recording becomes text with times when options are given", async () => {
  const result = await transcribe({
    model: provider.transcription("whisper-1"),
    audio: await spoken(),
    providerOptions: { openai: { timestampGranularities: ["segment"] } },
    maxRetries: 0,
  });
  assertSays(result.text);
  assert.equal(result.language, "en");
  assert.ok(result.segments.length > 0 && result.durationInSeconds > 1);
});

test("a model that is counted in tokens is understood", async () => {
  const { text } = await transcribe({
    model: provider.transcription("gpt-4o-mini-transcribe"),
    audio: await spoken(undefined, "mp3"),
    providerOptions: { openai: { include: ["logprobs"], language: "en", prompt: "An animal story.", temperature: 0 } },
    maxRetries: 0,
  });
  assertSays(text);
});

test("text becomes speech", async () => {
  const { audio } = await generateSpeech({
    model: provider.speech("tts-1"),
    text: sentence,
    voice: "alloy",
    outputFormat: "mp3",
    maxRetries: 0,
  });
  assert.equal(audio.mediaType, "audio/mpeg");
  assert.ok(audio.uint8Array.length > 1000);
});

test("a failure says what the server said", async () => {
  const call = generateSpeech({ model: provider.speech("tts-1"), text: sentence, voice: "nobody", maxRetries: 0 });
  await assert.rejects(call, (error) => error.statusCode === 400 && /voice/i.test(error.message));
});
