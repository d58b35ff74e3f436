// A client of the streaming protocol, version 1 (docs/serving.md), for any page: no dependency, no DOM.
//
//   const head = new TalkingHead("ws://127.0.0.1:8770/v1/stream", { onMedia, onNote, onEnd });
//   const hello = await head.open({ portrait: "demo" });
//   head.push(int16Samples, 48000); head.flush();
//
// Pictures are Blobs, or packets of VP8 or VP9 where `video` offers them: unpack.js decodes both. It reconnects and resumes by itself when the connection breaks.

const VERSION = 1;
const MEDIA = 0x81;
const CODECS = { 1: "jpeg", 2: "webp", 3: "vp8", 4: "vp9" };
const IDLE = 1, LAST = 2;
const UP_BYTES = 8, DOWN_BYTES = 32;
const RETRY_MS = [100, 300, 1000, 2000, 4000, 8000, 8000, 8000, 8000];  // a server may take 40 s to see a line broken

export function pcmMessage(samples, rateHz) {
  const message = new ArrayBuffer(UP_BYTES + 2 * samples.length);
  const view = new DataView(message);
  view.setUint8(0, 0x01);
  view.setUint8(1, VERSION);
  view.setUint32(4, rateHz, true);
  for (let at = 0; at < samples.length; at++) view.setInt16(UP_BYTES + 2 * at, samples[at], true);
  return message;
}

export function portraitMessage(file) {
  const message = new Uint8Array(UP_BYTES + file.byteLength);
  message[0] = 0x02;
  message[1] = VERSION;
  message.set(new Uint8Array(file), UP_BYTES);
  return message;
}

export function parseMedia(buffer) {
  const view = new DataView(buffer);
  if (view.getUint8(0) !== MEDIA || view.getUint8(1) !== VERSION) throw new Error("not a media message of version 1");
  const flags = view.getUint8(3), count = view.getUint16(16, true), nSamples = view.getUint32(24, true);
  const codec = CODECS[view.getUint8(2)], isFile = codec === "jpeg" || codec === "webp";
  let at = DOWN_BYTES + 4 * count;
  const pictures = [];
  for (let k = 0; k < count; k++) {
    const size = view.getUint32(DOWN_BYTES + 4 * k, true);
    const data = new Uint8Array(buffer, at, size);
    pictures.push(isFile ? new Blob([data], { type: `image/${codec}` }) : data);
    at += size;
  }
  const pcm = new Float32Array(nSamples);
  for (let k = 0; k < nSamples; k++) pcm[k] = view.getInt16(at + 2 * k, true) / 32768;
  return {
    codec, pictures, pcm, idle: Boolean(flags & IDLE), last: Boolean(flags & LAST), epoch: view.getUint32(4, true),
    startFrame: Number(view.getBigUint64(8, true)), sidePx: view.getUint16(18, true), rateHz: view.getUint32(20, true),
    dropped: view.getUint32(28, true),
  };
}

export function toInt16(floats) {
  const samples = new Int16Array(floats.length);
  for (let at = 0; at < floats.length; at++) samples[at] = Math.max(-1, Math.min(1, floats[at])) * 32767;
  return samples;
}

export class TalkingHead {
  // onMedia(media), onNote(message), onEnd(error or null), onState("open" | "resuming")
  constructor(address, { onMedia, onNote = () => {}, onEnd = () => {}, onState = () => {} }) {
    Object.assign(this, { address, onMedia, onNote, onEnd, onState });
    this.epoch = 0;
    this.key = null;
    this.tries = 0;
    this.over = false;
    this.pushedS = 0;
    this.spokenS = 0;
    this.dropped = 0;
    this.endFrame = 0;
    this.ready = false;  // a stream is there, and this connection is its own
    this.kept = [];  // what was said while it was not
    this.saying = Promise.resolve();
    this.waiters = [];
  }

