// Arguments of every kernel, and the constants and enums that kernels share with Rust. This is the only declaration of
// their layout: build/args.rs generates the Rust side from it, comments included, and a test compares all offsets
// (tests/targets/layout.rs). Pointers refer to memory of the target that runs the kernel. Lengths are in elements.
//
// Letters: L levels, F features per level, D dimensions, R ray capacity of a chunk, S sample capacity of a chunk.
#pragma once
#include <stdint.h>

#ifndef GF_COMPUTE
#define GF_COMPUTE void  // fp16 on cuda and emulated, fp32 on host
#endif

// Threads per block of every kernel on a GPU.
#define GF_BLOCK 128
// Samples, rays or pixels that one block of a tile kernel works on: one for each of its threads.
#define GF_TILE GF_BLOCK
// Most levels of a grid.
#define GF_MAX_LEVELS 32
// Most layers of the networks of a field.
#define GF_MAX_LAYERS 18
// Most frequencies of the local kernel function.
#define GF_LOCAL_FREQUENCIES 2
// Most marching rounds of a ray.
#define GF_MAX_ROUNDS 32

// The kernel function phi of a grid: kernels/encoding/kernel.cuh.
enum KernelFunction : uint32_t {
    // phi = prod_k (1 - |u_k - p_k|)
    KERNEL_LINEAR = 0,
    // Linear in f^2 (3 - 2 f): continuous first derivatives (Mueller et al. 2022, section 3).
    KERNEL_SMOOTHSTEP = 1,
    // Multiplicative Fourier adaptive, in three variants: kernels/encoding/mulfa.cuh.
    KERNEL_MULFA_PAPER = 2,
    // B e^v / sum B e^v, where B is phi of KERNEL_LINEAR.
    KERNEL_MULFA_WINDOWED = 3,
    // B (1 + v).
    KERNEL_MULFA_MODULATED = 4,
    // A learned window for each level and feature, in units of nodes: kernels/encoding/local.cuh.
    KERNEL_LOCAL = 5,
};

// The map from space to the field: kernels/radiance/space.cuh.
enum SpaceMap : uint32_t {
    // The field covers the cascades' box.
    SPACE_IDENTITY = 0,
    // Normalized device coordinates of a forward-facing rig.
    SPACE_NDC = 1,
    // All of space, contracted into a bounded box.
    SPACE_CONTRACTION = 2,
};

// The lens model of a camera: kernels/radiance/lens.cuh.
enum LensModel : uint32_t {
    // No distortion.
    LENS_PERSPECTIVE = 0,
    // Four radial and two tangential coefficients.
    LENS_OPENCV = 1,
    // Equidistant projection with four radial coefficients.
    LENS_FISHEYE = 2,
    // As LENS_OPENCV, but with six radial coefficients: a quotient of polynomials.
    LENS_FULL_OPENCV = 3,
    // As LENS_FISHEYE, with two tangential coefficients and two of a thin prism.
    LENS_THIN_PRISM_FISHEYE = 4,
    // A panorama, whose pixels are spaced evenly in longitude and latitude.
    LENS_EQUIRECTANGULAR = 5,
    // A panorama, whose pixels are spaced evenly in longitude and in the sine of the latitude.
    LENS_EQUAL_AREA = 6,
};

// The background of training rays.
enum BackgroundMode : uint32_t {
    // 0, 0, 0
    BACKGROUND_BLACK = 0,
    // 1, 1, 1
    BACKGROUND_WHITE = 1,
    // A new colour for every ray and step.
    BACKGROUND_RANDOM = 2,
};

// The loss of a fitted value y with target t: kernels/fit/fit.cu.
enum FitLoss : uint32_t {
    // (y - t)^2
    LOSS_L2 = 0,
    // (y - t)^2 / (y^2 + 0.01), the denominator taken as given (Lehtinen et al., Noise2Noise, 2018).
    LOSS_RELATIVE_L2 = 1,
    // |y - t| / (|t| + 0.01), mean absolute percentage error (Mueller et al. 2022, section 5.2).
    LOSS_MAPE = 2,
};

// How an image stores its channels: kernels/fit/pixels.cu.
enum PixelFormat : uint32_t {
    // In units of 1 / 255.
    PIXELS_U8 = 0,
    // In units of 1 / 65535.
    PIXELS_U16 = 1,
    // fp32, in any range.
    PIXELS_F32 = 2,
};

// The kind of a coordinate network: kernels/network/coordinate_network.cuh.
enum CoordinateNetworkKind : uint32_t {
    // A ReLU network of random Fourier features.
    COORDINATE_FOURIER_FEATURES = 0,
    // A multiplicative filter network with sinusoidal filters.
    COORDINATE_FOURIER_NET = 1,
    // A multiplicative filter network with Gabor filters.
    COORDINATE_GABOR_NET = 2,
};

// Rows of the per-neuron numbers of a coordinate network's layer, [GF_COORDINATE_ROWS, P]. The first layer has no b,
// the last has only b. With Fourier features, omega of the first layer is B.
enum CoordinateNetworkRow : uint32_t {
    // Bias.
    ROW_B = 0,
    // Frequencies of the sine by x and y, in this row and the next.
    ROW_OMEGA = 1,
    // Phase of the sine.
    ROW_PHI = 3,
    // Centre of the Gaussian envelope, x and y, in this row and the next.
    ROW_MU = 4,
    // Decay of the Gaussian envelope.
    ROW_GAMMA = 6,
};

