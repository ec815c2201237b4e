//! Coordinate networks: forward pass, backward pass, and the prepared weights.

use gridfield::config::{CoordinateNetworkConfig, CoordinateNetworkKind, GridConfig, GridIndex, ModelConfig};
use gridfield::decoder::Head;
use gridfield::device::args::{COORDINATE_NONE, COORDINATE_ROWS};
use gridfield::device::{Buffer, ComputeBuffer, Device, Ptr};
use gridfield::encoding::{Backward, CoordinateNetwork, CoordinateNetworkShape, Encode, Encoding as _};
use gridfield::field::Field;
use gridfield::fit::FitChunk;

use crate::common::Random;
use crate::compare::{Outputs, get};

/// Products of fp16 numbers, layer after layer.
const FORWARD: f64 = 4e-3;
const BACKWARD: f64 = 6e-3;

const SAMPLES: usize = 300;
const CAPACITY: usize = 400;
/// Whole tiles.
const ROWS: usize = 512;

/// Kind, neurons, matrices, output values.
const CASES: [(CoordinateNetworkKind, u32, u32, u32); 6] = [
    (CoordinateNetworkKind::FourierFeatures, 64, 3, 3),
    (CoordinateNetworkKind::FourierFeatures, 21, 2, 1),
    (CoordinateNetworkKind::FourierNet, 40, 4, 16),
    (CoordinateNetworkKind::FourierNet, 150, 2, 3),
    (CoordinateNetworkKind::GaborNet, 64, 3, 4),
    (CoordinateNetworkKind::GaborNet, 17, 2, 1),
];

struct Setup {
    field: Field,
    chunk: FitChunk,
    activations: ComputeBuffer,
    random: Random,
}

impl Setup {
    fn new(device: &Device, (kind, width, depth, n_outputs): (CoordinateNetworkKind, u32, u32, u32)) -> Self {
        let waves = CoordinateNetworkConfig { kind, width, depth, ..CoordinateNetworkConfig::default() };
        let grid = GridConfig { index: GridIndex::None, n_levels: 0, waves, ..GridConfig::default() };
        let model = ModelConfig { grid, ..ModelConfig::default() };
        let head = Head::Values { dimensions: 2, n_outputs };
        let mut random = Random::new(73);
        let mut field = Field::zeros(device, &model, head).unwrap();
        let encoding = field.encoding_as_mut::<CoordinateNetwork>().unwrap();
        for part in encoding.shape.blocks() {
            let (low, high) = match part.name.split('_').next().unwrap() {
                "gamma" => (0.5, 3.0),
                "omega" => (-20.0, 20.0),
                _ => (-0.5, 0.5),
            };
            encoding.theta.upload(part.first, &random.halves(part.n_numbers(), low, high)).unwrap();
        }
        if kind == CoordinateNetworkKind::FourierFeatures {
            encoding.set_frequencies(&random.halves(2 * width as usize, -20.0, 20.0)).unwrap();
        }
        field.refresh_copies(device).unwrap();
        let mut chunk = FitChunk::new(device, CAPACITY, head, &field, true).unwrap();
        chunk.set_len(SAMPLES).unwrap();
        chunk.position.upload(0, &random.f32s(2 * CAPACITY, 0.0, 1.0)).unwrap();
        let n_columns = field.encoding_as::<CoordinateNetwork>().unwrap().shape.n_columns();
        let activations = ComputeBuffer::zeros(device, ROWS * n_columns).unwrap();
        Setup { field, chunk, activations, random }
    }

    fn network(&self) -> &CoordinateNetwork {
        self.field.encoding_as().unwrap()
    }

    fn shape(&self) -> &CoordinateNetworkShape {
        &self.network().shape
    }

    fn work(&self) -> Encode<'_> {
        Encode {
            grid: self.field.grid.layout(),
            samples: self.chunk.samples(),
            table: Ptr::NULL,
            features: Ptr::NULL,
            saved_activations: self.activations.ptr(),
            values: self.chunk.output.ptr(),
            n_in: 0,
            round: 0,
        }
    }
}

pub fn coordinate_network_forward(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for case in CASES {
        let setup = Setup::new(device, case);
        setup.network().encode(device, &setup.work(), CAPACITY).unwrap();
        let values = get(&setup.chunk.output);
        let end = SAMPLES * case.3 as usize;
        assert!(values[..end].iter().all(|&value| value != 0.0), "all samples have values");
        assert!(values[end..].iter().all(|&value| value == 0.0), "values past the last sample are unchanged");
        outputs.rounded("values", &values, FORWARD);
    }
    outputs
}

/// Compares gradients matrix by matrix and row by row, because their magnitudes differ.
fn by_layer(outputs: &mut Outputs, shape: &CoordinateNetworkShape, gradients: &[f32]) {
    let (n_weights, _) = shape.n_prepared();
    let mut first = 0;
    for layer in shape.layers() {
        outputs.summed("dL/dweights", &gradients[first..first + layer.n_weights()], BACKWARD);
        first += layer.n_weights();
    }
    assert_eq!(first, n_weights);
    let width = (gradients.len() - n_weights) / COORDINATE_ROWS / (shape.layers().len() + 1);
    for row in gradients[n_weights..].chunks(width) {
        outputs.summed("dL/dneurons", row, BACKWARD);
    }
}

/// Activations are given, so that the comparison does not depend on which side of a ReLU a value near zero falls.
pub fn coordinate_network_backward(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for (case, size) in CASES.into_iter().flat_map(|case| [(case, 2.0), (case, 2e-5)]) {
        let mut setup = Setup::new(device, case);
        let n = ROWS * setup.shape().n_columns();
        let activations: Vec<f32> =
            setup.random.halves(n, -1.0, 1.0).into_iter().map(|value| value.max(-0.5)).collect();
        setup.activations.set(&device.upload(&activations).unwrap()).unwrap();
        let dl_doutput = setup.random.f32s(CAPACITY * case.3 as usize, -size, size);
        let dl_doutput = device.upload(&dl_doutput).unwrap();
        let collected = device.zeros::<f32>(setup.network().n_gradients()).unwrap();
        let gradients = Backward {
            dl_dfeatures: Ptr::NULL,
            dl_dvalues: dl_doutput.ptr(),
            dl_dparameters: collected.ptr(),
            scatter_weights: Ptr::NULL,
        };
        setup.network().backward(device, &setup.work(), &gradients, CAPACITY).unwrap();
        by_layer(&mut outputs, setup.shape(), &get(&collected));
    }
    outputs
}

/// Padded matrices, and the parameters of the neurons, from θ and from fixed frequencies.
pub fn prepare_coordinate_network(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for case in CASES {
        let setup = Setup::new(device, case);
        outputs.exact("frequencies", &setup.network().frequencies().unwrap());
        outputs.exact("prepared", &get(setup.network().prepared()));
    }
    outputs
}

pub fn coordinate_network_gradient(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for case in CASES {
        let setup = Setup::new(device, case);
        let places = setup.shape().places();
        let sums: Vec<f32> = (0..places.len()).map(|i| i as f32).collect();
        let dl_dtheta: Buffer<f32> = device.zeros(setup.shape().n_parameters()).unwrap();
        let sum = device.upload(&sums).unwrap();
        setup.network().gradient(device, &setup.field.grid, sum.ptr(), dl_dtheta.ptr()).unwrap();
        let found = get(&dl_dtheta);
        let learned = places.iter().enumerate().filter(|&(_, &place)| place != COORDINATE_NONE);
        assert!(learned.clone().all(|(i, &place)| found[place as usize] == i as f32));
        outputs.exact("dL/dtheta", &found);
    }
    outputs
}
