// What every version of Deepgram's SDK must be able to do with sound while it is made, and how turns are checked.

import assert from "node:assert/strict";
import { test } from "node:test";
import { key, keyedUrl, otherSentence, sentence, spoken, stereo, url } from "./shared.js";

export const rate = 24000;
const usual = { model: "nova-3", language: "en-US", encoding: "linear16", sample_rate: rate, punctuate: true };

/** The samples of a WAV file, without its header. */
export const samples = (wav) => wav.subarray(44);

export const silence = (seconds) => Buffer.alloc(2 * Math.floor(seconds * rate));

/** Gives `send` the sound in messages of 50 ms, as fast as it is made divided by `haste`. */
export async function hear(send, sound, { channels = 1, haste = 1 } = {}) {
  const size = (2 * channels * rate) / 20;
  const begun = performance.now();
  for (let at = 0; at < sound.length; at += size) {
    const due = begun + ((at / size) * 50) / haste;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    send(sound.subarray(at, at + size));
  }
}

/** Everything that a connection says: `take` is to be called with each message, `fail` with what goes wrong. */
export class Said {
  all = [];
  #wanted = [];

  take(message) {
    this.all.push(message);
    this.#look();
  }

  fail(error) {
    this.error = error ?? new Error("something went wrong");
    this.#look();
  }

  /** Comes about when there is a message of which `isIt` says so. */
  until(isIt) {
    return new Promise((resolve, reject) => {
      this.#wanted.push({ isIt, resolve, reject });
      this.#look();
    });
  }

  #look() {
    this.#wanted = this.#wanted.filter(({ isIt, resolve, reject }) => {
      if (this.error) return reject(this.error);
      const found = this.all.find(isIt);
      if (found) resolve(found);
      return !found;
    });
  }
}

const text = (result) => result.channel.alternatives[0].transcript;
const results = (all, channel = 0) => all.filter((it) => it.type === "Results" && it.channel_index[0] === channel);
const heard = (all, channel = 0) =>
  results(all, channel)
    .filter((it) => it.is_final && text(it))
    .map(text)
    .join(" ");

/** `connect(url, key)` gives `open(options)`, which gives `{ said, send, finalize, keepAlive, close }`. */
export function liveRows(connect) {
  const open = (options) => connect(url, "unused")({ ...usual, ...options });
  const rest = async ({ said, close }) => {
    close();
    const metadata = await said.until((it) => it.type === "Metadata");
    assert.equal(said.all.at(-1), metadata);
    return said.all;
  };

  test("interim results become final ones", async () => {
    const live = await open({ interim_results: true, vad_events: true, utterance_end_ms: 1000, endpointing: 25 });
    const sound = Buffer.concat([silence(0.5), samples(await spoken()), silence(2)]);
    await hear(live.send, sound);
    const all = await rest(live);
    assert.equal(heard(all), sentence);
    assert.ok(results(all).some((it) => !it.is_final && text(it)));
    let end = 0;
    for (const it of results(all)) {
      assert.ok(Math.abs(it.start - end) < 0.05, JSON.stringify(it));
      if (it.is_final) end = it.start + it.duration;
    }
    assert.ok(Math.abs(end - sound.length / 2 / rate) < 0.05);
    const types = all.map((it) => it.type);
    assert.ok(types.indexOf("SpeechStarted") < all.findIndex((it) => it.type === "Results" && text(it)));
    const last = results(all).find((it) => it.speech_final).channel.alternatives[0].words.at(-1);
    assert.equal(all.find((it) => it.type === "UtteranceEnd").last_word_end, last.end);
  });

  test("everything so far can be asked for", async () => {
    const live = await open({});
    await hear(live.send, samples(await spoken()), { haste: 10 });
    live.finalize();
    await live.said.until((it) => it.from_finalize);
    live.keepAlive();
    await hear(live.send, samples(await spoken(otherSentence)), { haste: 10 });
    assert.equal(heard(await rest(live)), `${sentence} ${otherSentence}`);
  });

  test("every channel is heard by itself", async () => {
    const live = await open({ channels: 2, multichannel: true });
    await hear(live.send, samples(await stereo()), { channels: 2, haste: 10 });
    const all = await rest(live);
    assert.deepEqual([heard(all, 0), heard(all, 1)], [sentence, otherSentence]);
  });

  test("a live connection wants a key where one is set", async () => {
    await assert.rejects(connect(keyedUrl, "wrong")(usual));
    const live = await connect(keyedUrl, key)(usual);
    assert.equal(heard(await rest(live)), "");
  });
}

/** What is told of turns, after checking what clients rely on. */
export function turns(all) {
  assert.equal(all[0].type, "Connected");
  assert.deepEqual(
    all.map((it) => it.sequence_id),
    all.map((_, index) => index),
  );
  const told = all.filter((it) => it.type === "TurnInfo");
  let [turn, isOpen, promised] = [0, false, null];
  for (const { event, turn_index, transcript } of told) {
    assert.equal(turn_index, turn);
    if (promised !== null) assert.ok(event === "TurnResumed" || (event === "EndOfTurn" && transcript === promised));
    promised = event === "EagerEndOfTurn" ? transcript : null;
    if (event === "StartOfTurn") {
      assert.ok(transcript && !isOpen);
      isOpen = true;
    } else if (event === "EndOfTurn") {
      assert.ok(isOpen);
      [turn, isOpen] = [turn + 1, false];
    }
  }
  return told;
}
