// Deepgram's SDK for Node, version 4: speech.

import { LiveTTSEvents, createClient } from "@deepgram/sdk";
import { Messages, speechRows } from "../speech.js";

speechRows((url, key) => {
  const global = { fetch: { options: { url } }, websocket: { options: { url: url.replace("http", "ws") } } };
  const { speak } = createClient(key, { global });
  return {
    async file(text, options) {
      const answer = await speak.request({ text }, options);
      const response = answer.result;
      if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
      return Buffer.from(await response.arrayBuffer());
    },
    async open(options) {
      const connection = speak.live(options);
      const messages = new Messages();
      // `Cleared` has no event of its own.
      for (const event of [LiveTTSEvents.Metadata, LiveTTSEvents.Flushed, LiveTTSEvents.Unhandled]) {
        connection.on(event, (message) => messages.take(message));
      }
      connection.on(LiveTTSEvents.Audio, (sound) => messages.take(Buffer.from(sound)));
      await new Promise((opened, failed) => {
        connection.on(LiveTTSEvents.Open, opened);
        connection.on(LiveTTSEvents.Error, failed);
      });
      return {
        messages,
        text: (text) => connection.sendText(text),
        flush: () => connection.flush(),
        clear: () => connection.clear(),
        close: () => connection.requestClose(),
      };
    },
  };
});
