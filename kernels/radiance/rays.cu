// Rays of a chunk: drawn from the training images (training), or one per pixel of a rendered image (rendering).
#include "args.h"
#include "radiance/lens.cuh"
#include "core/rng.cuh"
#include "radiance/space.cuh"

namespace {

/// Returns the ray through a point of the image plane, in pixels; the centre of pixel (0, 0) is (0.5, 0.5).
GF_FN Ray camera_ray(const Camera& camera, float px, float py) {
    float v[3];
    undistort(camera, (px - camera.cx) / camera.fl_x, (py - camera.cy) / camera.fl_y, v);
    Ray ray;
    float squared = 0.0f;
    for (int r = 0; r < 3; ++r) {
        const float* row = camera.camera_to_world + 4 * r;
        ray.direction[r] = row[0] * v[0] - row[1] * v[1] - row[2] * v[2];
        ray.origin[r] = row[3];
        squared += ray.direction[r] * ray.direction[r];
    }
    const float inverse = 1.0f / sqrtf(squared);
    for (int r = 0; r < 3; ++r) ray.direction[r] *= inverse;
    return ray;
}

/// Initialises ray i for marching through the box, starting `offset` past its entry. A ray that misses the box is
/// finished at once. Returns the marched ray.
template <typename Args>
GF_FN Ray begin_ray(const Args& a, uint32_t i, Ray ray, float offset) {
    const RayBatch& rays = a.rays;
    const size_t n = rays.capacity;
    for (int k = 0; k < 3; ++k) rays.view[k * n + i] = ray.direction[k];
    const bool in_space = march_space(a.space, ray);
    float enter = a.near, leave = 1e30f;
    for (int k = 0; k < 3; ++k) {
        // Infinite if the ray is parallel to the faces, which then do not limit it.
        const float inverse = 1.0f / ray.direction[k];
        const float t0 = (a.box_min[k] - ray.origin[k]) * inverse, t1 = (a.box_max[k] - ray.origin[k]) * inverse;
        enter = max_of(enter, min_of(t0, t1));
        leave = min_of(leave, max_of(t0, t1));
        rays.origin[k * n + i] = ray.origin[k];
        rays.direction[k * n + i] = ray.direction[k];
        rays.color[k * n + i] = 0.0f;
    }
    rays.t[i] = in_space && enter < leave ? enter + offset : -1.0f;
    rays.t_end[i] = leave;
    rays.transmittance[i] = 1.0f;
    rays.depth[i] = 0.0f;
    for (uint32_t round = 0; round < GF_MAX_ROUNDS; ++round) rays.segment_count[round * n + i] = 0;
    return ray;
}

/// Ends ray i where it leaves the crop box, and begins it where it enters. The box is one of space, so that it clips the
/// camera's ray, before the map to the marched one.
GF_FN void crop_ray(const CameraRaysArgs& a, uint32_t i, const Ray& ray, const Ray& marched) {
    float enter = 0.0f, leave = 1e30f;
    for (int k = 0; k < 3; ++k) {
        const float inverse = 1.0f / ray.direction[k];
        const float t0 = (a.crop_min[k] - ray.origin[k]) * inverse, t1 = (a.crop_max[k] - ray.origin[k]) * inverse;
        enter = max_of(enter, min_of(t0, t1));
        leave = min_of(leave, max_of(t0, t1));
    }
    const float begin = max_of(a.rays.t[i], marched_at(a.space, ray, marched, enter));
    const float end = min_of(a.rays.t_end[i], marched_at(a.space, ray, marched, leave));
    a.rays.t[i] = a.rays.t[i] >= 0.0f && enter < leave && begin < end ? begin : -1.0f;
    a.rays.t_end[i] = end;
}

/// Returns the pixel of a training image to draw: any pixel or, if some are masked, one of the others.
GF_FN uint32_t drawn_pixel(const DrawRaysArgs& a, uint32_t image, uint32_t n_pixels, uint32_t bits) {
    if (!a.drawn_pixels) return random_below(bits, n_pixels);
    const uint32_t begin = a.drawn_begin[image];
    return a.drawn_pixels[begin + random_below(bits, a.drawn_begin[image + 1] - begin)];
}

/// Returns where the training image's depth lies on the marched ray; -1 where it is unknown.
GF_FN float target_of(const DrawRaysArgs& a, const Camera& camera, uint32_t pixel, const Ray& ray, const Ray& marched) {
    const float depth = a.depths ? a.depths[camera.first_pixel + pixel] : 0.0f;
    if (!(depth > 0.0f)) return -1.0f;
    if (is_panorama(camera)) return marched_at(a.space, ray, marched, depth);
    float forward = 0.0f, squared = 0.0f;  // the optical axis is -z
    for (int r = 0; r < 3; ++r) {
        const float z = camera.camera_to_world[4 * r + 2];
        forward -= z * ray.direction[r];
        squared += z * z;
    }
    forward /= sqrtf(squared);
    return forward > GF_LEAST_FORWARD ? marched_at(a.space, ray, marched, depth / forward) : -1.0f;
}

}  // namespace

