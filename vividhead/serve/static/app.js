import { TalkingHead, toInt16 } from "./client.js";
import { Player } from "./player.js";
import { preferredVideo } from "./unpack.js";

const find = (id) => document.getElementById(id);
const OWN = "own/picture";  // no name of the server's has a slash
const state = (text) => { find("state").textContent = text; };
const ERRORS = {
  full: (e) => `All places are taken. Try again in ${Math.ceil(e.retry_s)} s.`,
  draining: () => "The server is being stopped.",
  no_consent: () => "Tick that you have the right to let this person speak, then begin.",
};

let about = null, head = null, player = null, upload = null, microphone = null, saidAt = null, resuming = 0;
window.vividhead = { figures: () => ({ ...(player ? player.figures() : {}), resuming }) };  // for whoever measures the page

async function greet() {
  const answer = await fetch("v1/about");
  if (!answer.ok) { state(await answer.text()); return; }
  about = await answer.json();
  find("model").textContent = about.model;
  find("warning").hidden = !about.random_weights;
  find("warning").textContent = "RANDOM WEIGHTS: nobody trained this model. What you see is noise that moves.";
  find("portrait").closest("p").hidden = !about.uploads;
  find("say-form").hidden = !about.say;
  about.portraits.forEach((name, at) => addFace(name, `v1/portraits/${encodeURIComponent(name)}`, at === 0));
}

function addFace(name, source, chosen) {
  const label = document.createElement("label"), input = document.createElement("input"), image = new Image();
  Object.assign(input, { type: "radio", name: "face", value: name, checked: chosen });
  Object.assign(image, { src: source, alt: name });
  label.append(input, image);
  find("faces").append(label);
  input.onchange = () => { find("consent-line").hidden = !(about.consent && input.value === OWN); };
  return input;
}

async function takePortrait(file) {
  upload = await file.arrayBuffer();
  const before = document.querySelector(`#faces input[value="${OWN}"]`);
  if (before) {
    URL.revokeObjectURL(before.nextSibling.src);
    before.parentElement.remove();
  }
  const input = addFace(OWN, URL.createObjectURL(file), true);
  input.nextSibling.alt = "your picture";
  input.onchange();
}

async function begin() {
  const chosen = document.querySelector("#faces input:checked");
  if (!chosen) { state("Choose a face first."); return; }
  find("begin").disabled = true;
  state("Opening …");
  player = new Player(find("head"));
  await player.start();
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  head = new TalkingHead(new URL(`v1/stream`, location.href).href.replace(/^https?:/, scheme), {
    onMedia: seen, onNote: noted, onEnd: ended,
    onState: (now) => { if (now === "resuming") { resuming++; state("Connection lost; resuming …"); } else state("Listening."); },
  });
  const portrait = chosen.value === OWN ? upload : chosen.value;
  try {
    const video = await preferredVideo(new URLSearchParams(location.search).get("video"));
    await head.open({ portrait, video, consent: find("consent").checked });
  } catch {
    return;  // onEnd told why
  }
  find("end").disabled = find("speak").disabled = false;
  state("Listening. Type, speak or drop a recording.");
}

function seen(media) {
  if (!media.idle && saidAt !== null) {
    find("latency").textContent = `${Math.round(performance.now() - saidAt)} ms`;
    saidAt = null;
  }
  player.add(media);
}

function noted(message) {
  if (message.type === "warning") state(message.text);
}

function ended(error) {
  stopMicrophone();
  player.stop();
  find("begin").disabled = false;
  find("end").disabled = find("speak").disabled = true;
  state(error === null ? "Ended." : (ERRORS[error.code] ? ERRORS[error.code](error) : error.text));
}

function interrupt() {
  if (!head || head.over) return;
  player.silence();
  head.interrupt();
  saidAt = null;
}

async function takeAudio(file) {
  if (!head || head.over) { state("Begin first, then give it a recording."); return; }
  const sound = await player.decode(await file.arrayBuffer()).catch(() => null);
  if (sound === null) { state(`${file.name} is no sound that this browser reads.`); return; }
  saidAt = performance.now();
  state(`Speaking ${file.name}.`);
  await head.sayAll(sound, player.rateHz);
}

async function toggleMicrophone() {
  if (microphone) { stopMicrophone(); return; }
  if (!navigator.mediaDevices) {
    state("Browsers give a microphone to pages of this machine and to those that come by HTTPS: put TLS before the server.");
    return;
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
  } catch {
    state("The microphone may not be used.");
    return;
  }
  const context = new AudioContext();
  await context.audioWorklet.addModule("capture.js");
  const source = context.createMediaStreamSource(stream), capture = new AudioWorkletNode(context, "capture");
  capture.port.onmessage = (event) => head.push(toInt16(event.data), context.sampleRate);
  source.connect(capture);
  microphone = { stream, context };
  saidAt = performance.now();
  find("microphone").setAttribute("aria-pressed", "true");
  state("Listening to your microphone; the face speaks a second behind you.");
}

function stopMicrophone() {
  if (!microphone) return;
  microphone.stream.getTracks().forEach((track) => track.stop());
  microphone.context.close();
  microphone = null;
  find("microphone").setAttribute("aria-pressed", "false");
  if (!head.over) head.flush();
}

find("begin").onclick = begin;
find("end").onclick = () => head.close();
find("interrupt").onclick = interrupt;
find("microphone").onclick = toggleMicrophone;
find("portrait").onchange = (event) => event.target.files[0] && takePortrait(event.target.files[0]);
find("audio").onchange = (event) => {
  if (event.target.files[0]) takeAudio(event.target.files[0]);
  event.target.value = "";  // so that the same recording can be chosen again
};
find("say-form").onsubmit = (event) => {
  event.preventDefault();
  const text = find("text").value.trim();
  if (!text) return;
  saidAt = performance.now();
  head.say(text);
  find("text").value = "";
};
addEventListener("pagehide", () => { if (head && !head.over) head.close(); });  // who leaves holds no place
addEventListener("keydown", (event) => { if (event.key === "Escape") interrupt(); });
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
addEventListener("dragleave", () => document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const file = event.dataTransfer.files[0];
  if (!file) return;
  if (!file.type.startsWith("image/")) takeAudio(file);
  else if (about.uploads) takePortrait(file);
});

setInterval(() => {
  if (!player || !head || head.over) return;
  if (document.hidden) player.catchUp();  // nothing is drawn then, and what is not shown is not sent
  const figures = player.figures();
  if (figures.shownFrame !== null) head.shown(figures.shownFrame + 1);
  find("fps").textContent = figures.fps.toFixed(1);
  find("buffer").textContent = `${Math.round(figures.bufferS * 1000)} ms`;
  find("skew").textContent = figures.skewMs === null ? "–" : `${Math.round(figures.skewMs)} ms`;
  find("gaps").textContent = String(figures.gaps);
}, 250);

greet().catch(() => state("The server does not answer."));
