// Who says what, through the OpenAI SDK for Node.

import assert from "node:assert/strict";
import { test } from "node:test";
import { client, spoken, upload } from "./shared.js";

// Nobody would take one of these voices for the other.
const [bob, ann] = ["en-us", "en-us+f4"];
const lines = [
  [bob, "Please turn on the kitchen lights at six o'clock."],
  [ann, "We will go to the office tomorrow morning."],
  [bob, "The meeting is on Monday, October third."],
  [ann, "Turn on the bathroom music."],
];

/** A WAV file of all lines: the header of the first, with new lengths, and all samples. */
async function conversation() {
  const files = await Promise.all(lines.map(([voice, text]) => spoken(text, "wav", voice)));
  const header = Buffer.from(files[0].subarray(0, 44));
  const samples = Buffer.concat(files.map((file) => file.subarray(44)));
  header.writeUInt32LE(36 + samples.length, 4);
  header.writeUInt32LE(samples.length, 40);
  return Buffer.concat([header, samples]);
}

async function reference(voice) {
  const sound = await spoken("Where is the garden? I need a new book for tomorrow.", "wav", voice);
  return `data:audio/wav;base64,${sound.toString("base64")}`;
}

const transcribe = async (options = {}) =>
  client.audio.transcriptions.create({
    file: await upload(await conversation()),
    model: "gpt-4o-transcribe-diarize",
    response_format: "diarized_json",
    chunking_strategy: "auto",
    ...options,
  });

const turns = (pieces) =>
  pieces.map((piece) => piece.speaker).filter((speaker, at, all) => at === 0 || speaker !== all[at - 1]);

test("voices without names are letters", async () => {
  const body = await transcribe();
  assert.deepEqual(turns(body.segments), ["A", "B", "A", "B"]);
  assert.equal(body.segments[0].id, "seg_001");
  assert.ok(body.segments.every((segment) => segment.type === "transcript.text.segment"));
  assert.match(body.text, /^A: .*\nB: .*\nA: .*\nB: .*$/);
});

test("known speakers have their names", async () => {
  const known_speaker_references = await Promise.all([ann, bob].map(reference));
  const body = await transcribe({ known_speaker_names: ["Ann", "Bob"], known_speaker_references });
  assert.deepEqual(turns(body.segments), ["Bob", "Ann", "Bob", "Ann"]);
});

test("segments of a stream have speakers", async () => {
  const events = [];
  for await (const event of await transcribe({ stream: true })) events.push(event);
  const of = (type) => events.filter((event) => event.type === `transcript.text.${type}`);
  assert.deepEqual(turns(of("segment")), ["A", "B", "A", "B"]);
  assert.deepEqual(
    of("delta").map((delta) => delta.segment_id),
    of("segment").map((segment) => segment.id),
  );
  assert.equal(events.at(-1).text, of("delta").map((event) => event.delta).join(""));
});
