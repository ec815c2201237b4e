// ---- Pictures: small ones while the camera moves, larger ones once it rests, new ones while the field is trained.
/** Fraction of the full width and height of the first picture, before anything is known of the speed: in training, a
    field of which nothing has been learned is slow to render. */
const FIRST_SCALE = 0.1, FIRST_SCALE_IN_TRAINING = 0.06;
/** Milliseconds that a picture of a moving camera may take to render: a move is then answered within 150 ms. While
    training, it also waits for a step, and after many moves for its share of the time; LATE_MS is then the time from
    request to picture from which on pictures become smaller. */
const MOVING_MS = 50, MOVING_MS_IN_TRAINING = 35, LATE_MS = 350;
/** Pixels of a picture's height below which nothing can be recognized. */
const LEAST_HEIGHT = 24;
const view = { output: "rgb", background: null, mode: "orbit" };
let socket = null, state = "lost", ended = false, lastId = 0, shownId = 0, pending = null, lastMove = -1e9, dirty = true;
let movingScale = null, shown = null, trainedStep = 0, rates = [];
const REST = 160, MOST_PIXELS = 2560 * 1600, MOST_SIDE = 8192, LONGEST_REFINEMENT = 15000;

function moved(now = performance.now()) { lastMove = now; changed(); }
function changed() { dirty = true; wake(); }
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
  const crop = cropNow();
  if (crop) message.crop = crop;
  if (isSplit()) message.split = split.at;
  if (isRefinement) message.is_refinement = true;
  if (!send(message)) return;
  pending = { id: lastId, size, isRefinement, sent: now };
  dirty = false;
}
/** Asks for the next picture, if one is wanted. */
function ask(now) {
  if (!camera || state === "lost" || ended) return;
  movingScale ??= state === "training" ? FIRST_SCALE_IN_TRAINING : FIRST_SCALE;
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
  if (asked) scaleFrom(asked, header.ms, now - asked.sent);
  shown = { ...header, at: now, size: asked ? asked.size : movingScale };
  rates = rates.filter(at => now - at < 1000).concat(now);
  facts();
  // The message of a lost connection or of the end stays.
  if (state !== "lost" && !ended) $("veil").hidden = true;
  wake();
}
/** Sets the size of pictures of a moving camera from the time that a picture took. */
function scaleFrom({ size, isRefinement }, ms, waited) {
  const isTraining = state === "training";
  const late = isTraining && !isRefinement ? waited / LATE_MS : 0;
  const fits = size / Math.sqrt(Math.max(1, ms) / (isTraining ? MOVING_MS_IN_TRAINING : MOVING_MS));
  // Times vary, and small pictures have a cost of their own, so the size follows slowly.
  const next = !shown ? fits : isRefinement ? Math.sqrt(movingScale * fits) : clamp(fits, 0.7 * movingScale, 1.4 * movingScale);
  movingScale = clamp(late > 1 ? Math.min(next, size / Math.sqrt(late)) : next, Math.min(1, LEAST_HEIGHT / fullSize()[1]), 1);
}
function facts() {
  if (!shown) return;
  const ms = shown.ms < 10 ? shown.ms.toFixed(1) : Math.round(shown.ms);
  $("facts").textContent = `${shown.width} × ${shown.height} · ${ms} ms` + (rates.length > 2 ? ` · ${rates.length} fps` : "")
    + ` · step ${grouped(shown.step)}` + (isPlane() ? aboutPlane(pointed2d) : "");
}
