// What a page does to speak through the server. The tests call these functions.

const request = (body, signal) => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ model: "tts-1", voice: "alloy", ...body }),
  signal,
});

const speak = (base, body, signal) => fetch(`${base}/v1/audio/speech`, request(body, signal));

/** Resolves with the next event of this name, and fails with the error of a player. */
function next(target, name) {
  return new Promise((resolve, reject) => {
    target.addEventListener(name, resolve, { once: true });
    target.addEventListener("error", () => reject(new Error(`${name}: ${target.error?.message ?? "error"}`)), {
      once: true,
    });
  });
}

/** Resolves once the player has come so far, in seconds. */
async function playedTo(player, seconds) {
  while (player.currentTime < seconds) await next(player, "timeupdate");
}

const facts = (player) => ({
  played: player.currentTime,
  buffered: player.buffered.length ? player.buffered.end(player.buffered.length - 1) : 0,
  ranges: player.buffered.length,
  duration: player.duration,
  error: player.error?.message ?? null,
});

/** A player whose sound is appended piece by piece. */
async function openMediaSource(type) {
  if (!MediaSource.isTypeSupported(type)) throw new Error(`MediaSource does not take ${type}`);
  const source = new MediaSource();
  const player = new Audio(URL.createObjectURL(source));
  await next(source, "sourceopen");
  const buffer = source.addSourceBuffer(type);
  const append = async (bytes) => {
    const appended = next(buffer, "updateend");
    buffer.appendBuffer(bytes);
    await appended;
  };
  return { player, source, append };
}

/** Fetches speech, and plays what has come so far. Nothing more is read until there is something to hear. */
export async function playBeginning(base, body, type) {
  const leave = new AbortController();
  const answer = await speak(base, body, leave.signal);
  const reader = answer.body.getReader();
  const { player, append } = await openMediaSource(type);
  let bytes = 0;
  const ended = [];
  const read = async () => {
    const { done, value } = await reader.read();
    ended.push(done);
    if (done) return;
    bytes += value.length;
    await append(value);
  };
  await read();
  const first = facts(player);
  const playing = player.play();
  // A first chunk may be shorter than what a player wants to have before it begins.
  while (player.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) await read();
  await playing;
  await playedTo(player, first.buffered / 2);
  const then = { first, bytes, whole: ended.includes(true), ...facts(player) };
  player.pause();
  leave.abort();
  return then;
}

/** Fetches speech and plays all of it. */
export async function playWhole(base, body, type) {
  const answer = await speak(base, body);
  const { player, source, append } = await openMediaSource(type);
  player.playbackRate = 4;
  const ended = next(player, "ended");
  const playing = player.play();
  for await (const chunk of answer.body) await append(chunk);
  source.endOfStream();
  await playing;
  await ended;
  return { contentType: answer.headers.get("content-type"), ...facts(player) };
}

/** Plays what is at an address, up to its end or so many seconds. */
export async function playAddress(address, seconds = Infinity) {
  const player = new Audio(address);
  player.playbackRate = seconds === Infinity ? 4 : 1;
  const ended = next(player, "ended");
  await player.play();
  await (seconds === Infinity ? ended : playedTo(player, seconds));
  const then = facts(player);
  player.pause();
  player.removeAttribute("src");
  player.load();
  return then;
}

/** The events of a stream, read as EventSource reads them, which itself can only GET. */
async function* events(answer) {
  let waiting = "";
  for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
    const frames = (waiting + text).split("\n\n");
    waiting = frames.pop();
    for (const frame of frames) {
      const lines = frame.split("\n").filter((line) => !line.startsWith(":"));
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).replace(/^ /, ""));
      if (data.length) yield JSON.parse(data.join("\n"));
    }
  }
  if (waiting) throw new Error(`the stream ends within an event: ${waiting}`);
}

const decoded = (audio) => Uint8Array.from(atob(audio), (character) => character.charCodeAt(0));

