//! Arguments of the kernels, field by field as in `kernels/args.h` (compared by a test), with device pointers that borrow
//! their buffers. Shapes and meanings stand in the C header.

use super::Ptr;

pub const MAX_LEVELS: usize = 32;
pub const MAX_LAYERS: usize = 18;
pub const MAX_ROUNDS: usize = 16;
pub const TILE: usize = 128;
pub const OCCUPANCY_PART: usize = 4096;
pub const STATISTICS_PART: usize = 16;
/// Tiles that a block of `encode_levels` takes.
pub const ENCODE_TILES: usize = 8;
pub const SUM_WIDTH: usize = 16;
pub const NEAREST: usize = 8;
pub const COORDINATE_ROWS: usize = 7;
pub const COORDINATE_NONE: u32 = u32::MAX;
pub const ROOFLINE_CHAINS: usize = 16;
pub const BVH_STACK: usize = 64;
pub const BVH_LEAF: u32 = 0x8000_0000;
pub const BVH_NONE: u32 = u32::MAX;
pub const LENS_PERSPECTIVE: u32 = 0;
pub const LENS_OPENCV: u32 = 1;
pub const LENS_FISHEYE: u32 = 2;

/// Arguments of a kernel.
///
/// # Safety
/// The type must have the layout of the C struct of the same name.
pub unsafe trait Args: Sync {
    /// The same struct without its borrows; what a kernel is declared with.
    type Static;
}

macro_rules! args {
    ($($name:ident),* $(,)?) => {
        $(
            // SAFETY: `#[repr(C)]`, with the fields of the C struct in its order (tests/targets.rs compares them).
            unsafe impl Args for $name<'_> {
                type Static = $name<'static>;
            }
        )*
    };
}