// One level of a grid: theory in docs/models.md, section "levels".
typedef struct GridLevel {
    float scale;          // s = N_min b^level - 1
    uint32_t resolution;  // ceil(s) + 1
    uint32_t entries;     // nodes stored: min(round_up(resolution^D, 8), 2^log2_hashmap_size)
    uint32_t offset;      // first entry of the level in the table
    uint32_t hashed;      // 1: spatial hash, 0: dense index
    uint32_t band;  // of a Fourier grid: the coordinates that the level is looked up at, kernels/encoding/fourier.cuh
} GridLevel;

// Shape of the multiplicative Fourier adaptive kernel (Zhao et al. 2024, equations 6 to 8) and of its parameters theta.
// One theta is, one part after the other: W_1 [H, 2 m D], b_1 [H], Omega_1 [H, D], psi_1 [H]; for each further layer l
// the same with W_l [H, H]; w_out [K, H], b_out [K].
typedef struct MulfaLayout {
    uint32_t n_frequencies;  // m
    uint32_t depth;          // n
    uint32_t width;          // H
    uint32_t n_levels;       // the coarsest levels, which have it; finer ones are linear
    uint32_t n_outputs;      // K: 1, or one for each feature of a level
    uint32_t n_theta;        // numbers of one theta
    uint32_t stride;         // from level to level: n_theta, or 0 where all levels share one
    float floor;             // paper: least size of the denominator
} MulfaLayout;

// Shape of a grid.
typedef struct GridLayout {
    uint32_t dimensions;              // D
    uint32_t n_levels;                // L
    uint32_t n_features;              // per level
    uint32_t kernel;                  // KernelFunction
    uint32_t averaged;  // 1: the features of all levels are averaged, F in all; 0: they follow each other, L F in all
    uint32_t local_frequencies;       // K of the local kernel
    MulfaLayout mulfa;                // shape of the kernel function, for the KERNEL_MULFA variants
    GridLevel levels[GF_MAX_LEVELS];  // the first n_levels are used, from coarse to fine
} GridLayout;

// One matrix of a network: y = W x, W row-major [n_out, n_in].
typedef struct Layer {
    uint32_t n_in;     // number of inputs
    uint32_t n_out;    // number of outputs
    uint32_t weights;  // first weight in the weight buffers
} Layer;

#define GF_MAX_HARMONICS 36  // spherical harmonics of degree 6

// Shape of the networks of a field.
typedef struct NetworkLayout {
    uint32_t n_density_layers;    // features -> 16 values, the first of which is the log density
    uint32_t n_color_layers;      // (16 values, spherical harmonics) -> 16 values, the first 3 of which are colour
    uint32_t n_weights;           // weights of all layers
    uint32_t sh_degree;           // degree of the spherical harmonics of the viewing direction
    Layer layers[GF_MAX_LAYERS];  // density layers, then colour layers
} NetworkLayout;

// A camera of the scene, its pose in the unit cube.
typedef struct Camera {
    float camera_to_world[12];  // row-major [3, 4], in the unit cube; x right, y up, looks along -z
    float fl_x, fl_y, cx, cy;   // pixels
    uint32_t width, height;     // of the image, pixels
    uint64_t first_pixel;       // index of its image's first pixel in the pixel buffer
    uint32_t lens;              // LensModel
    float lens_limit;           // radius at distance 1 (fisheyes: angle) up to which the image does not fold over; panoramas have none
    float radial[4];            // k1 .. k4
    float tangential[2];        // p1, p2; LENS_FISHEYE has none
    float further[2];           // LENS_FULL_OPENCV: k5, k6; LENS_THIN_PRISM_FISHEYE: s1, s2
} Camera;

// The map from space to the field: kernels/radiance/space.cuh.
typedef struct Space {
    uint32_t map;      // SpaceMap
    float to_rig[12];  // ndc: row-major [3, 4], from the unit cube to the frame of the rig, whose near plane is z = -1
    float scale[2];    // ndc: 1 / 2 tan of the frustum's half angles
    float rig_unit;    // ndc: the near plane's distance, in the unit cube
} Space;

// How long the steps of a ray are at distance t: clamp(t cone_angle max(1, t inverse_far), size, largest).
typedef struct Steps {
    float size;         // at t = 0
    float cone_angle;   // 0 keeps steps constant
    float largest;      // upper limit of the step length
    float inverse_far;  // beyond this distance steps are even in 1/t; 0 for nowhere
} Steps;

// Value of RayBatch.t for a ray whose samples exceeded the capacity of the chunk.
#define GF_RAY_DROPPED (-2.0f)

// The rays of a chunk. Vectors are stored by component: [3, R] holds x of all rays, then y, then z.
typedef struct RayBatch {
    float* origin;            // [3, R] origin of the marched ray, in the unit cube or in NDC
    float* direction;         // [3, R] direction of the marched ray, unit length
    float* view;              // [3, R] viewing direction in the scene, unit length
    float* t;                 // [R] start of the next step; -1: finished; GF_RAY_DROPPED: dropped
    float* t_end;             // [R] where the ray leaves the box
    float* transmittance;     // [R]
    float* color;             // [3, R] composited so far, without background
    float* depth;             // [R] sum of weight times t
    float* target;            // [4, R] RGBA of the training image, straight alpha
    float* background;        // [3, R]
    uint32_t* segment_begin;  // [GF_MAX_ROUNDS, R] first sample of the ray in a round
    uint32_t* segment_count;  // [GF_MAX_ROUNDS, R]
    float* squared_error;     // [R] of finished rays, mean over channels; 0 for dropped rays
    float* loss;              // [R] of finished rays; 0 for dropped rays
    float* target_t;          // [R] position of the known depth on the marched ray; -1: unknown (training)
    uint32_t* camera;         // [R] index of the training image (training)
    uint32_t* composited;     // [R] samples composited into finished rays; 0 for dropped rays (training)
    uint32_t n_rays;          // rays in use, at most R
    uint32_t capacity;        // R
} RayBatch;

