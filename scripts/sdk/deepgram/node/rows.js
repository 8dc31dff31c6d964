// What every version of Deepgram's SDK must be able to do.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { fetchingUrl, key, keyedUrl, otherSentence, sentence, spoken, stereo, url } from "./shared.js";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The only alternative of a channel. */
function alternative(answer, channel = 0) {
  const { alternatives } = answer.results.channels[channel];
  assert.equal(alternatives.length, 1);
  return alternatives[0];
}

/** `connect(url, key)` gives `{ file(audio, options), url(address, options) }`, which reject with an error that tells
 * what the server said. */
export function rows(connect) {
  const client = connect(url, "unused");

  test("a recording becomes text with metadata", async () => {
    const answer = await client.file(await spoken(), { model: "nova-3", smart_format: true });
    const { metadata } = answer;
    assert.match(metadata.request_id, uuid);
    assert.match(metadata.sha256, /^[0-9a-f]{64}$/);
    assert.ok(new Date(metadata.created).getFullYear() >= 2026 && metadata.duration > 1);
    assert.equal(metadata.channels, 1);
    assert.equal(metadata.model_info[metadata.models[0]].arch, "whisper");
    assert.equal(alternative(answer).transcript, sentence);
  });

  test("a recording on the web becomes text", async () => {
    const audio = await spoken();
    const files = createServer((_, answer) => answer.end(audio));
    await new Promise((listening) => files.listen(0, "127.0.0.1", listening));
    try {
      const address = `http://127.0.0.1:${files.address().port}/speech.wav`;
      const answer = await connect(fetchingUrl, "unused").url(address, { model: "nova-3", smart_format: true });
      assert.equal(alternative(answer).transcript, sentence);
    } finally {
      files.closeAllConnections();
      files.close();
    }
  });

  test("words have times, confidences and both forms", async () => {
    const { words } = alternative(await client.file(await spoken(), { model: "nova-3", punctuate: true }));
    assert.equal(words.map((word) => word.punctuated_word).join(" "), sentence);
    let before = 0;
    for (const { word, start, end, confidence } of words) {
      assert.match(word, /^[a-z']+$/);
      assert.ok(before <= start && start <= end && confidence > 0 && confidence <= 1);
      before = start;
    }
  });

  test("what was not asked for is not there", async () => {
    const answer = await client.file(await spoken(), { model: "nova-3" });
    assert.deepEqual(Object.keys(answer.results), ["channels"]);
    const only = alternative(answer);
    assert.deepEqual(Object.keys(only).sort(), ["confidence", "transcript", "words"]);
    assert.deepEqual(Object.keys(only.words[0]).sort(), ["confidence", "end", "start", "word"]);
    assert.equal(only.transcript, sentence.toLowerCase().replace(".", ""));
  });

  test("utterances and paragraphs", async () => {
    const options = { model: "nova-3", utterances: true, paragraphs: true, utt_split: 0.8 };
    const answer = await client.file(await spoken(), options);
    assert.equal(answer.results.utterances.length, 1);
    const [utterance] = answer.results.utterances;
    assert.match(utterance.id, uuid);
    assert.deepEqual([utterance.transcript, utterance.channel], [sentence, 0]);
    assert.equal(alternative(answer).paragraphs.transcript, `\n${sentence}`);
    assert.equal(alternative(answer).paragraphs.paragraphs[0].sentences[0].text, sentence);
  });

  test("every channel has a transcript", async () => {
    const answer = await client.file(await stereo(), { model: "nova-3", multichannel: true, punctuate: true });
    assert.equal(answer.metadata.channels, 2);
    assert.deepEqual([0, 1].map((channel) => alternative(answer, channel).transcript), [sentence, otherSentence]);
  });

  test("what cannot be done is refused by name", async () => {
    const call = client.file(await spoken("Yes."), { model: "nova-3", summarize: "v2" });
    await assert.rejects(call, (error) => /summarize/.test(told(error)));
  });

  test("a key is wanted where one is set", async () => {
    const audio = await spoken();
    const call = connect(keyedUrl, "wrong").file(audio, { model: "nova-3" });
    await assert.rejects(call, (error) => /INVALID_AUTH/.test(told(error)));
    const answer = await connect(keyedUrl, key).file(audio, { model: "nova-3", punctuate: true });
    assert.equal(alternative(answer).transcript, sentence);
  });
}

const told = (error) => `${error.message} ${JSON.stringify(error.body ?? "")}`;
