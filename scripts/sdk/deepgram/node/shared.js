// What the tests share. scripts/sdk/run says where the servers are: see ../python/conftest.py for the names.

import assert from "node:assert/strict";

export const url = process.env.SDK_URL;
export const keyedUrl = process.env.SDK_KEYED_URL;
export const fetchingUrl = process.env.SDK_FETCHING_URL;
export const key = process.env.SDK_KEY;
export const sentence = "Please turn on the kitchen lights at seven o'clock.";
export const otherSentence = "Turn off the lights.";

/** `text` as a WAV file, made by the server. */
export async function spoken(text = sentence) {
  const answer = await fetch(`${url}/v1/audio/speech`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "tts-1", voice: "alloy", input: text, response_format: "wav" }),
  });
  assert.equal(answer.status, 200);
  return Buffer.from(await answer.arrayBuffer());
}

/** A WAV file in which one text is said on the left and another on the right. */
export async function stereo(left = sentence, right = otherSentence) {
  const files = [await spoken(left), await spoken(right)];
  const samples = files.map((file) => file.subarray(44));
  const frames = Math.max(...samples.map((bytes) => bytes.length / 2));
  const out = Buffer.alloc(44 + frames * 4);
  files[0].copy(out, 0, 0, 44);
  out.writeUInt32LE(out.length - 8, 4);
  out.writeUInt16LE(2, 22);
  out.writeUInt32LE(files[0].readUInt32LE(24) * 4, 28);
  out.writeUInt16LE(4, 32);
  out.writeUInt32LE(frames * 4, 40);
  samples.forEach((bytes, channel) => {
    for (let frame = 0; frame < bytes.length / 2; frame++) {
      out.writeInt16LE(bytes.readInt16LE(frame * 2), 44 + frame * 4 + channel * 2);
    }
  });
  return out;
}