/// fp16 on CUDA and on the emulated target, fp32 on the host.
pub enum Compute {}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GridLevel {
    pub scale: f32,
    pub resolution: u32,
    pub entries: u32,
    pub offset: u32,
    pub hashed: u32,
    pub band: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MulfaLayout {
    pub n_frequencies: u32,
    pub depth: u32,
    pub width: u32,
    pub n_levels: u32,
    pub n_outputs: u32,
    pub n_theta: u32,
    pub stride: u32,
    pub floor: f32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GridLayout {
    pub dimensions: u32,
    pub n_levels: u32,
    pub n_features: u32,
    pub kernel: u32,
    pub averaged: u32,
    pub mulfa: MulfaLayout,
    pub levels: [GridLevel; MAX_LEVELS],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Layer {
    pub n_in: u32,
    pub n_out: u32,
    pub weights: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NetworkLayout {
    pub n_density_layers: u32,
    pub n_color_layers: u32,
    pub n_weights: u32,
    pub sh_degree: u32,
    pub layers: [Layer; MAX_LAYERS],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Camera {
    pub camera_to_world: [f32; 12],
    pub fl_x: f32,
    pub fl_y: f32,
    pub cx: f32,
    pub cy: f32,
    pub width: u32,
    pub height: u32,
    pub first_pixel: u64,
    pub lens: u32,
    pub lens_limit: f32,
    pub radial: [f32; 4],
    pub tangential: [f32; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Space {
    pub map: u32,
    pub to_rig: [f32; 12],
    pub scale: [f32; 2],
    pub rig_unit: f32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Steps {
    pub size: f32,
    pub cone_angle: f32,
    pub largest: f32,
    pub inverse_far: f32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct RayBatch<'a> {
    pub origin: Ptr<'a, f32>,
    pub direction: Ptr<'a, f32>,
    pub view: Ptr<'a, f32>,
    pub t: Ptr<'a, f32>,
    pub t_end: Ptr<'a, f32>,
    pub transmittance: Ptr<'a, f32>,
    pub color: Ptr<'a, f32>,
    pub depth: Ptr<'a, f32>,
    pub target: Ptr<'a, f32>,
    pub background: Ptr<'a, f32>,
    pub segment_begin: Ptr<'a, u32>,
    pub segment_count: Ptr<'a, u32>,
    pub squared_error: Ptr<'a, f32>,
    pub loss: Ptr<'a, f32>,
    pub target_t: Ptr<'a, f32>,
    pub camera: Ptr<'a, u32>,
    pub composited: Ptr<'a, u32>,
    pub n_rays: u32,
    pub capacity: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct SampleBatch<'a> {
    pub position: Ptr<'a, f32>,
    pub t: Ptr<'a, f32>,
    pub dt: Ptr<'a, f32>,
    pub ray: Ptr<'a, u32>,
    pub density: Ptr<'a, f32>,
    pub color: Ptr<'a, f32>,
    pub dl_ddensity: Ptr<'a, f32>,
    pub dl_dcolor: Ptr<'a, f32>,
    pub count: Ptr<'a, u32>,
    pub capacity: u32,
}

#[repr(C)]
pub struct DrawRaysArgs<'a> {
    pub rays: RayBatch<'a>,
    pub samples_count: Ptr<'a, u32>,
    pub cameras: Ptr<'a, Camera>,
    pub pixels: Ptr<'a, u8>,
    pub n_cameras: u32,
    pub seed: u32,
    pub step: u32,
    pub first_ray: u32,
    pub background: u32,
    pub box_min: [f32; 3],
    pub box_max: [f32; 3],
    pub step_size: f32,
    pub space: Space,
    pub near: f32,
    pub depths: Ptr<'a, f32>,
    pub drawn_pixels: Ptr<'a, u32>,
    pub drawn_begin: Ptr<'a, u32>,
}

#[repr(C)]
pub struct CameraRaysArgs<'a> {
    pub rays: RayBatch<'a>,
    pub samples_count: Ptr<'a, u32>,
    pub camera: Camera,
    pub first_pixel: u32,
    pub background: [f32; 3],
    pub box_min: [f32; 3],
    pub box_max: [f32; 3],
    pub space: Space,
    pub near: f32,
}

#[repr(C)]
pub struct RayDistanceArgs<'a> {
    pub rays: RayBatch<'a>,
    pub position: [f32; 3],
    pub space: Space,
}

#[repr(C)]
pub struct MarchArgs<'a> {
    pub rays: RayBatch<'a>,
    pub samples: SampleBatch<'a>,
    pub occupancy: Ptr<'a, u64>,
    pub occupied_blocks: Ptr<'a, u64>,
    pub resolution: u32,
    pub cascades: u32,
    pub round: u32,
    pub max_steps: u32,
    pub steps: Steps,
    pub space: Space,
}

#[repr(C)]
pub struct FieldArgs<'a> {
    pub grid: GridLayout,
    pub network: NetworkLayout,
    pub table: Ptr<'a, Compute>,
    pub weights: Ptr<'a, Compute>,
    pub features: Ptr<'a, Compute>,
    pub samples: SampleBatch<'a>,
    pub rays: RayBatch<'a>,
    pub activations: Ptr<'a, Compute>,
    pub dl_dfeatures: Ptr<'a, f32>,
    pub dl_dweights: Ptr<'a, f32>,
    pub round: u32,
    pub density_only: u32,
    pub dl_dview: Ptr<'a, f32>,
}

#[repr(C)]
pub struct MulfaArgs<'a> {
    pub grid: GridLayout,
    pub samples: SampleBatch<'a>,
    pub table: Ptr<'a, Compute>,
    pub prepared: Ptr<'a, Compute>,
    pub theta: Ptr<'a, f32>,
    pub features: Ptr<'a, Compute>,
    pub query: Ptr<'a, Compute>,
    pub dl_dfeatures: Ptr<'a, f32>,
    pub phi: Ptr<'a, f32>,
    pub dl_dprepared: Ptr<'a, f32>,
    pub n_in: u32,
    pub round: u32,
}

#[repr(C)]
pub struct PrepareMulfaArgs<'a> {
    pub grid: GridLayout,
    pub theta: Ptr<'a, f32>,
    pub prepared: Ptr<'a, Compute>,
    pub dl_dprepared: Ptr<'a, f32>,
    pub dl_dtheta: Ptr<'a, f32>,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RayLosses {
    pub distortion: f32,
    pub depth: f32,
    pub near: f32,
}

#[repr(C)]
pub struct CompositeArgs<'a> {
    pub rays: RayBatch<'a>,
    pub samples: SampleBatch<'a>,
    pub round: u32,
    pub stop_transmittance: f32,
    pub huber_delta: f32,
    pub losses: RayLosses,
    pub space: Space,
    pub exposure: Ptr<'a, f32>,
    pub dl_dexposure: Ptr<'a, f32>,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct FitArgs<'a> {
    pub grid: GridLayout,
    pub network: NetworkLayout,
    pub table: Ptr<'a, Compute>,
    pub weights: Ptr<'a, Compute>,
    pub features: Ptr<'a, Compute>,
    pub samples: SampleBatch<'a>,
    pub activations: Ptr<'a, Compute>,
    pub output: Ptr<'a, f32>,
    pub dl_doutput: Ptr<'a, f32>,
    pub dl_dfeatures: Ptr<'a, f32>,
    pub dl_dweights: Ptr<'a, f32>,
    pub n_outputs: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct FitLossArgs<'a> {
    pub output: Ptr<'a, f32>,
    pub target: Ptr<'a, f32>,
    pub dl_doutput: Ptr<'a, f32>,
    pub loss: Ptr<'a, f32>,
    pub squared_error: Ptr<'a, f32>,
    pub count: Ptr<'a, u32>,
    pub sums: Ptr<'a, f32>,
    pub n_outputs: u32,
    pub kind: u32,
    pub scale: f32,
}

#[repr(C)]
pub struct EikonalArgs<'a> {
    pub position: Ptr<'a, f32>,
    pub output: Ptr<'a, f32>,
    pub dl_doutput: Ptr<'a, f32>,
    pub loss: Ptr<'a, f32>,
    pub squared_error: Ptr<'a, f32>,
    pub n_with_target: u32,
    pub n_stencils: u32,
    pub step: f32,
    pub weight: f32,
    pub scale: f32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct DrawPixelsArgs<'a> {
    pub pixels: Ptr<'a, u8>,
    pub position: Ptr<'a, f32>,
    pub target: Ptr<'a, f32>,
    pub format: u32,
    pub n_channels: u32,
    pub width: u32,
    pub height: u32,
    pub columns: u32,
    pub rows: u32,
    pub first_sample: u32,
    pub seed: u32,
    pub step: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct PixelCentersArgs<'a> {
    pub position: Ptr<'a, f32>,
    pub first_pixel: u32,
    pub width: u32,
    pub height: u32,
    pub origin: [f32; 2],
    pub step: [f32; 2],
}

