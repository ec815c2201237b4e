//! Networks of waves: what the grids are compared with on images. They have no nodes and give the values by themselves:
//! Fourier features before a ReLU network (Tancik et al., NeurIPS 2020), and the multiplicative filter networks FourierNet and
//! GaborNet (Fathony et al., ICLR 2021). Here are the shape of their parameters θ and what they start as; the arithmetic is in
//! `kernels/waves.cuh`, and `docs/models.md` has the formulas.

use std::f64::consts::{PI, SQRT_2, TAU};

use super::member::{Backward, Encode, Member, Source};
use super::{Grid, Part};
use crate::Result;
use crate::config::{GridConfig, GridIndex, OptimizerConfig, WavesConfig, WavesKind};
use crate::decoder::{Head, LayerShape};
use crate::device::args::{
    Layer, NetworkLayout, PrepareWavesArgs, PrepareWeightsArgs, ScatterArgs, UniformArgs, WAVES_NONE, WAVES_ROWS,
    WavesArgs,
};
use crate::device::{Buffer, ComputeBuffer, Device, Grid as Items, Ptr, kernels};
use crate::train::{Checkpoint, Tensor};

/// Numbers of the random streams that θ is drawn from; the kernel function mulfa has the ones below.
const FIRST_STREAM: u32 = 1 << 12;
/// Values as matrices hold them.
const PADDED_VALUES: usize = 16;
/// Coordinates of a point.
const D: usize = 2;
/// The fixed frequencies of Fourier features, in a checkpoint.
const FREQUENCIES: &str = "waves.B";

/// The rows of numbers that a layer's neurons have, `WavesRow` in `kernels/waves.cuh`.
#[derive(Clone, Copy)]
enum Row {
    B = 0,
    Omega = 1,
    Phi = 3,
    Mu = 4,
    Gamma = 6,
}

/// The shape of a network of waves.
#[derive(Clone, Debug, PartialEq)]
pub struct Waves {
    pub config: WavesConfig,
    pub n_outputs: u32,
}

impl Waves {
    /// None where the model is one with a grid.
    pub fn new(config: &GridConfig, head: Head) -> Option<Self> {
        match (config.index, head) {
            (GridIndex::None, Head::Values { dimensions, n_outputs }) => {
                assert_eq!(dimensions as usize, D, "the configuration refuses all but images");
                Some(Waves { config: config.waves.clone(), n_outputs })
            }
            _ => None,
        }
    }

    /// `H`
    fn width(&self) -> usize {
        self.config.width as usize
    }

    /// `P`: neurons of a layer as matrices have them.
    fn padded(&self) -> usize {
        self.width().next_multiple_of(16)
    }

    /// `k`
    fn n_matrices(&self) -> usize {
        self.config.depth as usize
    }

    fn is_filtered(&self) -> bool {
        self.config.kind != WavesKind::FourierFeatures
    }

    /// Inputs of matrix `l`, counted from 0, that are learned from: `[cos, sin]` of Fourier features are side by side.
    fn n_in(&self, l: usize) -> usize {
        if l == 0 && !self.is_filtered() { 2 * self.width() } else { self.width() }
    }

    fn n_out(&self, l: usize) -> usize {
        if l + 1 == self.n_matrices() { self.n_outputs as usize } else { self.width() }
    }

    /// The matrices as kernels multiply by them.
    pub fn layers(&self) -> Vec<LayerShape> {
        let padded = self.padded();
        let shape = |l: usize| LayerShape {
            n_in: (if self.n_in(l) > self.width() { 2 * padded } else { padded }) as u32,
            n_out: (if l + 1 == self.n_matrices() { PADDED_VALUES } else { padded }) as u32,
        };
        (0..self.n_matrices()).map(shape).collect()
    }

