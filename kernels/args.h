// Arguments of every kernel, in plain C: declared here, mirrored in src/device/args.rs, and compared field by field by a
// test (tests/targets.rs). Pointers name memory of the target that runs the kernel. Lengths are in elements.
//
// Letters: L levels, F features per level, D dimensions, R rays of a chunk, S samples of a chunk (capacity).
#pragma once
#include <stdint.h>

#ifndef GF_COMPUTE
#define GF_COMPUTE void  // fp16 on cuda and emulated, fp32 on host
#endif

#define GF_MAX_LEVELS 32
#define GF_MAX_LAYERS 18
#define GF_MAX_ROUNDS 16

// One level of a grid: theory in docs/models.md, section "levels".
typedef struct GridLevel {
    float scale;          // s = N_min b^level - 1
    uint32_t resolution;  // ceil(s) + 1
    uint32_t entries;     // nodes stored: min(round_up(resolution^D, 8), 2^log2_hashmap_size)
    uint32_t offset;      // first entry of the level in the table
    uint32_t hashed;      // 1: spatial hash, 0: dense index
    uint32_t band;        // of a Fourier grid: the coordinates that the level is looked up at, kernels/grid/fourier.cuh
} GridLevel;

// Shape of the multiplicative Fourier adaptive kernel (Zhao et al. 2024, equations 6 to 8) and of its parameters theta. One
// theta is, one part after the other: W_1 [H, 2 m D], b_1 [H], Omega_1 [H, D], psi_1 [H]; for each further layer l the same
// with W_l [H, H]; w_out [K, H], b_out [K].
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

typedef struct GridLayout {
    uint32_t dimensions;  // D
    uint32_t n_levels;
    uint32_t n_features;  // per level
    uint32_t kernel;      // KernelFunction, kernels/grid/kernel.cuh
    uint32_t averaged;    // 1: the features of all levels are averaged, F in all; 0: they follow each other, L F in all
    MulfaLayout mulfa;
    GridLevel levels[GF_MAX_LEVELS];
} GridLayout;

// One matrix of a network: y = W x, W row-major [n_out, n_in].
typedef struct Layer {
    uint32_t n_in;
    uint32_t n_out;
    uint32_t weights;  // first weight in the weight buffers
} Layer;

typedef struct NetworkLayout {
    uint32_t n_density_layers;  // features -> 16 values, the first of which is the log density
    uint32_t n_color_layers;    // (16 values, 16 spherical harmonics) -> 16 values, the first 3 of which are colour
    uint32_t n_weights;
    uint32_t sh_degree;
    Layer layers[GF_MAX_LAYERS];  // density layers, then colour layers
} NetworkLayout;

#define GF_LENS_PERSPECTIVE 0
#define GF_LENS_OPENCV 1
#define GF_LENS_FISHEYE 2

typedef struct Camera {
    float camera_to_world[12];  // row-major [3, 4], in the unit cube; x right, y up, looks along -z
    float fl_x, fl_y, cx, cy;   // pixels
    uint32_t width, height;
    uint64_t first_pixel;  // of its image in the pixel buffer
    uint32_t lens;         // GF_LENS_*
    float lens_limit;      // radius at distance 1, or of a fisheye angle, up to which the image does not fold over
    float radial[4];       // k1 .. k4
    float tangential[2];   // p1, p2; a fisheye has none
} Camera;

// The map from space to the field: kernels/space.cuh.
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
    float largest;
    float inverse_far;  // beyond this distance steps are even in 1/t; 0 for nowhere
} Steps;

// Of RayBatch.t: the ray found no room for its samples.
#define GF_RAY_DROPPED (-2.0f)

// A chunk of rays under way. Columns are stored one after the other: [3, R] is x of all rays, then y, then z.
typedef struct RayBatch {
    float* origin;         // [3, R] as it is marched: unit cube, or ndc
    float* direction;      // [3, R] likewise, unit length
    float* view;           // [3, R] direction in the scene, unit length
    float* t;              // [R] where the next step begins; -1: the ray is done; or GF_RAY_DROPPED
    float* t_end;          // [R] where the ray leaves the box
    float* transmittance;  // [R]
    float* color;          // [3, R] composited so far, without background
    float* depth;          // [R] sum of weight t
    float* target;         // [4, R] RGBA of the photograph, straight alpha
    float* background;     // [3, R]
    uint32_t* segment_begin;  // [GF_MAX_ROUNDS, R] first sample of the ray in a round
    uint32_t* segment_count;  // [GF_MAX_ROUNDS, R]
    float* squared_error;     // [R] of the finished ray, mean over channels; 0 for a dropped ray
    float* loss;              // [R] likewise
    float* target_t;          // [R] where the photograph's depth lies on the marched ray; -1: not known (training)
    uint32_t* camera;         // [R] which photograph (training)
    uint32_t* composited;     // [R] samples that had a part in the finished ray; 0 for a dropped ray (training)
    uint32_t n_rays;
    uint32_t capacity;  // R
} RayBatch;

