//! Smooth paths through key cameras with times of their own, as nerfstudio's viewer interpolates them: Kochanek–Bartels
//! splines ("Interpolating splines with local tension, continuity, and bias control", SIGGRAPH 1984) with tension
//! alone, over a time that passes the keys monotonically (Fritsch and Butland, "A method for constructing local
//! monotone piecewise cubic interpolants", SIAM J. Sci. Stat. Comput. 1984).

use std::ops::{Add, Mul};

use nalgebra::{Quaternion, SVector, UnitQuaternion, Vector4};

use super::camera_path::camera;
use crate::geometry::pose::Pose;
use crate::geometry::{Camera, Intrinsics};

/// A key camera: its pose, and its vertical field of view in radians.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub pose: Pose,
    pub fov_y: f64,
}

/// What is interpolated: position, quaternion, field of view.
type Numbers = SVector<f64, 8>;

/// A path through key cameras, of which there is at least one.
pub(super) struct Spline {
    keys: Vec<Numbers>,
    /// Seconds from each key to the next: one fewer than keys, or as many if the path is closed.
    seconds: Vec<f64>,
    closed: bool,
    /// Factor on the tangents: the tangent at a key is this times the vector from the previous key to the next one. ½
    /// gives a Catmull–Rom spline, and 0 stops at each key.
    slack: f64,
}

impl Spline {
    /// Creates a path. `seconds` holds the time from the previous key to each key; that of the first counts only if the
    /// path is closed.
    pub fn new(keys: &[Key], seconds: &[f64], closed: bool, slack: f64) -> Self {
        let closed = closed && keys.len() > 1;
        let to_next = seconds[1..].iter().chain(&seconds[..usize::from(closed)]).copied().collect();
        let numbers = |key: &Key| {
            let (position, rotation) = (key.pose.position, key.pose.rotation.coords);
            Numbers::from_iterator(position.iter().chain(rotation.iter()).copied().chain([key.fov_y]))
        };
        Spline { keys: keys.iter().map(numbers).collect(), seconds: to_next, closed, slack }
    }

    /// Returns the time from the first key to the last, or back to the first if the path is closed.
    pub fn duration(&self) -> f64 {
        self.seconds.iter().sum()
    }

    /// Returns `n_frames` cameras at equal steps of time from the first key on, with the intrinsics for their vertical
    /// field of view in radians. The last is one step before the end.
    pub fn frames(&self, n_frames: usize, intrinsics: impl Fn(f32) -> Intrinsics) -> Vec<Camera> {
        let frame = |i: usize| {
            let numbers = self.at(self.place(self.duration() * i as f64 / n_frames as f64));
            let rotation = Quaternion::from(Vector4::from_iterator(numbers.iter().skip(3).take(4).copied()));
            let pose = Pose {
                position: numbers.fixed_rows::<3>(0).into_owned(),
                rotation: UnitQuaternion::new_normalize(rotation),
            };
            camera(intrinsics(numbers[7] as f32), &pose)
        };
        (0..n_frames).map(frame).collect()
    }

    /// Returns the position on the path, counted in keys, at a time in seconds: a monotone cubic.
    fn place(&self, time: f64) -> f64 {
        let (mut before, mut left) = (0, time);
        while before + 1 < self.seconds.len() && left >= self.seconds[before] {
            left -= self.seconds[before];
            before += 1;
        }
        let Some(&h) = self.seconds.get(before) else { return 0.0 };
        let (from, to) = (self.speed(before) * h, self.speed(before + 1) * h);
        let t = (left / h).clamp(0.0, 1.0);
        before as f64 + hermite(0.0, from, 1.0, to, t)
    }

    /// Returns the speed at a key, in keys a second: the weighted harmonic mean of those on both sides, or at the ends
    /// of an open path that of the one-sided three-point formula.
    fn speed(&self, key: usize) -> f64 {
        let (seconds, n) = (&self.seconds, self.seconds.len());
        let weighted = |a: f64, b: f64| 3.0 * (a + b) / ((a + 2.0 * b) * a + (2.0 * a + b) * b);
        match key {
            _ if n == 1 => 1.0 / seconds[0],
            _ if self.closed => weighted(seconds[(key + n - 1) % n], seconds[key % n]),
            0 => one_sided(seconds[0], seconds[1]),
            key if key == n => one_sided(seconds[n - 1], seconds[n - 2]),
            key => weighted(seconds[key - 1], seconds[key]),
        }
    }

    fn at(&self, place: f64) -> Numbers {
        let n = self.keys.len();
        if n == 1 {
            return self.keys[0];
        }
        let before = (place as usize).min(self.seconds.len() - 1);
        let (p1, p2) = (self.keys[before], self.keys[(before + 1) % n]);
        let (m1, m2) = (self.tangent(before), self.tangent((before + 1) % n));
        let sign = sign_beside(&p1, &p2);
        hermite(p1, m1, with_sign(p2, sign), with_sign(m2, sign), place - before as f64)
    }

    /// Returns the derivative at a key with respect to the position on the path. At the ends of an open path the second
    /// derivative is 0.
    fn tangent(&self, key: usize) -> Numbers {
        let n = self.keys.len();
        let p = self.keys[key];
        let beside = |of: usize, numbers: Numbers| with_sign(numbers, sign_beside(&p, &self.keys[of]));
        let way = |from: usize, to: usize| beside(to, self.keys[to]) - beside(from, self.keys[from]);
        match key {
            key if self.closed || (0 < key && key + 1 < n) => way((key + n - 1) % n, (key + 1) % n) * self.slack,
            _ if n == 2 => way(0, 1),
            0 => way(0, 1) * 1.5 - beside(1, self.tangent(1)) * 0.5,
            _ => way(n - 2, n - 1) * 1.5 - beside(n - 2, self.tangent(n - 2)) * 0.5,
        }
    }
}

