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
    veil(reason && reason !== "the run has ended" ? `Disconnected: ${reason}` : "No connection. Trying again…");
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
    if (isNew) beginPath(message.box);
    videoChanged(message.video);
    setState(message.state);
    changed();
  } else if (message.type === "event") {
    happened(message.event);
  } else if (message.type === "state") {
    setState(message.state);
  } else if (message.type === "preview") {
    path.frames = message.frames; path.seconds = message.seconds;
    path.waiting = false;
    if (path.wantsToPlay) startPlaying();
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
function veil(text) { $("veil").textContent = text; $("veil").hidden = false; }
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
    camera = isPlane() ? wholeImage() : cameraOf(subject.overview.start);
    moved();
  }
  if (last) figures(last);
  const held = history.evaluated[history.evaluated.length - 1];
  if (held && held.psnr != null) $("held").textContent = `${held.psnr.toFixed(2)} dB`;
  setStep(trainedStep, null);
  $("fov").value = camera.fov * 180 / Math.PI;
  plot();
}
const DOING = { training: "Training", paused: "Paused", ended: "Training has ended", viewing: "Finished run", lost: "No connection" };
function setState(next) {
  state = next;
  ended = next === "ended";
  document.body.classList.remove("training", "paused", "viewing", "ended", "lost");
  document.body.classList.add(next);
  $("doing").textContent = DOING[next];
  const steered = next === "training" || next === "paused";
  $("run").hidden = next === "viewing" || !subject;
  for (const id of ["pause", "save", "stop"]) $(id).disabled = !steered;
  $("pause").textContent = next === "paused" ? "Resume" : "Pause";
  if (ended && subject && subject.share < 1) veil(`This run has ended. To look at it: gridfield view ${subject.run}`);
  else if (ended) veil("The viewer was closed.");
  if (ended) { $("left").textContent = "–"; $("stop").classList.remove("sure"); $("stop").textContent = "Stop"; }
  if (next === "viewing") { $("left-name").textContent = "Model"; $("left").textContent = subject.model; }
}
