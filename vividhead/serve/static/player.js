// Pictures and sound on one clock: the audio context's. Sound is scheduled, pictures follow what is heard now.

import { Unpacker } from "./unpack.js";

const FPS = 25;
const LEAD_S = 0.12;  // between the arrival of the first pictures and their time
const BOUNCE = 24;  // pictures of rest that go back and forth while nothing comes

export class Player {
  constructor(canvas) {
    this.canvas = canvas;
    this.draw = canvas.getContext("2d");
    this.queue = [];  // { at, frame, idle, bitmap } in order of time
    this.sources = new Set();
    this.rest = [];
    this.endsAt = 0;
    this.restEnds = false;
    this.shownFrame = null;
    this.shownTimes = [];
    this.skews = [];
    this.gaps = 0;
    this.received = 0;
    this.generation = 0;
    this.unpacker = new Unpacker();
    this.codec = null;
    this.undecoded = 0;
    this.arrivals = Promise.resolve();
  }

  async start() {
    this.context = new AudioContext({ sampleRate: 16000, latencyHint: "interactive" });
    await this.context.resume();
    this.running = true;
    const step = () => {
      if (!this.running) return;
      this._show();
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  get rateHz() { return this.context.sampleRate; }

  // A recording as 16-bit mono at this context's rate.
  async decode(file) {
    const sound = await this.context.decodeAudioData(file);
    const mono = new Int16Array(sound.length);
    const channels = Array.from({ length: sound.numberOfChannels }, (_, k) => sound.getChannelData(k));
    for (let at = 0; at < sound.length; at++) {
      let sum = 0;
      for (const channel of channels) sum += channel[at];
      mono[at] = Math.max(-1, Math.min(1, sum / channels.length)) * 32767;
    }
    return mono;
  }

  // Decoding is asynchronous: messages wait for one another, so that they stay in order.
  add(media) {
    const generation = this.generation;
    this.codec = media.codec;
    this.arrivals = this.arrivals.then(async () => {
      const isWanted = () => generation === this.generation && this.running;
      if (!isWanted()) return;
      const decoded = await this.unpacker.bitmaps(media).catch(() => null);
      if (decoded === null) this.undecoded++;
      else if (isWanted()) this._place(media, decoded);
      else decoded.forEach((bitmap) => bitmap.close());
    });
  }

  _place(media, bitmaps) {
    const now = this.context.currentTime;
    if (!media.idle && this.restEnds) {  // speech does not wait until rest has been shown
      this._drop((entry) => entry.idle && entry.at > now);
      this.endsAt = now;
    }
    if (this.endsAt < now + 0.01) {
      if (!media.idle && !this.restEnds && this.endsAt > 0) this.gaps++;
      this.endsAt = now + LEAD_S;
    }
    bitmaps.forEach((bitmap, k) => {
      this.queue.push({ at: this.endsAt + k / FPS, frame: media.startFrame + k, idle: media.idle, bitmap });
    });
    if (!media.idle) {
      this.received += bitmaps.length;
      this._sound(media.pcm, this.endsAt);
    }
    if (this.canvas.width !== media.sidePx) this.canvas.width = this.canvas.height = media.sidePx;
    this.endsAt += bitmaps.length / FPS;
    this.restEnds = media.idle || media.last;
  }

  _sound(pcm, at) {
    const buffer = this.context.createBuffer(1, pcm.length, 16000);
    buffer.copyToChannel(pcm, 0);
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.context.destination);
    source.onended = () => this.sources.delete(source);
    source.start(at);
    this.sources.add(source);
  }

  // When a sample that is scheduled for `at` is heard, in the context's own time.
  _heardNow() {
    const { contextTime = 0, performanceTime = 0 } = this.context.getOutputTimestamp ? this.context.getOutputTimestamp() : {};
    if (performanceTime > 0 && contextTime > 0) return contextTime + (performance.now() - performanceTime) / 1000;
    return this.context.currentTime - (this.context.outputLatency || this.context.baseLatency || 0);
  }

  _show() {
    const heard = this._heardNow();
    let due = null;
    while (this.queue.length && this.queue[0].at <= heard + 0.008) {
      if (due) due.bitmap.close();
      due = this.queue.shift();
    }
    if (due) {
      this.draw.drawImage(due.bitmap, 0, 0, this.canvas.width, this.canvas.height);
      this._showed(due, heard);
    } else if (!this.queue.length && this.restEnds && heard > this.endsAt + 0.04) {
      this._bounce(heard);
    }
  }

  // Pictures go with the sound also where the page is not drawn.
  catchUp() {
    if (this.running) this._show();
  }

  _showed(due, heard) {
    this.shownFrame = due.frame;
    this.shownTimes.push(performance.now());
    if (!due.idle) {
      this.skews.push((heard - due.at) * 1000);
      if (this.skews.length > 250) this.skews.shift();
      due.bitmap.close();
      this.rest.splice(0).forEach((bitmap) => bitmap.close());
      return;
    }
    this.rest.push(due.bitmap);
    if (this.rest.length > BOUNCE) this.rest.shift().close();
  }

  // At rest, with nothing new: the last second backwards and forwards.
  _bounce(heard) {
    const n = this.rest.length;
    if (n < 2) return;
    const step = Math.floor((heard - this.endsAt) * FPS) % (2 * n - 2);
    this.draw.drawImage(this.rest[n - 1 - (step < n ? step : 2 * n - 2 - step)], 0, 0, this.canvas.width, this.canvas.height);
  }

  _drop(which) {
    this.queue = this.queue.filter((entry) => {
      if (which(entry)) entry.bitmap.close();
      return !which(entry);
    });
  }

  // Nothing more is heard or shown of what came so far.
  silence() {
    this.generation++;
    for (const source of this.sources) source.stop();
    this.sources.clear();
    this._drop(() => true);
    this.endsAt = 0;
    this.restEnds = true;
    this.silencedAt = performance.now();
  }

  figures() {
    const now = performance.now();
    this.shownTimes = this.shownTimes.filter((time) => now - time < 2000);
    const sorted = this.skews.map(Math.abs).sort((a, b) => a - b);
    return {
      fps: this.shownTimes.length / 2,
      bufferS: this.context ? Math.max(0, this.endsAt - this.context.currentTime) : 0,
      skewMs: sorted.length ? sorted[Math.floor(sorted.length / 2)] : null,
      worstSkewMs: sorted.length ? sorted[Math.floor(sorted.length * 0.95)] : null,
      gaps: this.gaps, shownFrame: this.shownFrame, playing: this.sources.size, spoken: this.skews.length,
      received: this.received, codec: this.codec, undecoded: this.undecoded,
    };
  }

  stop() {
    this.silence();
    this.running = false;
    this.unpacker.close();
    this.context.close();
  }
}
