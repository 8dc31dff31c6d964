// What every version of Deepgram's SDK must be able to do with speech.

import assert from "node:assert/strict";
import { test } from "node:test";
import { key, keyedUrl, sentence, url } from "./shared.js";

const model = "aura-2-thalia-en";

/** What the server hears in sound, of which `query` tells what it is where it has no header. */
async function heard(sound, query = "") {
  const answer = await fetch(`${url}/v1/listen?model=nova-3&punctuate=true&${query}`, {
    method: "POST",
    headers: { "content-type": "audio/any" },
    body: sound,
  });
  return (await answer.json()).results.channels[0].alternatives[0].transcript;
}

/** What a connection sends, in its order: `take` is to be called with each message. */
export class Messages {
  #came = [];
  #waiting = [];

  take(message) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(message);
    else this.#came.push(message);
  }

  next() {
    return this.#came.length ? this.#came.shift() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** All sound up to the next message of `type`, and that message. */
  async until(type) {
    const sound = [];
    for (;;) {
      const message = await this.next();
      if (message.type === type) return [Buffer.concat(sound), message];
      assert.ok(Buffer.isBuffer(message), `${JSON.stringify(message)} is not ${type}`);
      sound.push(message);
    }
  }
}

/** `connect(url, key)` gives `{ file(text, options), open(options) }`; `open` gives `{ messages, text, flush, clear, close }`. */
export function speechRows(connect) {
  const client = connect(url, "unused");

  for (const options of [
    {},
    { encoding: "linear16", container: "wav", sample_rate: 24000 },
    { encoding: "opus", container: "ogg", bit_rate: 24000 },
    { encoding: "flac", sample_rate: 48000 },
  ]) {
    test(`a text becomes speech: ${JSON.stringify(options)}`, async () => {
      assert.equal(await heard(await client.file(sentence, { model, ...options })), sentence);
    });
  }

  test("a voice that is none is refused", async () => {
    await assert.rejects(client.file(sentence, { model: "aura-2-nobody-en" }), /model|400/i);
  });

  test("speech wants a key where one is set", async () => {
    await assert.rejects(connect(keyedUrl, "wrong").file(sentence, { model }));
    assert.ok((await connect(keyedUrl, key).file(sentence, { model })).length > 1000);
  });

  test("text that comes word by word is spoken", async () => {
    const connection = await client.open({ model, encoding: "linear16", sample_rate: 16000 });
    const [, metadata] = await connection.messages.until("Metadata");
    assert.equal(metadata.model_name, model);
    for (const number of [0, 1]) {
      for (const word of sentence.split(" ")) connection.text(`${word} `);
      connection.flush();
      const [sound, flushed] = await connection.messages.until("Flushed");
      assert.equal(flushed.sequence_id, number);
      assert.equal(await heard(sound, "encoding=linear16&sample_rate=16000"), sentence);
    }
    connection.close();
  });

  test("what is cleared is not spoken", async () => {
    const connection = await client.open({ model, encoding: "linear16", sample_rate: 16000 });
    await connection.messages.until("Metadata");
    connection.text("This has no end");
    connection.clear();
    assert.equal((await connection.messages.until("Cleared"))[1].sequence_id, 0);
    connection.text("Yes.");
    connection.flush();
    const [sound] = await connection.messages.until("Flushed");
    assert.ok(sound.length > 6_400 && sound.length < 48_000, `${sound.length}`);
    connection.close();
  });

  test("a connection may present its key", async () => {
    const connection = await connect(keyedUrl, key).open({ model });
    await connection.messages.until("Metadata");
    connection.close();
  });
}
