//! Coordinate networks against a plain fp64 re-implementation: values, losses and all gradients; and the
//! re-implementation itself against central differences.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use crate::common::{Random, assert_close, to_f64};
use gridfield::config::{CoordinateNetworkConfig, CoordinateNetworkKind, GridConfig, GridIndex, ModelConfig};
use gridfield::decoder::Head;
use gridfield::device::{Device, Ptr};
use gridfield::encoding::{CoordinateNetwork, ParamBlock};
use gridfield::field::{ChunkGradients, Field, WorkerScratch};
use gridfield::fit::{FitChunk, FitLoss, Fitter};

const KINDS: [CoordinateNetworkKind; 3] =
    [CoordinateNetworkKind::FourierFeatures, CoordinateNetworkKind::FourierNet, CoordinateNetworkKind::GaborNet];

/// The blocks of θ by name, and the frequencies of Fourier features.
#[derive(Clone)]
struct Plain {
    kind: CoordinateNetworkKind,
    depth: usize,
    width: usize,
    blocks: BTreeMap<String, Vec<f64>>,
    frequencies: Vec<f64>,
}

/// Intermediate values of a layer at a point.
struct Layer {
    /// The matrix product before the layer, including b; empty for the first layer.
    u: Vec<f64>,
    z: Vec<f64>,
}

/// A filter's value at a point and its derivatives with respect to ω₁, ω₂, φ, μ₁, μ₂, γ.
struct Filter {
    value: f64,
    derivatives: [f64; 6],
}

impl Plain {
    fn new(
        kind: CoordinateNetworkKind,
        depth: usize,
        width: usize,
        blocks: &[ParamBlock],
        random: &mut Random,
    ) -> Self {
        // Numbers that fp16 represents exactly; γ is positive.
        let mut of = |block: &ParamBlock| {
            let (low, high) = match block.name.split('_').next().unwrap() {
                "gamma" => (0.5, 3.0),
                "omega" | "phi" => (-4.0, 4.0),
                "mu" => (-1.0, 1.0),
                _ => (-0.5, 0.5),
            };
            (block.name.clone(), to_f64(&random.halves(block.n_numbers(), low, high)))
        };
        let blocks = blocks.iter().map(&mut of).collect();
        let is_features = kind == CoordinateNetworkKind::FourierFeatures;
        let frequencies = if is_features { to_f64(&random.halves(2 * width, -3.0, 3.0)) } else { Vec::new() };
        Plain { kind, depth, width, blocks, frequencies }
    }

    fn block(&self, name: &str, layer: usize) -> &[f64] {
        &self.blocks[&format!("{name}_{}", layer + 1)]
    }

    /// Returns g of neuron `h` of a layer at y; both are counted from 0.
    fn filter(&self, layer: usize, h: usize, y: [f64; 2]) -> Filter {
        let (omega, phi) = (&self.block("omega", layer)[2 * h..], self.block("phi", layer)[h]);
        let angle = omega[0] * y[0] + omega[1] * y[1] + phi;
        if self.kind == CoordinateNetworkKind::FourierNet {
            let slope = angle.cos();
            return Filter { value: angle.sin(), derivatives: [slope * y[0], slope * y[1], slope, 0.0, 0.0, 0.0] };
        }
        let (mu, gamma) = (&self.block("mu", layer)[2 * h..], self.block("gamma", layer)[h]);
        let off = [y[0] - mu[0], y[1] - mu[1]];
        let squared = off[0] * off[0] + off[1] * off[1];
        let envelope = (-0.5 * gamma * squared).exp();
        let (value, slope) = (envelope * angle.sin(), envelope * angle.cos());
        let derivatives =
            [slope * y[0], slope * y[1], slope, value * gamma * off[0], value * gamma * off[1], -0.5 * value * squared];
        Filter { value, derivatives }
    }

    /// Returns W z + b for a matrix, counted from 0.
    fn product(&self, matrix: usize, z: &[f64]) -> Vec<f64> {
        let rows = self.block("W", matrix).chunks(z.len());
        rows.zip(self.block("b", matrix))
            .map(|(row, b)| row.iter().zip(z).map(|(w, z)| w * z).sum::<f64>() + b)
            .collect()
    }

    fn first(&self, x: [f64; 2]) -> Vec<f64> {
        if self.kind == CoordinateNetworkKind::FourierFeatures {
            let angles: Vec<f64> = self.frequencies.chunks(2).map(|b| TAU * (b[0] * x[0] + b[1] * x[1])).collect();
            return angles.iter().map(|a| a.cos()).chain(angles.iter().map(|a| a.sin())).collect();
        }
        (0..self.width).map(|h| self.filter(0, h, centred(x)).value).collect()
    }