/// Returns the sign that brings the quaternion of `key` into the hemisphere of that of `of`: a quaternion and its
/// negative are the same rotation.
fn sign_beside(of: &Numbers, key: &Numbers) -> f64 {
    if of.fixed_rows::<4>(3).dot(&key.fixed_rows::<4>(3)) < 0.0 { -1.0 } else { 1.0 }
}

fn with_sign(mut numbers: Numbers, sign: f64) -> Numbers {
    numbers.fixed_rows_mut::<4>(3).scale_mut(sign);
    numbers
}

fn one_sided(near: f64, far: f64) -> f64 {
    let speed = ((2.0 * near + far) / near - near / far) / (near + far);
    speed.max(0.0)
}

/// Evaluates the cubic with the values p1, p2 and derivatives m1, m2 at 0 and 1.
fn hermite<T>(p1: T, m1: T, p2: T, m2: T, t: f64) -> T
where
    T: Add<Output = T> + Mul<f64, Output = T>,
{
    let (t2, t3) = (t * t, t * t * t);
    let ends = p1 * (2.0 * t3 - 3.0 * t2 + 1.0) + p2 * (3.0 * t2 - 2.0 * t3);
    ends + m1 * (t3 - 2.0 * t2 + t) + m2 * (t3 - t2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Vector3;

    fn key(x: f64, turn: f64) -> Key {
        let rotation = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), turn);
        Key { pose: Pose { position: Vector3::new(x, 0.0, 1.0), rotation }, fov_y: 0.5 + 0.1 * x }
    }

    fn square(fov_y: f32) -> Intrinsics {
        Intrinsics::from_fov_y(8, 8, fov_y)
    }

    /// Positions along x.
    fn xs(spline: &Spline, n_frames: usize) -> Vec<f64> {
        spline.frames(n_frames, square).iter().map(|frame| f64::from(frame.position()[0])).collect()
    }

    #[test]
    fn keys_are_passed_at_their_times_with_their_views() {
        let keys = [key(0.0, 0.0), key(1.0, 1.0), key(5.0, 2.0), key(4.0, 2.5)];
        let mut spline = Spline::new(&keys, &[2.0, 1.0, 3.0, 2.0], false, 0.5);
        assert_eq!(spline.duration(), 6.0);
        let open = spline.frames(6, square);
        for (frame, key) in [(0, &keys[0]), (1, &keys[1]), (4, &keys[2])] {
            let expected = camera(square(key.fov_y as f32), &key.pose);
            let numbers = |camera: &Camera| [camera.camera_to_world.as_flattened(), &[camera.intrinsics.fl_y]].concat();
            let apart =
                numbers(&open[frame]).iter().zip(numbers(&expected)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-5, "{frame}: {apart}");
        }
        spline = Spline::new(&keys, &[2.0, 1.0, 3.0, 2.0], true, 0.5);
        assert_eq!(spline.duration(), 8.0);
        let closed = xs(&spline, 80);
        assert!((closed[60] - 4.0).abs() < 1e-5 && (closed[79] - closed[0]).abs() < 0.4, "{closed:?}");
        let steps = closed.iter().zip(closed.iter().cycle().skip(1)).map(|(a, b)| (b - a).abs());
        assert!(steps.fold(0.0, f64::max) < 0.6, "no jump: {closed:?}");
    }

    #[test]
    fn time_goes_forward_and_without_jumps_of_speed() {
        let keys = [0.0, 1.0, 2.0, 3.0, 4.0].map(|x| key(x, 0.0));
        let spline = Spline::new(&keys, &[1.0, 0.2, 4.0, 0.5, 3.0], false, 0.5);
        let places: Vec<f64> = (0..=770).map(|i| spline.place(0.01 * f64::from(i))).collect();
        assert!(places.windows(2).all(|pair| pair[1] >= pair[0]) && (places[770] - 4.0).abs() < 1e-9);
        let speeds: Vec<f64> = places.windows(2).map(|pair| (pair[1] - pair[0]) / 0.01).collect();
        assert!(speeds.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 1.5), "{speeds:?}");
        let even = Spline::new(&keys, &[1.0; 5], false, 0.5);
        assert!(xs(&even, 40).iter().enumerate().all(|(i, x)| (x - 0.1 * i as f64).abs() < 1e-5), "straight and even");
    }

    #[test]
    fn turns_take_the_short_way_around() {
        // More than a whole turn in steps of 100°: quaternions change their sign on the way.
        let keys: Vec<Key> = (0..5).map(|i| key(f64::from(i), 100f64.to_radians() * f64::from(i))).collect();
        let spline = Spline::new(&keys, &[1.0; 5], false, 0.5);
        let frames = spline.frames(200, square);
        let right = |camera: &Camera| Vector3::from(camera.camera_to_world.map(|row| row[0]));
        let turns = frames.windows(2).map(|pair| right(&pair[0]).angle(&right(&pair[1])));
        assert!(turns.fold(0.0, f32::max) < 0.06);
        let alone = Spline::new(&keys[..1], &[1.0], true, 0.5);
        assert_eq!((alone.duration(), xs(&alone, 2)), (0.0, vec![0.0; 2]));
    }
}