// Samples of a chunk, appended round by round.
typedef struct SampleBatch {
    float* position;   // [S, D] in [0, 1]^D; of radiance fields that is the box of all cascades, the unit cube if there is one
    float* t;          // [S]
    float* dt;         // [S]
    uint32_t* ray;     // [S]
    float* density;    // [S] sigma
    float* color;      // [S, 3]
    float* dL_ddensity;  // [S] by the raw density output, through its activation
    float* dL_dcolor;    // [S, 3] by the raw colour output, through its activation
    uint32_t* count;     // [GF_MAX_ROUNDS + 2] samples before each round; count[r + 1] is the end of round r
    uint32_t capacity;   // S
} SampleBatch;

typedef struct DrawRaysArgs {
    RayBatch rays;
    uint32_t* samples_count;  // of the chunk's SampleBatch, set to zero
    const Camera* cameras;
    const uint8_t* pixels;  // RGBA, sRGB, straight alpha
    uint32_t n_cameras;
    uint32_t seed;
    uint32_t step;
    uint32_t first_ray;   // number of the chunk's first ray within the step
    uint32_t background;  // 0 black, 1 white, 2 random per ray
    float box_min[3], box_max[3];
    float step_size;
    Space space;
    float near;  // rays begin no nearer to their camera
    const float* depths;           // a depth along the optical axis for each pixel, in the unit cube, 0: not known; null: none
    const uint32_t* drawn_pixels;  // pixels that may be drawn, photograph after photograph; null: all
    const uint32_t* drawn_begin;   // [n_cameras + 1] first of each photograph's
} DrawRaysArgs;

typedef struct CameraRaysArgs {
    RayBatch rays;
    uint32_t* samples_count;  // of the chunk's SampleBatch, set to zero
    Camera camera;
    uint32_t first_pixel;  // the chunk renders pixels first_pixel ... in row order
    float background[3];
    float box_min[3], box_max[3];
    Space space;
    float near;
} CameraRaysArgs;

typedef struct RayDistanceArgs {
    RayBatch rays;     // depth: the sum of weight t becomes the distance from the camera, in the unit cube
    float position[3];  // of the camera, in the unit cube
    Space space;
} RayDistanceArgs;

typedef struct MarchArgs {
    RayBatch rays;
    SampleBatch samples;
    const uint64_t* occupancy;        // [cascades, resolution^3 / 64], a word is a block of 4 x 4 x 4 cells
    const uint64_t* occupied_blocks;  // [cascades, resolution^3 / 4096], a bit for each word that is not zero
    uint32_t resolution;
    uint32_t cascades;
    uint32_t round;
    uint32_t max_steps;  // samples of a ray in this round
    Steps steps;
    Space space;
} MarchArgs;

typedef struct FieldArgs {
    GridLayout grid;
    NetworkLayout network;
    const GF_COMPUTE* table;    // [entries, F]
    const GF_COMPUTE* weights;  // compute copy, see prepare_weights
    const GF_COMPUTE* features;  // [S, n_in] of the first layer, if another kernel made them; null: of the table
    SampleBatch samples;
    RayBatch rays;
    GF_COMPUTE* activations;   // per layer input a matrix [S, n_in], one after the other; null: not kept
    float* dL_dfeatures;       // [L, S, F], or of averaged levels [S, F] (backward)
    float* dL_dweights;        // as the weights, fp32, added to (backward)
    uint32_t round;            // forward: samples of this round; backward: all up to the end of this round
    uint32_t density_only;     // forward: leave the colours alone
    float* dL_dview;           // [S, 3] by the viewing direction, set; null: not wanted (backward)
} FieldArgs;

