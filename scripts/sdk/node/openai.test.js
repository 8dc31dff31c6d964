// The OpenAI SDK for Node against a running server.

import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { assertFails, assertSays, client, connect, key, keyedUrl, sentence, spoken, upload } from "./shared.js";

const transcribe = async (audio, options = {}) =>
  client.audio.transcriptions.create({ file: await upload(audio), model: "whisper-1", ...options });

test("a recording becomes text", async () => {
  const { data, response } = await client.audio.transcriptions
    .create({ file: await upload(await spoken()), model: "whisper-1" })
    .withResponse();
  assert.match(response.headers.get("content-type"), /^application\/json/);
  assert.ok(response.headers.get("x-request-id"));
  assertSays(data.text);
});

test("a file from disk becomes text", async () => {
  const folder = await mkdtemp(join(tmpdir(), "mynah-sdk-"));
  try {
    const path = join(folder, "speech.flac");
    await writeFile(path, await spoken(undefined, "flac"));
    const { text } = await client.audio.transcriptions.create({ file: createReadStream(path), model: "whisper-1" });
    assertSays(text);
  } finally {
    await rm(folder, { recursive: true });
  }
});

for (const format of ["mp3", "opus", "webm", "aac", "flac", "wav"]) {
  test(`speech as ${format} is understood`, async () => {
    const { text } = await transcribe(await spoken(undefined, format));
    assertSays(text);
  });
}

test("text, srt and vtt are strings", async () => {
  const audio = await spoken();
  const text = await transcribe(audio, { response_format: "text" });
  assertSays(text);
  const srt = await transcribe(audio, { response_format: "srt" });
  assert.match(srt, /^1\n\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}\n/);
  const vtt = await transcribe(audio, { response_format: "vtt" });
  assert.match(vtt, /^WEBVTT\n\n\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}\n/);
});

test("verbose json has segments and words in order, inside the recording", async () => {
  const body = await transcribe(await spoken(), {
    response_format: "verbose_json",
    timestamp_granularities: ["word", "segment"],
  });
  assertSays(body.text);
  assert.equal(body.language, "english");
  for (const pieces of [body.segments, body.words]) {
    assert.ok(pieces.length > 0);
    let last = 0;
    for (const { start, end } of pieces) {
      assert.ok(last <= start && start <= end && end <= Number(body.duration) + 0.2, JSON.stringify(pieces));
      last = start;
    }
  }
});

test("a stream is deltas and then one whole text", async () => {
  const stream = await transcribe(await spoken(), { model: "gpt-4o-transcribe", stream: true });
  let joined = "";
  let done = 0;
  for await (const event of stream) {
    if (event.type === "transcript.text.delta") {
      assert.equal(done, 0);
      joined += event.delta;
    } else {
      assert.equal(event.type, "transcript.text.done");
      assert.equal(event.text, joined);
      done += 1;
    }
  }
  assert.equal(done, 1);
  assertSays(joined);
});

test("a chunking strategy is taken in every spelling", async () => {
  for (const strategy of ["auto", { type: "server_vad", threshold: 0.4, prefix_padding_ms: 200 }]) {
    const { text } = await transcribe(await spoken(), { chunking_strategy: strategy });
    assertSays(text);
  }
  const wrong = { chunking_strategy: { type: "server_vad", threshold: 7 } };
  assert.equal((await assertFails(transcribe(await spoken(), wrong), 400)).param, "chunking_strategy");
});

test("keywords, languages and probabilities are taken", async () => {
  const { text, logprobs, usage, languages } = await transcribe(await spoken(), {
    model: "gpt-4o-transcribe",
    keywords: ["fox"],
    languages: ["en"],
    include: ["logprobs"],
  });
  assertSays(text);
  assert.deepEqual(languages, [{ code: "en" }]);
  assert.ok(logprobs.every(({ logprob }) => logprob <= 0));
  assert.equal(Buffer.from(logprobs.flatMap(({ bytes }) => bytes)).toString().trim(), text);
  assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
});

test("a recording may come as base64 in json", async () => {
  const data = (await spoken()).toString("base64");
  const body = { model: "whisper-1", input_audio: { data, format: "wav" } };
  assertSays((await client.post("/audio/transcriptions", { body })).text);
  const wrong = client.post("/audio/transcriptions", { body: { ...body, input_audio: { data: "?" } } });
  assert.equal((await assertFails(wrong, 400)).param, "input_audio");
});

test("what is missing is told in the headers", async () => {
  const { response } = await client.audio.transcriptions
    .create({ file: await upload(await spoken()), model: "whisper-1", response_format: "text" })
    .withResponse();
  assert.match(response.headers.get("x-mynah-coverage"), /^speech=\d+\.\d\d; covered=\d+\.\d\d; gaps=0$/);
});