    /// The parts of θ in order: of each layer its filter, then the matrix behind it.
    pub fn parts(&self) -> Vec<Part> {
        let width = self.width();
        let mut parts = Vec::new();
        let mut first = 0;
        let mut push = |name: String, shape: &[usize]| {
            let part = Part { name, first, shape: shape.to_vec() };
            first += part.n_numbers();
            parts.push(part);
        };
        for l in 0..self.n_matrices() {
            if self.is_filtered() {
                push(format!("omega_{}", l + 1), &[width, D]);
                push(format!("phi_{}", l + 1), &[width]);
            }
            if self.config.kind == WavesKind::GaborNet {
                push(format!("mu_{}", l + 1), &[width, D]);
                push(format!("gamma_{}", l + 1), &[width]);
            }
            push(format!("W_{}", l + 1), &[self.n_out(l), self.n_in(l)]);
            push(format!("b_{}", l + 1), &[self.n_out(l)]);
        }
        parts
    }

    /// Numbers of θ.
    pub fn n_parameters(&self) -> usize {
        self.parts().last().map_or(0, |part| part.first + part.n_numbers())
    }

    /// Bytes that θ takes in training with Adam: value, gradient, two moments and the number of updates.
    pub fn training_bytes(&self) -> usize {
        20 * self.n_parameters()
    }

    /// Floating-point operations of a sample, forward: products of matrices, and 24 operations for a sine with its cosine.
    pub fn flops(&self) -> usize {
        let products: usize = (0..self.n_matrices()).map(|l| 2 * self.n_in(l) * self.n_out(l)).sum();
        let filters = if self.is_filtered() { self.n_matrices() } else { 1 };
        products + 24 * filters * self.width()
    }

    /// As kernels see it.
    pub fn layout(&self) -> NetworkLayout {
        let layers = self.layers();
        let mut layout = NetworkLayout { n_density_layers: layers.len() as u32, ..Default::default() };
        for (slot, layer) in layout.layers.iter_mut().zip(&layers) {
            *slot = Layer { n_in: layer.n_in, n_out: layer.n_out, weights: layout.n_weights };
            layout.n_weights += layer.n_weights() as u32;
        }
        layout
    }

    /// Numbers that a sample keeps: the inputs of all matrices, what each gives, and the values.
    pub fn n_columns(&self) -> usize {
        let inputs = self.layers()[0].n_in as usize;
        inputs + 2 * (self.n_matrices() - 1) * self.padded() + PADDED_VALUES
    }

    /// Numbers of the padded matrices, and of these with those of the neurons.
    pub fn n_prepared(&self) -> (usize, usize) {
        let n_weights = self.layout().n_weights as usize;
        (n_weights, n_weights + (self.n_matrices() + 1) * WAVES_ROWS * self.padded())
    }

    /// Place of a number of neuron `neuron` of layer `l`, counted from 0, among what is prepared.
    fn number(&self, l: usize, row: usize, neuron: usize) -> usize {
        self.n_prepared().0 + (l * WAVES_ROWS + row) * self.padded() + neuron
    }

    /// Place of a weight of matrix `l` among what is prepared.
    fn weight(&self, layer: &Layer, out: usize, input: usize) -> usize {
        let column = if input < self.width() { input } else { self.padded() + input - self.width() };
        layer.weights as usize + out * layer.n_in as usize + column
    }

    /// Of each prepared number, which number of θ it is, or [`WAVES_NONE`].
    pub fn places(&self) -> Vec<u32> {
        let mut places = vec![WAVES_NONE; self.n_prepared().1];
        let layout = self.layout();
        for part in self.parts() {
            let (kind, number) = part.name.split_once('_').expect("a part has a number");
            let l = number.parse::<usize>().expect("a part has a number") - 1;
            let columns = part.shape.get(1).copied().unwrap_or(1);
            for index in 0..part.n_numbers() {
                let (row, column) = (index / columns, index % columns);
                let at = match kind {
                    "W" => self.weight(&layout.layers[l], row, column),
                    "b" => self.number(l + 1, Row::B as usize, row),
                    "omega" => self.number(l, Row::Omega as usize + column, row),
                    "phi" => self.number(l, Row::Phi as usize, row),
                    "mu" => self.number(l, Row::Mu as usize + column, row),
                    _ => self.number(l, Row::Gamma as usize, row),
                };
                places[at] = (part.first + index) as u32;
            }
        }
        places
    }