// The multiplicative Fourier adaptive kernel at a tile of samples, for training. What it multiplies by is prepared from theta
// once a step, and gradients come back by what was prepared: kernels/grid/mulfa_tile.cuh. P is 2^D.
typedef struct MulfaArgs {
    GridLayout grid;
    SampleBatch samples;
    const GF_COMPUTE* table;      // [entries, F]
    const GF_COMPUTE* prepared;   // see prepare_mulfa
    const float* theta;
    GF_COMPUTE* features;         // [S, n_in], columns past those of the grid are zero (forward)
    GF_COMPUTE* query;            // [L, S, H] q, kept for backward, which overwrites it; null: not kept
    const float* dL_dfeatures;    // [L, S, F] (backward)
    float* phi;                   // [mulfa.n_levels, S, P K] for grid_scatter (backward)
    float* dL_dprepared;          // see mulfa_gradient, added to (backward)
    uint32_t n_in;
    uint32_t round;               // forward: samples of this round; backward: all up to the end of this round
} MulfaArgs;

typedef struct PrepareMulfaArgs {
    GridLayout grid;
    const float* theta;
    GF_COMPUTE* prepared;        // [n_prepared], on the host followed by the transposes
    const float* dL_dprepared;   // (gradient)
    float* dL_dtheta;            // as theta, set (gradient)
} PrepareMulfaArgs;

// What a ray is to be beside its colour: kernels/ray_losses.cuh.
typedef struct RayLosses {
    float distortion;  // weight of the distortion loss; 0: none
    float depth;       // weight of the loss of known depths; 0: none
    float near;        // gradients of samples nearer to the camera than this are scaled down; 0: none
} RayLosses;

typedef struct CompositeArgs {
    RayBatch rays;
    SampleBatch samples;
    uint32_t round;     // forward: the round to add; backward: number of rounds
    float stop_transmittance;
    float huber_delta;
    RayLosses losses;  // backward
    Space space;       // backward
    const float* exposure;  // [photographs, 6] by channel the logarithm of a gain, then an offset; null: none (backward)
    float* dL_dexposure;    // as exposure, added to (backward)
} CompositeArgs;

// A field that is fitted to values: features -> one network -> n_outputs numbers, at samples of position [S, D]. Of the
// samples, position and count alone are used, as one round.
typedef struct FitArgs {
    GridLayout grid;
    NetworkLayout network;       // all of its layers are density layers
    const GF_COMPUTE* table;     // [entries, F]
    const GF_COMPUTE* weights;   // compute copy, see prepare_weights
    const GF_COMPUTE* features;  // [S, n_in] of the first layer, if another kernel made them; null: of the table
    SampleBatch samples;
    GF_COMPUTE* activations;     // per layer input a matrix [S, n_in], one after the other; null: not kept
    float* output;               // [S, n_outputs] (forward)
    const float* dL_doutput;     // [S, n_outputs] (backward)
    float* dL_dfeatures;         // [L, S, F], or of averaged levels [S, F] (backward)
    float* dL_dweights;          // as the weights, fp32, added to (backward)
    uint32_t n_outputs;          // 1 to 16
} FitArgs;

// The loss of fitted values: kernels/fit.cu.
typedef struct FitLossArgs {
    const float* output;    // [S, n_outputs]
    const float* target;    // [S, n_outputs]
    float* dL_doutput;      // [S, n_outputs], set: of the sum over samples of the mean over outputs
    float* loss;            // [S] mean over outputs
    float* squared_error;   // [S] mean over outputs
    const uint32_t* count;  // samples
    float* sums;            // [2] loss and squared error, added to (statistics)
    uint32_t n_outputs;
    uint32_t kind;          // FitLoss, kernels/fit.cu
    float scale;            // of dL_doutput, taken out again by Adam
} FitLossArgs;

// Stencils of the eikonal term: kernels/eikonal.cu. Of a chunk's samples, of three coordinates and one value, the first
// n_with_target have targets; the four corners of each stencil follow, stencil after stencil.
typedef struct EikonalArgs {
    float* position;         // [S, 3] set at corners (points)
    const float* output;     // [S] (loss, as all below)
    float* dL_doutput;       // [S] set at corners
    float* loss;             // [S] set at corners, to a quarter of the stencil's each
    float* squared_error;    // [S] set at corners, to 0
    uint32_t n_with_target;
    uint32_t n_stencils;
    float step;              // h: corners are at +-h along each axis of a stencil's middle
    float weight;            // of a stencil's loss
    float scale;             // of dL_doutput, as in FitLossArgs
} EikonalArgs;

