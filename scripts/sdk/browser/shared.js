// A server of the tests' own, the site of a page that may call it, and a browser that shows the page.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { chromium } from "playwright-core";

const files = { "/": ["page.html", "text/html"], "/page.js": ["page.js", "text/javascript"] };

/** Everything the tests need; `close` ends it. */
export async function start() {
  const site = createServer();
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  const { port } = site.address();
  const server = await startServer({
    MYNAH_SERVER__CORS_ORIGINS: `http://127.0.0.1:${port}`,
    MYNAH_LIMITS__INPUT_CHARS: "1000000",
  });
  const relayed = [];
  site.on("request", (request, response) => answer(server.url, relayed, request, response));
  const browser = await chromium.launch({
    executablePath: process.env.SDK_CHROMIUM,
    args: ["--autoplay-policy=no-user-gesture-required"],
  });
  const close = async () => {
    await browser.close();
    site.closeAllConnections();
    site.close();
    await server.close();
  };
  return { port, url: server.url, relayed, browser, close };
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
