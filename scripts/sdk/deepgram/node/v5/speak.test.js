// Deepgram's SDK for Node, version 5: speech.

import { DeepgramClient } from "@deepgram/sdk";
import { Messages, speechRows } from "../speech.js";

speechRows((url, apiKey) => {
  const socket = url.replace("http", "ws");
  const environment = { base: url, production: socket, agent: socket, agentRest: url };
  const { v1 } = new DeepgramClient({ apiKey, environment, maxRetries: 0 }).speak;
  return {
    file: async (text, options) => Buffer.from(await (await v1.audio.generate({ text, ...options })).arrayBuffer()),
    async open(options) {
      const connection = await v1.connect({ ...options, reconnectAttempts: 0 });
      const messages = new Messages();
      let order = Promise.resolve();
      connection.on("message", (message) => {
        // Sound may come as a Blob, which takes a moment to read.
        order = order.then(async () => {
          if (message instanceof Blob) messages.take(Buffer.from(await message.arrayBuffer()));
          else if (message instanceof ArrayBuffer || ArrayBuffer.isView(message)) messages.take(Buffer.from(message));
          else messages.take(message);
        });
      });
      connection.connect();
      await connection.waitForOpen();
      return {
        messages,
        text: (text) => connection.sendText({ type: "Speak", text }),
        flush: () => connection.sendFlush({ type: "Flush" }),
        clear: () => connection.sendClear({ type: "Clear" }),
        close: () => {
          connection.sendClose({ type: "Close" });
          connection.close();
        },
      };
    },
  };
});
