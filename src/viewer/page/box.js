// ---- The crop box: numbers in the panel, sides that can be dragged in the view.
const box = { now: null, drag: null, isFirst: false };
for (const [corner, name] of ["min", "max"].entries()) {
  const label = document.createElement("span");
  label.textContent = name;
  $("corners").append(label);
  for (let axis = 0; axis < 3; axis++) {
    const input = document.createElement("input");
    Object.assign(input, { type: "number", step: "any", disabled: true, id: `box-${name}-${"xyz"[axis]}` });
    input.setAttribute("aria-label", `${name} ${"xyz"[axis]}`);
    input.onchange = () => { if (box.now && Number.isFinite(input.valueAsNumber)) setSide(corner, axis, input.valueAsNumber); boxChanged(); };
    $("corners").append(input);
  }
}
const sixth = x => Number(x.toPrecision(5));
function setSide(corner, axis, value) {
  box.isFirst = false;
  const other = box.now[1 - corner][axis], least = 1e-3 * subject.overview.radius;
  box.now[corner][axis] = sixth(corner ? Math.max(value, other + least) : Math.min(value, other - least));
}
/** The box outside of which nothing is shown, if there is one. */
const cropNow = () => $("box-on").checked && $("box-crop").checked && box.now ? { min: box.now[0], max: box.now[1] } : null;
function boxChanged() {
  const isOn = $("box-on").checked;
  if (isOn && !box.now && subject) {
    const { center, radius } = subject.overview;
    box.now = [center.map(x => sixth(x - 0.25 * radius)), center.map(x => sixth(x + 0.25 * radius))];
    box.isFirst = send({ type: "extent" });
  }
  for (const [corner, name] of ["min", "max"].entries()) for (let axis = 0; axis < 3; axis++) {
    const input = $(`box-${name}-${"xyz"[axis]}`);
    input.disabled = !isOn;
    input.value = isOn ? box.now[corner][axis] : "";
  }
  $("box-save").disabled = $("box-remove").disabled = $("box-crop").disabled = !isOn;
  // As after a move of the camera: small pictures while a side is dragged.
  moved();
}
/** Fits a box that nobody has moved yet to what is not empty, as far as that is near the middle. */
function boxFits(extent) {
  const isFirst = box.isFirst && box.now;
  box.isFirst = false;
  if (!extent || !isFirst) return;
  const { center, radius } = subject.overview;
  const [low, high] = [[extent.min, Math.max, -1], [extent.max, Math.min, 1]]
    .map(([corner, nearer, sign]) => corner.map((x, axis) => sixth(nearer(x, center[axis] + sign * 0.4 * radius))));
  if (low.every((x, axis) => x < high[axis])) { box.now = [low, high]; boxChanged(); }
}
$("box-on").onchange = $("box-crop").onchange = boxChanged;
$("box-save").onclick = () => send({ type: "crop", box: { min: box.now[0], max: box.now[1] } });
$("box-remove").onclick = () => { if (send({ type: "crop" })) { box.now = null; $("box-on").checked = false; boxChanged(); } };
const cornerOf = (i, j, k) => [box.now[i][0], box.now[j][1], box.now[k][2]];
function handles(project) {
  const middle = [0, 1, 2].map(a => 0.5 * (box.now[0][a] + box.now[1][a]));
  return [0, 1].flatMap(corner => [0, 1, 2].map(axis => {
    const at = middle.slice();
    at[axis] = box.now[corner][axis];
    return { corner, axis, at, screen: project(at) };
  }));
}
function drawBox(project) {
  if (!$("box-on").checked || !box.now || !$("photo").hidden) return;
  const edges = [];
  for (const [i, j] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
    edges.push([cornerOf(0, i, j), cornerOf(1, i, j)], [cornerOf(i, 0, j), cornerOf(i, 1, j)], [cornerOf(i, j, 0), cornerOf(i, j, 1)]);
  }
  for (const [width, color] of [[4, "rgb(10 14 20 / .3)"], [1.4, "rgb(150 235 190)"]]) {
    pen.lineWidth = width; pen.strokeStyle = color; pen.beginPath();
    for (const [a, b] of edges) {
      const [p, q] = [project(a), project(b)];
      if (p && q) { pen.moveTo(p[0], p[1]); pen.lineTo(q[0], q[1]); }
    }
    pen.stroke();
  }
  for (const { axis, corner, screen } of handles(project)) {
    if (!screen) continue;
    pen.beginPath(); pen.arc(screen[0], screen[1], 6, 0, 7);
    pen.fillStyle = ["#ef7d78", "#7fd07f", "#74a9ff"][axis]; pen.fill();
    pen.lineWidth = corner ? 2 : 1; pen.strokeStyle = "rgb(10 14 20 / .8)"; pen.stroke();
  }
}
function handleAt(px, py, reach) {
  if (!camera || !box.now || !$("box-on").checked || !$("photo").hidden) return null;
  const near = handles(projector()).filter(h => h.screen && Math.hypot(h.screen[0] - px, h.screen[1] - py) < reach);
  return near.sort((a, b) => a.screen[2] - b.screen[2])[0] || null;
}
/** Moves a side along its axis by what the pointer moves along that axis on the screen. */
function dragSide({ axis, corner, at }, dx, dy) {
  const project = projector(), step = 0.01 * subject.overview.radius, ahead = at.slice();
  ahead[axis] += step;
  const [p, q] = [project(at), project(ahead)];
  if (!p || !q) return;
  const v = [q[0] - p[0], q[1] - p[1]], length = v[0] * v[0] + v[1] * v[1];
  // Along the line of sight, a large move covers few pixels. There, a side follows more slowly than the pointer, so
  // that it does not jump.
  const acrossSight = step / unitsPerPixel({ ...camera, distance: p[2] }), least = (0.4 * acrossSight) ** 2;
  setSide(corner, axis, box.drag.from + step * (dx * v[0] + dy * v[1]) / Math.max(length, least));
  boxChanged();
}
