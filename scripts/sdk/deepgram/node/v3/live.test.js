// Deepgram's SDK for Node, version 3: live transcription.

import { LiveTranscriptionEvents, createClient } from "@deepgram/sdk";
import { Said, liveRows } from "../live.js";

liveRows((url, key) => async (options) => {
  const global = { fetch: { options: { url } }, websocket: { options: { url: url.replace("http", "ws") } } };
  const connection = createClient(key, { global }).listen.live(options);
  const said = new Said();
  const { Open, Transcript, Metadata, SpeechStarted, UtteranceEnd, Unhandled, Error } = LiveTranscriptionEvents;
  for (const event of [Transcript, Metadata, SpeechStarted, UtteranceEnd]) {
    connection.on(event, (message) => said.take(message));
  }
  connection.on(Unhandled, (message) => said.fail(message));
  await new Promise((opened, failed) => {
    connection.on(Open, opened);
    connection.on(Error, (error) => {
      said.fail(error);
      failed(error);
    });
  });
  return {
    said,
    send: (sound) => connection.send(sound),
    finalize: () => connection.finalize(),
    keepAlive: () => connection.keepAlive(),
    close: () => connection.requestClose(),
  };
});
