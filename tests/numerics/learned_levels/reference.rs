//! The formulas of the local kernel function and of the cascade in fp64.

use super::SAMPLES;
use gridfield::config::{GridConfig, GridIndex, GridKernel};
use std::f64::consts::PI;

/// An active node: its row in the table, and x − p in units of the level's cells.
pub struct Node {
    pub row: usize,
    pub d: Vec<f64>,
}

/// The formulas in fp64, for the samples of a case.
pub struct Reference {
    pub config: GridConfig,
    pub dimensions: usize,
    pub table: Vec<f64>,
    /// `[L, D, 1 + 2 K, F]`
    pub coefficients: Vec<f64>,
    /// `G_l [l F, F]` of each level, one after the other.
    pub gates: Vec<f64>,
    /// Active nodes `[S, L, 2^D]`.
    pub nodes: Vec<Node>,
}

impl Reference {
    pub fn n_levels(&self) -> usize {
        self.config.n_levels as usize
    }

    pub fn n_features(&self) -> usize {
        self.config.n_features_per_level as usize
    }

    pub fn n_columns(&self) -> usize {
        self.n_levels() * self.n_features()
    }

    /// Finds the nodes that are active at each of the points.
    pub fn active(config: &GridConfig, dimensions: usize, x: &[f64]) -> Vec<Node> {
        let mut nodes = Vec::new();
        for x in x.chunks(dimensions) {
            let mut first = 0;
            for level in 0..config.n_levels {
                let scale = f64::from(config.base_resolution) * config.per_level_scale.powi(level as i32) - 1.0;
                let resolution = scale.ceil() as u64 + 1;
                let all = resolution.pow(dimensions as u32);
                let hashed = config.index == GridIndex::Hash && all > 1 << config.log2_hashmap_size;
                let entries = if hashed { 1 << config.log2_hashmap_size } else { all.div_ceil(8) * 8 };
                let u: Vec<f64> = x.iter().map(|x| scale * x + 0.5).collect();
                for corner in 0..1 << dimensions {
                    let p: Vec<f64> = (0..dimensions).map(|j| u[j].floor() + f64::from(corner >> j & 1)).collect();
                    let entry = if hashed {
                        let primes = [1, 2_654_435_761, 805_459_861u32];
                        let hash =
                            p.iter().zip(primes).fold(0, |hash, (&p, prime)| hash ^ (p as u32).wrapping_mul(prime));
                        u64::from(hash) % entries
                    } else {
                        p.iter().rev().fold(0, |entry, &p| resolution * entry + p as u64) % entries
                    };
                    nodes.push(Node {
                        row: (first + entry) as usize,
                        d: u.iter().zip(&p).map(|(u, p)| u - p).collect(),
                    });
                }
                first += entries;
            }
        }
        nodes
    }

    /// φ of feature k on a level.
    pub fn phi(&self, level: usize, d: &[f64], k: usize) -> f64 {
        let n_terms = 1 + 2 * self.config.local.n_frequencies as usize;
        let factor = |(j, &d): (usize, &f64)| {
            let window = 1.0 - d.abs();
            match self.config.kernel {
                GridKernel::Smoothstep => window * window * (3.0 - 2.0 * window),
                GridKernel::Local => {
                    let a = |term: usize| {
                        self.coefficients[((level * self.dimensions + j) * n_terms + term) * self.n_features() + k]
                    };
                    let wave = |q: usize| {
                        let angle = q as f64 * PI * d;
                        a(2 * q - 1) * angle.cos() + a(2 * q) * angle.sin()
                    };
                    window * (a(0) + (1..=n_terms / 2).map(wave).sum::<f64>())
                }
                _ => window,
            }
        };
        d.iter().enumerate().map(factor).product()
    }

    /// The interpolated features of a sample on a level, `[F]`.
    pub fn interpolated(&self, sample: usize, level: usize) -> Vec<f64> {
        let n = 1 << self.dimensions;
        let nodes = &self.nodes[(sample * self.n_levels() + level) * n..][..n];
        let sum = |k| {
            nodes.iter().map(|node| self.phi(level, &node.d, k) * self.table[node.row * self.n_features() + k]).sum()
        };
        (0..self.n_features()).map(sum).collect()
    }

    /// The interpolated features of all samples, `[S, L F]`.
    pub fn all_interpolated(&self) -> Vec<f64> {
        (0..SAMPLES * self.n_levels())
            .flat_map(|i| self.interpolated(i / self.n_levels(), i % self.n_levels()))
            .collect()
    }

    /// h of a sample, given z `[L F]`.
    pub fn cascaded(&self, z: &[f64]) -> Vec<f64> {
        let (n_features, mut h, mut first) = (self.n_features(), z.to_vec(), 0);
        if !self.config.cascade {
            return h;
        }
        for level in 1..self.n_levels() {
            let coarser = level * n_features;
            for k in 0..n_features {
                let sum: f64 = (0..coarser).map(|c| h[c] * self.gates[first + c * n_features + k]).sum();
                h[coarser + k] = z[coarser + k] * (1.0 + sum);
            }
            first += coarser * n_features;
        }
        h
    }

    /// The features of all samples, `[S, L F]`.
    pub fn features(&self) -> Vec<f64> {
        self.all_interpolated().chunks(self.n_columns()).flat_map(|z| self.cascaded(z)).collect()
    }

    /// The sum over all samples of `upstream` `[S, L F]` times the features, given the interpolated features.
    pub fn functional(&self, interpolated: &[f64], upstream: &[f64]) -> f64 {
        let n = self.n_columns();
        let of_sample = |(z, upstream): (&[f64], &[f64])| -> f64 {
            self.cascaded(z).iter().zip(upstream).map(|(h, upstream)| h * upstream).sum()
        };
        interpolated.chunks(n).zip(upstream.chunks(n)).map(of_sample).sum()
    }

    /// The derivative of the functional with respect to number `index` of one of the three sets of parameters, which
    /// changes the interpolated features of one level, or of none. The functional is affine in each parameter, so a
    /// wide difference is exact.
    pub fn derivative(
        &mut self,
        interpolated: &[f64],
        upstream: &[f64],
        parameters: fn(&mut Self) -> &mut Vec<f64>,
        index: usize,
        level: Option<usize>,
    ) -> f64 {
        const STEP: f64 = 0.5;
        let value = parameters(self)[index];
        let mut at = |parameter: f64| {
            parameters(self)[index] = parameter;
            let mut z = interpolated.to_vec();
            if let Some(level) = level {
                let (n, n_features) = (self.n_columns(), self.n_features());
                for sample in 0..SAMPLES {
                    let own = self.interpolated(sample, level);
                    z[sample * n + level * n_features..][..n_features].copy_from_slice(&own);
                }
            }
            self.functional(&z, upstream)
        };
        let difference = at(value + STEP) - at(value - STEP);
        parameters(self)[index] = value;
        difference / (2.0 * STEP)
    }
}