#[repr(C)]
pub struct EncodeLevelsArgs<'a> {
    pub grid: GridLayout,
    pub samples: SampleBatch<'a>,
    pub table: Ptr<'a, Compute>,
    pub features: Ptr<'a, Compute>,
    pub n_in: u32,
    pub round: u32,
    pub first_level: u32,
}

#[repr(C)]
pub struct ScatterArgs<'a> {
    pub grid: GridLayout,
    pub position: Ptr<'a, f32>,
    pub dl_dfeatures: Ptr<'a, f32>,
    pub phi: Ptr<'a, f32>,
    pub count: Ptr<'a, u32>,
    pub gradient: Ptr<'a, f32>,
    pub capacity: u32,
}

#[repr(C)]
pub struct ResampleArgs<'a> {
    pub from: GridLayout,
    pub to: GridLayout,
    pub coarse: Ptr<'a, f32>,
    pub fine: Ptr<'a, f32>,
}

#[repr(C)]
pub struct VariationArgs<'a> {
    pub grid: GridLayout,
    pub table: Ptr<'a, f32>,
    pub gradient: Ptr<'a, f32>,
    pub weight: f32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct PointSet<'a> {
    pub dimensions: u32,
    pub node: Ptr<'a, f32>,
    pub first: Ptr<'a, u32>,
    pub n_nodes: u32,
    pub resolution: u32,
    pub k: u32,
    pub bandwidth: f32,
}

