// Deepgram's SDK for Node, version 5.

import { DeepgramClient } from "@deepgram/sdk";
import { rows } from "../rows.js";

rows((url, apiKey) => {
  const socket = url.replace("http", "ws");
  const environment = { base: url, production: socket, agent: socket, agentRest: url };
  const { media } = new DeepgramClient({ apiKey, environment, maxRetries: 0 }).listen.v1;
  return {
    file: (audio, options) => media.transcribeFile(audio, options),
    url: (address, options) => media.transcribeUrl({ url: address, ...options }),
  };
});