// The samples of a chunk, appended round by round.
typedef struct SampleBatch {
    float* position;     // [S, D] in [0, 1]^D; for radiance fields the box of all cascades
    float* t;            // [S] distance along the marched ray
    float* dt;           // [S] step length
    uint32_t* ray;       // [S] index of the ray in the chunk
    float* density;      // [S] sigma, per unit of the unit cube
    float* color;        // [S, 3]
    float* dL_ddensity;  // [S] gradient with respect to the raw density output, activation included
    float* dL_dcolor;    // [S, 3] gradient with respect to the raw colour output, activation included
    uint32_t* count;     // [GF_MAX_ROUNDS + 2] samples before each round; count[r + 1] is the end of round r
    uint32_t capacity;   // S
} SampleBatch;

// Draws training rays: kernels/radiance/rays.cu.
typedef struct DrawRaysArgs {
    RayBatch rays;                 // the rays of the chunk
    uint32_t* samples_count;       // of the chunk's SampleBatch, set to zero
    const Camera* cameras;         // the training cameras
    const uint8_t* pixels;         // RGBA, sRGB, straight alpha
    uint32_t n_cameras;            // number of training cameras
    uint32_t seed;                 // seed of the run
    uint32_t step;                 // training step
    uint32_t first_ray;            // index of the chunk's first ray within the step
    uint32_t background;           // BackgroundMode
    float box_min[3], box_max[3];  // box that rays are clipped to, in the unit cube
    float step_size;               // length of a step at the camera, in the unit cube
    Space space;                   // map from space to the field
    float near;                    // least distance of samples from the camera
    const float* depths;           // per pixel, along the optical axis (panoramas: the ray), in the unit cube; 0: unknown; null: none
    const uint32_t* drawn_pixels;  // pixels that may be drawn, image by image; null: all
    const uint32_t* drawn_begin;   // [n_cameras + 1] offset of each image in drawn_pixels
} DrawRaysArgs;

// One ray per pixel of a rendered image: kernels/radiance/rays.cu.
typedef struct CameraRaysArgs {
    RayBatch rays;                 // the rays of the chunk
    uint32_t* samples_count;       // of the chunk's SampleBatch, set to zero
    Camera camera;                 // camera of the rendered image
    uint32_t first_pixel;          // first pixel of the chunk, in row order
    float background[3];           // colour behind the field, sRGB
    float box_min[3], box_max[3];  // box that rays are clipped to, in the unit cube
    Space space;                   // map from space to the field
    float near;                    // least distance of samples from the camera
    float crop_min[3];             // box in space outside of which nothing is shown, in the unit cube
    float crop_max[3];             // its other corner
    uint32_t is_cropped;           // whether there is such a box
} CameraRaysArgs;

// Turns depths into distances from the camera: kernels/radiance/rays.cu.
typedef struct RayDistanceArgs {
    RayBatch rays;      // depth: in, the sum of weight times t; out, distance from the camera in the unit cube
    float position[3];  // of the camera, in the unit cube
    Space space;        // map from space to the field
} RayDistanceArgs;

// One round of ray marching: kernels/radiance/march.cu.
typedef struct MarchArgs {
    RayBatch rays;                    // the rays of the chunk
    SampleBatch samples;              // the samples of the chunk
    const uint64_t* occupancy;        // [cascades, resolution^3 / 64] one word per block of 4 x 4 x 4 cells
    const uint64_t* occupied_blocks;  // [cascades, resolution^3 / 4096] one bit per word that is not zero
    uint32_t resolution;              // cells per axis of one cascade
    uint32_t cascades;                // number of cascades of the occupancy grid
    uint32_t round;                   // the round to work on, from 0
    uint32_t max_steps;               // most samples of a ray in this round
    Steps steps;                      // lengths of the steps
    Space space;                      // map from space to the field
} MarchArgs;

// What rays meet of the occupancy grid: kernels/radiance/cells.cu.
typedef struct OccupancyRaysArgs {
    MarchArgs march;     // the rays, the grid and the map of space; samples are not used
    const float* value;  // [cascades, resolution^3] optical thickness of a step in each cell, in the order of the bits
    float pixel;         // size of a pixel at distance 1
} OccupancyRaysArgs;

// Forward and backward pass of a radiance field: kernels/radiance/field.cuh.
typedef struct FieldArgs {
    GridLayout grid;             // shape of the grid
    NetworkLayout network;       // shape of the networks
    const GF_COMPUTE* table;     // [entries, F]
    const GF_COMPUTE* weights;   // compute copy, see prepare_weights
    const GF_COMPUTE* features;  // [S, n_in] inputs of the first layer if another kernel computed them; null: encode from the table
    SampleBatch samples;         // the samples of the chunk
    RayBatch rays;               // the rays of the chunk
    GF_COMPUTE* activations;     // inputs of each layer, [S, n_in], one matrix after the other; null: not saved
    float* dL_dfeatures;         // [L, S, F], or [S, F] for averaged levels (backward)
    float* dL_dweights;          // shaped as the weights, fp32, added to (backward)
    uint32_t round;              // forward: the round to evaluate; backward: all rounds up to this one
    uint32_t density_only;       // forward: 1 skips the colour network
    float* dL_dview;  // [S, 3] gradient with respect to the viewing direction, set; null: not needed (backward)
} FieldArgs;

