// What the tests share. scripts/sdk/run says where the servers are: see ../python/conftest.py for the names.

import assert from "node:assert/strict";

// The packages of the generation under test.
export const newest = process.env.SDK_GENERATION === "newest";
const { default: OpenAI, toFile } = await import(newest ? "openai-7" : "openai");
export const ai = await import(newest ? "ai-7" : "ai");
export const { createOpenAI } = await import(newest ? "@ai-sdk/openai-4" : "@ai-sdk/openai");

export const url = process.env.SDK_URL;
export const keyedUrl = process.env.SDK_KEYED_URL;
export const key = process.env.SDK_KEY;
export const sentence = "The quick brown fox jumps over the lazy dog.";

export const connect = (base = url, apiKey = "unused") =>
  new OpenAI({ baseURL: `${base}/v1`, apiKey, maxRetries: 0 });

export const client = connect();

/** `text` as sound, made by the server. */
export async function spoken(text = sentence, format = "wav", voice = "alloy") {
  const answer = await client.audio.speech.create({
    model: "tts-1",
    voice,
    input: text,
    response_format: format,
  });
  return Buffer.from(await answer.arrayBuffer());
}

export const upload = (audio, name = "speech.wav") => toFile(audio, name);

const words = (text) => text.toLowerCase().replace(/[^a-z0-9' ]+/g, " ").split(" ").filter(Boolean);

/** That a transcript of one sentence is right, give or take one word of a small model. */
export function assertSays(heard, said = sentence) {
  assert.equal(typeof heard, "string");
  const there = new Set(words(heard));
  const missing = words(said).filter((word) => !there.has(word));
  assert.ok(missing.length <= 1 && Math.abs(words(heard).length - words(said).length) <= 1, `heard ${heard}`);
}

/** That a failure has the body every OpenAI client expects. */
export async function assertFails(call, status, code) {
  const error = await call.then(
    () => assert.fail("the request succeeded"),
    (error) => error,
  );
  assert.equal(error.status, status, String(error));
  assert.deepEqual(Object.keys(error.error).sort(), ["code", "message", "param", "type"]);
  assert.equal(typeof error.error.message, "string");
  assert.ok(error.requestID, "x-request-id");
  if (code) assert.equal(error.code, code);
  return error.error;
}
