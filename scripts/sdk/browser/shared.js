// A server of the tests' own, the site of a page that may call it, and a browser that shows the page. What the browser
// hears is a recording that the server has made.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { chromium } from "playwright-core";

const files = { "/": ["page.html", "text/html"], "/page.js": ["page.js", "text/javascript"] };

const rate = 24_000;

/** Everything the tests need; `close` ends it. The microphone hears `said`, if anything, from when it is switched on. */
export async function start({ settings = {}, headers = {}, said } = {}) {
  const site = createServer();
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  const { port } = site.address();
  const server = await startServer({
    MYNAH_SERVER__CORS_ORIGINS: `http://127.0.0.1:${port}`,
    MYNAH_LIMITS__INPUT_CHARS: "1000000",
    ...settings,
  });
  const folder = await mkdtemp(join(tmpdir(), "mynah-microphone-"));
  const microphone = join(folder, "said.wav");
  if (said) await writeFile(microphone, await recording(server.url, headers, said));
  const relayed = [];
  site.on("request", (request, response) => answer(server.url, relayed, request, response));
  const browser = await chromium.launch({
    executablePath: process.env.SDK_CHROMIUM,
    args: [
      "--autoplay-policy=no-user-gesture-required",
      "--use-fake-ui-for-media-stream",
      "--use-fake-device-for-media-stream",
      ...(said ? [`--use-file-for-fake-audio-capture=${microphone}%noloop`] : []),
    ],
  });
  const close = async () => {
    await browser.close();
    site.closeAllConnections();
    site.close();
    await server.close();
    await rm(folder, { recursive: true });
  };
  return { port, url: server.url, relayed, browser, close };
}

/** A WAV file in which the server says `input` after a second of silence. */
async function recording(url, headers, input) {
  const answer = await fetch(`${url}/v1/audio/speech`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify({ model: "tts-1", voice: "alloy", input, response_format: "pcm" }),
  });
  const silence = Buffer.alloc(2 * rate);
  const samples = Buffer.concat([silence, Buffer.from(await answer.arrayBuffer()), silence]);
  const header = Buffer.alloc(44);
  header.write("RIFF");
  header.writeUInt32LE(36 + samples.length, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(2 * rate, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write("data", 36);
  header.writeUInt32LE(samples.length, 40);
  return Buffer.concat([header, samples]);
}

async function startServer(settings) {
  const folder = await mkdtemp(join(tmpdir(), "mynah-browser-"));
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith("MYNAH_"));
  const server = spawn(process.env.SDK_SERVER, ["serve", "--port", "0", "--offline", "--data-dir", folder], {
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...Object.fromEntries(own), ...settings },
  });
  const [line] = await once(createInterface(server.stdout), "line");
  const close = async () => {
    server.kill();
    await once(server, "exit");
    await rm(folder, { recursive: true });
  };
  return { url: line.split(" ").at(-1), close };
}

/** The page, and what `<audio src>` asks for: it can only GET, so /speech makes its query a request to speak. */
async function answer(url, relayed, request, response) {
  const { pathname, searchParams } = new URL(request.url, "http://page");
  if (pathname === "/speech") {
    const [text, response_format] = ["text", "format"].map((name) => searchParams.get(name));
    const input = text.repeat(Number(searchParams.get("times")));
    const speech = await fetch(`${url}/v1/audio/speech`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ model: "tts-1", voice: "alloy", input, response_format, stream: true }),
    });
    response.writeHead(speech.status, { "Content-Type": speech.headers.get("content-type") });
    const whole = pipeline(Readable.fromWeb(speech.body), response);
    relayed.push(whole.then(() => "whole", () => "left"));
    return;
  }
  const [name, type] = files[pathname] ?? [];
  if (!name) return response.writeHead(404).end();
  response.writeHead(200, { "Content-Type": type }).end(await readFile(new URL(name, import.meta.url)));
}