// Pixels of an image for a step of training.
typedef struct DrawPixelsArgs {
    const void* pixels;     // [height, width, n_channels]
    float* position;        // [S, 2] centres of pixels; the image is [0, 1]^2, y down
    float* target;          // [S, n_channels]
    uint32_t format;        // PixelFormat, kernels/pixels.cu
    uint32_t n_channels;
    uint32_t width, height;
    uint32_t columns, rows;  // strata of the step, numbered row by row; further samples lie anywhere
    uint32_t first_sample;   // number of the chunk's first sample within the step
    uint32_t seed;
    uint32_t step;
} DrawPixelsArgs;

// Pixel centres of a part of an image, row by row.
typedef struct PixelCentersArgs {
    float* position;        // [n, 2]
    uint32_t first_pixel;
    uint32_t width, height;  // of the part
    float origin[2];        // of the part's corner in [0, 1]^2
    float step[2];          // from pixel to pixel
} PixelCentersArgs;

#define GF_ENCODE_TILES 8  // tiles that a block of encode_levels takes

// Features of a round's samples by levels whose kernel function learns nothing.
typedef struct EncodeLevelsArgs {
    GridLayout grid;          // not averaged
    SampleBatch samples;
    const GF_COMPUTE* table;  // [entries, F]
    GF_COMPUTE* features;     // [S, n_in], set in the columns of these levels
    uint32_t n_in;
    uint32_t round;
    uint32_t first_level;
} EncodeLevelsArgs;

typedef struct ScatterArgs {
    GridLayout grid;
    const float* position;      // [S, D]
    const float* dL_dfeatures;  // [L, S, F], or of averaged levels [S, F]
    const float* phi;           // [mulfa.n_levels, S, P K] of kernel functions that learn; null: all are linear
    const uint32_t* count;      // samples
    float* gradient;            // [entries, F]
    uint32_t capacity;          // S
} ScatterArgs;

// A dense table at another resolution.
typedef struct ResampleArgs {
    GridLayout from, to;  // levels and features the same in number
    const float* coarse;  // [entries of from, F]
    float* fine;          // [entries of to, F], set
} ResampleArgs;

// The gradient of the total variation of dense levels: kernels/dense.cu.
typedef struct VariationArgs {
    GridLayout grid;
    const float* table;  // [entries, F]
    float* gradient;     // [entries, F], added to
    float weight;
} VariationArgs;

#define GF_NEAREST 8  // most nodes of a point set that are active at a point

// Nodes in no order of a lattice, listed by the cells of one so that near ones are found: kernels/grid/points.cuh.
typedef struct PointSet {
    uint32_t dimensions;    // D: 2 or 3; in a plane, nodes and points lie at z = 1/2
    const float* node;      // [N, 3] in [0, 1], cell after cell, x fastest
    const uint32_t* first;  // [C^3 + 1] first node of each cell
    uint32_t n_nodes;       // N; row N of the table stands for all that is out of reach
    uint32_t resolution;    // C
    uint32_t k;             // nodes that are active at a point, at most GF_NEAREST
    float bandwidth;        // h
} PointSet;

typedef struct PointsArgs {
    PointSet points;
    SampleBatch samples;
    const GF_COMPUTE* table;  // [N + 1, F]
    GF_COMPUTE* features;     // [S, n_in], columns past F are zero (encode)
    float* kept;              // [S, GF_NEAREST + 1] phi, out of reach last; then [S, GF_NEAREST] nodes, uint32_t (backward)
    uint32_t n_features;
    uint32_t n_in;
    uint32_t round;           // encode: samples of this round; backward: all up to the end of this round
} PointsArgs;

typedef struct PointsScatterArgs {
    const float* kept;          // as points_backward left it
    const float* dL_dfeatures;  // [S, F]
    const uint32_t* count;      // samples
    float* gradient;            // [N + 1, F], added to
    uint32_t n_nodes;
    uint32_t n_features;
    uint32_t capacity;          // S
    uint32_t n_parts;           // a row adds to one of so many parts of the table
} PointsScatterArgs;