// The multiplicative Fourier adaptive kernel at a tile of samples, for training: kernels/encoding/mulfa_tile.cuh. Its
// matrices are prepared from theta once a step, and gradients are collected with respect to the prepared matrices. P is
// 2^D.
typedef struct MulfaArgs {
    GridLayout grid;             // shape of the grid
    SampleBatch samples;         // the samples of the chunk
    const GF_COMPUTE* table;     // [entries, F]
    const GF_COMPUTE* prepared;  // see prepare_mulfa
    const float* theta;          // parameters of the kernel function, see MulfaLayout
    GF_COMPUTE* features;        // [S, n_in], columns past those of the grid are zero (forward)
    GF_COMPUTE* query;           // [L, S, H] q, saved for the backward pass, which overwrites it; null: not saved
    const float* dL_dfeatures;   // [L, S, F] (backward)
    float* phi;                  // [mulfa.n_levels, S, P K] for grid_scatter (backward)
    float* dL_dprepared;         // see mulfa_gradient, added to (backward)
    uint32_t n_in;               // columns of the features, a multiple of 16
    uint32_t round;              // forward: the round to evaluate; backward: all rounds up to this one
} MulfaArgs;

// Prepares the matrices of MulfaArgs from theta, and maps their gradients back: kernels/encoding/mulfa.cu.
typedef struct PrepareMulfaArgs {
    GridLayout grid;            // shape of the grid
    const float* theta;         // parameters of the kernel function, see MulfaLayout
    GF_COMPUTE* prepared;       // [n_prepared], followed by the transposes
    const float* dL_dprepared;  // (gradient)
    float* dL_dtheta;           // shaped as theta, set (gradient)
} PrepareMulfaArgs;

// Weights of the losses on a ray beside its colour: kernels/radiance/ray_losses.cuh.
typedef struct RayLosses {
    float distortion;  // weight of the distortion loss; 0: none
    float depth;       // weight of the depth loss; 0: none
    float near;        // distance from the camera below which gradients are scaled down; 0: none
} RayLosses;

// Compositing, its loss and its backward pass: kernels/radiance/composite.cu.
typedef struct CompositeArgs {
    RayBatch rays;             // the rays of the chunk
    SampleBatch samples;       // the samples of the chunk
    uint32_t round;            // forward: the round to add; backward: number of rounds
    float stop_transmittance;  // rays below this transmittance are finished
    float huber_delta;         // error at which the Huber loss becomes linear
    RayLosses losses;          // backward
    Space space;               // backward
    const float* exposure;     // [n_images, 6] log gain of each channel, then offsets; null: none (backward)
    float* dL_dexposure;       // shaped as exposure, added to (backward)
} CompositeArgs;

// Forward and backward pass of a field fitted to values (features -> one network -> n_outputs values):
// kernels/fit/fit.cuh. Of the samples, only position and count are used, as one round.
typedef struct FitArgs {
    GridLayout grid;             // shape of the grid
    NetworkLayout network;       // all of its layers are density layers
    const GF_COMPUTE* table;     // [entries, F]
    const GF_COMPUTE* weights;   // compute copy, see prepare_weights
    const GF_COMPUTE* features;  // [S, n_in] inputs of the first layer if another kernel computed them; null: encode from the table
    SampleBatch samples;         // the samples of the chunk
    GF_COMPUTE* activations;     // inputs of each layer, [S, n_in], one matrix after the other; null: not saved
    float* output;               // [S, n_outputs] (forward)
    const float* dL_doutput;     // [S, n_outputs] (backward)
    float* dL_dfeatures;         // [L, S, F], or [S, F] for averaged levels (backward)
    float* dL_dweights;          // shaped as the weights, fp32, added to (backward)
    uint32_t n_outputs;          // 1 to 16
} FitArgs;

// The loss of fitted values: kernels/fit/fit.cu.
typedef struct FitLossArgs {
    const float* output;    // [S, n_outputs]
    const float* target;    // [S, n_outputs]
    float* dL_doutput;      // [S, n_outputs] set; the loss is the sum over samples of the mean over outputs
    float* loss;            // [S] mean over outputs
    float* squared_error;   // [S] mean over outputs
    const uint32_t* count;  // [1] number of samples
    float* sums;            // [2] loss and squared error, added to (statistics)
    uint32_t n_outputs;     // values per sample
    uint32_t kind;          // FitLoss
    float scale;            // factor on dL_doutput, which Adam divides out again
} FitLossArgs;

// Stencils of the eikonal term: kernels/fit/eikonal.cu. Of a chunk's samples, of three coordinates and one value, the
// first n_with_target have targets; the four corners of each stencil follow, stencil after stencil.
typedef struct EikonalArgs {
    float* position;         // [S, 3] set at corners (points)
    const float* output;     // [S] (loss, as all below)
    float* dL_doutput;       // [S] set at corners
    float* loss;             // [S] set at corners, each to a quarter of the stencil's loss
    float* squared_error;    // [S] set at corners, to 0
    uint32_t n_with_target;  // samples before the first stencil
    uint32_t n_stencils;     // number of stencils
    float step;              // h: distance of the corners from the stencil's centre, along each axis
    float weight;            // weight of a stencil's loss
    float scale;             // factor on dL_doutput, as in FitLossArgs
} EikonalArgs;

// Draws the pixels of a training step: kernels/fit/pixels.cu.
typedef struct DrawPixelsArgs {
    const void* pixels;      // [height, width, n_channels]
    float* position;         // [S, 2] centres of pixels; the image is [0, 1]^2, y down
    float* target;           // [S, n_channels]
    uint32_t format;         // PixelFormat
    uint32_t n_channels;     // channels of the image, 1 to 4
    uint32_t width, height;  // of the image, pixels
    uint32_t columns, rows;  // strata of the step, numbered row by row; further samples are unstratified
    uint32_t first_sample;   // index of the chunk's first sample within the step
    uint32_t seed;           // seed of the run
    uint32_t step;           // training step
} DrawPixelsArgs;

