// A page in a real browser is listened to: what its microphone hears becomes text, and it never holds the key.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { start } from "./shared.js";

const said = "Please turn on the kitchen lights at seven o'clock.";
const headers = { Authorization: "Bearer browser-test-key" };

let site;

before(async () => {
  site = await start({ settings: { MYNAH_AUTH__KEYS: "browser-test-key" }, headers, said });
});

after(() => site?.close());

/** Calls a function of a new page, whose microphone is switched on then. */
async function call(name, ...values) {
  const page = await site.browser.newPage();
  await page.goto(`http://127.0.0.1:${site.port}/`);
  const result = await page.evaluate(([name, values]) => window[name](...values), [name, values]);
  await page.close();
  return result;
}

async function post(path, body) {
  const options = { method: "POST", headers: { "Content-Type": "application/json", ...headers } };
  const answer = await fetch(site.url + path, { ...options, body: JSON.stringify(body) });
  assert.equal(answer.status, 200);
  return answer.json();
}

const words = (text) => text.toLowerCase().replace(/[^a-z' ]+/g, " ").split(" ").filter(Boolean);

function assertSays(heard) {
  const there = new Set(words(heard));
  const missing = words(said).filter((word) => !there.has(word));
  assert.ok(missing.length <= 1 && Math.abs(words(heard).length - words(said).length) <= 1, `heard ${heard}`);
}

test("samples of a microphone are transcribed with a secret of some minutes", async () => {
  const session = { type: "transcription", audio: { input: { transcription: { model: "whisper-1" } } } };
  const { value } = await post("/v1/realtime/client_secrets", { session });
  const { protocol, events } = await call("listenToSamples", site.url, value);
  assert.equal(protocol, "realtime");
  const types = events.map((event) => event.type.split(".").at(-1));
  const turn = ["speech_started", "speech_stopped", "committed", "added", "done", "delta", "completed"];
  assert.deepEqual(types, ["created", ...turn]);
  assertSays(events.at(-1).transcript);
});

test("what a page records is transcribed with a token of some seconds", async () => {
  const { access_token } = await post("/v1/auth/grant", { ttl_seconds: 60 });
  const { protocol, code, messages } = await call("listenToRecorder", site.url, access_token);
  assert.deepEqual([protocol, code], ["bearer", 1000]);
  const finals = messages.filter((message) => message.type === "Results" && message.is_final);
  assertSays(finals.map((message) => message.channel.alternatives[0].transcript).join(" "));
  assert.ok(messages.some((message) => message.type === "Results" && !message.is_final), "interim results");
  assert.equal(messages.at(-1).type, "Metadata");
});
