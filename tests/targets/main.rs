//! Every kernel gives the same results on every target, and Rust and C++ agree on the kernels' arguments.
//!
//! Each kernel has one test body, which fills buffers from a fixed seed, runs the kernel and returns its outputs. It
//! runs on the host, whose results are the reference (oracle tests check those), on the emulated GPU in both orders of
//! its threads, and on a GPU if there is one.

mod bvh;
mod cameras;
#[path = "../common/mod.rs"]
mod common;
mod compare;
mod composite;
mod coordinate_networks;
mod dense;
mod eikonal;
mod field;
mod fit;
mod grid;
mod layout;
mod learned_levels;
mod mulfa;
mod nodes;
mod occupancy;
mod optimizer;
mod points;
mod probe;
mod random;
mod rays;
mod roofline;
#[path = "../shapes/mod.rs"]
mod shapes;
#[path = "../skip/mod.rs"]
mod skip;
mod surface;
mod training;

/// Generates a test for each kernel, and the list of kernels that have one.
macro_rules! parity {
    ($($kernel:ident: $body:path;)*) => {
        $(
            #[test]
            fn $kernel() {
                compare::compare_targets(stringify!($kernel), $body);
            }
        )*
        const TESTED: &[&str] = &[$(stringify!($kernel)),*];
    };
}

