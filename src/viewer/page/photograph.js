// ---- The photograph of a camera, over the render.
function showPhoto(cam) {
  if (cam.photograph == null) return;
  const photo = $("photo");
  photo.onload = () => { if (photo.cam === cam) { photo.hidden = false; $("photo-bar").hidden = false; placePhoto(); wake(); } };
  photo.onerror = () => { if (photo.cam === cam) { hidePhoto(); note(`The photograph ${cam.name} cannot be read.`); } };
  photo.cam = cam;
  photo.src = `/photograph${location.search}&i=${cam.photograph}`;
}
function placePhoto() {
  const photo = $("photo"), cam = photo.cam;
  if (!cam || photo.hidden) return;
  const { x, y } = frameOf(camera), up = unit(cam.camera_to_world.map(row => row[1]));
  const height = stage.clientHeight * Math.tan(0.5 * cam.fov_y) / Math.tan(0.5 * camera.fov);
  photo.style.height = `${height}px`;
  photo.style.width = `${height * cam.aspect}px`;
  photo.style.transform = `translate(-50%, -50%) rotate(${Math.atan2(dot(up, x), dot(up, y))}rad)`;
  photo.style.opacity = $("photo-mix").value;
}
function hidePhoto() {
  wake();
  $("photo").hidden = true; $("photo-bar").hidden = true;
  $("photo").cam = null;
}
$("photo-mix").oninput = placePhoto;
$("photo-close").onclick = hidePhoto;