  // Resolves with the server's `started`; portrait: a name, an ArrayBuffer with a picture file, or null.
  open({ portrait = null, seed = undefined, consent = false, video = ["jpeg"] } = {}) {
    this.wanted = { portrait, seed, consent, video };
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
      this._connect();
    });
  }

  _connect() {
    const socket = new WebSocket(this.address, ["vividhead.v1"]);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onmessage = (event) => {
      if (socket !== this.socket || this.over) return;
      if (typeof event.data === "string") this._heard(JSON.parse(event.data));
      else this._seen(parseMedia(event.data));
    };
    socket.onclose = () => socket === this.socket && this._lost();
  }

  _heard(message) {
    if (message.type === "hello") {
      this.hello = message;
      this._begin();
    } else if (message.type === "started") {
      this.key = message.key;
      this._open();
      this.settle.resolve(message);
    } else if (message.type === "resumed") {
      this.spokenS = Math.min(this.pushedS, this.spokenS + Math.max(0, message.frame - this.endFrame) / 25);
      this.endFrame = message.frame;
      this._open(message.epoch);
    } else if (message.type === "error") {
      if (message.code === "in_use") return;  // the server has not seen yet that the line broke: tried again
      this._end(message);
      return;
    }
    this.onNote(message);
  }

  _open(epoch = 0) {
    this.tries = 0;
    this.ready = true;
    for (; epoch < this.epoch; epoch++) this._tell({ type: "interrupt" });  // those that were lost with the line
    for (const message of this.kept.splice(0)) this._tell(message);
    this._wake();
    this.onState("open");
  }

  _begin() {
    const tell = (message) => this.socket.send(JSON.stringify(message));
    if (this.key !== null) {
      tell({ type: "resume", key: this.key });
      return;
    }
    const { portrait, seed, consent, video } = this.wanted;
    if (portrait instanceof ArrayBuffer) this.socket.send(portraitMessage(portrait));
    const named = typeof portrait === "string" ? { portrait } : {};
    tell({ type: "start", version: VERSION, seed, consent, video, shown: true, ...named });
  }

  _seen(media) {
    this.endFrame = media.startFrame + media.pictures.length;
    if (media.epoch !== this.epoch) return;
    const counted = media.dropped - this.dropped + (media.idle ? 0 : media.pictures.length);
    this.spokenS = Math.min(this.pushedS, this.spokenS + counted / 25);
    this.dropped = media.dropped;
    this._wake();
    this.onMedia(media);
  }

  // What the server has not spoken yet, in seconds.
  get waitingS() {
    return this.pushedS - this.spokenS;
  }

  push(samples, rateHz) {
    if (!this.isOpen) return;
    this.pushedS += samples.length / rateHz;
    this.socket.send(pcmMessage(samples, rateHz));
  }

  // An utterance of any length, after those before it: waits while the server has enough. False where interrupted.
  sayAll(samples, rateHz, aheadS = 8) {
    const epoch = this.epoch;
    this.saying = this.saying.then(() => this._sayAll(samples, rateHz, aheadS, epoch));
    return this.saying;
  }

  async _sayAll(samples, rateHz, aheadS, epoch) {
    const piece = Math.round(rateHz / 2);
    for (let at = 0; at < samples.length; at += piece) {
      while ((this.waitingS > aheadS || !this.isOpen) && this.epoch === epoch && !this.over) {
        await new Promise((resolve) => this.waiters.push(resolve));
      }
      if (this.epoch !== epoch || this.over) return false;
      this.push(samples.subarray(at, at + piece), rateHz);
    }
    this.flush();
    return true;
  }

  flush() { this._tell({ type: "flush" }); }
  say(text) { this._tell({ type: "say", text }); }
  shown(frame) { this._tell({ type: "shown", frame }); }

  interrupt() {
    this.epoch++;
    this.pushedS = this.spokenS = 0;
    this.kept = [];
    this._wake();
    this._tell({ type: "interrupt" });
  }

  close() {
    this._tell({ type: "stop" });
    this._end(null);
  }

  get isOpen() {
    return this.ready && this.socket.readyState === WebSocket.OPEN;
  }

  _tell(message) {
    if (this.isOpen) this.socket.send(JSON.stringify(message));
    else if (!this.over && (message.type === "say" || message.type === "flush")) this.kept.push(message);
  }

  _wake() {
    for (const wake of this.waiters.splice(0)) wake();
  }

  _lost() {
    if (this.over) return;
    this.ready = false;
    if (this.key === null || this.tries >= RETRY_MS.length) {
      this._end({ code: "lost", text: "the connection was lost" });
      return;
    }
    this.onState("resuming");
    setTimeout(() => !this.over && this._connect(), RETRY_MS[this.tries++]);
  }

  _end(error) {
    if (this.over) return;
    this.over = true;
    this._wake();
    if (this.settle) this.settle.reject(error);
    this.onEnd(error);
  }
}
