//! The targets, and the comparison of a kernel's outputs on two of them.

use gridfield::device::{Buffer, Device, Order};

use crate::common::{cuda, emulated, host, lower_levels};

/// The outputs of a kernel, by name.
#[derive(Default)]
pub struct Outputs(Vec<Output>);

struct Output {
    name: &'static str,
    values: Vec<f64>,
    agreement: Agreement,
}

/// How far targets may differ, relative to the largest value of the reference.
#[derive(Clone, Copy)]
enum Agreement {
    /// Not at all.
    Exact,
    /// By rounding between targets; not at all between the two orders of threads.
    Rounded(f64),
    /// By rounding between targets; between the two orders by the rounding of fp32 or fp64 additions in a different
    /// order.
    Summed(f64),
}

/// A few thousand additions in a different order: the square root of their number times half an fp32 step.
const ORDER_OF_ADDITIONS: f64 = 64.0 * 6e-8;

impl Outputs {
    pub fn new() -> Self {
        Outputs::default()
    }

    /// For integers, bits and decisions.
    pub fn exact<T: Copy + Into<f64>>(&mut self, name: &'static str, values: &[T]) {
        self.push(name, values, Agreement::Exact);
    }

    pub fn rounded<T: Copy + Into<f64>>(&mut self, name: &'static str, values: &[T], tolerance: f64) {
        self.push(name, values, Agreement::Rounded(tolerance));
    }

    /// For memory to which several threads add.
    pub fn summed<T: Copy + Into<f64>>(&mut self, name: &'static str, values: &[T], tolerance: f64) {
        self.push(name, values, Agreement::Summed(tolerance));
    }

    fn push<T: Copy + Into<f64>>(&mut self, name: &'static str, values: &[T], agreement: Agreement) {
        let values = values.iter().map(|&value| value.into()).collect();
        self.0.push(Output { name, values, agreement });
    }

    /// Appends the outputs of another case.
    pub fn append(&mut self, mut other: Outputs) {
        self.0.append(&mut other.0);
    }
}

/// Runs a test body on every target and compares the outputs.
pub fn compare_targets(kernel: &str, body: fn(&Device) -> Outputs) {
    let host = body(&host());
    let forward = body(&emulated());
    let reverse = body(&Device::emulated(Order::Reverse));
    compare(kernel, "emulated in reverse order", &reverse, "emulated", &forward, |agreement| match agreement {
        Agreement::Exact | Agreement::Rounded(_) => 0.0,
        Agreement::Summed(tolerance) => tolerance.min(ORDER_OF_ADDITIONS),
    });
    let between_targets = |agreement| match agreement {
        Agreement::Exact => 0.0,
        Agreement::Rounded(tolerance) | Agreement::Summed(tolerance) => tolerance,
    };
    compare(kernel, "emulated", &forward, "host", &host, between_targets);
    for lower in lower_levels() {
        compare(kernel, &lower.describe(), &body(&lower), "host", &host, between_targets);
    }
    if let Some(device) = cuda() {
        compare(kernel, "cuda", &body(device), "host", &host, between_targets);
    }
}

fn compare(
    kernel: &str,
    target: &str,
    outputs: &Outputs,
    reference_target: &str,
    reference: &Outputs,
    tolerance: impl Fn(Agreement) -> f64,
) {
    assert_eq!(outputs.0.len(), reference.0.len());
    for (output, expected) in outputs.0.iter().zip(&reference.0) {
        assert_eq!(output.values.len(), expected.values.len(), "{kernel}: {}", output.name);
        let scale = expected.values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        let limit = tolerance(output.agreement) * scale;
        for (i, (&value, &wanted)) in output.values.iter().zip(&expected.values).enumerate() {
            // Written so that NaN fails.
            assert!(
                (value - wanted).abs() <= limit,
                "{kernel}: {}[{i}] is {value} on {target} and {wanted} on {reference_target}, further apart than {limit:e}",
                output.name
            );
        }
    }
}

/// Sets the first elements of a buffer.
pub fn set<T: bytemuck::Pod>(buffer: &mut Buffer<T>, values: &[T]) {
    buffer.upload(0, values).unwrap();
}

pub fn get<T: bytemuck::Pod>(buffer: &Buffer<T>) -> Vec<T> {
    buffer.download().unwrap()
}
