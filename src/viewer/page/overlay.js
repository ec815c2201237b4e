// ---- The overlay: the scene's cameras as frusta.
let hovered = null;
const COLORS = { train: "116 169 255", val: "95 201 146", test: "232 189 98" };
function projector() {
  const { x, y, z, eye } = frameOf(lens()), w = stage.clientWidth, h = stage.clientHeight, focal = 0.5 * h / Math.tan(0.5 * lens().fov);
  return p => {
    const d = add(p, eye, -1), depth = -dot(d, z);
    return depth > 1e-3 * camera.distance ? [0.5 * w + focal * dot(d, x) / depth, 0.5 * h - focal * dot(d, y) / depth, depth] : null;
  };
}
/** Names the colours of the scene's cameras. */
function nameSplits() {
  $("splits").textContent = "";
  for (const [split, name] of [["train", "training"], ["val", "validation"], ["test", "test"]]) {
    if (!subject.overview.cameras.some(cam => cam.split === split)) continue;
    const swatch = document.createElement("i");
    swatch.style.borderColor = `rgb(${COLORS[split]})`;
    $("splits").append(swatch, name);
  }
}
function corners(cam) {
  const m = cam.camera_to_world, axis = i => unit(m.map(row => row[i])), eye = m.map(row => row[3]);
  const depth = 0.07 * subject.overview.radius, b = depth * Math.tan(0.5 * cam.fov_y), a = b * cam.aspect;
  const at = (s, t) => add(add(add(eye, axis(2), -depth), axis(0), s * a), axis(1), t * b);
  return [eye, at(-1, 1), at(1, 1), at(1, -1), at(-1, -1)];
}
function drawOverlay() {
  const ratio = window.devicePixelRatio || 1, w = stage.clientWidth, h = stage.clientHeight;
  if (overlay.width !== Math.round(w * ratio) || overlay.height !== Math.round(h * ratio)) {
    overlay.width = Math.round(w * ratio); overlay.height = Math.round(h * ratio);
    // The picture is kept while the window changes its size.
    const kept = document.createElement("canvas");
    kept.width = canvas.width; kept.height = canvas.height;
    if (canvas.width && canvas.height) kept.getContext("2d").drawImage(canvas, 0, 0);
    canvas.width = overlay.width; canvas.height = overlay.height;
    if (shown) paint.drawImage(kept, 0, 0, canvas.width, canvas.height);
    moved();
    plot();
    placePhoto();
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, w, h);
  pen.lineJoin = "round";
  if (!camera) return;
  if (isPlane()) return drawSplit(w, h);
  const project = projector();
  if (playing) return drawFrame(w, h);
  drawPath(project);
  drawBox(project);
  if (!$("cameras").checked || !$("photo").hidden) return;
  for (const cam of subject.overview.cameras) {
    const points = (cam.corners ??= corners(cam)).map(project);
    if (points.some(p => !p)) continue;
    const isHovered = cam === hovered;
    const stroke = color => {
      pen.strokeStyle = color;
      pen.beginPath();
      for (let i = 1; i < 5; i++) {
        const j = i % 4 + 1;
        pen.moveTo(points[0][0], points[0][1]); pen.lineTo(points[i][0], points[i][1]); pen.lineTo(points[j][0], points[j][1]);
      }
      pen.stroke();
    };
    // A dark line below a light one shows on every background.
    pen.lineWidth = 3;
    stroke("rgb(10 14 20 / .22)");
    pen.lineWidth = isHovered ? 2 : 1.1;
    stroke(`rgb(${COLORS[cam.split] || "200 200 200"} / ${isHovered ? 1 : 0.9})`);
    if (isHovered) { pen.fillStyle = `rgb(${COLORS[cam.split]} / .2)`; pen.beginPath(); points.slice(1).forEach(p => pen.lineTo(p[0], p[1])); pen.fill(); }
  }
}
function cameraAt(px, py, reach) {
  if (!camera || isPlane() || !$("cameras").checked) return null;
  const project = projector();
  let best = null, nearest = reach;
  for (const cam of subject.overview.cameras) {
    const points = (cam.corners ??= corners(cam)).map(project).filter(Boolean);
    if (points.length < 5) continue;
    const middle = [0, 1].map(k => points.reduce((sum, p) => sum + p[k], 0) / 5);
    const size = Math.max(...points.map(p => Math.hypot(p[0] - middle[0], p[1] - middle[1])));
    const distance = Math.hypot(middle[0] - px, middle[1] - py) - 0.6 * size;
    if (distance < nearest) { nearest = distance; best = cam; }
  }
  return best;
}