// Pixel centres of a region of an image, row by row: kernels/fit/pixels.cu.
typedef struct PixelCentersArgs {
    float* position;         // [n, 2]
    uint32_t first_pixel;    // first pixel of the launch, in row order
    uint32_t width, height;  // of the region
    float origin[2];         // corner of the region in [0, 1]^2
    float step[2];           // distance between pixels
} PixelCentersArgs;

#define GF_ENCODE_TILES 8  // tiles per block of encode_levels

// Features of a round's samples from levels with a fixed kernel function: kernels/encoding/grid.cu.
typedef struct EncodeLevelsArgs {
    GridLayout grid;          // its levels are not averaged
    SampleBatch samples;      // the samples of the chunk
    const GF_COMPUTE* table;  // [entries, F]
    GF_COMPUTE* features;     // [S, n_in] set in the columns of these levels
    uint32_t n_in;            // columns of the features, a multiple of 16
    uint32_t round;           // the round to work on, from 0
    uint32_t first_level;     // first level to encode
} EncodeLevelsArgs;

// Scatters gradients with respect to features into the table: kernels/encoding/grid.cu.
typedef struct ScatterArgs {
    GridLayout grid;            // shape of the grid
    const float* position;      // [S, D]
    const float* dL_dfeatures;  // [L, S, F], or [S, F] for averaged levels
    const float* phi;           // [mulfa.n_levels, S, P K] weights of a learned kernel function; null: fixed
    const uint32_t* count;      // [1] number of samples
    float* gradient;            // [entries, F]
    uint32_t capacity;          // S
} ScatterArgs;

// Encoding with the local kernel function, and the gradients of its coefficients: kernels/encoding/local.cu.
typedef struct LocalArgs {
    GridLayout grid;            // shape of the grid
    SampleBatch samples;        // the samples of the chunk
    const GF_COMPUTE* table;    // [entries, F]
    const float* theta;         // [L, D, 1 + 2 K, F]
    GF_COMPUTE* features;       // [S, n_in], columns past those of the grid are zero (encode)
    const float* dL_dfeatures;  // [L, S, F] (backward)
    float* dL_dtheta;           // shaped as theta, added to (backward)
    uint32_t n_in;              // columns of the features, a multiple of 16
    uint32_t round;             // encode: samples of this round; backward: all up to the end of this round
} LocalArgs;

// Scatter with the local kernel function: kernels/encoding/local.cu.
typedef struct LocalScatterArgs {
    ScatterArgs scatter;  // levels, positions and gradients; its phi is not used
    const float* theta;   // [L, D, 1 + 2 K, F]
} LocalScatterArgs;

// The cascade of levels: kernels/encoding/cascade.cuh.
typedef struct CascadeArgs {
    SampleBatch samples;   // the samples of the chunk
    const float* theta;    // from `first` on: [F^2 L (L - 1) / 2] G_1, G_2, ..., each [l F, F]
    GF_COMPUTE* features;  // [S, n_in] in: z, out: h (forward)
    GF_COMPUTE* saved;     // [2, L F, S] z and h, saved for the backward pass; null: not saved
    float* dL_dfeatures;   // [L, S, F] in: with respect to h, out: with respect to z (backward)
    float* dL_dtheta;      // shaped as theta, added to (backward)
    uint32_t first;        // index of the first number of G_1
    uint32_t n_levels;     // L
    uint32_t n_features;   // F
    uint32_t n_in;         // columns of the features, a multiple of 16
    uint32_t round;        // forward: samples of this round; backward: all up to the end of this round
} CascadeArgs;

// Resamples a dense table to another resolution: kernels/encoding/dense.cu.
typedef struct ResampleArgs {
    GridLayout from, to;  // with equal numbers of levels and features
    const float* coarse;  // [entries of from, F]
    float* fine;          // [entries of to, F], set
} ResampleArgs;

// Gradient of the total variation of dense levels: kernels/encoding/dense.cu.
typedef struct VariationArgs {
    GridLayout grid;     // shape of the grid
    const float* table;  // [entries, F]
    float* gradient;     // [entries, F], added to
    float weight;        // weight of the loss
} VariationArgs;

#define GF_NEAREST 8  // most nodes of a point set that are active at one position

// Scattered nodes, sorted into the cells of a lattice for neighbour search: kernels/encoding/points.cuh.
typedef struct PointSet {
    uint32_t dimensions;    // D: 2 or 3; with 2, nodes and positions lie at z = 1/2
    const float* node;      // [N, 3] in [0, 1], cell after cell, x fastest
    const uint32_t* first;  // [C^3 + 1] first node of each cell
    uint32_t n_nodes;       // N; row N of the table belongs to positions without a node in reach
    uint32_t resolution;    // C
    uint32_t k;             // nodes active at a position, at most GF_NEAREST
    float bandwidth;        // h
} PointSet;

// Encoding by a point set: kernels/encoding/points.cu.
typedef struct PointsArgs {
    PointSet points;          // the nodes
    SampleBatch samples;      // the samples of the chunk
    const GF_COMPUTE* table;  // [N + 1, F]
    GF_COMPUTE* features;     // [S, n_in], columns past F are zero (encode)
    float* kept;  // [S, GF_NEAREST + 1] phi, out of reach last; then [S, GF_NEAREST] node indices as uint32_t (backward)
    uint32_t n_features;      // F
    uint32_t n_in;            // columns of the features, a multiple of 16
    uint32_t round;           // encode: samples of this round; backward: all up to the end of this round
} PointsArgs;

