// The microphone's samples to the page, in pieces of about 40 ms.
class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.held = [];
    this.count = 0;
  }

  process(inputs) {
    const channel = inputs[0][0];
    if (channel) {
      this.held.push(channel.slice());
      this.count += channel.length;
      if (this.count >= sampleRate / 25) {
        const joined = new Float32Array(this.count);
        let at = 0;
        for (const part of this.held) {
          joined.set(part, at);
          at += part.length;
        }
        this.port.postMessage(joined, [joined.buffer]);
        this.held = [];
        this.count = 0;
      }
    }
    return true;
  }
}
registerProcessor("capture", Capture);