#[repr(C)]
pub struct PointsArgs<'a> {
    pub points: PointSet<'a>,
    pub samples: SampleBatch<'a>,
    pub table: Ptr<'a, Compute>,
    pub features: Ptr<'a, Compute>,
    pub kept: Ptr<'a, f32>,
    pub n_features: u32,
    pub n_in: u32,
    pub round: u32,
}

#[repr(C)]
pub struct PointsScatterArgs<'a> {
    pub kept: Ptr<'a, f32>,
    pub dl_dfeatures: Ptr<'a, f32>,
    pub count: Ptr<'a, u32>,
    pub gradient: Ptr<'a, f32>,
    pub n_nodes: u32,
    pub n_features: u32,
    pub capacity: u32,
    pub n_parts: u32,
}

#[repr(C)]
pub struct PointsNodesArgs<'a> {
    pub points: PointSet<'a>,
    pub position: Ptr<'a, f64>,
    pub entry: Ptr<'a, u32>,
    pub phi: Ptr<'a, f64>,
    pub dl_dphi: Ptr<'a, f64>,
    pub dl_dposition: Ptr<'a, f64>,
}

#[repr(C)]
pub struct CoordinateNetworkArgs<'a> {
    pub network: NetworkLayout,
    pub samples: SampleBatch<'a>,
    pub weights: Ptr<'a, Compute>,
    pub neurons: Ptr<'a, f32>,
    pub activations: Ptr<'a, Compute>,
    pub output: Ptr<'a, f32>,
    pub dl_doutput: Ptr<'a, f32>,
    pub dl_dprepared: Ptr<'a, f32>,
    pub kind: u32,
    pub n_neurons: u32,
    pub n_columns: u32,
    pub n_outputs: u32,
}

#[repr(C)]
pub struct PrepareCoordinateNetworkArgs<'a> {
    pub theta: Ptr<'a, f32>,
    pub place: Ptr<'a, u32>,
    pub prepared: Ptr<'a, f32>,
    pub dl_dprepared: Ptr<'a, f32>,
    pub dl_dtheta: Ptr<'a, f32>,
}

#[repr(C)]
pub struct CentreArgs<'a> {
    pub value: Ptr<'a, f32>,
    pub centred: Ptr<'a, f32>,
    pub n_images: u32,
}

#[repr(C)]
pub struct CorrectCamerasArgs<'a> {
    pub cameras: Ptr<'a, Camera>,
    pub correction: Ptr<'a, f32>,
    pub corrected: Ptr<'a, Camera>,
}

#[repr(C)]
pub struct PositionGradientArgs<'a> {
    pub grid: GridLayout,
    pub samples: SampleBatch<'a>,
    pub table: Ptr<'a, Compute>,
    pub dl_dfeatures: Ptr<'a, f32>,
    pub dl_dposition: Ptr<'a, f32>,
    pub round: u32,
}

#[repr(C)]
pub struct CameraGradientArgs<'a> {
    pub rays: RayBatch<'a>,
    pub samples: SampleBatch<'a>,
    pub cameras: Ptr<'a, Camera>,
    pub correction: Ptr<'a, f32>,
    pub dl_dposition: Ptr<'a, f32>,
    pub dl_dview: Ptr<'a, f32>,
    pub dl_dcorrection: Ptr<'a, f32>,
    pub space: Space,
    pub cascades: u32,
    pub rounds: u32,
}

#[repr(C)]
pub struct SumArgs<'a> {
    pub parts: Ptr<'a, f32>,
    pub sum: Ptr<'a, f32>,
    pub n_parts: u32,
    pub n: u32,
}

