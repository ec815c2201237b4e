// ---- The connection.
function send(message) {
  if (!socket || socket.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(message));
  return true;
}
let retry = 500;
function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}/ws${location.search}`);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => typeof data === "string" ? hear(JSON.parse(data)) : show(data);
  socket.onclose = ({ reason }) => {
    pending = null;
    if (ended) return;
    setState("lost");
    veil(reason ? `Disconnected: ${reason}` : "No connection. Trying again…");
    setTimeout(connect, retry);
    retry = Math.min(retry * 1.6, 8000);
  };
}
function hear(message) {
  if (message.type === "hello") {
    retry = 500; lastId = Math.max(lastId, 0); pending = null;
    const isNew = !subject || subject.run !== message.subject.run;
    subject = message.subject; history = message.history;
    // A new connection numbers its pictures anew.
    lastId = 0; shownId = 0;
    begin(isNew);
    if (isNew) beginPath(message.box, message.path);
    videoChanged(message.video);
    setState(message.state);
    if (shown) $("veil").hidden = true;
    else veil("Rendering the first picture…");
    changed();
  } else if (message.type === "event") {
    happened(message.event);
  } else if (message.type === "state") {
    setState(message.state);
  } else if (message.type === "preview") {
    path.frames = message.frames; path.seconds = message.seconds;
    path.waiting = false;
    wake();
    if (path.wantsToPlay) startPlaying();
  } else if (message.type === "extent") {
    boxFits(message.box);
  } else if (message.type === "kept") {
    note(message.message);
  } else if (message.type === "refused") {
    path.waiting = false;
    note(message.message);
  } else if (message.type === "video") {
    videoChanged(message.video);
  } else if (message.type === "failed") {
    pending = null;
    note(message.message);
  }
}
const aboutOf = ({ model, device, share }) => share < 1 ? `${model} · ${device}` : device;
function veil(text, command = "") {
  $("veil").textContent = text;
  if (command) $("veil").append(" ", Object.assign(document.createElement("code"), { textContent: command }));
  $("veil").hidden = false;
}
function note(text) {
  $("note").textContent = text;
  clearTimeout(note.timer);
  note.timer = setTimeout(() => { $("note").textContent = ""; }, 6000);
}
function begin(isNew) {
  const last = history.training[history.training.length - 1];
  trainedStep = Math.max(subject.step, last ? last.step : 0);
  document.title = `${subject.scene} · gridfield`;
  $("scene").textContent = subject.scene;
  $("about").textContent = aboutOf(subject);
  $("about").title = `${subject.run} · gridfield ${subject.version}`;
  $("settings").textContent = JSON.stringify(subject.settings, null, 2);
  for (const button of $("outputs").children) button.hidden = !subject.outputs.includes(button.dataset.output);
  [...$("outputs").children].filter(b => !b.hidden).forEach((b, i) => { b.title = `${b.dataset.about || ""} (key ${i + 1})`.trim(); });
  document.body.classList.toggle("plane", isPlane());
  $("split-on").disabled = !subject.outputs.includes("original");
  if (isNew) {
    setScene(subject.overview);
    nameSplits();
    camera = isPlane() ? wholeImage() : cameraOf(subject.overview.start);
    moved();
  }
  if (last) figures(last);
  const held = history.evaluated[history.evaluated.length - 1];
  if (held && held.psnr != null) $("held").textContent = `${held.psnr.toFixed(2)} dB`;
  const { eval_every } = subject.settings.train || {};
  $("held").parentElement.title = eval_every ? `Measured every ${grouped(eval_every)} steps` : "Not measured in this run; --eval-every N does it every N steps";
  setStep(trainedStep, null);
  $("fov").value = camera.fov * 180 / Math.PI;
  plot();
}
const DOING = { training: "Training", paused: "Paused", ended: "Closed", viewing: "Finished run", lost: "No connection" };
function setState(next) {
  const wasSteered = state === "training" || state === "paused";
  state = next;
  ended = next === "ended";
  document.body.classList.remove("training", "paused", "viewing", "ended", "lost");
  document.body.classList.add(next);
  $("doing").textContent = DOING[next];
  const steered = next === "training" || next === "paused";
  $("run").hidden = next === "viewing" || !subject;
  for (const id of ["pause", "save", "stop"]) $(id).disabled = !steered;
  $("pause").textContent = next === "paused" ? "Resume" : "Pause";
  // What can no longer be had is switched off, and the last picture stays.
  for (const part of document.querySelectorAll("aside .live, #overlay, #photo-bar")) part.inert = ended;
  if (ended) {
    veil("The viewer was closed. To look at this run again:", subject && `gridfield view ${subject.run}`);
    pending = null;
  }
  if (next === "viewing" && wasSteered) note("Training has ended; this is its result. The viewer stays open as long as this page.");
  if (!steered) { $("left").textContent = "–"; $("stop").classList.remove("sure"); $("stop").textContent = "Stop"; }
  if (next === "viewing") { $("left-name").textContent = "Model"; $("left").textContent = subject.model; }
}
