// ---- The camera path: key views, timed; the server interpolates, so that a preview shows what the video will.
const path = { keys: [], frames: [], seconds: 0, waiting: false, wantsToPlay: false };
let playing = null;
const SIZES = [[1280, 720], [1920, 1080], [800, 800], [1080, 1920], [640, 360]];
for (const [w, h] of SIZES) $("path-size").add(new Option(`${w} × ${h}`, `${w},${h}`));
function storage(value) {
  const name = `gridfield path ${subject.run}`;
  // Browsers may forbid it.
  try { return value === undefined ? sessionStorage.getItem(name) : sessionStorage.setItem(name, value); } catch { return null; }
}
function beginPath(savedBox, saved) {
  path.keys = saved ? saved.keys.map(key => ({ ...key, camera: cameraOf(key) })) : [];
  if (saved) {
    const size = `${saved.width},${saved.height}`;
    if (![...$("path-size").options].some(option => option.value === size)) $("path-size").add(new Option(`${saved.width} × ${saved.height}`, size));
    $("path-size").value = size; $("path-fps").value = saved.fps; $("path-closed").checked = saved.is_closed;
  }
  // What was changed in this tab since the path was saved comes first.
  try { path.keys = JSON.parse(storage()) || path.keys; } catch { /* The saved path stays. */ }
  keysChanged();
  box.now = savedBox ? [savedBox.min, savedBox.max] : null;
  $("box-on").checked = !!savedBox;
  boxChanged();
}
function pathMessage(type) {
  const [width, height] = $("path-size").value.split(",").map(Number);
  const keys = path.keys.map(({ camera_to_world, fov_y, seconds }) => ({ camera_to_world, fov_y, seconds }));
  return { type, path: { keys, width, height, fps: Number($("path-fps").value), is_closed: $("path-closed").checked, crop: type === "preview" ? null : cropNow() } };
}
function keysChanged() {
  stopPlaying();
  wake();
  storage(JSON.stringify(path.keys));
  const list = $("keys");
  list.textContent = "";
  path.keys.forEach((key, i) => {
    const row = document.createElement("div");
    row.className = "key";
    const button = (text, title, action) => {
      const made = document.createElement("button");
      made.textContent = text; made.title = title; made.setAttribute("aria-label", `${title} ${i + 1}`);
      made.onclick = action;
      return made;
    };
    const time = document.createElement("label"), input = document.createElement("input");
    const isTimed = i > 0 || $("path-closed").checked;
    Object.assign(input, { type: "number", min: 0.1, max: 600, step: 0.1, value: key.seconds, disabled: !isTimed });
    input.setAttribute("aria-label", `Seconds to view ${i + 1}`);
    input.onchange = () => { key.seconds = clamp(Number(input.value) || 1, 0.1, 600); keysChanged(); };
    time.append(...(isTimed ? [input, `s from ${i || path.keys.length}`] : ["start"]));
    row.append(button(i + 1, "Go to view", () => flyTo(key.camera)), time,
      button("⟳", "Replace by what is shown: view", () => { Object.assign(key, keyOf(camera)); keysChanged(); }),
      button("✕", "Remove view", () => { path.keys.splice(i, 1); keysChanged(); }));
    list.append(row);
  });
  if (!path.keys.length) {
    const hint = document.createElement("p");
    hint.className = "empty";
    hint.textContent = "Move to a view and add it; the video flies from view to view.";
    list.append(hint);
  }
  path.frames = [];
  for (const id of ["path-play", "path-save", "path-video"]) $(id).disabled = !path.keys.length;
  if (path.keys.length) path.waiting = send(pathMessage("preview"));
}
const keyOf = cam => ({ camera: { ...cam }, camera_to_world: matrixOf(cam), fov_y: cam.fov });
function addKey() {
  if (!camera || path.keys.length >= 200) return;
  path.keys.push({ ...keyOf(camera), seconds: path.keys.length ? 2 : 1 });
  keysChanged();
}
$("key-add").onclick = addKey;
$("path-closed").onchange = keysChanged;
$("path-fps").onchange = () => { $("path-fps").value = clamp(Math.round($("path-fps").value) || 30, 1, 120); keysChanged(); };
$("path-size").onchange = keysChanged;
$("path-save").onclick = () => send(pathMessage("save_path"));
$("path-video").onclick = () => {
  const message = pathMessage("video");
  if (view.background) message.background = view.background;
  if (send(message) && state === "training") note("While training, a video takes long; pause the run to have it sooner.");
};
$("path-play").onclick = () => {
  if (playing) return stopPlaying();
  path.wantsToPlay = true;
  if (path.frames.length) startPlaying();
  else if (!path.waiting) path.waiting = send(pathMessage("preview"));
};
function startPlaying() {
  path.wantsToPlay = false;
  hidePhoto();
  flight = null;
  playing = { begun: performance.now(), shown: shot(0) };
  $("path-play").textContent = "Stop";
  wake();
}
function stopPlaying() {
  if (!playing) return;
  playing = null;
  $("path-play").textContent = "Preview";
  moved();
}
function shot(t) {
  const frame = path.frames[Math.min(path.frames.length - 1, Math.floor(t * path.frames.length))];
  // A video that is wider than the stage fits into its width.
  const wider = Math.max(1, aspectOfVideo() * stage.clientHeight / stage.clientWidth);
  return { matrix: frame.slice(0, 12), fov: 2 * Math.atan(wider * Math.tan(0.5 * frame[12])), distance: camera.distance };
}
function play(now) {
  const t = (now - playing.begun) / 1000 / path.seconds;
  if (t >= 1) return stopPlaying();
  playing.shown = shot(t);
  moved(now);
}
/** Width divided by height of the video. */
function aspectOfVideo() { const [width, height] = $("path-size").value.split(",").map(Number); return width / height; }
/** Shows what part of the stage a video of another shape has. */
function drawFrame(w, h) {
  const aspect = aspectOfVideo(), width = Math.min(w, h * aspect), x = 0.5 * (w - width), y = 0.5 * (h - width / aspect);
  pen.fillStyle = "rgb(13 16 20 / .6)";
  pen.fillRect(0, 0, x, h); pen.fillRect(w - x, 0, x, h);
  pen.fillRect(x, 0, width, y); pen.fillRect(x, h - y, width, y);
}
function drawPath(project) {
  if (!path.keys.length || !$("photo").hidden) return;
  const dots = path.frames.map(f => project([f[3], f[7], f[11]]));
  for (const [width, color] of [[4, "rgb(10 14 20 / .3)"], [1.6, "rgb(255 120 170)"]]) {
    pen.lineWidth = width; pen.strokeStyle = color; pen.beginPath();
    let begun = false;
    for (const dot of dots) {
      if (!dot) { begun = false; continue; }
      begun ? pen.lineTo(dot[0], dot[1]) : pen.moveTo(dot[0], dot[1]);
      begun = true;
    }
    pen.stroke();
  }
  pen.font = "600 11px system-ui, sans-serif"; pen.textAlign = "center";
  path.keys.forEach((key, i) => {
    const at = project(key.camera_to_world.map(row => row[3]));
    if (!at) return;
    pen.fillStyle = "rgb(255 120 170)"; pen.beginPath(); pen.arc(at[0], at[1], 8, 0, 7); pen.fill();
    pen.fillStyle = "#1a0c12"; pen.fillText(i + 1, at[0], at[1] + 4);
  });
}
function videoChanged(video) {
  $("video").hidden = !video;
  if (!video) return;
  const { stage, done, total, eta_seconds, file } = video, failed = stage && stage.failed, text = $("video-text");
  $("video-done").style.width = `${100 * done / total}%`;
  $("video-cancel").hidden = stage !== "rendering";
  $("path-video").disabled = stage === "rendering" || !path.keys.length;
  text.textContent = failed ? `No video: ${failed}` : stage === "cancelled" ? "The video was cancelled."
    : stage === "done" ? "" : `${done} of ${total} frames` + (eta_seconds == null ? "" : `, ${duration(eta_seconds)} left`);
  if (stage === "done") {
    const link = document.createElement("a");
    link.href = `/video${location.search}`; link.download = "camera_path.mp4"; link.textContent = "Download the video";
    link.title = file;
    text.append(link);
    if (videoChanged.last === "rendering") note(`The video is ${file}`);
  }
  videoChanged.last = stage;
}
$("video-cancel").onclick = () => send({ type: "cancel_video" });
