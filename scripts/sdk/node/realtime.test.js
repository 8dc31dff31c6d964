// Live transcription through the connections of OpenAI's and the AI SDK, which for OpenAI's are encrypted always: what
// listens here has a certificate of its own and hands everything on to the server.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect as dial } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createServer } from "node:tls";
import WebSocket from "ws";
import { ai, assertSays, createOpenAI, key, keyedUrl, newest, sentence, spoken } from "./shared.js";

const completed = "conversation.item.input_audio_transcription.completed";
const delta = "conversation.item.input_audio_transcription.delta";

// The packages of this generation, and the older ones that are still in use.
const packages = newest ? ["openai-7"] : ["openai-4", "openai-5", "openai"];

let listener;
let secure;
let samples;

before(async () => {
  const folder = await mkdtemp(join(tmpdir(), "mynah-tls-"));
  const [keyFile, certificate] = ["key.pem", "cert.pem"].map((name) => join(folder, name));
  const subject = ["-subj", "/CN=127.0.0.1", "-days", "2", "-keyout", keyFile, "-out", certificate];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...subject], { stdio: "ignore" });
  const files = { key: await readFile(keyFile), cert: await readFile(certificate) };
  await rm(folder, { recursive: true });
  const { hostname, port } = new URL(keyedUrl);
  listener = createServer(files, (socket) => {
    const server = dial(Number(port), hostname);
    for (const [from, to] of [[socket, server], [server, socket]]) {
      from.on("error", () => to.destroy());
      from.pipe(to);
    }
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  secure = `https://127.0.0.1:${listener.address().port}`;
  samples = await spoken(sentence, "pcm");
});

after(() => listener?.close());

/** A connection of the SDK, and everything that comes over it. */
async function open(name, path, apiKey = key) {
  const { default: OpenAI } = await import(name);
  const { OpenAIRealtimeWS } = await import(`${name}/${path}`);
  const client = new OpenAI({ baseURL: `${secure}/v1`, apiKey, maxRetries: 0 });
  const connection = new OpenAIRealtimeWS({ model: "whisper-1", options: { rejectUnauthorized: false } }, client);
  const [events, errors] = [[], []];
  let told = () => {};
  connection.on("event", (event) => {
    events.push(event);
    told();
  });
  connection.on("error", (error) => errors.push(error));
  await once(connection.socket, "open");
  const until = async (type) => {
    while (!events.some((event) => event.type === type)) await new Promise((resolve) => (told = resolve));
    return events.find((event) => event.type === type);
  };
  return { connection, events, errors, until };
}

function append(connection, sound) {
  for (let at = 0; at < sound.length; at += 4_800) {
    const audio = sound.subarray(at, at + 4_800).toString("base64");
    connection.send({ type: "input_audio_buffer.append", audio });
  }
}

async function assertTranscribed({ connection, events, errors, until }) {
  append(connection, samples);
  connection.send({ type: "input_audio_buffer.commit" });
  const { transcript, item_id, usage } = await until(completed);
  assertSays(transcript);
  const deltas = events.filter((event) => event.type === delta);
  assert.equal(deltas.map((event) => event.delta).join(""), transcript);
  assert.ok(deltas.every((event) => event.item_id === item_id));
  assert.equal(usage.type, "duration");
  assert.deepEqual(errors, []);
  assert.ok(events.every((event) => typeof event.type === "string" && typeof event.event_id === "string"));
}

async function close({ connection }) {
  connection.close();
  await once(connection.socket, "close");
}

for (const name of packages.filter((name) => name !== "openai-4")) {
  test(`${name}: what is committed is transcribed`, async () => {
    const live = await open(name, "realtime/ws");
    const input = { transcription: { model: "whisper-1" }, turn_detection: null };
    live.connection.send({ type: "session.update", session: { type: "transcription", audio: { input } } });
    const { session } = await live.until("session.updated");
    assert.equal(session.audio.input.turn_detection, null);
    await assertTranscribed(live);
    await close(live);
  });

  test(`${name}: turns are found in what is heard`, async () => {
    const live = await open(name, "realtime/ws");
    append(live.connection, Buffer.concat([Buffer.alloc(48_000), samples, Buffer.alloc(72_000)]));
    assertSays((await live.until(completed)).transcript);
    const types = live.events.map((event) => event.type.split(".").at(-1));
    const turn = ["speech_started", "speech_stopped", "committed", "added", "done", "delta", "completed"];
    assert.deepEqual(types, ["created", ...turn]);
    await close(live);
  });

  test(`${name}: mistakes reach the handler of errors and the session goes on`, async () => {
    const live = await open(name, "realtime/ws");
    live.connection.send({ type: "input_audio_buffer.commit", event_id: "mine" });
    const { error } = await live.until("error");
    assert.deepEqual([error.code, error.event_id], ["input_audio_buffer_commit_empty", "mine"]);
    assert.equal(live.errors.splice(0).length, 1);
    const input = { turn_detection: null };
    live.connection.send({ type: "session.update", session: { type: "transcription", audio: { input } } });
    await assertTranscribed(live);
    await close(live);
  });
}

for (const name of packages) {
  test(`${name}: the beta is served in its own words`, async () => {
    const live = await open(name, "beta/realtime/ws");
    await live.until("transcription_session.created");
    const session = { input_audio_transcription: { model: "whisper-1" }, turn_detection: null };
    live.connection.send({ type: "transcription_session.update", session });
    const updated = await live.until("transcription_session.updated");
    assert.equal(updated.session.input_audio_format, "pcm16");
    await assertTranscribed(live);
    assert.ok(live.events.some((event) => event.type === "conversation.item.created"));
    await close(live);
  });
}

// The older generation has recordings only.
if (newest) {
  const provider = createOpenAI({ baseURL: `${keyedUrl}/v1`, apiKey: key, webSocket: WebSocket });

  test("the AI SDK streams a transcription", async () => {
    for (const id of ["gpt-realtime-whisper", "gpt-live-transcribe", "gpt-transcribe"]) {
      const bits = Array.from({ length: Math.ceil(samples.length / 4_800) }, (_, index) =>
        samples.subarray(index * 4_800, index * 4_800 + 4_800),
      );
      const result = ai.experimental_streamTranscribe({
        model: provider.transcription(id),
        audio: ReadableStream.from(bits),
        inputAudioFormat: { type: "audio/pcm", rate: 24_000 },
      });
      assertSays(await result.text);
    }
  });
}