for (const [format, type] of Object.entries({
  mp3: "audio/mpeg",
  opus: "audio/ogg",
  webm: "audio/webm",
  aac: "audio/aac",
  flac: "audio/flac",
  wav: "audio/wav",
  pcm: "audio/pcm",
})) {
  test(`speech as ${format} has its type`, async () => {
    const answer = await client.audio.speech.create({
      model: "tts-1",
      voice: "alloy",
      input: "Yes, please.",
      response_format: format,
    });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), type);
    assert.ok((await answer.arrayBuffer()).byteLength > 500);
  });
}

test("speech can be streamed", async () => {
  const answer = await client.audio.speech.create({
    model: "tts-1",
    voice: "alloy",
    input: "This is a test. How are you today? Thank you very much.",
    stream: true,
  });
  assert.equal(answer.headers.get("transfer-encoding"), "chunked");
  const pieces = [];
  for await (const piece of answer.body) pieces.push(piece);
  const { text } = await transcribe(Buffer.concat(pieces));
  assert.match(text.toLowerCase(), /test.*you/s);
});

/** What server-sent events say: one line with JSON, then an empty one. */
async function eventsOf(answer) {
  const frames = (await answer.text()).split("\n\n");
  assert.equal(frames.pop(), "", "the last event is complete");
  return frames.map((frame) => {
    assert.match(frame, /^data: .*$/);
    return JSON.parse(frame.slice(6));
  });
}

test("speech as events adds up to the file that comes without them", async () => {
  const request = { model: "gpt-4o-mini-tts", voice: "alloy", input: sentence, response_format: "flac" };
  const answer = await client.audio.speech.create({ ...request, stream_format: "sse" });
  assert.equal(answer.headers.get("content-type"), "text/event-stream");
  const events = await eventsOf(answer);
  assert.equal(events.pop().type, "speech.audio.done");
  assert.ok(events.every((event) => event.type === "speech.audio.delta"));
  const sound = Buffer.concat(events.map((event) => Buffer.from(event.audio, "base64")));
  assert.ok(sound.equals(await spoken(undefined, "flac")));
});

test("words have their times, at once or as events", async () => {
  const body = { model: "tts-1", voice: "alloy", input: sentence, response_format: "wav" };
  const { audio, words } = await client.post("/audio/speech/timestamps", { body });
  assert.ok(Buffer.from(audio, "base64").equals(await spoken()));
  assert.deepEqual(words.map(({ word }) => word).join(" ").replace(/\.$/, ""), sentence.slice(0, -1));
  words.reduce((last, { start, end }) => {
    assert.ok(last <= start && start < end, JSON.stringify(words));
    return start;
  }, 0);
  const answer = await client.post("/audio/speech/timestamps", {
    body: { ...body, stream: true },
    __binaryResponse: true,
  });
  const events = await eventsOf(answer);
  assert.deepEqual(events.flatMap((event) => event.words ?? []), words);
  assert.equal(events.at(-1).type, "speech.audio.done");
});

test("another sample rate and instructions are taken", async () => {
  const length = async (options) => {
    const request = { model: "gpt-4o-mini-tts", voice: "alloy", input: sentence, response_format: "pcm", ...options };
    return (await (await client.audio.speech.create(request)).arrayBuffer()).byteLength;
  };
  const plain = await length({});
  assert.ok(Math.abs((await length({ sample_rate: 48_000 })) / plain - 2) < 0.01);
  assert.ok((await length({ instructions: "Speak very slowly." })) > 1.2 * plain);
});

test("models are listed and looked up, also with a slash in the id", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  for (const id of ["whisper-1", "tts-1", "openai/whisper-1", "deepgram/nova-3"]) {
    assert.ok(ids.includes(id), id);
    assert.equal((await client.models.retrieve(id)).id, id);
  }
});

test("what does not exist is not found", async () => {
  await assertFails(client.models.retrieve("no-such-model"), 404, "model_not_found");
  await assertFails(
    client.audio.speech.create({ model: "no-such-model", voice: "alloy", input: "Yes." }),
    404,
    "model_not_found",
  );
});

test("wrong fields are named", async () => {
  const speech = { model: "tts-1", voice: "alloy", input: "Yes." };
  assert.equal((await assertFails(client.audio.speech.create({ ...speech, speed: 9 }), 400)).param, "speed");
  assert.equal((await assertFails(client.audio.speech.create({ ...speech, voice: "nobody" }), 400)).param, "voice");
  assert.equal((await assertFails(transcribe(await spoken(), { temperature: 9 }), 400)).param, "temperature");
  await assertFails(transcribe(Buffer.from("These are words, not sound. ".repeat(50))), 400);
});

test("a key is needed where there is one", async () => {
  await assertFails(connect(keyedUrl, "wrong").models.list(), 401);
  await assertFails(
    connect(keyedUrl, "wrong").audio.speech.create({ model: "tts-1", voice: "alloy", input: "Yes." }),
    401,
  );
  assert.ok((await connect(keyedUrl, key).models.list()).data.length > 0);
});
