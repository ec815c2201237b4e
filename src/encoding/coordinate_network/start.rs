//! Initialization of coordinate networks.

use std::f64::consts::{PI, SQRT_2, TAU};

use super::{CoordinateNetworkShape, D};
use crate::Result;
use crate::config::CoordinateNetworkKind;
use crate::device::args::UniformArgs;
use crate::device::{Device, LaunchDims, kernels};
use crate::encoding::ParamBlock;

/// First of the random streams that θ is drawn from; the kernel function mulfa uses the streams below.
const FIRST_STREAM: u32 = 1 << 12;

impl CoordinateNetworkShape {
    /// Returns the initial θ. Fourier features: W according to Glorot and Bengio (2010), b zero. Filter networks,
    /// following their authors: hidden W uniform in ±√(`weight_scale` / H), b and the last W in ±1/√H, φ in ±π, ω in
    /// ±`input_scale` / √(2 k); for GaborNet, ω is multiplied by √γ, with γ drawn from Gamma(`alpha` / k, 1) and μ
    /// uniform in [-1, 1]².
    pub(super) fn initial(&self, draw: &Draw) -> Result<Vec<f32>> {
        let mut theta = vec![0.0; self.n_parameters()];
        let blocks = self.blocks();
        for (stream, block) in blocks.iter().enumerate() {
            let values = match block.name.split('_').next() {
                Some("gamma") => {
                    let shape = self.config.alpha / self.n_matrices() as f64;
                    draw.gammas(stream, block.n_numbers(), shape)?
                }
                _ => draw.symmetric(stream, block.n_numbers(), self.range(block))?,
            };
            theta[block.range()].copy_from_slice(&values);
        }
        if self.config.kind == CoordinateNetworkKind::GaborNet {
            scale_by_width(&mut theta, &blocks);
        }
        Ok(theta)
    }

    /// Returns the bound of a block's initial numbers, which are uniform in ± this bound.
    fn range(&self, block: &ParamBlock) -> f64 {
        let (k, width) = (self.n_matrices() as f64, self.width() as f64);
        let is_last = block.name.ends_with(&format!("_{}", self.n_matrices()));
        match (block.name.split('_').next(), block.shape.as_slice()) {
            (Some("W"), &[n_out, n_in]) if !self.is_filtered() => (6.0 / (n_in + n_out) as f64).sqrt(),
            (Some("b"), _) if !self.is_filtered() => 0.0,
            (Some("W"), _) if !is_last => (self.config.weight_scale / width).sqrt(),
            (Some("W" | "b"), _) => 1.0 / width.sqrt(),
            (Some("phi"), _) => PI,
            (Some("omega"), _) => self.config.input_scale / k.sqrt() / SQRT_2,
            _ => 1.0,
        }
    }

    /// Returns `B [H, 2]` of Fourier features, normal with standard deviation `sigma`; empty for other networks.
    pub(super) fn frequencies(&self, draw: &Draw) -> Result<Vec<f32>> {
        if self.is_filtered() {
            return Ok(Vec::new());
        }
        let normals = draw.normals(self.blocks().len(), D * self.width())?;
        Ok(normals.iter().map(|normal| (self.config.sigma * normal) as f32).collect())
    }
}

/// Multiplies ω of each neuron by √γ, so that a neuron's envelope covers a similar number of waves whatever its width.
fn scale_by_width(theta: &mut [f32], blocks: &[ParamBlock]) {
    let of = |name: &str| {
        blocks.iter().filter(|block| block.name.starts_with(name)).map(ParamBlock::range).collect::<Vec<_>>()
    };
    for (omega, gamma) in of("omega").into_iter().zip(of("gamma")) {
        let gammas = theta[gamma].to_vec();
        for (row, gamma) in theta[omega].chunks_mut(D).zip(gammas) {
            row.iter_mut().for_each(|number| *number *= gamma.sqrt());
        }
    }
}

/// Source of random numbers that are the same on every device.
pub(super) struct Draw<'a> {
    pub device: &'a Device,
    pub seed: u64,
}

impl Draw<'_> {
    /// Number of candidates drawn for each gamma-distributed number; each is accepted with a probability above 0.95.
    const CANDIDATES: usize = 16;

    /// Draws numbers uniform in `[-range, range)`.
    fn symmetric(&self, stream: usize, n: usize, range: f64) -> Result<Vec<f32>> {
        let value = self.device.zeros(n)?;
        let (seed, stream) = (self.seed as u32, FIRST_STREAM + stream as u32);
        let args = UniformArgs { value: value.ptr(), seed, stream, range: range as f32 };
        self.device.launch(&kernels::UNIFORM_PARAMETERS, &args, LaunchDims::items(n))?;
        value.download()
    }

    /// Draws numbers uniform in `[0, 1)`.
    fn units(&self, stream: usize, n: usize) -> Result<Vec<f64>> {
        Ok(self.symmetric(stream, n, 1.0)?.into_iter().map(|u| 0.5 * (f64::from(u) + 1.0)).collect())
    }

    fn normals(&self, stream: usize, n: usize) -> Result<Vec<f64>> {
        Ok(self.units(stream, 2 * n)?.chunks_exact(2).map(|pair| normal(pair[0], pair[1])).collect())
    }

    /// Draws numbers from Gamma(`shape`, 1).
    fn gammas(&self, stream: usize, n: usize, shape: f64) -> Result<Vec<f32>> {
        let each = 3 * Self::CANDIDATES + 1;
        Ok(self.units(stream, each * n)?.chunks_exact(each).map(|units| gamma(shape, units) as f32).collect())
    }
}

/// Returns a normally distributed number from two uniform ones (Box and Muller 1958).
fn normal(u: f64, v: f64) -> f64 {
    (-2.0 * (1.0 - u).ln()).sqrt() * (TAU * v).cos()
}

/// Returns a number from Gamma(`shape`, 1), given uniform numbers: three for each candidate and one more (Marsaglia and
/// Tsang 2000).
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DeviceChoice;

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
