//! Adam and the moving average.

use gridfield::config::OptimizerConfig;
use gridfield::device::args::{SUM_WIDTH, SumArgs};
use gridfield::device::{ComputeBuffer, Device, LaunchDims, Ptr, kernels};
use gridfield::train::{Adam, AdamStep, Moments};

use crate::common::Random;
use crate::compare::{Outputs, get, set};

/// Products and sums may be fused or not, and divisions and roots are rounded: a few fp32 steps.
const FP32: f64 = 1e-6;

const ENTRIES: usize = 200;

/// Runs three steps, each of which leaves a different quarter of the entries without a gradient.
fn train(device: &Device, width: usize, outputs: &mut Outputs) -> (gridfield::device::Buffer<f32>, Moments, Adam) {
    let mut random = Random::new(5);
    let n = ENTRIES * width;
    let value = device.upload(&random.f32s(n, -1.0, 1.0)).unwrap();
    let mut moments = Moments::new(device, &value, width, true).unwrap();
    let adam = Adam::new(device, &OptimizerConfig::default(), 0.95).unwrap();
    let copy = if device.computes_in_fp16() { Some(ComputeBuffer::zeros(device, n).unwrap()) } else { None };
    for step in 1..=3 {
        let mut gradient = random.f32s(n, -1.0, 1.0);
        for (entry, numbers) in gradient.chunks_mut(width).enumerate() {
            if entry % 4 == step as usize {
                numbers.fill(0.0);
            }
        }
        set(&mut moments.gradient, &gradient);
        let now = AdamStep { step, learning_rate: 1e-2, gradient_scale: 0.25 };
        let copy = copy.as_ref().map_or(Ptr::NULL, |copy| copy.ptr());
        adam.update(device, &now, &value, &moments, 1e-3, copy).unwrap();
    }
    if let Some(copy) = &copy {
        // Every entry had a gradient at least once, so its copy is the rounded value.
        let rounded: Vec<f32> = get(&value).iter().map(|&value| half::f16::from_f32(value).to_f32()).collect();
        assert_eq!(copy.download().unwrap(), rounded);
    }
    outputs.rounded("value", &get(&value), FP32);
    (value, moments, adam)
}

pub fn adam(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for width in [1, 2, 4, 8] {
        let (_, moments, _) = train(device, width, &mut outputs);
        outputs.exact("gradient", &get(&moments.gradient));
        outputs.rounded("first moment", &get(&moments.first), FP32);
        outputs.rounded("second moment", &get(&moments.second), FP32);
        outputs.exact("updates", &get(&moments.steps));
        let (average, average_step) = moments.average.unwrap();
        outputs.rounded("average", &get(&average), FP32);
        outputs.exact("step of the average", &get(&average_step));
    }
    outputs
}

pub fn average_now(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for width in [1, 4] {
        let (value, moments, adam) = train(device, width, &mut outputs);
        let mut now = device.zeros::<f32>(value.len()).unwrap();
        adam.average(device, 9, &value, &moments, &mut now).unwrap();
        outputs.rounded("average now", &get(&now), FP32);
    }
    outputs
}

pub fn sum_parts(device: &Device) -> Outputs {
    let (n_parts, n) = (7, 20 * SUM_WIDTH);
    let parts = device.upload(&Random::new(6).f32s(n_parts * n, -1.0, 1.0)).unwrap();
    let sum = device.zeros::<f32>(n).unwrap();
    let args = SumArgs { parts: parts.ptr(), sum: sum.ptr(), n_parts: n_parts as u32, n: n as u32 };
    device.launch(&kernels::SUM_PARTS, &args, LaunchDims::items(n / SUM_WIDTH)).unwrap();
    let mut outputs = Outputs::new();
    // The same additions in the same order.
    outputs.exact("sum", &get(&sum));
    outputs
}
