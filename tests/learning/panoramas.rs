//! Training on panoramas and their depth maps.

use nalgebra::Vector3;

use super::{psnr_of, trained};
use crate::captures::room;
use gridfield::config::Config;
use gridfield::geometry::{Camera, Intrinsics};
use gridfield::metrics::psnr;
use gridfield::radiance::open_scene;

#[test]
fn a_room_is_learned_from_panoramas_and_their_depths() {
    let folder = tempfile::tempdir().unwrap();
    room::write(folder.path());
    let mut config = Config::default();
    config.set_value("scene.path", folder.path().to_str().unwrap()).unwrap();
    let settings = [
        "train.batch_samples=8192",
        "train.max_steps=800",
        "train.depth_loss=3",
        "model.grid.log2_hashmap_size=15",
        "model.grid.n_levels=5",
        "march.occupancy_resolution=64",
    ];
    settings.iter().try_for_each(|assignment| config.set(assignment)).unwrap();
    let scene = open_scene(&config.scene).unwrap();
    let renderer = trained(&config, &scene).renderer().unwrap();
    let panoramas = psnr_of(&renderer, &config, &scene);
    // A perspective camera inside the room sees the same.
    let pose = room::pose(3);
    let camera = Camera {
        intrinsics: Intrinsics::from_fov_x(48, 36, 1.2),
        camera_to_world: pose.map(|row| row.map(|x| x as f32)),
    };
    let frame = renderer.render(&camera, [1.0; 3]).unwrap();
    let expected: Vec<f32> = (0..48 * 36)
        .flat_map(|i| {
            let (origin, direction) = camera.ray((i % 48) as f32 + 0.5, (i / 48) as f32 + 0.5);
            let [origin, direction] = [origin, direction].map(|v| Vector3::from(v.map(f64::from)));
            room::seen(origin, direction).0.map(|value| value as f32)
        })
        .collect();
    let perspective = psnr(&frame.rgb, &expected);
    println!("{panoramas:.2} dB in panoramas, {perspective:.2} dB in a perspective image");
    assert!(panoramas > 25.0 && perspective > 24.0);
}
