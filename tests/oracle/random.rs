//! Random numbers: the generator's published answers, and parameters drawn from it.

use gridfield::device::args::{RandomArgs, UniformArgs};
use gridfield::device::{Device, LaunchDims, kernels};

fn philox(device: &Device, counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (counter, out) = (device.upload(&counter).unwrap(), device.zeros::<u32>(4).unwrap());
    let args = RandomArgs { key, counter: counter.ptr(), out: out.ptr() };
    device.launch(&kernels::PHILOX, &args, LaunchDims::items(1)).unwrap();
    out.download().unwrap().try_into().unwrap()
}

/// Philox4x32-10, from Random123's `kat_vectors` (Salmon et al., SC 2011).
fn philox_gives_its_known_answers(device: &Device) {
    let zero = philox(device, [0; 4], [0; 2]);
    assert_eq!(zero, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    let ones = philox(device, [u32::MAX; 4], [u32::MAX; 2]);
    assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    let pi = philox(device, [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
    assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
}

fn parameters(device: &Device, seed: u32, stream: u32, n: usize, range: f32) -> Vec<f32> {
    let value = device.zeros::<f32>(n).unwrap();
    let args = UniformArgs { value: value.ptr(), seed, stream, range };
    device.launch(&kernels::UNIFORM_PARAMETERS, &args, LaunchDims::items(n)).unwrap();
    value.download().unwrap()
}

fn parameters_are_uniform_in_their_range(device: &Device) {
    let n = 100_000;
    let values = parameters(device, 7, 0, n, 2.0);
    assert!(values.iter().all(|value| (-2.0..2.0).contains(value)));
    let moment = |power| values.iter().map(|&value| f64::from(value).powi(power)).sum::<f64>() / n as f64;
    // Five standard deviations of the estimates: 2 / sqrt(3 n) each for the mean, sqrt(64 / 45 / n) for the square.
    assert!(moment(1).abs() < 5.0 * 2.0 / (3.0 * n as f64).sqrt());
    assert!((moment(2) - 4.0 / 3.0).abs() < 5.0 * (64.0 / 45.0 / n as f64).sqrt());
}

fn seeds_and_streams_draw_different_parameters_and_the_same_ones_again(device: &Device) {
    let first = parameters(device, 7, 0, 1000, 1.0);
    assert_eq!(first, parameters(device, 7, 0, 1000, 1.0));
    for other in [parameters(device, 8, 0, 1000, 1.0), parameters(device, 7, 1, 1000, 1.0)] {
        let equal = first.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(equal < 5, "{equal} of 1000 are equal");
    }
}

on_every_target!(
    philox_gives_its_known_answers,
    parameters_are_uniform_in_their_range,
    seeds_and_streams_draw_different_parameters_and_the_same_ones_again,
);