// Active nodes of a point set, for analysis and tests; n is GF_NEAREST + 1, out of reach last.
typedef struct PointsNodesArgs {
    PointSet points;
    const double* position;  // [items, D]
    uint32_t* entry;         // [items, n] rows of the table
    double* phi;             // [items, n]
    const double* dL_dphi;   // [items, n] (backward)
    double* dL_dposition;    // [items, D] (backward)
} PointsNodesArgs;

#define GF_COORDINATE_ROWS 7             // rows of numbers that the neurons of a layer have, kernels/coordinate_network.cuh
#define GF_COORDINATE_NONE 0xffffffffu   // of a prepared number: it is not learned

// A network that gives values by itself, without a grid: kernels/coordinate_network.cuh. Its k matrices are padded to multiples of 16; P is
// the width of its layers, padded.
typedef struct CoordinateNetworkArgs {
    NetworkLayout network;      // k density layers; the last gives 16 values, of which n_outputs count
    SampleBatch samples;        // position [S, 2] and count alone, as one round
    const GF_COMPUTE* weights;  // compute copy, see prepare_weights
    const float* neurons;       // [k + 1, GF_COORDINATE_ROWS, P]
    GF_COMPUTE* activations;    // a block [n_columns, GF_TILE] for each tile; matrices in it follow each other
    float* output;              // [S, n_outputs] (forward)
    const float* dL_doutput;    // [S, n_outputs] (backward)
    float* dL_dprepared;        // by the weights, then by the neurons' numbers, added to (backward)
    uint32_t kind;              // CoordinateNetworkKind, kernels/coordinate_network.cuh
    uint32_t n_neurons;         // P
    uint32_t n_columns;         // numbers that a sample keeps
    uint32_t n_outputs;         // 1 to 16
} CoordinateNetworkArgs;

// What kernels multiply by, padded, from what is learned, and back.
typedef struct PrepareCoordinateNetworkArgs {
    const float* theta;
    const uint32_t* place;      // [items] of each prepared number: which number of theta it is, or GF_COORDINATE_NONE
    float* prepared;            // [items] weights, then the neurons' numbers; those not learned are left alone
    const float* dL_dprepared;  // [items] (gradient)
    float* dL_dtheta;           // as theta, set (gradient)
} PrepareCoordinateNetworkArgs;

// Six numbers of each photograph, of which only differences can be told.
typedef struct CentreArgs {
    const float* value;  // [photographs, 6]
    float* centred;      // the same less its mean over photographs
    uint32_t n_images;
} CentreArgs;

// Corrections of cameras: of each a rotation vector about its place, in radians, then a move in the unit cube.
typedef struct CorrectCamerasArgs {
    const Camera* cameras;
    const float* correction;  // [n, 6]
    Camera* corrected;
} CorrectCamerasArgs;

typedef struct PositionGradientArgs {
    GridLayout grid;
    SampleBatch samples;
    const GF_COMPUTE* table;
    const float* dL_dfeatures;  // as field_backward left it
    float* dL_dposition;        // [S, 3] in the field, set
    uint32_t round;             // all samples up to the end of this round
} PositionGradientArgs;

typedef struct CameraGradientArgs {
    RayBatch rays;
    SampleBatch samples;
    const Camera* cameras;      // as rays were drawn from them
    const float* correction;    // [n, 6] that they have
    const float* dL_dposition;  // [S, 3]
    const float* dL_dview;      // [S, 3]
    float* dL_dcorrection;      // [n, 6], added to
    Space space;
    uint32_t cascades;
    uint32_t rounds;
} CameraGradientArgs;

typedef struct SumArgs {
    const float* parts;  // [n_parts, n]
    float* sum;          // [n]
    uint32_t n_parts;
    uint32_t n;
} SumArgs;

#define GF_SUM_WIDTH 16

typedef struct AdamArgs {
    float* value;      // [n, width]
    float* gradient;   // [n, width], set to zero
    float* moment1;    // [n, width]
    float* moment2;    // [n, width]
    uint32_t* steps;   // [n] updates of each entry
    float* average;    // [n, width] exponential moving average of the value; null: none
    uint32_t* average_step;  // [n] step at which the average was brought up to date
    GF_COMPUTE* copy;  // [n, width] fp16 copy; null: none
    const float* corrections;  // [n_corrections] sqrt(1 - beta2^k) / (1 - beta1^k) for k updates; the last for all more
    const float* decays;       // [n_decays] average_decay^k; the last for all more
    uint32_t n_corrections;
    uint32_t n_decays;
    uint32_t width;    // 1, 2, 4 or 8; an entry is skipped when all its gradients are zero
    uint32_t step;     // of the training, from 1
    float learning_rate, beta1, beta2, epsilon;
    float l2_reg;
    float gradient_scale;  // 1 / rays: gradients are sums over them
} AdamArgs;