// Scatter of a point set: kernels/encoding/points.cu.
typedef struct PointsScatterArgs {
    const float* kept;          // as written by points_backward
    const float* dL_dfeatures;  // [S, F]
    const uint32_t* count;      // [1] number of samples
    float* gradient;            // [N + 1, F], added to
    uint32_t n_nodes;           // N
    uint32_t n_features;        // F
    uint32_t capacity;          // S
    uint32_t n_parts;           // number of parts the table is split into, one per launch row
} PointsScatterArgs;

// Active nodes of a point set, for analysis and tests; n is GF_NEAREST + 1, out of reach last.
typedef struct PointsNodesArgs {
    PointSet points;         // the nodes
    const double* position;  // [items, D]
    uint32_t* entry;         // [items, n] rows of the table
    double* phi;             // [items, n]
    const double* dL_dphi;   // [items, n] (backward)
    double* dL_dposition;    // [items, D] (backward)
} PointsNodesArgs;

#define GF_COORDINATE_ROWS 7             // rows of CoordinateNetworkRow
#define GF_COORDINATE_NONE 0xffffffffu   // marks a prepared number that is not learned

// A coordinate network, which computes values without a grid: kernels/network/coordinate_network.cuh. Its k matrices
// are padded to multiples of 16; P is the padded width of its layers.
typedef struct CoordinateNetworkArgs {
    NetworkLayout network;      // k density layers; the last has 16 outputs, of which n_outputs are used
    SampleBatch samples;        // only position [S, 2] and count, as one round
    const GF_COMPUTE* weights;  // compute copy, see prepare_weights
    const float* neurons;       // [k + 1, GF_COORDINATE_ROWS, P]
    GF_COMPUTE* activations;    // [n_columns, GF_TILE] for each tile, one matrix after the other
    float* output;              // [S, n_outputs] (forward)
    const float* dL_doutput;    // [S, n_outputs] (backward)
    float* dL_dprepared;        // with respect to the weights, then the neurons' numbers; added to (backward)
    uint32_t kind;              // CoordinateNetworkKind
    uint32_t n_neurons;         // P
    uint32_t n_columns;         // saved activations per sample
    uint32_t n_outputs;         // 1 to 16
} CoordinateNetworkArgs;

// Copies learned parameters into padded matrices, and gradients back: kernels/network/coordinate_network.cu.
typedef struct PrepareCoordinateNetworkArgs {
    const float* theta;         // learned parameters
    const uint32_t* place;      // [items] index in theta of each prepared number, or GF_COORDINATE_NONE
    float* prepared;  // [items] weights, then the neurons' numbers; numbers that are not learned are not written
    const float* dL_dprepared;  // [items] (gradient)
    float* dL_dtheta;           // shaped as theta, set (gradient)
} PrepareCoordinateNetworkArgs;

// Six parameters per image, of which only differences are observable: kernels/radiance/per_image.cu.
typedef struct CentreArgs {
    const float* value;  // [n_images, 6]
    float* centred;      // [n_images, 6] value minus its mean over images
    uint32_t n_images;   // number of images
} CentreArgs;

// Applies camera corrections (rotation vector about the camera centre in radians, then translation in the unit cube):
// kernels/radiance/cameras.cu.
typedef struct CorrectCamerasArgs {
    const Camera* cameras;    // [n] cameras of the scene
    const float* correction;  // [n, 6]
    Camera* corrected;        // [n] set
} CorrectCamerasArgs;

// Gradient with respect to sample positions: kernels/radiance/cameras.cu.
typedef struct PositionGradientArgs {
    GridLayout grid;            // shape of the grid
    SampleBatch samples;        // the samples of the chunk
    const GF_COMPUTE* table;    // [entries, F]
    const float* dL_dfeatures;  // as written by field_backward
    float* dL_dposition;        // [S, 3] in the field, set
    uint32_t round;             // all rounds up to this one
} PositionGradientArgs;

// Gradient with respect to camera corrections: kernels/radiance/cameras.cu.
typedef struct CameraGradientArgs {
    RayBatch rays;              // the rays of the chunk
    SampleBatch samples;        // the samples of the chunk
    const Camera* cameras;      // the corrected cameras that the rays were drawn from
    const float* correction;    // [n, 6] their corrections
    const float* dL_dposition;  // [S, 3]
    const float* dL_dview;      // [S, 3]
    float* dL_dcorrection;      // [n, 6], added to
    Space space;                // map from space to the field
    uint32_t cascades;          // number of cascades of the occupancy grid
    uint32_t rounds;            // number of rounds marched
} CameraGradientArgs;

// Sum over the parts of a gradient: kernels/optim/adam.cu.
typedef struct SumArgs {
    const float* parts;  // [n_parts, n]
    float* sum;          // [n]
    uint32_t n_parts;    // number of parts
    uint32_t n;          // numbers per part
} SumArgs;

// Numbers that one item of sum_parts adds.
#define GF_SUM_WIDTH 16

// One step of Adam: kernels/optim/adam.cu.
#define GF_ADAM_NUMBERS 16  // numbers that a host core updates as one item

typedef struct AdamArgs {
    float* value;                                // [n, width]
    float* gradient;                             // [n, width], set to zero
    float* moment1;                              // [n, width]
    float* moment2;                              // [n, width]
    uint32_t* steps;                             // [n] number of updates of each entry
    float* average;                              // [n, width] exponential moving average of the value; null: none
    uint32_t* average_step;                      // [n] step at which the average was brought up to date
    GF_COMPUTE* copy;                            // [n, width] fp16 copy; null: none
    const float* corrections;  // [n_corrections] sqrt(1 - beta2^k) / (1 - beta1^k) for k updates; the last entry for all larger k
    const float* decays;                         // [n_decays] average_decay^k; the last entry for all larger k
    uint32_t n_corrections;                      // length of corrections
    uint32_t n_decays;                           // length of decays
    uint32_t n_entries;                          // n
    uint32_t width;                              // 1, 2, 4 or 8; an entry is skipped when all its gradients are zero
    uint32_t step;                               // training step, counted from 1
    float learning_rate, beta1, beta2, epsilon;  // Adam's constants
    float l2_reg;                                // factor of the L2 penalty
    float gradient_scale;                        // 1 / rays, as gradients are sums over rays
} AdamArgs;

