//! Fields fitted to values: forward pass, loss and backward pass; and the pixels of an image.

use gridfield::config::{GridConfig, GridIndex, ModelConfig, NetworkConfig};
use gridfield::decoder::{Decoder, Head};
use gridfield::device::args::{DrawPixelsArgs, FitArgs, FitLossArgs, PixelCentersArgs};
use gridfield::device::{Buffer, ComputeBuffer, Device, Kernel, LaunchDims, Ptr, kernels};
use gridfield::encoding::Grid;
use gridfield::radiance::{Chunk, ChunkSize};

use crate::common::Random;
use crate::compare::{Outputs, get, set};
use crate::field::{prepared, random_weights, set_activations, summed_by_layer};

/// Products of fp16 numbers, layer after layer.
const FORWARD: f64 = 4e-3;
const BACKWARD: f64 = 6e-3;
const FP32: f64 = 1e-6;
/// Sums of 64 numbers.
const SUMS: f64 = 1e-5;

const SAMPLES: usize = 300;
const CAPACITY: usize = 400;

struct Case {
    dimensions: u32,
    n_outputs: u32,
    index: GridIndex,
    n_levels: u32,
    n_features: u32,
    network: (u32, u32),
}

const NARROW: &[Case] = &[
    Case { dimensions: 2, n_outputs: 3, index: GridIndex::Hash, n_levels: 5, n_features: 2, network: (64, 2) },
    Case { dimensions: 3, n_outputs: 1, index: GridIndex::Hash, n_levels: 3, n_features: 8, network: (32, 3) },
    Case { dimensions: 2, n_outputs: 16, index: GridIndex::Fourier, n_levels: 3, n_features: 4, network: (16, 1) },
    Case { dimensions: 3, n_outputs: 2, index: GridIndex::Dense, n_levels: 1, n_features: 1, network: (64, 1) },
];
const WIDE: &[Case] = &[
    Case { dimensions: 2, n_outputs: 4, index: GridIndex::Hash, n_levels: 12, n_features: 8, network: (64, 1) },
    Case { dimensions: 3, n_outputs: 1, index: GridIndex::Hash, n_levels: 2, n_features: 2, network: (128, 2) },
    Case { dimensions: 2, n_outputs: 3, index: GridIndex::Hash, n_levels: 6, n_features: 4, network: (64, 0) },
];

struct Setup {
    grid: Grid,
    decoder: Decoder,
    chunk: Chunk,
    table: ComputeBuffer,
    weights: ComputeBuffer,
    activations: ComputeBuffer,
    output: Buffer<f32>,
    n_outputs: u32,
}

impl Setup {
    fn new(device: &Device, case: &Case) -> Self {
        let config = ModelConfig {
            grid: GridConfig {
                index: case.index,
                n_levels: case.n_levels,
                n_features_per_level: case.n_features,
                log2_hashmap_size: 9,
                base_resolution: 4,
                per_level_scale: 1.3,
                ..GridConfig::default()
            },
            network: NetworkConfig { n_neurons: case.network.0, n_hidden_layers: case.network.1 },
            ..ModelConfig::default()
        };
        let grid = Grid::new(&config.grid, case.dimensions);
        let head = Head::Values { dimensions: case.dimensions, n_outputs: case.n_outputs };
        let decoder = Decoder::new(&config, head, grid.n_features());
        let mut random = Random::new(51);
        let mut table = ComputeBuffer::zeros(device, grid.n_parameters()).unwrap();
        table.set(&device.upload(&random.halves(grid.n_parameters(), -1.0, 1.0)).unwrap()).unwrap();
        let weights = prepared(device, &decoder, &device.upload(&random_weights(&decoder, &mut random)).unwrap());
        let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: 1, samples: CAPACITY }).unwrap();
        set(&mut chunk.samples.position, &random.f32s(3 * CAPACITY, 0.0, 1.0));
        set(&mut chunk.samples.count, &[0, SAMPLES as u32]);
        let activations = ComputeBuffer::zeros(device, CAPACITY * decoder.n_activations()).unwrap();
        let output = device.zeros(CAPACITY * case.n_outputs as usize).unwrap();
        Setup { grid, decoder, chunk, table, weights, activations, output, n_outputs: case.n_outputs }
    }

    fn args(&self) -> FitArgs<'_> {
        FitArgs {
            grid: self.grid.layout(),
            network: self.decoder.layout(),
            table: self.table.ptr(),
            weights: self.weights.ptr(),
            features: Ptr::NULL,
            samples: self.chunk.samples.args(),
            activations: self.activations.ptr(),
            output: self.output.ptr(),
            dl_doutput: Ptr::NULL,
            dl_dfeatures: Ptr::NULL,
            dl_dweights: Ptr::NULL,
            n_outputs: self.n_outputs,
        }
    }
}

