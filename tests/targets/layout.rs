//! The argument structs have the same fields at the same places in C and in Rust.
//!
//! The C side comes from `kernels/args.h` itself: its fields are read, and a C++ compiler is asked where it puts them.

use std::collections::BTreeMap;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use gridfield::device::args::*;

/// Struct and field, and the offset and size of the field; an empty field name stands for the whole struct.
type Layout = BTreeMap<(String, String), (usize, usize)>;

/// Fields by name; a field that the list forgets does not compile.
macro_rules! rust_layout {
    ($($name:ident { $($field:ident),* $(,)? })*) => {{
        let mut layout = Layout::new();
        $(
            let _ = |value: $name| {
                let $name { $($field: _),* } = value;
            };
            layout.insert((stringify!($name).into(), String::new()), (0, size_of::<$name>()));
            $(
                let at = (offset_of!($name, $field), size_of_field(|value: &$name| &raw const value.$field));
                layout.insert((stringify!($name).into(), stringify!($field).into()), at);
            )*
        )*
        layout
    }};
}

fn size_of_field<S, F>(_: fn(&S) -> *const F) -> usize {
    size_of::<F>()
}

fn rust_layout() -> Layout {
    rust_layout! {
        GridLevel { scale, resolution, entries, offset, hashed, band }
        MulfaLayout { n_frequencies, depth, width, n_levels, n_outputs, n_theta, stride, floor }
        GridLayout { dimensions, n_levels, n_features, kernel, averaged, mulfa, levels }
        Layer { n_in, n_out, weights }
        NetworkLayout { n_density_layers, n_color_layers, n_weights, sh_degree, layers }
        Space { map, to_rig, scale, rig_unit }
        Steps { size, cone_angle, largest, inverse_far }
        RayBatch { origin, direction, view, t, t_end, transmittance, color, depth, target, background, segment_begin, segment_count, squared_error, loss, target_t, camera, composited, n_rays, capacity }
        Camera { camera_to_world, fl_x, fl_y, cx, cy, width, height, first_pixel, lens, lens_limit, radial, tangential }
        SampleBatch { position, t, dt, ray, density, color, dl_ddensity, dl_dcolor, count, capacity }
        DrawRaysArgs { rays, samples_count, cameras, pixels, n_cameras, seed, step, first_ray, background, box_min, box_max, step_size, space, near, depths, drawn_pixels, drawn_begin }
        CameraRaysArgs { rays, samples_count, camera, first_pixel, background, box_min, box_max, space, near }
        RayDistanceArgs { rays, position, space }
        MarchArgs { rays, samples, occupancy, occupied_blocks, resolution, cascades, round, max_steps, steps, space }
        FieldArgs { grid, network, table, weights, features, samples, rays, activations, dl_dfeatures, dl_dweights, round, density_only, dl_dview }
        MulfaArgs { grid, samples, table, prepared, theta, features, query, dl_dfeatures, phi, dl_dprepared, n_in, round }
        PrepareMulfaArgs { grid, theta, prepared, dl_dprepared, dl_dtheta }
        RayLosses { distortion, depth, near }
        CompositeArgs { rays, samples, round, stop_transmittance, huber_delta, losses, space, exposure, dl_dexposure }
        FitArgs { grid, network, table, weights, features, samples, activations, output, dl_doutput, dl_dfeatures, dl_dweights, n_outputs }
        FitLossArgs { output, target, dl_doutput, loss, squared_error, count, sums, n_outputs, kind, scale }
        EikonalArgs { position, output, dl_doutput, loss, squared_error, n_with_target, n_stencils, step, weight, scale }
        DrawPixelsArgs { pixels, position, target, format, n_channels, width, height, columns, rows, first_sample, seed, step }
        PixelCentersArgs { position, first_pixel, width, height, origin, step }
        EncodeLevelsArgs { grid, samples, table, features, n_in, round, first_level }
        ScatterArgs { grid, position, dl_dfeatures, phi, count, gradient, capacity }
        ResampleArgs { from, to, coarse, fine }
        VariationArgs { grid, table, gradient, weight }
        PointSet { dimensions, node, first, n_nodes, resolution, k, bandwidth }
        PointsArgs { points, samples, table, features, kept, n_features, n_in, round }
        PointsScatterArgs { kept, dl_dfeatures, count, gradient, n_nodes, n_features, capacity, n_parts }
        PointsNodesArgs { points, position, entry, phi, dl_dphi, dl_dposition }
        CoordinateNetworkArgs { network, samples, weights, neurons, activations, output, dl_doutput, dl_dprepared, kind, n_neurons, n_columns, n_outputs }
        PrepareCoordinateNetworkArgs { theta, place, prepared, dl_dprepared, dl_dtheta }
        CentreArgs { value, centred, n_images }
        CorrectCamerasArgs { cameras, correction, corrected }
        PositionGradientArgs { grid, samples, table, dl_dfeatures, dl_dposition, round }
        CameraGradientArgs { rays, samples, cameras, correction, dl_dposition, dl_dview, dl_dcorrection, space, cascades, rounds }
        SumArgs { parts, sum, n_parts, n }
        AdamArgs { value, gradient, moment1, moment2, steps, average, average_step, copy, corrections, decays, n_corrections, n_decays, width, step, learning_rate, beta1, beta2, epsilon, l2_reg, gradient_scale }
        PrepareWeightsArgs { network, weights, compute }
        OccupancyArgs { samples, value, resolution, cascades, first, stride, phase, n, seed, step, step_size }
        OccupancyAccumulateArgs { samples, value, resolution, cascades, round, step_size }
        OccupancyDecayArgs { value, decay }
        OccupancyBitsArgs { value, part, mean, bits, occupied_blocks, resolution, n_cells, threshold }
        AverageArgs { value, average, average_step, now, decays, n_decays, width, step }
        EncodeArgs { grid, scale, position, table, features, dl_dfeatures, dl_dtable, dl_dposition }
        ActiveNodesArgs { grid, scale, position, theta, entry, phi, dl_dphi, dl_dtheta, dl_dposition, scratch, n_scratch, theta_stride }
        CompositeRayArgs { density, color, dt, t, background, dl_dcolor, weights, pixel, dl_ddensity, dl_dsample, n }
        Bvh { bounds, dipole, child, corner, triangle }
        BvhArgs { bvh, position, bound, distance, triangle, winding, n, accuracy }
        SurfaceArgs { corner, cumulative, number, position, bound, triangle, n_triangles, n, first, seed, step, stream, deviation }
        SphereArgs { direction, basis, degree }
        RandomArgs { key, counter, out }
        UniformArgs { value, seed, stream, range }
        ActiveArgs { network, activations, weight, count, active, capacity, least_weight }
        StatisticsArgs { rays, samples, round, sums, counts }
        RooflineArgs { input, output, lanes, turns, n_groups }
    }
}

