// A page in a real browser speaks through the server: fetched from another origin, played while it is spoken.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { start } from "./shared.js";

const text = "This is a test. The quick brown fox jumps over the lazy dog. How are you today? Thank you very much.";

// Hours of speech: more than any buffer between the server and the page can take.
const endless = { input: `${text} `.repeat(5_000) };

// What MediaSource is told. It takes no Ogg, so Opus comes in WebM, too.
const streams = { mp3: "audio/mpeg", webm: "audio/webm; codecs=opus" };

let site;
let page;
let seconds;

before(async () => {
  site = await start();
  page = await open("127.0.0.1");
  const pcm = await speak({ response_format: "pcm" });
  seconds = pcm.length / 48_000;
});

after(() => site?.close());

async function open(host) {
  const page = await site.browser.newPage();
  await page.goto(`http://${host}:${site.port}/`);
  return page;
}

/** Calls a function of the page. */
const call = (name, ...values) => page.evaluate(([name, values]) => window[name](...values), [name, values]);

async function speak(body) {
  const answer = await fetch(`${site.url}/v1/audio/speech`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model: "tts-1", voice: "alloy", input: text, ...body }),
  });
  assert.equal(answer.status, 200);
  return Buffer.from(await answer.arrayBuffer());
}

function assertWhole(played) {
  assert.equal(played.error, null);
  assert.equal(played.ranges, 1, "no gaps");
  for (const end of [played.buffered, played.duration, played.played]) {
    assert.ok(Math.abs(end - seconds) < 0.15, `${JSON.stringify(played)} of ${seconds} s`);
  }
}

test("only pages of allowed origins may speak", async () => {
  assert.equal(await call("maySpeak", site.url), true);
  const stranger = await open("localhost");
  assert.equal(await stranger.evaluate((url) => window.maySpeak(url), site.url), false);
});

for (const [response_format, type] of Object.entries(streams)) {
  test(`MediaSource plays ${response_format} from its first chunk on`, async () => {
    const played = await call("playBeginning", site.url, { ...endless, response_format, stream: true }, type);
    assert.equal(played.error, null);
    assert.ok(played.first.buffered > 0, "the first chunk holds sound");
    assert.ok(played.played >= played.first.buffered / 2, "and it is heard");
    assert.ok(!played.whole && played.bytes < 5_000_000, `long before the end: ${played.bytes} bytes`);
  });

  test(`MediaSource plays ${response_format} to its end`, async () => {
    const played = await call("playWhole", site.url, { input: text, response_format }, type);
    assert.equal(played.contentType, type.split(";")[0]);
    assertWhole(played);
  });

  test(`MediaSource plays events with ${response_format}`, async () => {
    const body = { input: text, response_format, stream_format: "sse" };
    const played = await call("playEvents", site.url, "/v1/audio/speech", body, type);
    assert.equal(played.contentType, "text/event-stream");
    assertWhole(played);
    assert.deepEqual(played.others.map((event) => event.type), ["speech.audio.done"]);
    assert.ok(Buffer.from(played.bytes).equals(await speak({ response_format })), "the bytes of the plain answer");
  });
}

test("events tell when the words are said that are being played", async () => {
  const body = { input: text, response_format: "mp3", stream: true };
  const played = await call("playEvents", site.url, "/v1/audio/speech/timestamps", body, streams.mp3);
  assertWhole(played);
  const words = played.others.flatMap((event) => event.words ?? []);
  assert.deepEqual(words.map(({ word }) => word.replace(/[.?]$/, "")), text.replace(/[.?]/g, "").split(" "));
  let last = 0;
  for (const { start, end } of words) {
    assert.ok(last <= start && start < end && end <= seconds, JSON.stringify(words));
    last = start;
  }
  assert.equal(played.others.at(-1).type, "speech.audio.done");
});

for (const format of ["mp3", "opus", "webm", "flac", "wav", "aac"]) {
  const address = (times) => `/speech?${new URLSearchParams({ text: `${text} `, times, format })}`;

  test(`an audio element plays ${format} while it is spoken`, async () => {
    const before = site.relayed.length;
    const played = await call("playAddress", address(5_000), 0.5);
    assert.equal(played.error, null);
    assert.ok(played.played >= 0.5);
    for (const relayed of site.relayed.slice(before)) assert.equal(await relayed, "left", "not all of it had come");
  });

  test(`an audio element plays ${format} to its end`, async () => {
    const played = await call("playAddress", address(1));
    assert.equal(played.error, null);
    assert.ok(Math.abs(played.played - seconds) < 0.15, `${JSON.stringify(played)} of ${seconds} s`);
  });
}

for (const format of ["mp3", "opus", "webm", "flac", "wav", "aac"]) {
  test(`the browser decodes ${format} whole`, async () => {
    const length = await call("decode", site.url, { input: text, response_format: format });
    assert.ok(Math.abs(length - seconds) < 0.15, `${length} of ${seconds} s`);
  });
}