// Copies network weights into the layout that kernels compute with: kernels/radiance/field.cu.
typedef struct PrepareWeightsArgs {
    NetworkLayout network;  // shape of the networks
    const float* weights;   // master copy
    GF_COMPUTE* compute;    // W of each layer, then (from n_weights) the transposes
} PrepareWeightsArgs;

// Update of the occupancy grid: kernels/radiance/occupancy.cu. Cells are numbered block by block: cell / 64 is the word
// of the bit field, a block of 4 x 4 x 4 cells; cell % 64 is the bit, x fastest. Blocks run x fastest, then y, z,
// cascade.
typedef struct OccupancyArgs {
    SampleBatch samples;  // position in, density out
    float* value;         // [cascades * resolution^3] largest recent optical thickness of a step in the cell
    uint32_t resolution;  // cells per axis of one cascade
    uint32_t cascades;    // number of cascades of the occupancy grid
    uint32_t first;       // cells visited: (first + i) stride + phase, for i = 0 .. n - 1
    uint32_t stride;      // distance between visited cells
    uint32_t phase;       // offset of the visited cells, below stride
    uint32_t n;           // number of visited cells
    uint32_t seed;        // seed of the run
    uint32_t step;        // training step
    float step_size;      // length of a step at the camera, in the unit cube
} OccupancyArgs;

// Raises the occupancy values of cells that samples lie in: kernels/radiance/occupancy.cu.
typedef struct OccupancyAccumulateArgs {
    SampleBatch samples;  // the samples of the chunk
    float* value;         // as in OccupancyArgs
    uint32_t resolution;  // cells per axis of one cascade
    uint32_t cascades;    // number of cascades of the occupancy grid
    uint32_t round;       // samples of the rounds before this one are used
    float step_size;      // length of a step at the camera, in the unit cube
} OccupancyAccumulateArgs;

// Decays all occupancy values: kernels/radiance/occupancy.cu.
typedef struct OccupancyDecayArgs {
    float* value;  // as in OccupancyArgs
    float decay;   // factor on all values
} OccupancyDecayArgs;

// Thresholds occupancy values into bits: kernels/radiance/occupancy.cu.
typedef struct OccupancyBitsArgs {
    const float* value;         // as in OccupancyArgs
    float* part;                // [cells / GF_OCCUPANCY_PART] sums of the values
    float* mean;                // [1]
    uint64_t* bits;             // [cells / 64] set, see OccupancyArgs
    uint64_t* occupied_blocks;  // [cells / 4096] set, one bit per word of bits that is not zero
    uint32_t resolution;        // cells per axis of one cascade
    uint32_t n_cells;           // cells of all cascades
    float threshold;            // a cell is occupied above min(threshold, mean)
} OccupancyBitsArgs;

// Cells whose values one item of occupancy_parts adds.
#define GF_OCCUPANCY_PART 4096

// The moving average at the current step: kernels/optim/adam.cu.
typedef struct AverageArgs {
    const float* value;            // [n, width]
    const float* average;          // [n, width] as of average_step
    const uint32_t* average_step;  // [n]
    float* now;                    // [n, width]
    const float* decays;           // as in AdamArgs
    uint32_t n_decays;             // length of decays
    uint32_t width;                // numbers per entry
    uint32_t step;                 // training step
} AverageArgs;

// What a GPU is opened with: kernels/core/probe.cu.
typedef struct ProbeArgs {
    uint32_t* ran;  // [1] set to 1
} ProbeArgs;

// Standalone encoding of points, for tests: kernels/testing/encode_points.cu.
typedef struct EncodeArgs {
    GridLayout grid;              // shape of the grid
    double scale[GF_MAX_LEVELS];  // scale of each level, for the fp64 instance
    const void* position;         // [n, D]
    const void* table;            // [entries, F]
    void* features;               // [n, L F], or [n, F] for averaged levels
    const void* dL_dfeatures;     // shaped as the features (backward)
    void* dL_dtable;              // [entries, F], added to (backward)
    void* dL_dposition;           // [n, D] (backward)
} EncodeArgs;

// Active nodes and their weights at positions: kernels/encoding/nodes.cuh. In fp64 for analysis, in fp32 for tests. P
// is 2^D.
typedef struct ActiveNodesArgs {
    GridLayout grid;              // shape of the grid
    double scale[GF_MAX_LEVELS];  // scale of each level, for the fp64 instance
    const void* position;         // [n, D]
    const void* theta;            // [n_theta], [L, n_theta] or, of the local kernel, [L, D, 1 + 2 K, F]; else null
    uint32_t* entry;              // [n, L, P] rows of the table
    void* phi;                    // [n, L, P, K]; K is 1 for fixed kernel functions
    const void* dL_dphi;          // [n, L, P, K] (backward)
    void* dL_dtheta;              // shaped as theta, added to (backward)
    void* dL_dposition;           // [n, D] (backward)
    void* scratch;                // [n, n_scratch]
    uint32_t n_scratch;           // mulfa_scratch
    uint32_t theta_stride;        // backward: distance between the dL_dtheta of consecutive positions; 0: shared
} ActiveNodesArgs;