fn forward(device: &Device, kernel: &Kernel<FitArgs<'static>>, cases: &[Case]) -> Outputs {
    let mut outputs = Outputs::new();
    for case in cases {
        let setup = Setup::new(device, case);
        device.launch_chunk(kernel, &setup.args(), LaunchDims::tiles(CAPACITY)).unwrap();
        let values = get(&setup.output);
        let end = SAMPLES * case.n_outputs as usize;
        assert!(values[..end].iter().all(|&value| value != 0.0), "all samples have values");
        assert!(values[end..].iter().all(|&value| value == 0.0), "values past the last sample are unchanged");
        outputs.rounded("values", &values, FORWARD);
        outputs.rounded("inputs of the layers", &setup.activations.download().unwrap(), FORWARD);
    }
    outputs
}

/// Activations are given, so that the comparison does not depend on which side of a ReLU a value near zero falls.
fn backward(device: &Device, kernel: &Kernel<FitArgs<'static>>, cases: &[Case]) -> Outputs {
    let mut outputs = Outputs::new();
    for (case, size) in cases.iter().flat_map(|case| [(case, 2.0), (case, 2e-5)]) {
        let mut setup = Setup::new(device, case);
        let mut random = Random::new(52);
        let dl_doutput = device.upload(&random.f32s(CAPACITY * case.n_outputs as usize, -size, size)).unwrap();
        let n = CAPACITY * setup.decoder.n_activations();
        set_activations(device, &mut setup.activations, n, &mut random);
        let dl_dfeatures = device.zeros::<f32>(CAPACITY * setup.grid.n_features() as usize).unwrap();
        let dl_dweights = device.zeros::<f32>(setup.decoder.n_weights()).unwrap();
        let args = FitArgs {
            dl_doutput: dl_doutput.ptr(),
            dl_dfeatures: dl_dfeatures.ptr(),
            dl_dweights: dl_dweights.ptr(),
            ..setup.args()
        };
        device.launch_chunk(kernel, &args, LaunchDims::tiles(CAPACITY)).unwrap();
        outputs.rounded("dL/dfeatures", &get(&dl_dfeatures), BACKWARD);
        summed_by_layer(&mut outputs, &setup.decoder, &get(&dl_dweights), BACKWARD);
    }
    outputs
}

pub fn fit_forward_64(device: &Device) -> Outputs {
    forward(device, &kernels::FIT_FORWARD_64, NARROW)
}

pub fn fit_forward_128(device: &Device) -> Outputs {
    forward(device, &kernels::FIT_FORWARD_128, WIDE)
}

pub fn fit_backward_64(device: &Device) -> Outputs {
    backward(device, &kernels::FIT_BACKWARD_64, NARROW)
}

pub fn fit_backward_128(device: &Device) -> Outputs {
    backward(device, &kernels::FIT_BACKWARD_128, WIDE)
}

/// The buffers that the loss kernels read and write.
struct Losses {
    output: Buffer<f32>,
    target: Buffer<f32>,
    dl_doutput: Buffer<f32>,
    loss: Buffer<f32>,
    squared_error: Buffer<f32>,
    count: Buffer<u32>,
    sums: Buffer<f32>,
}

