// ---- Fitted images: a plane that the camera looks at straight, so that it pans and zooms.
const isPlane = () => !!(subject && subject.image);
const MOST_ZOOM = 64;
/** What is beside the fit: the original, left of a line at this fraction of the width. */
const split = { at: 0.5, drag: false };
const isSplit = () => isPlane() && $("split-on").checked && view.output !== "original";
/** Returns the size of a pixel of the stage in the plane, whose image is 1 high. */
const unitsPerPixel = cam => 2 * cam.distance * Math.tan(0.5 * cam.fov) / stage.clientHeight;
const withPixelsOf = (cam, units) => ({ ...cam, distance: cam.distance * units / unitsPerPixel(cam) });
/** Returns how many pixels of the screen a pixel of the image has along a side. */
const zoomOf = cam => 1 / (subject.image[1] * unitsPerPixel(cam) * (window.devicePixelRatio || 1));
function wholeImage() {
  const [width, height] = subject.image, cam = cameraOf(subject.overview.start);
  return withPixelsOf({ ...cam, target: [0, 0, 0] }, 1.04 * Math.max(1 / stage.clientHeight, width / height / stage.clientWidth));
}
function zoomTo(zoom) { flyTo(withPixelsOf(camera, unitsPerPixel(camera) * zoomOf(camera) / zoom)); }
/** Zooms by a factor, so that what is at this place of the stage stays there. */
function zoomBy(factor, x = 0.5 * stage.clientWidth, y = 0.5 * stage.clientHeight) {
  const before = unitsPerPixel(camera), ratio = zoomOf(camera) * before, most = unitsPerPixel(wholeImage()) * 4;
  const after = clamp(before * factor, Math.min(most, ratio / MOST_ZOOM), most);
  const dx = x - 0.5 * stage.clientWidth, dy = y - 0.5 * stage.clientHeight;
  const target = add(add(camera.target, [1, 0, 0], dx * (before - after)), [0, 1, 0], dy * (after - before));
  camera = withPixelsOf({ ...camera, target: onImage(target) }, after);
  moved();
}
function onImage([x, y]) {
  const half = 0.5 * subject.image[0] / subject.image[1];
  return [clamp(x, -half, half), clamp(y, -0.5, 0.5), 0];
}
/** Describes the zoom, and the pixel of the image at a place of the stage. */
function aboutPlane(at) {
  const zoom = 100 * zoomOf(camera), [width, height] = subject.image;
  const text = ` · ${zoom < 10 ? zoom.toFixed(1) : Math.round(zoom)} %`;
  if (!at) return text;
  const units = unitsPerPixel(camera);
  const x = camera.target[0] + (at[0] - 0.5 * stage.clientWidth) * units, y = camera.target[1] - (at[1] - 0.5 * stage.clientHeight) * units;
  const column = Math.floor((x * height / width + 0.5) * width), row = Math.floor((0.5 - y) * height);
  return text + (column >= 0 && row >= 0 && column < width && row < height ? ` · pixel ${column}, ${row}` : "");
}
const nearSplit = (x, reach) => isSplit() && Math.abs(x - split.at * stage.clientWidth) < reach;
function dragSplit(x) { split.at = clamp(x / stage.clientWidth, 0, 1); moved(); }
function drawSplit(w, h) {
  if (!isSplit()) return;
  const x = split.at * w;
  pen.lineWidth = 3; pen.strokeStyle = "rgb(10 14 20 / .5)"; pen.beginPath(); pen.moveTo(x, 0); pen.lineTo(x, h); pen.stroke();
  pen.lineWidth = 1.4; pen.strokeStyle = "#fff"; pen.stroke();
  pen.fillStyle = "#fff"; pen.beginPath(); pen.arc(x, 0.5 * h, 9, 0, 7); pen.fill();
  pen.font = "600 12px system-ui, sans-serif"; pen.textAlign = "center"; pen.fillStyle = "#1a2027"; pen.fillText("↔", x, 0.5 * h + 4);
  const label = (text, align, at) => {
    pen.textAlign = align;
    pen.lineWidth = 3; pen.strokeStyle = "rgb(10 14 20 / .75)"; pen.strokeText(text, at, 24);
    pen.fillStyle = "#fff"; pen.fillText(text, at, 24);
  };
  if (x > 70) label("Original", "right", x - 10);
  if (w - x > 120) label(view.output === "error" ? "Error" : "Fit", "left", x + 10);
}
$("split-on").onchange = moved;
$("whole").onclick = () => { if (camera) flyTo(wholeImage()); };
$("pixels").onclick = () => { if (camera) zoomTo(1); };