    /// θ as a checkpoint holds it.
    fn theta_of(&self, checkpoint: &Checkpoint) -> Result<Vec<f32>> {
        let mut theta = vec![0.0; self.n_parameters()];
        for part in self.parts() {
            theta[part.range()].copy_from_slice(checkpoint.get(&tensor_name(&part), &part.shape)?);
        }
        Ok(theta)
    }

    /// What θ starts as. Fourier features: W by Glorot and Bengio (2010), b zero. Filter networks, as their authors have it:
    /// hidden W uniform in ±√(`weight_scale` / H), b and the last W in ±1/√H, φ in ±π, ω in ±`input_scale` / √(2 k), of
    /// GaborNet times √γ, with γ of Gamma(`alpha` / k, 1) and μ uniform in [-1, 1]².
    fn initial(&self, draw: &Draw) -> Result<Vec<f32>> {
        let mut theta = vec![0.0; self.n_parameters()];
        let parts = self.parts();
        for (stream, part) in parts.iter().enumerate() {
            let values = match part.name.split('_').next() {
                Some("gamma") => {
                    let shape = self.config.alpha / self.n_matrices() as f64;
                    draw.gammas(stream, part.n_numbers(), shape)?
                }
                _ => draw.symmetric(stream, part.n_numbers(), self.range(part))?,
            };
            theta[part.range()].copy_from_slice(&values);
        }
        if self.config.kind == WavesKind::GaborNet {
            scale_by_width(&mut theta, &parts);
        }
        Ok(theta)
    }

    /// Largest size of a part's numbers at the start.
    fn range(&self, part: &Part) -> f64 {
        let (k, width) = (self.n_matrices() as f64, self.width() as f64);
        let is_last = part.name.ends_with(&format!("_{}", self.n_matrices()));
        match (part.name.split('_').next(), part.shape.as_slice()) {
            (Some("W"), &[n_out, n_in]) if !self.is_filtered() => (6.0 / (n_in + n_out) as f64).sqrt(),
            (Some("b"), _) if !self.is_filtered() => 0.0,
            (Some("W"), _) if !is_last => (self.config.weight_scale / width).sqrt(),
            (Some("W" | "b"), _) => 1.0 / width.sqrt(),
            (Some("phi"), _) => PI,
            (Some("omega"), _) => self.config.input_scale / k.sqrt() / SQRT_2,
            _ => 1.0,
        }
    }

    /// `B [H, 2]` of Fourier features, normal with deviation `sigma`; empty of others.
    fn frequencies(&self, draw: &Draw) -> Result<Vec<f32>> {
        if self.is_filtered() {
            return Ok(Vec::new());
        }
        let normals = draw.normals(self.parts().len(), D * self.width())?;
        Ok(normals.iter().map(|normal| (self.config.sigma * normal) as f32).collect())
    }
}

/// ω of each neuron times √γ: an envelope as wide as some waves.
fn scale_by_width(theta: &mut [f32], parts: &[Part]) {
    let of = |name: &str| parts.iter().filter(|part| part.name.starts_with(name)).map(Part::range).collect::<Vec<_>>();
    for (omega, gamma) in of("omega").into_iter().zip(of("gamma")) {
        let gammas = theta[gamma].to_vec();
        for (row, gamma) in theta[omega].chunks_mut(D).zip(gammas) {
            row.iter_mut().for_each(|number| *number *= gamma.sqrt());
        }
    }
}

fn tensor_name(part: &Part) -> String {
    format!("waves.{}", part.name)
}

/// Random numbers that are the same on every device.
struct Draw<'a> {
    device: &'a Device,
    seed: u64,
}

