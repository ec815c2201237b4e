//! Reads LPIPS weights from a safetensors file, under the names of the `lpips` package or of torchvision.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::convolution::Convolution;
use super::network::{Backbone, Layer};
use crate::{Error, Result};

/// A network's convolutions, and the weights with which its layers are compared.
pub(super) struct Weights {
    pub backbone: Backbone,
    pub convolutions: Vec<Convolution>,
    /// Channel weights of each compared layer, `[n_out]`.
    pub channel_weights: Vec<Vec<f32>>,
}

impl Weights {
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::file(path, format!("the weights cannot be read: {e}")))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| {
            Error::file(path, format!("is not a complete safetensors file ({e}); docs/formats.md says how to make one"))
        })?;
        let file = File { path, tensors };
        let backbone = file.backbone()?;
        let mut convolutions = Vec::new();
        let mut channel_weights = Vec::new();
        for layer in backbone.layers() {
            let shape = [layer.n_out, layer.n_in, layer.side, layer.side];
            let weights = file.numbers(&names(layer, "weight"), &shape)?;
            let bias = file.numbers(&names(layer, "bias"), &[layer.n_out])?;
            convolutions.push(Convolution::new(layer, &weights, bias));
            if layer.compared {
                let k = channel_weights.len();
                let names =
                    [format!("lin{k}.model.1.weight"), format!("lins.{k}.model.1.weight"), format!("lin{k}.weight")];
                channel_weights.push(file.numbers(&names, &[1, layer.n_out, 1, 1])?);
            }
        }
        Ok(Weights { backbone, convolutions, channel_weights })
    }
}

/// Returns the possible names of the layer's tensor: the slice that contains it depends on the network.
fn names(layer: &Layer, part: &str) -> Vec<String> {
    let slices = (1..=5).map(|slice| format!("net.slice{slice}.{}.{part}", layer.number));
    slices.chain([format!("features.{}.{part}", layer.number)]).collect()
}

struct File<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
}

impl File<'_> {
    /// Identifies the network by the shape of the first convolution.
    fn backbone(&self) -> Result<Backbone> {
        let first = |backbone: Backbone| &backbone.layers()[0];
        let is_of = |backbone: &Backbone| {
            let layer = first(*backbone);
            let shape = [layer.n_out, layer.n_in, layer.side, layer.side];
            names(layer, "weight").iter().any(|name| self.tensors.tensor(name).is_ok_and(|t| t.shape() == shape))
        };
        [Backbone::Alex, Backbone::Vgg].into_iter().find(is_of).ok_or_else(|| {
            let what = "holds no first convolution of AlexNet or VGG16 (net.slice1.0.weight); docs/formats.md says how to \
                        make the file";
            Error::file(self.path, what)
        })
    }

    /// Returns the values of the first of the named tensors that exists.
    fn numbers(&self, names: &[String], shape: &[usize]) -> Result<Vec<f32>> {
        let found = names.iter().find_map(|name| Some((name, self.tensors.tensor(name).ok()?)));
        let wanted = &names[names.len() - 1];
        let (name, tensor) = found.ok_or_else(|| {
            Error::file(self.path, format!("holds no tensor {wanted}; docs/formats.md says how to make the file"))
        })?;
        let flat: usize = shape.iter().product();
        let fits = tensor.shape() == shape || (shape.len() == 4 && shape[1] == flat && tensor.shape() == [flat]);
        if !fits || tensor.dtype() != Dtype::F32 {
            let (dtype, has) = (tensor.dtype(), tensor.shape());
            let what = format!("its tensor {name} is {dtype:?} {has:?}, expected F32 {shape:?}");
            return Err(Error::file(self.path, what));
        }
        let numbers =
            tensor.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes")));
        let numbers: Vec<f32> = numbers.collect();
        match numbers.iter().find(|number| !number.is_finite()) {
            Some(number) => Err(Error::file(self.path, format!("its tensor {name} holds {number}; fetch it again"))),
            None => Ok(numbers),
        }
    }
}
