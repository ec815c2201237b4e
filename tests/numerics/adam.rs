//! The optimizer against a plain float64 version: Adam with bias correction per entry, entries without a gradient left
//! unchanged, weight decay, the moving average, which is updated lazily when an entry changes, and the sum of partial
//! gradients.

use crate::common::{Random, assert_close, to_f64};
use gridfield::config::OptimizerConfig;
use gridfield::device::args::{SUM_WIDTH, SumArgs};
use gridfield::device::{Device, LaunchDims, Ptr, kernels};
use gridfield::train::{Adam, AdamStep, Moments};

const N_ENTRIES: usize = 300;
const N_STEPS: u64 = 60;
const GRADIENT_SCALE: f64 = 1.0 / 128.0;
const EMA_DECAY: f64 = 0.9;
/// Rounding in f32 over 60 steps, 6e-8 of a value near 1 each; errors of the moments decay from step to step.
const TOLERANCE: f64 = 5e-6;

/// One entry in f64.
#[derive(Clone)]
struct Entry {
    value: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
    updates: i32,
    average: Vec<f64>,
}

impl Entry {
    fn new(value: &[f32]) -> Self {
        let (value, zeros) = (to_f64(value), vec![0.0; value.len()]);
        Entry { average: value.clone(), value, first: zeros.clone(), second: zeros, updates: 0 }
    }

    /// Kingma and Ba (2015), section 2, last lines: epsilon is added to the uncorrected root.
    fn update(&mut self, config: &OptimizerConfig, rate: f64, l2_reg: f64, gradient: &[f32]) {
        if gradient.iter().any(|&g| g != 0.0) {
            self.updates += 1;
            let (beta1, beta2) = (config.beta1, config.beta2);
            let rate = rate * (1.0 - beta2.powi(self.updates)).sqrt() / (1.0 - beta1.powi(self.updates));
            for (k, &g) in gradient.iter().enumerate() {
                let g = f64::from(g) * GRADIENT_SCALE + l2_reg * self.value[k];
                self.first[k] = beta1 * self.first[k] + (1.0 - beta1) * g;
                self.second[k] = beta2 * self.second[k] + (1.0 - beta2) * g * g;
                self.value[k] -= rate * self.first[k] / (self.second[k].sqrt() + config.epsilon);
            }
        }
        for (average, value) in self.average.iter_mut().zip(&self.value) {
            *average = EMA_DECAY * *average + (1.0 - EMA_DECAY) * value;
        }
    }
}

/// Entry 0 never has a gradient; the others have one in about a third of the steps, sometimes in only one component.
fn random_gradient(random: &mut Random, entry: usize, width: usize) -> Vec<f32> {
    if entry == 0 || random.unit() > 0.3 {
        return vec![0.0; width];
    }
    let mut gradient = random.vector(width, 100.0);
    if random.unit() < 0.5 {
        let kept = random.below(width);
        gradient.iter_mut().enumerate().filter(|(k, _)| *k != kept).for_each(|(_, g)| *g = 0.0);
    }
    gradient
}

fn values_of(entries: &[Entry], numbers: impl Fn(&Entry) -> &[f64]) -> Vec<f64> {
    entries.iter().flat_map(|entry| numbers(entry).to_vec()).collect()
}

fn check_adam(device: &Device, width: usize, l2_reg: f64) {
    let mut random = Random::new(width as u64);
    let config = OptimizerConfig::default();
    let start = random.vector(N_ENTRIES * width, 1.0);
    let mut entries: Vec<Entry> = start.chunks(width).map(Entry::new).collect();
    let value = device.upload(&start).unwrap();
    let mut moments = Moments::new(device, &value, width, true).unwrap();
    let adam = Adam::new(device, &config, EMA_DECAY).unwrap();
    let mut average = device.zeros::<f32>(start.len()).unwrap();
    for step in 1..=N_STEPS {
        let gradients: Vec<Vec<f32>> = (0..N_ENTRIES).map(|i| random_gradient(&mut random, i, width)).collect();
        moments.gradient.upload(0, &gradients.concat()).unwrap();
        let learning_rate = 0.01 / step as f64;
        let now = AdamStep { step, learning_rate, gradient_scale: GRADIENT_SCALE };
        adam.update(device, &now, &value, &moments, l2_reg, Ptr::NULL).unwrap();
        for (entry, gradient) in entries.iter_mut().zip(&gradients) {
            entry.update(&config, learning_rate, l2_reg, gradient);
        }
        assert!(moments.gradient.download().unwrap().iter().all(|&g| g == 0.0), "gradients are cleared");
        adam.average(device, step, &value, &moments, &mut average).unwrap();
        let expected = values_of(&entries, |entry| &entry.average);
        assert_close("average", &to_f64(&average.download().unwrap()), &expected, TOLERANCE);
    }
    let found = value.download().unwrap();
    assert_close("value", &to_f64(&found), &values_of(&entries, |entry| &entry.value), TOLERANCE);
    let (first, second) = (moments.first.download().unwrap(), moments.second.download().unwrap());
    assert_close("first moment", &to_f64(&first), &values_of(&entries, |entry| &entry.first), TOLERANCE);
    assert_close("second moment", &to_f64(&second), &values_of(&entries, |entry| &entry.second), TOLERANCE);
    let updates: Vec<u32> = entries.iter().map(|entry| entry.updates as u32).collect();
    assert_eq!(moments.steps.download().unwrap(), updates);
    assert_eq!(found[..width], start[..width], "an entry without gradients is unchanged");
}

fn adam_and_its_average_match_double_precision_at_every_width(device: &Device) {
    for width in [1, 2, 4, 8] {
        check_adam(device, width, 0.0);
    }
}

fn weight_decay_adds_to_the_gradient(device: &Device) {
    check_adam(device, 1, 0.3);
}

fn without_an_average_the_values_themselves_are_used(device: &Device) {
    let value = device.upload(&[1.0f32, 2.0, 3.0]).unwrap();
    let moments = Moments::new(device, &value, 1, false).unwrap();
    let adam = Adam::new(device, &OptimizerConfig::default(), 0.0).unwrap();
    let mut now = device.zeros(3).unwrap();
    adam.average(device, 5, &value, &moments, &mut now).unwrap();
    assert_eq!(now.download().unwrap(), [1.0, 2.0, 3.0]);
}

fn parts_are_summed_in_their_order(device: &Device) {
    let (n, n_parts) = (313 * SUM_WIDTH, 7);
    let parts = Random::new(9).vector(n * n_parts, 1.0);
    let mut expected = vec![0.0f32; n];
    for part in parts.chunks(n) {
        expected.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    let (parts, sum) = (device.upload(&parts).unwrap(), device.zeros::<f32>(n).unwrap());
    let args = SumArgs { parts: parts.ptr(), sum: sum.ptr(), n_parts: n_parts as u32, n: n as u32 };
    device.launch(&kernels::SUM_PARTS, &args, LaunchDims::items(n / SUM_WIDTH)).unwrap();
    assert_eq!(sum.download().unwrap(), expected);
}

on_every_target!(
    adam_and_its_average_match_double_precision_at_every_width,
    weight_decay_adds_to_the_gradient,
    without_an_average_the_values_themselves_are_used,
    parts_are_summed_in_their_order,
);
