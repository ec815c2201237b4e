// ---- What the run tells: figures and the plot.
let history = { training: [], evaluated: [] };
const grouped = n => String(n).replace(/\B(?=(\d{3})+$)/g, "\u2009");
function duration(seconds) {
  const s = Math.round(seconds), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  return h ? `${h} h ${m} min` : m ? `${m} min ${s % 60} s` : `${s} s`;
}
function figures({ loss, psnr }) {
  if (psnr != null) $("psnr").textContent = `${psnr.toFixed(2)} dB`;
  else if (loss != null) $("psnr").textContent = `loss ${loss.toExponential(2)}`;
}
function setStep(step, seconds) {
  $("step").textContent = grouped(step) + (subject.max_steps ? ` / ${grouped(subject.max_steps)}` : "");
  const parts = [subject.max_steps ? step / subject.max_steps : 0, subject.max_seconds && seconds ? seconds / subject.max_seconds : 0];
  $("progress").style.width = `${100 * clamp(Math.max(...parts), 0, 1)}%`;
}
function happened(event) {
  if (event.event === "step") {
    trainedStep = event.step;
    history.training.push(event);
    figures(event);
    setStep(event.step, event.seconds);
    $("left").textContent = event.eta_seconds != null ? duration(event.eta_seconds) : "–";
    plot();
  } else if (event.event === "evaluated") {
    history.evaluated.push(event);
    if (event.psnr != null) $("held").textContent = `${event.psnr.toFixed(2)} dB`;
    plot();
  } else if (event.event === "saved") {
    note(`Saved at step ${grouped(event.step)}.`);
  } else if (event.event === "warning") {
    note(event.message);
  }
}
let pointed = null;
function plot() {
  const box = $("plot"), ratio = window.devicePixelRatio || 1, w = box.clientWidth, h = box.clientHeight;
  if (!w) return;
  box.width = w * ratio; box.height = h * ratio;
  const c = box.getContext("2d");
  c.scale(ratio, ratio);
  c.font = "10.5px system-ui, sans-serif";
  const top = 6, bottom = h - 16, left = 26, right = w - 4;
  const points = history.training, held = history.evaluated.filter(p => p.psnr != null);
  const end = Math.max(1, ...[points, held].map(list => list.length ? list[list.length - 1].step : 0));
  const x = step => left + (right - left) * step / end;
  const psnrs = points.concat(held).map(p => p.psnr).filter(v => v != null);
  let low = Math.floor(Math.min(...psnrs, 20)), high = Math.ceil(Math.max(...psnrs, low + 4) + 0.3);
  const every = Math.max(1, Math.ceil((high - low) / 4));
  const y = v => bottom - (bottom - top) * (v - low) / (high - low);
  c.strokeStyle = "#232a34"; c.fillStyle = "#7d8795"; c.lineWidth = 1;
  if (psnrs.length) for (let v = Math.ceil(low / every) * every; v <= high; v += every) {
    c.beginPath(); c.moveTo(left, Math.round(y(v)) + .5); c.lineTo(right, Math.round(y(v)) + .5); c.stroke();
    c.textAlign = "right"; c.fillText(v, left - 6, y(v) + 3.5);
  }
  c.textAlign = "left"; c.fillText("0", left, h - 3);
  c.textAlign = "right"; c.fillText(grouped(end), right, h - 3);
  const losses = points.map(p => p.loss).filter(v => v > 0).map(Math.log);
  const least = Math.min(...losses), most = Math.max(...losses, least + 0.1);
  const line = (color, width, at) => {
    c.strokeStyle = color; c.lineWidth = width; c.lineJoin = "round"; c.beginPath();
    let begun = false;
    for (const p of points) {
      const v = at(p);
      if (!Number.isFinite(v)) continue;
      begun ? c.lineTo(x(p.step), v) : c.moveTo(x(p.step), v);
      begun = true;
    }
    c.stroke();
  };
  line("#e0a15e99", 1.25, p => p.loss > 0 ? bottom - 4 - (bottom - top - 10) * (Math.log(p.loss) - least) / (most - least) : NaN);
  line("#74a9ff", 1.75, p => p.psnr != null ? y(p.psnr) : NaN);
  c.fillStyle = "#5fc992";
  for (const p of held) { c.beginPath(); c.arc(x(p.step), y(p.psnr), 3, 0, 7); c.fill(); }
  const legend = $("legend");
  if (!legend.dataset.text) legend.dataset.text = legend.innerHTML;
  const nearest = pointed == null ? null
    : points.reduce((best, p) => !best || Math.abs(x(p.step) - pointed) < Math.abs(x(best.step) - pointed) ? p : best, null);
  if (nearest) {
    c.strokeStyle = "#5b6675"; c.lineWidth = 1; c.beginPath(); c.moveTo(x(nearest.step), top); c.lineTo(x(nearest.step), bottom); c.stroke();
    legend.textContent = `step ${grouped(nearest.step)}` + (nearest.psnr != null ? ` · ${nearest.psnr.toFixed(2)} dB` : "")
      + (nearest.loss != null ? ` · loss ${nearest.loss.toExponential(2)}` : "");
  } else if (legend.innerHTML !== legend.dataset.text) {
    legend.innerHTML = legend.dataset.text;
  }
}
$("plot").addEventListener("pointermove", e => { pointed = e.offsetX; plot(); });
$("plot").addEventListener("pointerleave", () => { pointed = null; plot(); });
