// Deepgram's SDK for Node, version 5: live transcription, and conversations in turns.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DeepgramClient } from "@deepgram/sdk";
import { Said, hear, liveRows, rate, samples, silence, turns } from "../live.js";
import { otherSentence, sentence, spoken, url as openUrl } from "../shared.js";

function clientOf(url, apiKey) {
  const socket = url.replace("http", "ws");
  return new DeepgramClient({ apiKey, environment: { base: url, production: socket, agent: socket, agentRest: url } });
}

/** Opens a connection of either kind. */
async function open(version, options) {
  const socket = await version.connect({ ...options, reconnectAttempts: 0 });
  const said = new Said();
  socket.on("message", (message) => said.take(message));
  const failure = new Promise((_, failed) => {
    socket.on("error", (error) => {
      said.fail(error);
      failed(error);
    });
  });
  failure.catch(() => {});
  socket.connect();
  await Promise.race([socket.waitForOpen(), failure]);
  return { said, socket };
}

liveRows((url, apiKey) => async (options) => {
  const { said, socket } = await open(clientOf(url, apiKey).listen.v1, options);
  return {
    said,
    send: (sound) => socket.sendMedia(sound),
    finalize: () => socket.sendFinalize({ type: "Finalize" }),
    keepAlive: () => socket.sendKeepAlive({ type: "KeepAlive" }),
    close: () => socket.sendCloseStream({ type: "CloseStream" }),
  };
});

test("turns begin and end in order", async () => {
  const options = { model: "flux-general-en", encoding: "linear16", sample_rate: rate, eager_eot_threshold: 0.4 };
  const { said, socket } = await open(clientOf(openUrl, "unused").listen.v2, options);
  const sound = [samples(await spoken()), silence(3), samples(await spoken(otherSentence)), silence(3)];
  await hear((bytes) => socket.sendMedia(bytes), Buffer.concat(sound));
  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.sendCloseStream({ type: "CloseStream" });
  assert.equal((await closed).code, 1000);
  const ends = turns(said.all).filter((it) => it.event === "EndOfTurn");
  assert.deepEqual(
    ends.map((it) => it.transcript),
    [sentence, otherSentence],
  );
});

test("a client can end a turn and change when they end", async () => {
  const options = { model: "flux-general-en", encoding: "linear16", sample_rate: rate, eot_threshold: 1 };
  const { said, socket } = await open(clientOf(openUrl, "unused").listen.v2, { ...options, eot_timeout_ms: 60000 });
  socket.sendConfigure({ type: "Configure", thresholds: { eot_timeout_ms: 30000 } });
  const changed = await said.until((it) => it.type === "ConfigureSuccess");
  assert.equal(changed.thresholds.eot_timeout_ms, 30000);
  socket.sendConfigure({ type: "Configure", thresholds: { eot_threshold: 7 } });
  await said.until((it) => it.type === "ConfigureFailure");
  await hear((bytes) => socket.sendMedia(bytes), Buffer.concat([samples(await spoken()), silence(1)]));
  await said.until((it) => it.event === "StartOfTurn");
  socket.sendForceEndTurn({ type: "ForceEndTurn" });
  const end = await said.until((it) => it.event === "EndOfTurn");
  assert.deepEqual([end.trigger, end.transcript], ["manual", sentence]);
  socket.sendCloseStream({ type: "CloseStream" });
});