parity! {
    active_nodes_1d_f32: nodes::active_nodes_1d_f32;
    active_nodes_1d_f64: nodes::active_nodes_1d_f64;
    active_nodes_2d_f32: nodes::active_nodes_2d_f32;
    active_nodes_2d_f64: nodes::active_nodes_2d_f64;
    active_nodes_3d_f32: nodes::active_nodes_3d_f32;
    active_nodes_3d_f64: nodes::active_nodes_3d_f64;
    active_nodes_backward_1d_f64: nodes::active_nodes_backward_1d_f64;
    active_nodes_backward_2d_f64: nodes::active_nodes_backward_2d_f64;
    active_nodes_backward_3d_f64: nodes::active_nodes_backward_3d_f64;
    adam: optimizer::adam;
    average_now: optimizer::average_now;
    bvh_distance: bvh::bvh_distance;
    bvh_winding: bvh::bvh_winding;
    camera_gradient: cameras::camera_gradient;
    camera_rays: rays::camera_rays;
    roofline_copy: roofline::roofline_copy;
    roofline_fma: roofline::roofline_fma;
    roofline_gather: roofline::roofline_gather;
    cascade_backward_128: learned_levels::cascade_backward_128;
    cascade_backward_64: learned_levels::cascade_backward_64;
    cascade_forward_128: learned_levels::cascade_forward_128;
    cascade_forward_64: learned_levels::cascade_forward_64;
    centre_per_image: composite::centre_per_image;
    composite_backward: composite::composite_backward;
    composite_ray_f64: composite::composite_ray_f64;
    composite_rays: composite::composite_rays;
    correct_cameras: cameras::correct_cameras;
    count_active: field::count_active;
    cube_points: surface::cube_points;
    draw_pixels: fit::draw_pixels;
    draw_rays: rays::draw_rays;
    eikonal_loss: eikonal::eikonal_loss;
    eikonal_points: eikonal::eikonal_points;
    encode_2d_f32: grid::encode_2d_f32;
    encode_2d_f64: grid::encode_2d_f64;
    encode_3d_f32: grid::encode_3d_f32;
    encode_3d_f64: grid::encode_3d_f64;
    encode_backward_2d_f64: grid::encode_backward_2d_f64;
    encode_backward_3d_f64: grid::encode_backward_3d_f64;
    encode_levels: grid::encode_levels;
    encode_samples: field::encode_samples;
    field_backward_128: field::field_backward_128;
    field_backward_64: field::field_backward_64;
    field_forward_128: field::field_forward_128;
    field_forward_64: field::field_forward_64;
    fit_backward_64: fit::fit_backward_64;
    fit_backward_128: fit::fit_backward_128;
    fit_forward_64: fit::fit_forward_64;
    fit_forward_128: fit::fit_forward_128;
    fit_loss: fit::fit_loss;
    fit_statistics: fit::fit_statistics;
    grid_scatter: grid::grid_scatter;
    local_backward_2d: learned_levels::local_backward_2d;
    local_backward_3d: learned_levels::local_backward_3d;
    local_encode_2d: learned_levels::local_encode_2d;
    local_encode_3d: learned_levels::local_encode_3d;
    local_scatter_2d: learned_levels::local_scatter_2d;
    local_scatter_3d: learned_levels::local_scatter_3d;
    march_rays: rays::march_rays;
    mulfa_backward_2d: mulfa::mulfa_backward_2d;
    mulfa_backward_3d: mulfa::mulfa_backward_3d;
    mulfa_encode_2d: mulfa::mulfa_encode_2d;
    mulfa_encode_3d: mulfa::mulfa_encode_3d;
    mulfa_gradient: mulfa::mulfa_gradient;
    mulfa_multi_layer_backward_2d: mulfa::mulfa_multi_layer_backward_2d;
    mulfa_multi_layer_backward_3d: mulfa::mulfa_multi_layer_backward_3d;
    mulfa_multi_layer_encode_2d: mulfa::mulfa_multi_layer_encode_2d;
    mulfa_multi_layer_encode_3d: mulfa::mulfa_multi_layer_encode_3d;
    occupancy_bits: occupancy::occupancy_bits;
    occupancy_blocks: occupancy::occupancy_bits;
    occupancy_decay: occupancy::occupancy_decay;
    occupancy_mean: occupancy::occupancy_bits;
    occupancy_parts: occupancy::occupancy_bits;
    occupancy_points: occupancy::occupancy_points;
    occupancy_rays: rays::occupancy_rays;
    occupancy_accumulate: occupancy::occupancy_accumulate;
    occupancy_update: occupancy::occupancy_update;
    philox: random::philox;
    pixel_centers: fit::pixel_centers;
    points_backward: points::points_backward;
    points_encode: points::points_encode;
    points_nodes_backward_f64: points::points_nodes_backward_f64;
    points_nodes_f64: points::points_nodes_f64;
    points_scatter: points::points_scatter;
    position_gradient: cameras::position_gradient;
    prepare_mulfa: mulfa::prepare_mulfa;
    prepare_coordinate_network: coordinate_networks::prepare_coordinate_network;
    prepare_weights: field::prepare_weights;
    probe: probe::probe;
    ray_distances: rays::ray_distances;
    ray_statistics: composite::ray_statistics;
    resample_levels: dense::resample_levels;
    sample_weights: composite::sample_weights;
    spherical_harmonics_f64: random::spherical_harmonics_f64;
    sum_parts: optimizer::sum_parts;
    surface_points: surface::surface_points;
    total_variation: dense::total_variation;
    uniform_parameters: random::uniform_parameters;
    coordinate_network_backward: coordinate_networks::coordinate_network_backward;
    coordinate_network_forward: coordinate_networks::coordinate_network_forward;
    coordinate_network_gradient: coordinate_networks::coordinate_network_gradient;
}

#[test]
fn every_kernel_is_compared() {
    let missing: Vec<&str> =
        gridfield::device::kernels::ALL.iter().copied().filter(|name| !TESTED.contains(name)).collect();
    assert!(missing.is_empty(), "no parity test for {missing:?}");
}

#[test]
fn a_gpu_that_cannot_be_used_is_an_error_that_says_what_to_do() {
    match gridfield::device::Device::open(gridfield::device::DeviceChoice::Cuda, 0) {
        Ok(device) => skip::skipped("a_gpu_that_cannot_be_used", format!("{} can be used", device.describe())),
        Err(error) => assert!(error.to_string().contains("use --device cpu"), "{error}"),
    }
}
