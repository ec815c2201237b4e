"use strict";
const $ = id => document.getElementById(id);
const stage = $("stage"), overlay = $("overlay"), canvas = $("picture"), pen = overlay.getContext("2d"), paint = canvas.getContext("2d");

// ---- Vectors and the camera: a target, a distance, and two angles around the upright direction.
const add = (a, b, s = 1) => [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const scale = (a, s) => [a[0] * s, a[1] * s, a[2] * s];
const unit = a => scale(a, 1 / (Math.hypot(...a) || 1));
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const mix = (a, b, t) => a + (b - a) * t;

let subject = null, axes = null, camera = null, flight = null;
const STEEPEST = 1.55;

function setScene(overview) {
  const up = unit(overview.up), along = Math.abs(up[0]) < 0.8 ? [1, 0, 0] : [0, 1, 0];
  const first = unit(add(along, up, -dot(along, up)));
  axes = [first, cross(up, first), up];
}
function backOf({ yaw, pitch }) {
  const c = Math.cos(pitch);
  return add(add(scale(axes[0], c * Math.cos(yaw)), axes[1], c * Math.sin(yaw)), axes[2], Math.sin(pitch));
}
/** What is looked through: the camera, or the frame of a preview. */
const lens = () => playing ? playing.shown : camera;
function frameOf(cam) {
  if (cam.matrix) {
    const axis = i => unit([0, 1, 2].map(k => cam.matrix[4 * k + i]));
    return { x: axis(0), y: axis(1), z: axis(2), eye: [0, 1, 2].map(k => cam.matrix[4 * k + 3]) };
  }
  const z = backOf(cam), x = unit(cross(axes[2], z)), y = cross(z, x);
  return { x, y, z, eye: add(cam.target, z, cam.distance) };
}
function matrixOf(cam) {
  const { x, y, z, eye } = frameOf(cam);
  return [0, 1, 2].map(i => [x[i], y[i], z[i], eye[i]]);
}
/** Returns our camera at the place of a scene camera or of a key of a path; its roll is dropped. */
function cameraOf(sceneCamera) {
  const m = sceneCamera.camera_to_world, z = unit(m.map(row => row[2])), eye = m.map(row => row[3]);
  const { center, radius } = subject.overview;
  const ahead = dot(add(eye, center, -1), z);
  const distance = clamp(ahead, 0.1 * radius, 4 * radius);
  // A picture that is wider than the photograph shows at least all of its height.
  return {
    target: add(eye, z, -distance), distance, yaw: Math.atan2(dot(z, axes[1]), dot(z, axes[0])),
    pitch: clamp(Math.asin(clamp(dot(z, axes[2]), -1, 1)), -STEEPEST, STEEPEST), fov: sceneCamera.fov_y,
  };
}
function flyTo(to, arrived) {
  stopPlaying();
  hidePhoto();
  const turn = ((to.yaw - camera.yaw) % (2 * Math.PI) + 3 * Math.PI) % (2 * Math.PI) - Math.PI;
  flight = { from: camera, to: { ...to, yaw: camera.yaw + turn }, begun: performance.now(), arrived };
  wake();
}
function fly(now) {
  const t = clamp((now - flight.begun) / 700, 0, 1), s = t * t * (3 - 2 * t), { from, to } = flight;
  camera = {
    target: from.target.map((a, i) => mix(a, to.target[i], s)), distance: mix(from.distance, to.distance, s),
    yaw: mix(from.yaw, to.yaw, s), pitch: mix(from.pitch, to.pitch, s), fov: mix(from.fov, to.fov, s),
  };
  if (t === 1) {
    const arrived = flight.arrived;
    flight = null;
    if (arrived) arrived();
  }
  moved(now);
}