// Compositing of one ray with given colours, for tests: kernels/testing/oracle.cu.
typedef struct CompositeRayArgs {
    const double* density;  // [n]
    const double* color;    // [n, 3]
    const double* dt;       // [n]
    const double* t;        // [n]
    double background[3];   // colour behind the ray
    double dL_dcolor[3];    // gradient with respect to the colour over the background
    double* weights;        // [n]
    double* pixel;          // [6] colour over the background, depth, opacity, transmittance
    double* dL_ddensity;    // [n]
    double* dL_dsample;     // [n, 3] gradient with respect to the samples' colours
    uint32_t n;             // number of samples
} CompositeRayArgs;

// Spherical harmonics in fp64, for tests: kernels/testing/oracle.cu.
typedef struct SphereArgs {
    const double* direction;  // [n, 3]
    double* basis;            // [n, GF_MAX_HARMONICS]
    uint32_t degree;          // degree of the spherical harmonics, 1 to 6
} SphereArgs;

// Philox4x32-10, for tests: kernels/testing/oracle.cu.
typedef struct RandomArgs {
    uint32_t key[2];          // key of the generator
    const uint32_t* counter;  // [n, 4]
    uint32_t* out;            // [n, 4]
} RandomArgs;

// Fills parameters with uniform random numbers.
typedef struct UniformArgs {
    float* value;     // [n] set
    uint32_t seed;    // seed of the run
    uint32_t stream;  // random stream, one per set of parameters
    float range;      // numbers are in [-range, range)
} UniformArgs;

// Sums for the report of a training step: kernels/radiance/composite.cu.
typedef struct StatisticsArgs {
    RayBatch rays;        // the rays of the chunk
    SampleBatch samples;  // the samples of the chunk
    uint32_t round;       // number of rounds marched
    float* sums;          // [2] loss and squared error, added to
    uint32_t* counts;     // [4] rays, samples, dropped rays, composited samples; added to
} StatisticsArgs;

// Rays that one item of ray_statistics adds.
#define GF_STATISTICS_PART 16

// Counts active neurons: kernels/network/neurons.cu.
typedef struct ActiveArgs {
    NetworkLayout network;          // shape of the networks
    const GF_COMPUTE* activations;  // as saved by FieldArgs and FitArgs
    const float* weight;            // [S] compositing weight; null: all samples count
    const uint32_t* count;          // [1] number of samples
    uint32_t* active;               // [neurons of the hidden layers] samples at which the neuron is active, set
    uint32_t capacity;              // S
    float least_weight;             // samples with a greater weight count
} ActiveArgs;

// Independent chains of an item of roofline_fma.
#define GF_ROOFLINE_CHAINS 16

// Measures the ceilings of a machine: kernels/testing/roofline.cu.
typedef struct RooflineArgs {
    const float* input;  // numbers to read
    float* output;       // numbers written, so that the work is not optimized away
    uint32_t* lanes;     // [1] vector width (host)
    uint32_t turns;      // repetitions of the work
    uint32_t n_groups;   // groups of four numbers in the input
} RooflineArgs;

#define GF_BVH_STACK 64            // depth of the traversal stack; src/mesh/bvh/build.rs never needs more
#define GF_BVH_LEAF 0x80000000u    // marks a leaf; the remaining bits are the index of its block of triangles
#define GF_BVH_NONE 0xffffffffu    // marks an absent child

// A bounding volume hierarchy of a mesh, eight children per node, up to eight triangles per leaf. Node 0 is the root.
// Numbers of a group of eight are stored by column: kernels/fit/bvh.cuh.
typedef struct Bvh {
    const float* bounds;  // [nodes, 6, 8] minimum and maximum x, y, z of each child; absent: 1e30, -1e30
    // [nodes, 7, 8] of each child: area-weighted centroid; sum of area times normal; squared distance from the centroid
    // to the farthest vertex, absent: -1
    const float* dipole;
    const uint32_t* child;     // [nodes, 8]
    const float* corner;       // [blocks, 9, 8] the three vertices of each triangle; absent triangles are a point
    const uint32_t* triangle;  // [blocks, 8] index in the mesh
} Bvh;

// Distance and winding number queries: kernels/fit/bvh.cu.
typedef struct BvhArgs {
    Bvh bvh;                // hierarchy of the mesh
    const float* position;  // [n, 3]
    const float* bound;     // [n] upper bound of the distance; null: unknown (distance)
    float* distance;        // [n] set (distance); negated inside, null: not wanted (winding)
    uint32_t* triangle;     // [n] nearest triangle; null: not wanted (distance)
    float* winding;         // [n] winding number; null: not wanted (winding)
    uint32_t n;             // number of points
    float accuracy;         // groups farther than this many radii count as a dipole (winding)
} BvhArgs;

// Draws points on and near a mesh: kernels/fit/surface.cu.
typedef struct SurfaceArgs {
    const float* corner;         // [n_triangles, 3, 3] vertices, ordered so that neighbours are close in memory
    const uint32_t* cumulative;  // [n_triangles] cumulative area as a fraction of 2^32; the last is 2^32 - 1
    const uint32_t* number;      // [n_triangles] index of the triangle in the mesh
    float* position;             // [items, 3]
    float* bound;                // [items] upper bound of the distance to the surface
    uint32_t* triangle;          // [items] triangle that the point was drawn from; null: not wanted
    uint32_t n_triangles;        // triangles of the mesh
    uint32_t n;                  // number of points in all; this launch draws those from `first` on
    uint32_t first;              // index of the first point of this launch
    uint32_t seed;               // seed of the run
    uint32_t step;               // training step
    uint32_t stream;             // 0 to 7: independent points of the same step
    float deviation;             // scale of the displacement off the surface; 0: none
} SurfaceArgs;