impl Draw<'_> {
    /// Candidates of a number of the gamma distribution; each is taken with a chance above 0.95.
    const CANDIDATES: usize = 16;

    /// Uniform in `[-range, range)`.
    fn symmetric(&self, stream: usize, n: usize, range: f64) -> Result<Vec<f32>> {
        let value = self.device.zeros(n)?;
        let (seed, stream) = (self.seed as u32, FIRST_STREAM + stream as u32);
        let args = UniformArgs { value: value.ptr(), seed, stream, range: range as f32 };
        self.device.launch(&kernels::UNIFORM_PARAMETERS, &args, Items::items(n))?;
        value.download()
    }

    /// Uniform in `[0, 1)`.
    fn units(&self, stream: usize, n: usize) -> Result<Vec<f64>> {
        Ok(self.symmetric(stream, n, 1.0)?.into_iter().map(|u| 0.5 * (f64::from(u) + 1.0)).collect())
    }

    fn normals(&self, stream: usize, n: usize) -> Result<Vec<f64>> {
        Ok(self.units(stream, 2 * n)?.chunks_exact(2).map(|pair| normal(pair[0], pair[1])).collect())
    }

    /// Of Gamma(`shape`, 1).
    fn gammas(&self, stream: usize, n: usize, shape: f64) -> Result<Vec<f32>> {
        let each = 3 * Self::CANDIDATES + 1;
        Ok(self.units(stream, each * n)?.chunks_exact(each).map(|units| gamma(shape, units) as f32).collect())
    }
}

/// A normal number from two uniform ones (Box and Muller 1958).
fn normal(u: f64, v: f64) -> f64 {
    (-2.0 * (1.0 - u).ln()).sqrt() * (TAU * v).cos()
}