/** Fetches speech as events and plays all of it; gives the bytes as well, and every event that is no sound. */
export async function playEvents(base, path, body, type) {
  const answer = await fetch(base + path, request(body));
  const { player, source, append } = await openMediaSource(type);
  player.playbackRate = 4;
  const ended = next(player, "ended");
  const playing = player.play();
  const [bytes, others] = [[], []];
  for await (const event of events(answer)) {
    if (event.type === "speech.audio.delta") {
      const chunk = decoded(event.audio);
      bytes.push(...chunk);
      await append(chunk);
    } else {
      others.push(event);
    }
  }
  source.endOfStream();
  await playing;
  await ended;
  return { contentType: answer.headers.get("content-type"), bytes, others, ...facts(player) };
}

/** Fetches a whole file and decodes it; the length of its sound in seconds. */
export async function decode(base, body) {
  const answer = await speak(base, body);
  const context = new OfflineAudioContext(1, 1, 24_000);
  return (await context.decodeAudioData(await answer.arrayBuffer())).duration;
}

/** Whether a page of this origin may speak. */
export const maySpeak = (base) =>
  speak(base, { input: "Yes." }).then(
    (answer) => answer.ok,
    () => false,
  );

const microphone = () =>
  navigator.mediaDevices.getUserMedia({
    audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });

const socketAt = (base, path, protocols) => new WebSocket(base.replace("http", "ws") + path, protocols);

/** Hands on what a microphone hears, as it comes. */
const worklet = `registerProcessor("tap", class extends AudioWorkletProcessor {
  process([[samples]]) {
    if (samples) this.port.postMessage(samples.slice());
    return true;
  }
})`;

function asBase64(samples) {
  const bytes = new Uint8Array(Int16Array.from(samples, (sample) => Math.max(-1, Math.min(1, sample)) * 32767).buffer);
  return btoa(String.fromCharCode(...bytes));
}

/** Streams the microphone as samples, as pages of OpenAI's users do; the events up to and with the first transcript. */
export async function listenToSamples(base, secret) {
  const stream = await microphone();
  const socket = socketAt(base, "/v1/realtime?intent=transcription", ["realtime", `openai-insecure-api-key.${secret}`]);
  const events = [];
  const transcribed = new Promise((resolve, reject) => {
    socket.onclose = ({ code }) => reject(new Error(`closed with ${code}`));
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      events.push(event);
      if (event.type.endsWith("input_audio_transcription.completed") || event.type === "error") resolve();
    };
  });
  await next(socket, "open");
  const context = new AudioContext({ sampleRate: 24_000 });
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([worklet], { type: "text/javascript" })));
  const tap = new AudioWorkletNode(context, "tap");
  tap.port.onmessage = ({ data }) =>
    socket.send(JSON.stringify({ type: "input_audio_buffer.append", audio: asBase64(data) }));
  context.createMediaStreamSource(stream).connect(tap);
  await transcribed;
  await context.close();
  for (const track of stream.getTracks()) track.stop();
  socket.onclose = null;
  socket.close();
  return { protocol: socket.protocol, events };
}

/** Records the microphone as WebM and streams that, as pages of Deepgram's users do; everything that is told of it. */
export async function listenToRecorder(base, token) {
  const stream = await microphone();
  const socket = socketAt(base, "/v1/listen?model=nova-3&interim_results=true&endpointing=300", ["bearer", token]);
  const messages = [];
  await next(socket, "open");
  const recorder = new MediaRecorder(stream, { mimeType: "audio/webm;codecs=opus" });
  recorder.ondataavailable = ({ data }) => {
    if (data.size && socket.readyState === WebSocket.OPEN) socket.send(data);
  };
  const closed = next(socket, "close");
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    messages.push(message);
    if (message.speech_final && message.channel.alternatives[0].transcript && recorder.state === "recording") {
      recorder.onstop = () => socket.send(JSON.stringify({ type: "CloseStream" }));
      recorder.stop();
    }
  };
  recorder.start(100);
  const { code } = await closed;
  for (const track of stream.getTracks()) track.stop();
  return { protocol: socket.protocol, code, messages };
}

const forTests = { playBeginning, playWhole, playAddress, playEvents, decode, maySpeak, listenToSamples, listenToRecorder };
Object.assign(window, forTests);
