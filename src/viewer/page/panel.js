// ---- The panel.
function press1(group, button) { for (const other of group.querySelectorAll("[aria-pressed]")) other.setAttribute("aria-pressed", other === button); }
for (const button of $("outputs").children) button.onclick = () => { view.output = button.dataset.output; press1($("outputs"), button); changed(); };
function setMode(mode) { view.mode = mode; press1($("modes"), [...$("modes").children].find(b => b.dataset.mode === mode)); }
for (const button of $("modes").children) button.onclick = () => setMode(button.dataset.mode);
function setBackground(id, color) { view.background = color; press1($("backgrounds"), $(id)); changed(); }
$("bg-any").setAttribute("aria-pressed", false);
$("bg-own").onclick = () => setBackground("bg-own", null);
$("bg-white").onclick = () => setBackground("bg-white", [1, 1, 1]);
$("bg-black").onclick = () => setBackground("bg-black", [0, 0, 0]);
$("bg-grey").onclick = () => setBackground("bg-grey", [0.5, 0.53, 0.57]);
$("bg-any").firstChild.oninput = e => setBackground("bg-any", [1, 3, 5].map(i => parseInt(e.target.value.slice(i, i + 2), 16) / 255));
$("fov").oninput = e => { if (camera) { hidePhoto(); camera = { ...camera, fov: e.target.value * Math.PI / 180 }; moved(); } };
$("home").onclick = () => { if (camera) flyTo(cameraOf(subject.overview.start)); };
$("cameras").onchange = wake;
$("fold").onclick = () => document.body.classList.toggle("wide");
$("pause").onclick = () => send({ type: state === "paused" ? "resume" : "pause" });
$("save").onclick = () => { if (send({ type: "save" })) note(state === "paused" ? "Saving…" : "Saving after this step…"); };
$("stop").onclick = () => {
  const button = $("stop");
  if (!button.classList.contains("sure")) {
    button.classList.add("sure"); button.textContent = "Really?";
    setTimeout(() => { button.classList.remove("sure"); button.textContent = "Stop"; }, 3000);
  } else if (send({ type: "stop" })) note("Saving, then stopping…");
};

// The page works only when something changes: a frame is drawn after wake(), and while something moves by itself.
let before = performance.now(), scheduled = false;
function wake() {
  if (!scheduled) { scheduled = true; requestAnimationFrame(frame); }
}
function frame(now) {
  scheduled = false;
  const seconds = Math.min(0.1, (now - before) / 1000);
  before = now;
  if (camera) {
    if (playing) play(now);
    if (flight) { fly(now); $("fov").value = camera.fov * 180 / Math.PI; }
    if (keys.size) walk(seconds);
  }
  drawOverlay();
  ask(now);
  if (playing || flight || keys.size) wake();
}
// What comes after a rest needs no frame: the next larger picture, and one of the steps since.
setInterval(() => ask(performance.now()), 100);
new ResizeObserver(wake).observe(stage);
// A window may move to a screen of another density.
window.addEventListener("resize", wake);
connect();
wake();