typedef struct PrepareWeightsArgs {
    NetworkLayout network;
    const float* weights;  // master copy
    GF_COMPUTE* compute;   // cuda: fp16, same order. host: fp32, W of each layer, then (from n_weights) its transpose
} PrepareWeightsArgs;

// The occupancy grid. Cells are numbered block by block: cell / 64 is the word of the bit field, a block of 4 x 4 x 4
// cells; cell % 64 is the bit, x fastest. Blocks run x fastest, then y, z, cascade.
typedef struct OccupancyArgs {
    SampleBatch samples;  // position in, density out
    float* value;         // [cascades resolution^3] largest recent optical thickness of a step in the cell
    uint32_t resolution;
    uint32_t cascades;
    uint32_t first;   // cells visited: (first + i) stride + phase, for i = 0 .. n - 1
    uint32_t stride;
    uint32_t phase;
    uint32_t n;
    uint32_t seed;
    uint32_t step;
    float step_size;
} OccupancyArgs;

typedef struct OccupancyAccumulateArgs {
    SampleBatch samples;
    float* value;  // as above
    uint32_t resolution;
    uint32_t cascades;
    uint32_t round;  // samples before this round count
    float step_size;
} OccupancyAccumulateArgs;

typedef struct OccupancyDecayArgs {
    float* value;  // as above
    float decay;
} OccupancyDecayArgs;

typedef struct OccupancyBitsArgs {
    const float* value;
    float* part;  // [cells / GF_OCCUPANCY_PART] sums of the values
    float* mean;  // [1]
    uint64_t* bits;
    uint64_t* occupied_blocks;
    uint32_t resolution;
    uint32_t n_cells;
    float threshold;  // a cell is occupied above min(threshold, mean)
} OccupancyBitsArgs;

#define GF_OCCUPANCY_PART 4096

typedef struct AverageArgs {
    const float* value;           // [n, width]
    const float* average;         // [n, width] as of average_step
    const uint32_t* average_step;  // [n]
    float* now;                   // [n, width]
    const float* decays;          // as for Adam
    uint32_t n_decays;
    uint32_t width;
    uint32_t step;
} AverageArgs;

// Standalone encoding of points, for analysis, tests and benchmarks.
typedef struct EncodeArgs {
    GridLayout grid;
    double scale[GF_MAX_LEVELS];  // of the levels, for the fp64 instance
    const void* position;         // [n, D]
    const void* table;            // [entries, F]
    void* features;               // [n, L F], or of averaged levels [n, F]
    const void* dL_dfeatures;     // as the features (backward)
    void* dL_dtable;              // [entries, F], added to (backward)
    void* dL_dposition;           // [n, D] (backward)
} EncodeArgs;

// Which nodes are active at points, and how much: for analysis and tests. In fp32 or fp64 by kernel. P is 2^D.
typedef struct ActiveNodesArgs {
    GridLayout grid;
    double scale[GF_MAX_LEVELS];  // of the levels, for the fp64 instance
    const void* position;         // [n, D]
    const void* theta;            // [n_theta] or [L, n_theta]; null for kernels that learn nothing
    uint32_t* entry;              // [n, L, P] rows of the table
    void* phi;                    // [n, L, P, K]; K is 1 for kernels that learn nothing
    const void* dL_dphi;          // [n, L, P, K] (backward)
    void* dL_dtheta;              // as theta, added to (backward)
    void* dL_dposition;           // [n, D] (backward)
    void* scratch;                // [n, n_scratch]
    uint32_t n_scratch;           // mulfa_scratch
    uint32_t theta_stride;        // backward: 0, or numbers from one point's dL_dtheta to the next's
} ActiveNodesArgs;

