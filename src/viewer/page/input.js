// ---- Mouse, touch and keys.
const pointers = new Map();
let press = null;
/** Where the mouse is over the stage. */
let pointed2d = null;
function orbit(dx, dy) {
  if (isPlane()) return pan(dx, dy);
  hidePhoto();
  const turn = view.mode === "fly" ? camera.fov / stage.clientHeight : 2.6 / Math.min(stage.clientWidth, stage.clientHeight);
  const sign = view.mode === "fly" ? -1 : 1, eye = frameOf(camera).eye;
  const next = { ...camera, yaw: camera.yaw - sign * dx * turn, pitch: clamp(camera.pitch + sign * dy * turn, -STEEPEST, STEEPEST) };
  camera = view.mode === "fly" ? { ...next, target: add(eye, backOf(next), -next.distance) } : next;
  moved();
}
function pan(dx, dy) {
  hidePhoto();
  const { x, y } = frameOf(camera), units = unitsPerPixel(camera);
  const target = add(add(camera.target, x, -dx * units), y, dy * units);
  camera = { ...camera, target: isPlane() ? onImage(target) : target };
  moved();
}
/** Moves closer or farther; at a place of the stage, if a plane is looked at. */
function dolly(factor, x, y) {
  if (isPlane()) return zoomBy(factor, x, y);
  hidePhoto();
  const least = 0.02 * subject.overview.radius, most = 30 * subject.overview.radius;
  camera = { ...camera, distance: clamp(camera.distance * factor, least, most) };
  moved();
}
overlay.addEventListener("pointerdown", e => {
  if (!camera) return;
  overlay.focus({ preventScroll: true });
  overlay.setPointerCapture(e.pointerId);
  const handle = pointers.size ? null : handleAt(e.offsetX, e.offsetY, e.pointerType === "mouse" ? 10 : 20);
  pointers.set(e.pointerId, [e.offsetX, e.offsetY]);
  flight = null;
  stopPlaying();
  if (pointers.size === 1 && nearSplit(e.offsetX, e.pointerType === "mouse" ? 8 : 20)) {
    split.drag = true;
    press = null;
    return;
  }
  if (handle) {
    box.drag = { ...handle, from: box.now[handle.corner][handle.axis], x: e.offsetX, y: e.offsetY };
    press = null;
    return;
  }
  press = pointers.size === 1 ? { x: e.offsetX, y: e.offsetY, at: performance.now(), pans: e.button !== 0 || e.shiftKey } : null;
  overlay.classList.add("held");
});
overlay.addEventListener("pointermove", e => {
  const before = pointers.get(e.pointerId);
  pointed2d = [e.offsetX, e.offsetY];
  if (!before) {
    overlay.classList.toggle("splits", nearSplit(e.offsetX, 8));
    facts();
  }
  if (!before) { hover(e.pointerType === "mouse" ? cameraAt(e.offsetX, e.offsetY, 6) : null, e); return; }
  if (split.drag) return dragSplit(e.offsetX);
  if (box.drag) return dragSide(box.drag, e.offsetX - box.drag.x, e.offsetY - box.drag.y);
  const dx = e.offsetX - before[0], dy = e.offsetY - before[1];
  if (pointers.size === 1) {
    if (press && Math.hypot(e.offsetX - press.x, e.offsetY - press.y) > 4) press.dragged = true;
    if (!press || press.dragged) (press && press.pans ? pan : orbit)(dx, dy);
    if (press && !press.dragged) return;
  } else if (pointers.size === 2) {
    const other = [...pointers].find(([id]) => id !== e.pointerId)[1];
    const was = Math.hypot(before[0] - other[0], before[1] - other[1]), is = Math.hypot(e.offsetX - other[0], e.offsetY - other[1]);
    if (was > 0 && is > 0) dolly(was / is, 0.5 * (e.offsetX + other[0]), 0.5 * (e.offsetY + other[1]));
    pan(0.5 * dx, 0.5 * dy);
  }
  pointers.set(e.pointerId, [e.offsetX, e.offsetY]);
  hover(null, e);
});
function release(e) {
  pointers.delete(e.pointerId);
  box.drag = null;
  split.drag = false;
  if (!pointers.size) overlay.classList.remove("held");
  if (e.type === "pointerup" && press && !press.dragged && !press.pans && performance.now() - press.at < 500) {
    const clicked = cameraAt(e.offsetX, e.offsetY, e.pointerType === "mouse" ? 6 : 18);
    if (clicked) { flyTo(cameraOf(clicked), () => showPhoto(clicked)); note(clicked.name); hover(null); }
  }
  press = null;
}
overlay.addEventListener("pointerup", release);
overlay.addEventListener("pointercancel", release);
overlay.addEventListener("contextmenu", e => e.preventDefault());
overlay.addEventListener("wheel", e => {
  e.preventDefault();
  if (!camera) return;
  flight = null;
  stopPlaying();
  dolly(Math.exp(clamp(e.deltaY * (e.deltaMode === 1 ? 30 : 1), -400, 400) * 0.0014), e.offsetX, e.offsetY);
}, { passive: false });
function hover(cam, e) {
  if (hovered !== cam) wake();
  hovered = cam;
  overlay.classList.toggle("over", !!cam);
  const tip = $("tip");
  tip.style.display = cam ? "block" : "none";
  if (cam) { tip.textContent = cam.name; tip.style.left = `${e.offsetX}px`; tip.style.top = `${e.offsetY}px`; }
}
const keys = new Set();
window.addEventListener("keydown", e => {
  const isField = e.target.tagName === "SELECT" || e.target.tagName === "INPUT" && e.target.type !== "checkbox";
  if (e.ctrlKey || e.metaKey || e.altKey || isField) return;
  const key = e.key.toLowerCase();
  if (isPlane() && PLANE_KEYS[key]) { e.preventDefault(); keys.add(PLANE_KEYS[key]); flight = null; wake(); return; }
  if ("wasdeq".includes(key) && key.length === 1) { keys.add(key); flight = null; stopPlaying(); wake(); return; }
  if (e.repeat) return;
  const button = [...$("outputs").children].filter(b => !b.hidden)[Number(key) - 1];
  if (button) button.click();
  else if (isPlane()) {
    if (key === "0") $("pixels").click();
    else if (key === "r") $("whole").click();
    else if (key === "b" && !$("split-on").disabled) $("split-on").click();
    else if (key === "p" && !$("pause").disabled) $("pause").click();
  }
  else if (key === "f") setMode(view.mode === "fly" ? "orbit" : "fly");
  else if (key === "c") $("cameras").click();
  else if (key === "r") $("home").click();
  else if (key === "p" && !$("pause").disabled) $("pause").click();
  else if (key === "k") addKey();
  else if (key === " " && e.target === overlay) { e.preventDefault(); $("path-play").click(); }
});
const PLANE_KEYS = { arrowup: "w", arrowdown: "s", arrowleft: "a", arrowright: "d", "+": "e", "=": "e", "-": "q" };
window.addEventListener("keyup", e => { const key = e.key.toLowerCase(); keys.delete(key); keys.delete(PLANE_KEYS[key]); });
window.addEventListener("blur", () => { keys.clear(); pointers.clear(); });
let fast = false;
window.addEventListener("keydown", e => { fast = e.shiftKey; });
window.addEventListener("keyup", e => { fast = e.shiftKey; });
function walk(seconds) {
  hidePhoto();
  const by = (key, other) => (keys.has(key) ? 1 : 0) - (keys.has(other) ? 1 : 0);
  if (isPlane()) {
    const pixels = 700 * seconds * (fast ? 3 : 1);
    pan(pixels * by("a", "d"), pixels * by("w", "s"));
    if (by("q", "e")) zoomBy(Math.exp(2 * seconds * by("q", "e")));
    return;
  }
  const { x, z } = frameOf(camera), speed = seconds * (fast ? 2.4 : 0.6) * Math.max(camera.distance, 0.3 * subject.overview.radius);
  const step = add(add(scale(z, by("s", "w")), x, by("d", "a")), axes[2], by("e", "q"));
  camera = { ...camera, target: add(camera.target, step, speed) };
  moved();
}
