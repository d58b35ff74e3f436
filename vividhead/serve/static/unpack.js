// Pictures of a message to bitmaps: files as they are, VP8 and VP9 by the browser's own decoder (WebCodecs).
// Each message begins with a picture that needs none before it, so any message may be missing.

const NAMES = { vp8: "vp8", vp9: "vp09.00.10.08" };
const MICROSECONDS = 40000;

// What to offer the server, first choice first. Browsers have WebCodecs on https and on this machine only.
export async function preferredVideo(asked = null) {
  if (asked) return [asked, "jpeg"];
  if (!("VideoDecoder" in window)) return ["jpeg"];
  const support = await Promise.all(Object.values(NAMES).map((codec) => VideoDecoder.isConfigSupported({ codec })));
  return [...Object.keys(NAMES).filter((_, at) => support[at].supported), "jpeg"];
}

export class Unpacker {
  // Call after the promise of the call before has settled: messages are decoded one after the other.
  async bitmaps(media) {
    if (!(media.codec in NAMES)) return Promise.all(media.pictures.map((picture) => createImageBitmap(picture)));
    if (this.codec !== media.codec || this.decoder.state !== "configured") this._open(media.codec);
    this.frames = [];
    media.pictures.forEach((data, k) => this.decoder.decode(new EncodedVideoChunk({
      type: k ? "delta" : "key", timestamp: (media.startFrame + k) * MICROSECONDS, data,
    })));
    await this.decoder.flush();
    const frames = this.frames.splice(0);
    try {
      if (frames.length !== media.pictures.length) throw new Error(`${frames.length} of ${media.pictures.length} pictures`);
      return await Promise.all(frames.map((frame) => createImageBitmap(frame)));
    } finally {
      frames.forEach((frame) => frame.close());
    }
  }

  _open(codec) {
    this.close();
    this.codec = codec;
    this.decoder = new VideoDecoder({ output: (frame) => this.frames.push(frame), error: () => {} });  // flush() rejects
    this.decoder.configure({ codec: NAMES[codec], optimizeForLatency: true });
  }

  close() {
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    this.codec = null;
  }
}