/// A number of Gamma(`shape`, 1) from uniform ones, three a candidate and one (Marsaglia and Tsang 2000).
fn gamma(shape: f64, units: &[f64]) -> f64 {
    if shape < 1.0 {
        let last = 1.0 - units[units.len() - 1];
        return gamma(shape + 1.0, units) * last.powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let candidate = |units: &[f64]| {
        let x = normal(units[0], units[1]);
        let v = (1.0 + x / (9.0 * d).sqrt()).powi(3);
        let is_taken = v > 0.0 && (1.0 - units[2]).ln() < 0.5 * x * x + d - d * v + d * v.ln();
        is_taken.then_some(d * v)
    };
    units.chunks_exact(3).find_map(candidate).unwrap_or(d)
}

/// A network of waves on a device.
pub struct WaveNetwork {
    pub waves: Waves,
    /// θ
    pub theta: Buffer<f32>,
    /// `[n_prepared]`: see [`Waves::places`].
    places: Buffer<u32>,
    /// `[n_prepared]`: padded matrices, then the numbers of the neurons.
    prepared: Buffer<f32>,
    /// The matrices as kernels multiply by them; on the host with transposes.
    weights: ComputeBuffer,
}

/// [`super::member::Opener`] of models without a grid.
pub fn open(device: &Device, config: &GridConfig, head: Head, source: &Source) -> Result<Option<Box<dyn Member>>> {
    let Some(waves) = Waves::new(config, head) else { return Ok(None) };
    let mut network = WaveNetwork::zeros(device, waves)?;
    let waves = network.waves.clone();
    match source {
        Source::Blank => {}
        Source::New(site) => {
            let draw = Draw { device, seed: site.seed };
            network.theta.upload(0, &waves.initial(&draw)?)?;
            network.set_frequencies(&waves.frequencies(&draw)?)?;
        }
        Source::Saved(checkpoint) => {
            network.theta.upload(0, &waves.theta_of(checkpoint)?)?;
            if !waves.is_filtered() {
                network.set_frequencies(checkpoint.get(FREQUENCIES, &[waves.width(), D])?)?;
            }
        }
    }
    Ok(Some(Box::new(network)))
}

impl WaveNetwork {
    fn zeros(device: &Device, waves: Waves) -> Result<Self> {
        let (n_weights, n_prepared) = waves.n_prepared();
        Ok(WaveNetwork {
            theta: device.zeros(waves.n_parameters())?,
            places: device.upload(&waves.places())?,
            prepared: device.zeros(n_prepared)?,
            weights: ComputeBuffer::zeros(device, 2 * n_weights)?,
            waves,
        })
    }

    /// Sets `B [H, 2]`, in the place of ω of the first layer.
    pub fn set_frequencies(&mut self, frequencies: &[f32]) -> Result<()> {
        for axis in 0..D {
            let own: Vec<f32> = frequencies.iter().skip(axis).step_by(D).copied().collect();
            self.prepared.upload(self.waves.number(0, Row::Omega as usize + axis, 0), &own)?;
        }
        Ok(())
    }

    /// `B [H, 2]`; empty of filter networks.
    pub fn frequencies(&self) -> Result<Vec<f32>> {
        if self.waves.is_filtered() {
            return Ok(Vec::new());
        }
        let width = self.waves.width();
        let mut axes = [vec![0.0; width], vec![0.0; width]];
        for (axis, own) in axes.iter_mut().enumerate() {
            self.prepared.download_into(self.waves.number(0, Row::Omega as usize + axis, 0), own)?;
        }
        Ok((0..D * width).map(|i| axes[i % D][i / D]).collect())
    }

    /// `[n_prepared]`: padded matrices, then the numbers of the neurons.
    pub fn prepared(&self) -> &Buffer<f32> {
        &self.prepared
    }

    fn prepare_args(&self) -> PrepareWavesArgs<'_> {
        PrepareWavesArgs {
            theta: self.theta.ptr(),
            place: self.places.ptr(),
            prepared: self.prepared.ptr(),
            dl_dprepared: Ptr::NULL,
            dl_dtheta: Ptr::NULL,
        }
    }

    fn args<'a>(&'a self, work: &Encode<'a>) -> WavesArgs<'a> {
        WavesArgs {
            network: self.waves.layout(),
            samples: work.samples,
            weights: self.weights.ptr(),
            neurons: self.prepared.ptr_at(self.waves.n_prepared().0),
            activations: work.query,
            output: work.values,
            dl_doutput: Ptr::NULL,
            dl_dprepared: Ptr::NULL,
            kind: self.waves.config.kind as u32,
            n_neurons: self.waves.padded() as u32,
            n_columns: self.waves.n_columns() as u32,
            n_outputs: self.waves.n_outputs,
        }
    }
}

impl Member for WaveNetwork {
    fn gives_values(&self) -> bool {
        true
    }

    fn parameters(&self) -> Option<&Buffer<f32>> {
        Some(&self.theta)
    }

    fn parameters_mut(&mut self) -> Option<&mut Buffer<f32>> {
        Some(&mut self.theta)
    }

    fn learning_rate(&self, optimizer: &OptimizerConfig) -> f64 {
        optimizer.waves_learning_rate
    }

    /// Those of what is prepared.
    fn n_gradients(&self) -> usize {
        self.waves.n_prepared().1
    }

    fn n_query(&self) -> usize {
        self.waves.n_columns()
    }

    fn n_kept(&self) -> usize {
        0
    }

    fn prepare(&self, device: &Device, _: &Grid) -> Result<()> {
        device.launch(&kernels::PREPARE_WAVES, &self.prepare_args(), Items::items(self.places.len()))?;
        let (weights, compute) = (self.prepared.ptr(), self.weights.ptr());
        let args = PrepareWeightsArgs { network: self.waves.layout(), weights, compute };
        device.launch(&kernels::PREPARE_WEIGHTS, &args, Items::items(self.waves.n_prepared().0))
    }

    fn encode(&self, device: &Device, work: &Encode, most: usize) -> Result<()> {
        device.launch_chunk(&kernels::WAVES_FORWARD, &self.args(work), Items::tiles(most))
    }