#[repr(C)]
pub struct AdamArgs<'a> {
    pub value: Ptr<'a, f32>,
    pub gradient: Ptr<'a, f32>,
    pub moment1: Ptr<'a, f32>,
    pub moment2: Ptr<'a, f32>,
    pub steps: Ptr<'a, u32>,
    pub average: Ptr<'a, f32>,
    pub average_step: Ptr<'a, u32>,
    pub copy: Ptr<'a, Compute>,
    pub corrections: Ptr<'a, f32>,
    pub decays: Ptr<'a, f32>,
    pub n_corrections: u32,
    pub n_decays: u32,
    pub width: u32,
    pub step: u32,
    pub learning_rate: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    pub l2_reg: f32,
    pub gradient_scale: f32,
}

#[repr(C)]
pub struct PrepareWeightsArgs<'a> {
    pub network: NetworkLayout,
    pub weights: Ptr<'a, f32>,
    pub compute: Ptr<'a, Compute>,
}

#[repr(C)]
pub struct OccupancyArgs<'a> {
    pub samples: SampleBatch<'a>,
    pub value: Ptr<'a, f32>,
    pub resolution: u32,
    pub cascades: u32,
    pub first: u32,
    pub stride: u32,
    pub phase: u32,
    pub n: u32,
    pub seed: u32,
    pub step: u32,
    pub step_size: f32,
}

#[repr(C)]
pub struct OccupancyAccumulateArgs<'a> {
    pub samples: SampleBatch<'a>,
    pub value: Ptr<'a, f32>,
    pub resolution: u32,
    pub cascades: u32,
    pub round: u32,
    pub step_size: f32,
}

#[repr(C)]
pub struct OccupancyDecayArgs<'a> {
    pub value: Ptr<'a, f32>,
    pub decay: f32,
}

#[repr(C)]
pub struct OccupancyBitsArgs<'a> {
    pub value: Ptr<'a, f32>,
    pub part: Ptr<'a, f32>,
    pub mean: Ptr<'a, f32>,
    pub bits: Ptr<'a, u64>,
    pub occupied_blocks: Ptr<'a, u64>,
    pub resolution: u32,
    pub n_cells: u32,
    pub threshold: f32,
}

#[repr(C)]
pub struct AverageArgs<'a> {
    pub value: Ptr<'a, f32>,
    pub average: Ptr<'a, f32>,
    pub average_step: Ptr<'a, u32>,
    pub now: Ptr<'a, f32>,
    pub decays: Ptr<'a, f32>,
    pub n_decays: u32,
    pub width: u32,
    pub step: u32,
}

#[repr(C)]
pub struct EncodeArgs<'a> {
    pub grid: GridLayout,
    pub scale: [f64; MAX_LEVELS],
    pub position: Ptr<'a, core::ffi::c_void>,
    pub table: Ptr<'a, core::ffi::c_void>,
    pub features: Ptr<'a, core::ffi::c_void>,
    pub dl_dfeatures: Ptr<'a, core::ffi::c_void>,
    pub dl_dtable: Ptr<'a, core::ffi::c_void>,
    pub dl_dposition: Ptr<'a, core::ffi::c_void>,
}

#[repr(C)]
pub struct ActiveNodesArgs<'a> {
    pub grid: GridLayout,
    pub scale: [f64; MAX_LEVELS],
    pub position: Ptr<'a, core::ffi::c_void>,
    pub theta: Ptr<'a, core::ffi::c_void>,
    pub entry: Ptr<'a, u32>,
    pub phi: Ptr<'a, core::ffi::c_void>,
    pub dl_dphi: Ptr<'a, core::ffi::c_void>,
    pub dl_dtheta: Ptr<'a, core::ffi::c_void>,
    pub dl_dposition: Ptr<'a, core::ffi::c_void>,
    pub scratch: Ptr<'a, core::ffi::c_void>,
    pub n_scratch: u32,
    pub theta_stride: u32,
}

#[repr(C)]
pub struct CompositeRayArgs<'a> {
    pub density: Ptr<'a, f64>,
    pub color: Ptr<'a, f64>,
    pub dt: Ptr<'a, f64>,
    pub t: Ptr<'a, f64>,
    pub background: [f64; 3],
    pub dl_dcolor: [f64; 3],
    pub weights: Ptr<'a, f64>,
    pub pixel: Ptr<'a, f64>,
    pub dl_ddensity: Ptr<'a, f64>,
    pub dl_dsample: Ptr<'a, f64>,
    pub n: u32,
}