    fn layers(&self, x: [f64; 2]) -> Vec<Layer> {
        let mut layers = vec![Layer { u: Vec::new(), z: self.first(x) }];
        for l in 1..self.depth {
            let u = self.product(l - 1, &layers[l - 1].z);
            let z = (0..self.width).map(|h| match self.kind {
                CoordinateNetworkKind::FourierFeatures => u[h].max(0.0),
                _ => u[h] * self.filter(l, h, centred(x)).value,
            });
            layers.push(Layer { z: z.collect(), u });
        }
        layers
    }

    fn values(&self, x: [f64; 2]) -> Vec<f64> {
        self.product(self.depth - 1, &self.layers(x)[self.depth - 1].z)
    }

    /// Adds the gradients with respect to all blocks, given those with respect to the values at x.
    fn backward(&self, x: [f64; 2], dl_dvalues: &[f64], sums: &mut BTreeMap<String, Vec<f64>>) {
        let layers = self.layers(x);
        let mut add = |name: &str, layer: usize, at: usize, value: f64| {
            sums.get_mut(&format!("{name}_{}", layer + 1)).unwrap()[at] += value;
        };
        let mut du = dl_dvalues.to_vec();
        for l in (0..self.depth).rev() {
            let z = &layers[l].z;
            let mut dz = vec![0.0; z.len()];
            for (o, du) in du.iter().enumerate() {
                add("b", l, o, *du);
                for i in 0..z.len() {
                    add("W", l, o * z.len() + i, du * z[i]);
                    dz[i] += du * self.block("W", l)[o * z.len() + i];
                }
            }
            if self.kind == CoordinateNetworkKind::FourierFeatures {
                du = dz.iter().zip(&layers[l].u).map(|(dz, &u)| if u > 0.0 { *dz } else { 0.0 }).collect();
                continue;
            }
            du = (0..self.width).map(|h| dz[h] * self.filter(l, h, centred(x)).value).collect();
            for (h, dz) in dz.iter().enumerate() {
                let dg = dz * if l > 0 { layers[l].u[h] } else { 1.0 };
                let by = self.filter(l, h, centred(x)).derivatives;
                add("omega", l, 2 * h, dg * by[0]);
                add("omega", l, 2 * h + 1, dg * by[1]);
                add("phi", l, h, dg * by[2]);
                if self.kind == CoordinateNetworkKind::GaborNet {
                    add("mu", l, 2 * h, dg * by[3]);
                    add("mu", l, 2 * h + 1, dg * by[4]);
                    add("gamma", l, h, dg * by[5]);
                }
            }
        }
    }

    fn zeros(&self) -> BTreeMap<String, Vec<f64>> {
        self.blocks.iter().map(|(name, values)| (name.clone(), vec![0.0; values.len()])).collect()
    }
}

fn centred(x: [f64; 2]) -> [f64; 2] {
    x.map(|x| 2.0 * x - 1.0)
}

/// Returns the loss of a value and its derivative.
fn loss_of(loss: FitLoss, y: f64, t: f64) -> (f64, f64) {
    let scale = if loss == FitLoss::RelativeL2 { 1.0 / (y * y + 0.01) } else { 1.0 };
    (scale * (y - t).powi(2), 2.0 * scale * (y - t))
}

fn field(device: &Device, kind: CoordinateNetworkKind, width: u32, depth: u32, n_outputs: u32) -> Field {
    let waves = CoordinateNetworkConfig { kind, width, depth, ..CoordinateNetworkConfig::default() };
    let grid = GridConfig { index: GridIndex::None, n_levels: 0, waves, ..GridConfig::default() };
    let model = ModelConfig { grid, ..ModelConfig::default() };
    Field::zeros(device, &model, Head::Values { dimensions: 2, n_outputs }).unwrap()
}

#[test]
fn the_plain_gradients_are_those_of_the_plain_values() {
    let device = crate::common::host();
    for kind in KINDS {
        let field = field(&device, kind, 16, 3, 2);
        let blocks = field.encoding_as::<CoordinateNetwork>().unwrap().shape.blocks();
        let mut random = Random::new(71);
        let plain = Plain::new(kind, 3, 16, &blocks, &mut random);
        let points: Vec<[f64; 2]> = (0..4).map(|_| [random.unit(), random.unit()]).collect();
        let dl_dvalues = [0.7, -1.3];
        let loss = |plain: &Plain| -> f64 {
            let of = |x: &[f64; 2]| plain.values(*x).iter().zip(&dl_dvalues).map(|(y, d)| y * d).sum::<f64>();
            points.iter().map(of).sum()
        };
        let mut sums = plain.zeros();
        points.iter().for_each(|&x| plain.backward(x, &dl_dvalues, &mut sums));
        for (name, gradient) in &sums {
            let step = 1e-5;
            let moved = |i: usize, by: f64| {
                let mut plain = plain.clone();
                plain.blocks.get_mut(name).unwrap()[i] += by;
                loss(&plain)
            };
            let differences: Vec<f64> =
                (0..gradient.len()).map(|i| (moved(i, step) - moved(i, -step)) / (2.0 * step)).collect();
            assert!(gradient.iter().any(|&g| g != 0.0), "{name}");
            assert_close(name, gradient, &differences, 1e-7);
        }
    }
}

