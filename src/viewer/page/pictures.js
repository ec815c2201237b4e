// ---- Pictures: small ones while the camera moves, larger ones once it rests, new ones while the field is trained.
const view = { output: "rgb", background: null, mode: "orbit" };
let socket = null, state = "lost", ended = false, lastId = 0, shownId = 0, pending = null, lastMove = -1e9, dirty = true;
let movingScale = 0.25, shown = null, trainedStep = 0, rates = [];
const REST = 160, MOST_PIXELS = 2560 * 1600, MOST_SIDE = 8192, LONGEST_REFINEMENT = 15000;

function moved(now = performance.now()) { lastMove = now; dirty = true; }
function changed() { dirty = true; }
function fullSize() {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const w = Math.max(1, stage.clientWidth * ratio), h = Math.max(1, stage.clientHeight * ratio);
  const fit = Math.min(1, Math.sqrt(MOST_PIXELS / (w * h)) * 0.999, MOST_SIDE / Math.max(w, h));
  return [w * fit, h * fit];
}
function share() { return state === "training" ? subject.share : 1; }
function request(size, now, isRefinement) {
  const [w, h] = fullSize();
  const message = {
    type: "view", id: ++lastId, camera_to_world: matrixOf(lens()), fov_y: lens().fov, output: view.output,
    width: Math.max(1, Math.round(w * size)), height: Math.max(1, Math.round(h * size)),
  };
  if (view.background) message.background = view.background;
  if (!send(message)) return;
  pending = { id: lastId, size, isRefinement, sent: now };
  dirty = false;
}
/** Asks for the next picture, if one is wanted. */
function ask(now) {
  if (!camera || state === "lost" || ended) return;
  const moving = now - lastMove < REST;
  if (moving || dirty) {
    // A picture of a moving camera is waited for, else none would ever be finished.
    if (dirty && (!pending || pending.isRefinement)) request(Math.min(movingScale, 1), now, false);
    return;
  }
  if (pending || !shown) return;
  const perPixel = shown.ms / (shown.width * shown.height) / share(), [w, h] = fullSize();
  const time = size => perPixel * w * h * size * size;
  if (shown.size < 1) {
    const next = shown.size > 0.45 ? 1 : shown.size * 2.2;
    if (state !== "training" || time(next) < LONGEST_REFINEMENT) return request(next, now, true);
  }
  if (trainedStep > shown.step && now - shown.at > 700) request(shown.size, now, true);
}
async function show(data) {
  const length = new DataView(data).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  const asked = pending && pending.id === header.id ? pending : null;
  const bitmap = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
  const now = performance.now();
  if (asked && pending === asked) pending = null;
  if (header.id < shownId) return bitmap.close();
  shownId = header.id;
  paint.imageSmoothingEnabled = true;
  paint.imageSmoothingQuality = "high";
  paint.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  shown = { ...header, at: now, size: asked ? asked.size : 0.25 };
  if (asked && !asked.isRefinement) {
    // Small pictures have a cost of their own, so the size follows the time slowly.
    const wanted = state === "training" ? 220 : 90, took = Math.max(1, header.ms / share());
    movingScale = clamp(movingScale * clamp(Math.sqrt(wanted / took), 0.7, 1.4), 0.1, 1);
  }
  rates = rates.filter(at => now - at < 1000).concat(now);
  $("facts").textContent = `${header.width} × ${header.height} · ${header.ms < 10 ? header.ms.toFixed(1) : Math.round(header.ms)} ms`
    + (rates.length > 2 ? ` · ${rates.length} fps` : "") + ` · step ${grouped(header.step)}`;
  $("veil").hidden = true;
}