/// The structs of the header: name, and the names of the fields.
fn c_fields(header: &str) -> Vec<(String, Vec<String>)> {
    let code: String = header.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join(" ");
    let mut structs = Vec::new();
    for part in code.split("typedef struct ").skip(1) {
        let (name, rest) = part.split_once('{').expect("a struct has a body");
        let (body, _) = rest.split_once('}').expect("a struct ends");
        let fields = body.split(';').map(str::trim).filter(|declaration| !declaration.is_empty());
        // `const float* a`, `float a[3], b[3]`: the name is the last word before a bracket, a comma or the end.
        let names = fields.flat_map(|declaration| declaration.split(',')).map(|declarator| {
            let word = declarator.split('[').next().unwrap_or("").trim();
            word.rsplit([' ', '*']).next().unwrap_or("").to_string()
        });
        structs.push((name.trim().to_string(), names.collect()));
    }
    structs
}

/// Where the C++ compiler puts the fields; None if there is no compiler.
fn c_layout() -> Option<Layout> {
    let kernels = Path::new("kernels");
    let header = std::fs::read_to_string(kernels.join("args.h")).ok()?;
    let mut program = String::from("#include <cstdio>\n#include \"args.h\"\nint main() {\n");
    for (name, fields) in c_fields(&header) {
        program += &format!("std::printf(\"{name}  0 %zu\\n\", sizeof({name}));\n");
        for field in fields {
            program += &format!(
                "std::printf(\"{name} {field} %zu %zu\\n\", __builtin_offsetof({name}, {field}), sizeof((({name}*)0)->{field}));\n"
            );
        }
    }
    program += "}\n";
    let folder = tempfile::tempdir().unwrap();
    let (source, binary) = (folder.path().join("layout.cpp"), folder.path().join("layout"));
    std::fs::write(&source, program).unwrap();
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let compiled = Command::new(compiler).arg("-I").arg(kernels).arg(&source).arg("-o").arg(&binary).output().ok()?;
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let text = String::from_utf8(Command::new(&binary).output().unwrap().stdout).unwrap();
    let lines = text.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let field = words[1].replace("dL_", "dl_");
        ((words[0].to_string(), field), (words[2].parse().unwrap(), words[3].parse().unwrap()))
    });
    Some(lines.collect())
}

#[test]
fn arguments_have_the_same_layout_in_c_and_rust() {
    let Some(c) = c_layout() else {
        crate::skip::skipped(
            "arguments_have_the_same_layout",
            "no C++ compiler, or no kernels/args.h beside this test",
        );
        return;
    };
    let rust = rust_layout();
    assert!(c.len() > 200, "the header was read");
    for (field, place) in &c {
        assert_eq!(rust.get(field), Some(place), "{field:?}: Rust on the left, C on the right");
    }
    let only_in_rust: Vec<_> = rust.keys().filter(|field| !c.contains_key(*field)).collect();
    assert!(only_in_rust.is_empty(), "{only_in_rust:?}");
}