/// Widths that are not multiples of 16, and one that is.
const CASES: [(u32, u32, u32, FitLoss); 3] =
    [(21, 3, 3, FitLoss::L2), (48, 2, 1, FitLoss::RelativeL2), (70, 4, 4, FitLoss::L2)];

fn networks_give_values_and_gradients_as_written_down(device: &Device) {
    const SAMPLES: usize = 150;
    for (kind, (width, depth, n_outputs, loss)) in KINDS.into_iter().flat_map(|kind| CASES.map(|case| (kind, case))) {
        let mut field = field(device, kind, width, depth, n_outputs);
        let mut random = Random::new(72);
        let n = n_outputs as usize;
        let encoding = field.encoding_as_mut::<CoordinateNetwork>().unwrap();
        let blocks = encoding.shape.blocks();
        let plain = Plain::new(kind, depth as usize, width as usize, &blocks, &mut random);
        let theta: Vec<f32> =
            blocks.iter().flat_map(|block| crate::common::to_f32(&plain.blocks[&block.name])).collect();
        encoding.theta.upload(0, &theta).unwrap();
        encoding.set_frequencies(&crate::common::to_f32(&plain.frequencies)).unwrap();
        let n_gradients = field.encoding.as_ref().unwrap().n_gradients();
        field.refresh_copies(device).unwrap();

        let head = Head::Values { dimensions: 2, n_outputs };
        let mut chunk = FitChunk::new(device, SAMPLES + 20, head, &field, true).unwrap();
        chunk.set_len(SAMPLES).unwrap();
        let x = random.f32s(2 * SAMPLES, 0.0, 1.0);
        let target = random.f32s(n * SAMPLES, -2.0, 2.0);
        chunk.position.upload(0, &x).unwrap();
        chunk.target.upload(0, &target).unwrap();
        let scratch = WorkerScratch::all(device, SAMPLES + 20, &field, true).unwrap().swap_remove(0);
        let (collected, dl_dtheta) =
            (device.zeros::<f32>(n_gradients).unwrap(), device.zeros::<f32>(theta.len()).unwrap());
        let gradients = ChunkGradients { dl_dweights: Ptr::NULL, dl_dparameters: collected.ptr() };
        let fitter = Fitter { device, field: &field, n_outputs };
        fitter.forward(&chunk, &scratch).unwrap();
        let given = to_f64(&chunk.output.download().unwrap());
        fitter.losses(&chunk, loss, None).unwrap();
        fitter.backward(&chunk, &scratch, &gradients).unwrap();
        let encoding = field.encoding.as_ref().unwrap();
        encoding.gradient(device, &field.grid, collected.ptr(), dl_dtheta.ptr()).unwrap();

        let (mut values, mut losses, mut sums) = (Vec::new(), [0.0; 2], plain.zeros());
        for s in 0..SAMPLES {
            let x = [f64::from(x[2 * s]), f64::from(x[2 * s + 1])];
            // Gradients are computed at the kernel's own values, which fp16 has rounded.
            let pairs = given[s * n..(s + 1) * n].iter().zip(&target[s * n..]).map(|(&y, &t)| (y, f64::from(t)));
            let of_values: Vec<(f64, f64)> = pairs.clone().map(|(y, t)| loss_of(loss, y, t)).collect();
            losses[0] += of_values.iter().map(|(loss, _)| loss / n as f64).sum::<f64>();
            losses[1] += pairs.map(|(y, t)| (y - t).powi(2) / n as f64).sum::<f64>();
            let dl_dvalues: Vec<f64> = of_values.iter().map(|(_, derivative)| derivative / n as f64).collect();
            plain.backward(x, &dl_dvalues, &mut sums);
            values.extend(plain.values(x));
        }
        let is_half = device.computes_in_fp16();
        let (forward, backward) = if is_half { (4e-3, 3e-2) } else { (4e-6, 2e-5) };
        let what = |name: &str| format!("{kind:?} {width} wide: {name}");
        assert_close(&what("values"), &given[..n * SAMPLES], &values, forward);
        assert!(given[n * SAMPLES..].iter().all(|&value| value == 0.0), "values past the last sample stay zero");
        assert_close(&what("losses"), &to_f64(&chunk.sums.download().unwrap()), &losses, 1e-5);
        let found = to_f64(&dl_dtheta.download().unwrap());
        for block in &blocks {
            assert_close(&what(&block.name), &found[block.range()], &sums[&block.name], backward);
        }
    }
}

on_every_target!(networks_give_values_and_gradients_as_written_down);