#[repr(C)]
pub struct SphereArgs<'a> {
    pub direction: Ptr<'a, f64>,
    pub basis: Ptr<'a, f64>,
    pub degree: u32,
}

#[repr(C)]
pub struct RandomArgs<'a> {
    pub key: [u32; 2],
    pub counter: Ptr<'a, u32>,
    pub out: Ptr<'a, u32>,
}

#[repr(C)]
pub struct UniformArgs<'a> {
    pub value: Ptr<'a, f32>,
    pub seed: u32,
    pub stream: u32,
    pub range: f32,
}

#[repr(C)]
pub struct StatisticsArgs<'a> {
    pub rays: RayBatch<'a>,
    pub samples: SampleBatch<'a>,
    pub round: u32,
    pub sums: Ptr<'a, f32>,
    pub counts: Ptr<'a, u32>,
}

#[repr(C)]
pub struct ActiveArgs<'a> {
    pub network: NetworkLayout,
    pub activations: Ptr<'a, Compute>,
    pub weight: Ptr<'a, f32>,
    pub count: Ptr<'a, u32>,
    pub active: Ptr<'a, u32>,
    pub capacity: u32,
    pub least_weight: f32,
}

#[repr(C)]
pub struct RooflineArgs<'a> {
    pub input: Ptr<'a, f32>,
    pub output: Ptr<'a, f32>,
    pub lanes: Ptr<'a, u32>,
    pub turns: u32,
    pub n_groups: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bvh<'a> {
    pub bounds: Ptr<'a, f32>,
    pub dipole: Ptr<'a, f32>,
    pub child: Ptr<'a, u32>,
    pub corner: Ptr<'a, f32>,
    pub triangle: Ptr<'a, u32>,
}

#[repr(C)]
pub struct BvhArgs<'a> {
    pub bvh: Bvh<'a>,
    pub position: Ptr<'a, f32>,
    pub bound: Ptr<'a, f32>,
    pub distance: Ptr<'a, f32>,
    pub triangle: Ptr<'a, u32>,
    pub winding: Ptr<'a, f32>,
    pub n: u32,
    pub accuracy: f32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct SurfaceArgs<'a> {
    pub corner: Ptr<'a, f32>,
    pub cumulative: Ptr<'a, u32>,
    pub number: Ptr<'a, u32>,
    pub position: Ptr<'a, f32>,
    pub bound: Ptr<'a, f32>,
    pub triangle: Ptr<'a, u32>,
    pub n_triangles: u32,
    pub n: u32,
    pub first: u32,
    pub seed: u32,
    pub step: u32,
    pub stream: u32,
    pub deviation: f32,
}

args!(
    ActiveNodesArgs,
    RooflineArgs,
    UniformArgs,
    StatisticsArgs,
    ActiveArgs,
    DrawRaysArgs,
    CameraRaysArgs,
    RayDistanceArgs,
    MarchArgs,
    FieldArgs,
    MulfaArgs,
    PrepareMulfaArgs,
    CompositeArgs,
    FitArgs,
    FitLossArgs,
    EikonalArgs,
    DrawPixelsArgs,
    PixelCentersArgs,
    EncodeLevelsArgs,
    ScatterArgs,
    ResampleArgs,
    VariationArgs,
    PointsArgs,
    PointsScatterArgs,
    PointsNodesArgs,
    CoordinateNetworkArgs,
    PrepareCoordinateNetworkArgs,
    CentreArgs,
    CorrectCamerasArgs,
    PositionGradientArgs,
    CameraGradientArgs,
    SumArgs,
    AdamArgs,
    PrepareWeightsArgs,
    OccupancyArgs,
    OccupancyAccumulateArgs,
    OccupancyDecayArgs,
    OccupancyBitsArgs,
    AverageArgs,
    EncodeArgs,
    CompositeRayArgs,
    SphereArgs,
    RandomArgs,
    BvhArgs,
    SurfaceArgs,
);