// One item per ray: a pixel of a training image, drawn uniformly over images and then over pixels.
GF_ITEM_KERNEL(draw_rays, DrawRaysArgs) {
    if (i == 0) a.samples_count[0] = a.samples_count[1] = 0;
    const uint32_t number = a.first_ray + i;
    const Random4 draw = random_draw(a.seed, RANDOM_PIXEL, a.step, number);
    const uint32_t image = random_below(draw.x[0], a.n_cameras);
    const Camera camera = a.cameras[image];
    const uint32_t pixel = drawn_pixel(a, image, camera.width * camera.height, draw.x[1]);
    const float px = (float)(pixel % camera.width) + 0.5f, py = (float)(pixel / camera.width) + 0.5f;
    const Ray ray = camera_ray(camera, px, py);
    const Ray marched = begin_ray(a, i, ray, a.step_size * random_unit(draw.x[2]));
    a.rays.camera[i] = image;
    a.rays.target_t[i] = target_of(a, camera, pixel, ray, marched);

    const size_t n = a.rays.capacity;
    const uint8_t* rgba = a.pixels + 4 * (camera.first_pixel + pixel);
    for (int c = 0; c < 4; ++c) a.rays.target[c * n + i] = (float)rgba[c] * (1.0f / 255.0f);
    const Random4 back = random_draw(a.seed, RANDOM_BACKGROUND, a.step, number);
    for (int c = 0; c < 3; ++c)
        a.rays.background[c * n + i] = a.background == BACKGROUND_RANDOM ? random_unit(back.x[c]) : (float)a.background;
}

// One item per pixel.
GF_ITEM_KERNEL(camera_rays, CameraRaysArgs) {
    if (i == 0) a.samples_count[0] = a.samples_count[1] = 0;
    const uint32_t pixel = a.first_pixel + i;
    const float px = (float)(pixel % a.camera.width) + 0.5f, py = (float)(pixel / a.camera.width) + 0.5f;
    const Ray ray = camera_ray(a.camera, px, py), marched = begin_ray(a, i, ray, 0.0f);
    if (a.is_cropped) crop_ray(a, i, ray, marched);
    for (int c = 0; c < 3; ++c) a.rays.background[c * (size_t)a.rays.capacity + i] = a.background[c];
}

// One item per ray of a rendered image: the distance from the camera to what the ray shows; 0 where it shows nothing.
// The mean is taken along the marched ray, hence of 1/distance in NDC, whose z is uniform in 1/distance.
GF_ITEM_KERNEL(ray_distances, RayDistanceArgs) {
    const size_t n = a.rays.capacity;
    const float opacity = 1.0f - a.rays.transmittance[i];
    const float origin[3] = {a.rays.origin[i], a.rays.origin[n + i], a.rays.origin[2 * n + i]};
    const float direction[3] = {a.rays.direction[i], a.rays.direction[n + i], a.rays.direction[2 * n + i]};
    const float t = opacity > 0.0f ? a.rays.depth[i] / opacity : 0.0f;
    a.rays.depth[i] = opacity > 0.0f ? distance_at(a.space, a.position, origin, direction, t) : 0.0f;
}
