//! Helpers shared by the numerical tests.
#![allow(dead_code, unused_macros)] // each test binary uses only some of these

use std::io::Write as _;
use std::sync::OnceLock;

use gridfield::device::args::MulfaArgs;
use gridfield::device::{Device, DeviceChoice, Order, Ptr};
use gridfield::encoding::Theta;
use gridfield::field::Field;
use gridfield::radiance::Chunk;
use serde_json::Value;

/// Opens the host target with two threads, so that errors between threads can show.
pub fn host() -> Device {
    Device::open(DeviceChoice::Cpu, 2).unwrap()
}

/// Returns the CPU at each instruction set level below the one that it would choose.
pub fn lower_levels() -> Vec<Device> {
    let Device::Cpu(cpu) = host() else { unreachable!("the host is a CPU") };
    let mut levels = cpu.at_every_level(false);
    levels.retain(|lower| lower.level() != cpu.level());
    levels.into_iter().map(Device::Cpu).collect()
}

pub fn emulated() -> Device {
    Device::emulated(Order::Forward)
}

/// Returns the GPU, if there is one. Otherwise prints the reason once, bypassing the test harness's capture of output.
/// With `GRIDFIELD_TEST_CUDA=1` in the environment, a missing GPU is a failure.
pub fn cuda() -> Option<&'static Device> {
    static CUDA: OnceLock<Result<Device, String>> = OnceLock::new();
    let cuda = CUDA.get_or_init(|| {
        Device::open(DeviceChoice::Cuda, 0).map_err(|error| {
            let why = error.to_string();
            let _ = writeln!(std::io::stderr(), "tests on CUDA do not run: {why}");
            why
        })
    });
    let wanted = std::env::var_os("GRIDFIELD_TEST_CUDA").is_some_and(|wanted| wanted == "1");
    match cuda {
        Err(why) if wanted => panic!("CUDA is required: {why}"),
        found => found.as_ref().ok(),
    }
}

/// Generates a test for each target from functions that take the device.
macro_rules! on_every_target {
    ($($name:ident),* $(,)?) => {
        mod host {
            $(
                #[test]
                fn $name() {
                    super::$name(&crate::common::host());
                }
            )*
        }
        mod emulated {
            $(
                #[test]
                fn $name() {
                    super::$name(&crate::common::emulated());
                }
            )*
        }
        mod cuda {
            $(
                #[test]
                fn $name() {
                    if let Some(device) = crate::common::cuda() {
                        super::$name(device);
                    }
                }
            )*
        }
    };
}

/// Returns all numbers of nested arrays, in order.
pub fn flatten(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(flatten).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

pub fn to_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

pub fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Fails unless each number is within `tolerance` of the expected one, relative to the largest expected magnitude.
pub fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let within = (found - expected).abs() <= tolerance * largest;
        assert!(within, "{what}[{i}]: {found}, expected {expected} within {tolerance} of {largest}");
    }
}

/// Reproducible random numbers for the tests' own use (SplitMix64, Steele et al. 2014).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Returns a number less than `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    /// Returns 1 or -1.
    pub fn sign(&mut self) -> f64 {
        if self.bits() & 1 == 0 { 1.0 } else { -1.0 }
    }

    /// Returns numbers uniform in ±range.
    pub fn vector(&mut self, n: usize, range: f64) -> Vec<f32> {
        (0..n).map(|_| self.between(-range, range) as f32).collect()
    }

    pub fn f64s(&mut self, n: usize, low: f64, high: f64) -> Vec<f64> {
        (0..n).map(|_| self.between(low, high)).collect()
    }

    pub fn f32s(&mut self, n: usize, low: f64, high: f64) -> Vec<f32> {
        (0..n).map(|_| self.between(low, high) as f32).collect()
    }

    /// Returns numbers that fp16 represents exactly, so that all targets start from the same values.
    pub fn halves(&mut self, n: usize, low: f64, high: f64) -> Vec<f32> {
        self.f32s(n, low, high).into_iter().map(|value| half::f16::from_f32(value).to_f32()).collect()
    }

    pub fn u32s(&mut self, n: usize) -> Vec<u32> {
        (0..n).map(|_| self.bits() as u32).collect()
    }

    /// Returns a unit vector.
    pub fn direction(&mut self) -> [f64; 3] {
        loop {
            let v: [f64; 3] = std::array::from_fn(|_| self.between(-1.0, 1.0));
            let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            if (0.1..1.0).contains(&length) {
                return v.map(|x| x / length);
            }
        }
    }
}

/// Returns the arguments of the multiplicative Fourier adaptive kernel for the samples of a chunk, without its outputs.
pub fn mulfa_args<'a>(field: &'a Field, chunk: &'a Chunk, round: u32) -> MulfaArgs<'a> {
    let kernel = field.encoding_as::<Theta>().unwrap();
    MulfaArgs {
        grid: field.grid.layout(),
        samples: chunk.samples.args(),
        table: field.table_ptr(),
        prepared: kernel.prepared_ptr(),
        theta: kernel.theta.ptr(),
        features: Ptr::NULL,
        query: Ptr::NULL,
        dl_dfeatures: Ptr::NULL,
        phi: Ptr::NULL,
        dl_dprepared: Ptr::NULL,
        n_in: field.decoder.layers[0].n_in,
        round,
    }
}
