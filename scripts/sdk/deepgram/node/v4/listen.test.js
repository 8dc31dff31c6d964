// Deepgram's SDK for Node, version 4.

import { createClient } from "@deepgram/sdk";
import { rows } from "../rows.js";

const result = ({ result, error }) => {
  if (error) throw error;
  return result;
};

rows((url, key) => {
  const { prerecorded } = createClient(key, { global: { fetch: { options: { url } } } }).listen;
  return {
    file: async (audio, options) => result(await prerecorded.transcribeFile(audio, options)),
    url: async (address, options) => result(await prerecorded.transcribeUrl({ url: address }, options)),
  };
});
