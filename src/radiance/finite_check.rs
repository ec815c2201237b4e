//! Checks at a few hundred points whether a field's densities and colours are finite.
//!
//! Networks whose weights overflow give NaN nearly everywhere, so a few points suffice. The loss would show it only
//! where rays still hit occupied cells.

use super::chunk::{Chunk, ChunkSize};
use super::volume_renderer::VolumeRenderer;
use crate::Result;
use crate::field::{WorkerScratch, quasirandom};

const N_POINTS: usize = 512;
/// Returns whether densities and colours are finite at points spread over the field's box.
///
/// # Errors
/// Returns an error if the device fails.
pub(super) fn is_finite(volume: &VolumeRenderer) -> Result<bool> {
    let size = ChunkSize { n_chunks: 1, rays: 1, samples: N_POINTS };
    let mut chunk = Chunk::new(volume.device, size)?;
    chunk.n_rays = 1;
    let scratch = WorkerScratch::all(volume.device, size.samples, volume.field, false)?.swap_remove(0);
    chunk.rays.view.upload(0, &[0.0, 0.6, 0.8])?;
    chunk.samples.position.upload(0, &(0..N_POINTS).flat_map(|i| quasirandom(i, 3)).collect::<Vec<_>>())?;
    chunk.samples.count.upload(0, &[0, N_POINTS as u32])?;
    volume.outputs(&chunk, &scratch, N_POINTS)?;
    let samples = &chunk.samples;
    let all_finite = |values: Vec<f32>| values.iter().all(|value| value.is_finite());
    Ok(all_finite(samples.density.download()?) && all_finite(samples.color.download()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::decoder::Head;
    use crate::device::{Device, DeviceChoice};
    use crate::encoding::InitContext;
    use crate::field::Field;
    use crate::geometry::UnitCube;
    use crate::radiance::{March, Occupancy};

    /// Returns whether a field counts as finite after `change`.
    fn finite_after(change: impl FnOnce(&mut Field)) -> bool {
        let device = Device::open(DeviceChoice::Cpu, 1).unwrap();
        let mut config = Config::default();
        config.model.grid.log2_hashmap_size = 8;
        let context = InitContext { seed: 0, unit_cube: UnitCube::new(1.0, [0.0; 3]), box_side: 1.0 };
        let mut field = Field::random(&device, &config.model, Head::Radiance, &context).unwrap();
        change(&mut field);
        field.refresh_copies(&device).unwrap();
        let occupancy = Occupancy::full(&device, &config.march).unwrap();
        let march = March::new(&config.march);
        is_finite(&VolumeRenderer::new(&device, &field, &occupancy, &march)).unwrap()
    }

    #[test]
    fn a_fresh_field_is_finite_and_broken_ones_are_not() {
        assert!(finite_after(|_| {}));
        let spoil = |field: &mut Field, layer: usize| {
            let first = field.decoder.layers[..layer].iter().map(|layer| layer.n_weights()).sum();
            field.weights.upload(first, &[f32::NAN]).unwrap();
        };
        let last_of = |field: &Field| (field.decoder.n_density_layers - 1, field.decoder.layers.len() - 1);
        assert!(!finite_after(|field| spoil(field, last_of(field).0)), "density");
        assert!(!finite_after(|field| spoil(field, last_of(field).1)), "colour");
        let overflowing = |field: &mut Field| {
            let weights: Vec<f32> = (0..field.weights.len()).map(|i| if i % 2 == 0 { 1e30 } else { -1e30 }).collect();
            field.weights.upload(0, &weights).unwrap();
        };
        assert!(!finite_after(overflowing), "finite parameters, but sums that are not");
    }
}