impl Losses {
    fn new(device: &Device, n_outputs: usize) -> Self {
        let mut random = Random::new(53);
        let mut values = |n| device.upload(&random.f32s(n, -1.0, 1.0)).unwrap();
        Losses {
            output: values(CAPACITY * n_outputs),
            target: values(CAPACITY * n_outputs),
            dl_doutput: device.zeros(CAPACITY * n_outputs).unwrap(),
            loss: values(CAPACITY),
            squared_error: values(CAPACITY),
            count: device.upload(&[SAMPLES as u32]).unwrap(),
            sums: device.zeros(2).unwrap(),
        }
    }

    fn args(&self, n_outputs: u32, kind: u32) -> FitLossArgs<'_> {
        FitLossArgs {
            output: self.output.ptr(),
            target: self.target.ptr(),
            dl_doutput: self.dl_doutput.ptr(),
            loss: self.loss.ptr(),
            squared_error: self.squared_error.ptr(),
            count: self.count.ptr(),
            sums: self.sums.ptr(),
            n_outputs,
            kind,
            scale: 0.25,
        }
    }
}

pub fn fit_loss(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for (n_outputs, kind) in [(1, 0), (3, 1), (4, 2), (16, 0)] {
        let losses = Losses::new(device, n_outputs as usize);
        device.launch_chunk(&kernels::FIT_LOSS, &losses.args(n_outputs, kind), LaunchDims::items(CAPACITY)).unwrap();
        outputs.rounded("dL/dvalues", &get(&losses.dl_doutput), FP32);
        outputs.rounded("loss", &get(&losses.loss), FP32);
        outputs.rounded("squared error", &get(&losses.squared_error), FP32);
    }
    outputs
}

pub fn fit_statistics(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    let losses = Losses::new(device, 1);
    let parts = CAPACITY.div_ceil(gridfield::device::args::STATISTICS_PART);
    device.launch_chunk(&kernels::FIT_STATISTICS, &losses.args(1, 0), LaunchDims::items(parts)).unwrap();
    outputs.summed("sums", &get(&losses.sums), SUMS);
    outputs
}

/// All pixel formats; more samples than strata.
pub fn draw_pixels(device: &Device) -> Outputs {
    let (width, height) = (23u32, 17u32);
    let mut outputs = Outputs::new();
    for (format, n_channels, bytes) in [(0, 1, 1), (0, 4, 1), (1, 3, 2), (2, 3, 4)] {
        let n = (width * height * n_channels) as usize;
        let mut random = Random::new(54);
        let pixels: Vec<u8> = if format == 2 {
            random.f32s(n, 0.0, 5.0).iter().flat_map(|value| value.to_le_bytes()).collect()
        } else {
            (0..n * bytes).map(|_| random.bits() as u8).collect()
        };
        let (pixels, position) = (device.upload(&pixels).unwrap(), device.zeros::<f32>(2 * SAMPLES).unwrap());
        let target = device.zeros::<f32>(SAMPLES * n_channels as usize).unwrap();
        let args = DrawPixelsArgs {
            pixels: pixels.ptr().cast(),
            position: position.ptr(),
            target: target.ptr(),
            format,
            n_channels,
            width,
            height,
            columns: 20,
            rows: 14,
            first_sample: 7,
            seed: 3,
            step: 11,
        };
        device.launch_chunk(&kernels::DRAW_PIXELS, &args, LaunchDims::items(SAMPLES)).unwrap();
        outputs.rounded("positions", &get(&position), FP32);
        outputs.rounded("targets", &get(&target), FP32);
    }
    outputs
}

pub fn pixel_centers(device: &Device) -> Outputs {
    let position = device.zeros::<f32>(2 * SAMPLES).unwrap();
    let args = PixelCentersArgs {
        position: position.ptr(),
        first_pixel: 5,
        width: 31,
        height: 17,
        origin: [0.25, 0.5],
        step: [0.01, 0.02],
    };
    device.launch_chunk(&kernels::PIXEL_CENTERS, &args, LaunchDims::items(SAMPLES)).unwrap();
    let mut outputs = Outputs::new();
    outputs.rounded("positions", &get(&position), FP32);
    outputs
}