    fn backward(&self, device: &Device, work: &Encode, gradients: &Backward, most: usize) -> Result<()> {
        let args =
            WavesArgs { dl_doutput: gradients.dl_dvalues, dl_dprepared: gradients.dl_dparameters, ..self.args(work) };
        device.launch_chunk(&kernels::WAVES_BACKWARD, &args, Items::tiles(most))
    }

    /// There is no table.
    fn scatter(&self, _: &Device, _: &[(ScatterArgs, Items)], _: usize) -> Result<()> {
        Ok(())
    }

    fn gradient(&self, device: &Device, _: &Grid, sum: Ptr<'_, f32>, dl_dtheta: Ptr<'_, f32>) -> Result<()> {
        let args = PrepareWavesArgs { dl_dprepared: sum, dl_dtheta, ..self.prepare_args() };
        device.launch(&kernels::WAVES_GRADIENT, &args, Items::items(self.places.len()))
    }

    fn twin(&self, device: &Device) -> Result<Box<dyn Member>> {
        let mut twin = WaveNetwork::zeros(device, self.waves.clone())?;
        twin.set_frequencies(&self.frequencies()?)?;
        Ok(Box::new(twin))
    }

    /// A tensor for each part of θ, and B.
    fn tensors(&self) -> Result<Vec<Tensor<'static>>> {
        let theta = self.theta.download()?;
        let of_part = |part: &Part| Tensor::new(tensor_name(part), &part.shape, theta[part.range()].to_vec());
        let mut tensors: Vec<Tensor> = self.waves.parts().iter().map(of_part).collect();
        if !self.waves.is_filtered() {
            tensors.push(Tensor::new(FREQUENCIES, &[self.waves.width(), D], self.frequencies()?));
        }
        Ok(tensors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DeviceChoice;

    fn waves(kind: WavesKind, width: u32, depth: u32) -> Waves {
        Waves { config: WavesConfig { kind, width, depth, ..WavesConfig::default() }, n_outputs: 3 }
    }

    #[test]
    fn the_published_networks_have_their_sizes() {
        // 512 Fourier features, three layers of 256 neurons, three colours.
        let features = waves(WavesKind::FourierFeatures, 256, 4);
        assert_eq!(features.n_parameters(), 513 * 256 + 2 * 257 * 256 + 257 * 3);
        // Four filters, three matrices between them, one behind.
        let fourier = waves(WavesKind::FourierNet, 256, 4);
        assert_eq!(fourier.n_parameters(), 4 * 3 * 256 + 3 * 257 * 256 + 257 * 3);
        let gabor = waves(WavesKind::GaborNet, 256, 4);
        assert_eq!(gabor.n_parameters(), 4 * 6 * 256 + 3 * 257 * 256 + 257 * 3);
    }

    #[test]
    fn each_number_of_theta_has_one_place() {
        for kind in [WavesKind::FourierFeatures, WavesKind::FourierNet, WavesKind::GaborNet] {
            let waves = waves(kind, 21, 3);
            let mut learned: Vec<u32> = waves.places().into_iter().filter(|&place| place != WAVES_NONE).collect();
            learned.sort_unstable();
            assert!(learned.into_iter().eq(0..waves.n_parameters() as u32), "{kind:?}");
        }
    }

    #[test]
    fn random_numbers_have_their_distributions() {
        let device = Device::open(DeviceChoice::Cpu, 1).unwrap();
        let draw = Draw { device: &device, seed: 3 };
        let moments = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64)
        };
        let n = 40_000;
        let (mean, variance) = moments(&draw.normals(0, n).unwrap());
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        // Both the mean and the variance of Gamma(shape, 1) are its shape.
        for shape in [0.5, 1.5, 6.0] {
            let values: Vec<f64> = draw.gammas(1, n, shape).unwrap().into_iter().map(f64::from).collect();
            let (mean, variance) = moments(&values);
            assert!((mean / shape - 1.0).abs() < 0.03 && (variance / shape - 1.0).abs() < 0.06, "{mean} {variance}");
            assert!(values.iter().all(|&value| value > 0.0));
        }
    }
}