// Compositing of one ray with given colours, for tests.
typedef struct CompositeRayArgs {
    const double* density;  // [n]
    const double* color;    // [n, 3]
    const double* dt;       // [n]
    const double* t;        // [n]
    double background[3];
    double dL_dcolor[3];
    double* weights;        // [n]
    double* pixel;          // [6] colour over the background, depth, opacity, transmittance
    double* dL_ddensity;    // [n]
    double* dL_dsample;     // [n, 3] by the samples' colours
    uint32_t n;
} CompositeRayArgs;

typedef struct SphereArgs {
    const double* direction;  // [n, 3]
    double* basis;            // [n, 16]
    uint32_t degree;
} SphereArgs;

typedef struct RandomArgs {
    uint32_t key[2];
    const uint32_t* counter;  // [n, 4]
    uint32_t* out;            // [n, 4]
} RandomArgs;

typedef struct UniformArgs {
    float* value;
    uint32_t seed;
    uint32_t stream;  // which parameters these are
    float range;
} UniformArgs;

typedef struct StatisticsArgs {
    RayBatch rays;
    SampleBatch samples;
    uint32_t round;    // rounds marched
    float* sums;       // [2] loss and squared error, added to
    uint32_t* counts;  // [4] rays, samples, dropped rays, composited samples, added to
} StatisticsArgs;

#define GF_STATISTICS_PART 16

typedef struct ActiveArgs {
    NetworkLayout network;
    const GF_COMPUTE* activations;  // as FieldArgs and FitArgs keep them
    const float* weight;            // [S] share of a pixel; null: all samples count
    const uint32_t* count;          // [1] samples
    uint32_t* active;               // [neurons of the hidden layers] samples that count and make the neuron active, set
    uint32_t capacity;              // S
    float least_weight;             // samples of more than this count
} ActiveArgs;

#define GF_ROOFLINE_CHAINS 16

typedef struct RooflineArgs {
    const float* input;
    float* output;
    uint32_t* lanes;    // [1] numbers of a vector (host)
    uint32_t turns;
    uint32_t n_groups;  // of four numbers in the input
} RooflineArgs;

#define GF_BVH_STACK 64            // nodes that wait at most: src/mesh/bvh/build.rs keeps to it
#define GF_BVH_LEAF 0x80000000u    // of a child: the rest is the number of its block of triangles
#define GF_BVH_NONE 0xffffffffu    // of a child: there is none

// A tree of boxes over a mesh, eight children a node, up to eight triangles a leaf. Node 0 is the root. Numbers of a group of
// eight stand in columns, one after the other.
typedef struct Bvh {
    const float* bounds;       // [nodes, 6, 8] least x, y, z, largest x, y, z of each child; of none: 1e30, -1e30
    const float* dipole;       // [nodes, 7, 8] of each child's triangles: middle by area; sum of area times normal; square of
                               // the distance from the middle to the farthest corner, of none -1
    const uint32_t* child;     // [nodes, 8]
    const float* corner;       // [blocks, 9, 8] first, second and third corner of each triangle; what is missing is a point
    const uint32_t* triangle;  // [blocks, 8] number in the mesh
} Bvh;

typedef struct BvhArgs {
    Bvh bvh;
    const float* position;  // [n, 3]
    const float* bound;     // [n] the distance is at most that; null: not known (distance)
    float* distance;        // [n] set (distance); made negative inside, null: left alone (winding)
    uint32_t* triangle;     // [n] the nearest; null: not asked for (distance)
    float* winding;         // [n] null: not asked for (winding)
    uint32_t n;
    float accuracy;         // farther than so many of their radii, triangles count as a dipole (winding)
} BvhArgs;

// Points of a mesh: kernels/surface.cu.
typedef struct SurfaceArgs {
    const float* corner;         // [n_triangles, 3, 3] in an order in which neighbours stand close together
    const uint32_t* cumulative;  // [n_triangles] share of the area up to and with each, of 2^32; the last is 2^32 - 1
    const uint32_t* number;      // [n_triangles] which triangle of the mesh it is
    float* position;             // [items, 3]
    float* bound;                // [items] the surface is no farther away
    uint32_t* triangle;          // [items] the triangle that the point was drawn from; null: not asked for
    uint32_t n_triangles;
    uint32_t n;                  // points in all, of which this launch draws the ones from `first` on
    uint32_t first;
    uint32_t seed;
    uint32_t step;
    uint32_t stream;             // 0 to 7: other points of the same step
    float deviation;             // scale of the move off the surface; 0: none
} SurfaceArgs;
