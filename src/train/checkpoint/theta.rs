//! Parameters θ of a kernel function as tensors: a tensor `kernel.<part>` for each part, `[n_thetas, …]`.

use super::{Checkpoint, Tensor};
use crate::Result;
use crate::grid::{Mulfa, Part};

fn name(part: &Part) -> String {
    format!("kernel.{}", part.name)
}

fn shape(mulfa: &Mulfa, part: &Part) -> Vec<usize> {
    [&[mulfa.n_thetas], part.shape.as_slice()].concat()
}

/// `theta`: `[n_thetas, n_theta]`.
pub fn theta_tensors(mulfa: &Mulfa, theta: &[f32]) -> Vec<Tensor<'static>> {
    let of_part = |part: &Part| {
        let numbers = theta.chunks(mulfa.n_theta()).flat_map(|one| &one[part.range()]);
        Tensor::new(name(part), &shape(mulfa, part), numbers.copied().collect::<Vec<f32>>())
    };
    mulfa.parts().iter().map(of_part).collect()
}

impl Checkpoint<'_> {
    /// θ as `[n_thetas, n_theta]`.
    ///
    /// # Errors
    /// Where a part is missing or of another shape.
    pub fn theta(&self, mulfa: &Mulfa) -> Result<Vec<f32>> {
        let mut theta = vec![0.0; mulfa.n_parameters()];
        for part in mulfa.parts() {
            let numbers: &[f32] = self.get(&name(&part), &shape(mulfa, &part))?;
            for (one, own) in theta.chunks_mut(mulfa.n_theta()).zip(numbers.chunks(part.n_numbers())) {
                one[part.range()].copy_from_slice(own);
            }
        }
        Ok(theta)
    }
}
