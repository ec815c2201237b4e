//! A drawing of a scene's cameras, from above and from the side, as SVG.

use super::fit::vector;
use super::path::up_of;
use super::{Scene, View};
use crate::geometry::Camera;
use crate::media::plot::{Area, COLOURS, IN_MEMORY, INK, text};
use nalgebra::Vector3;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

/// Pixels along a side of each of the two panels.
const PANEL: i32 = 520;
const MARGIN: i32 = 16;
const HEADING: i32 = 56;
const FOOTING: i32 = 34;

/// Length of the drawn frusta, as a fraction of the distance between the outermost cameras.
const FRUSTUM_SHARE: f64 = 0.08;

/// Smallest length of the drawn frusta, as a fraction of the unit cube's side.
const CUBE_SHARE: f64 = 0.03;

/// Approximate number of points drawn: more would not show more.
const MOST_POINTS: usize = 4000;

/// Fraction of the points that is left out at either end of each axis.
const STRAY_POINTS: f64 = 0.05;

/// Lines of a circle that stands for a panorama.
const CIRCLE_PARTS: usize = 24;

const TRAIN: RGBColor = COLOURS[0];
const TEST: RGBColor = COLOURS[1];
const CUBE: RGBColor = RGBColor(120, 120, 120);
const POINT: RGBColor = RGBColor(190, 190, 190);

impl Scene {
    /// Draws the cameras as pyramids (panoramas as globes), the points and the unit cube, from above and from the side,
    /// as a complete SVG file.
    pub fn rig_picture(&self) -> String {
        let strokes = strokes(self);
        let up = up_of(&self.splits.train);
        let (right, away) = horizontal_axes(&self.splits.train, &up);
        let mut svg = String::new();
        {
            let size = ((2 * PANEL + 3 * MARGIN) as u32, (PANEL + HEADING + FOOTING) as u32);
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            root.fill(&WHITE).expect(IN_MEMORY);
            heading(&root, self);
            for (index, (name, axes)) in
                [("from above", [right, away]), ("from the side", [away, up])].iter().enumerate()
            {
                let corner = (MARGIN + index as i32 * (PANEL + MARGIN), HEADING);
                draw_panel(&root, corner, name, axes, &strokes);
            }
            root.present().expect(IN_MEMORY);
        }
        svg
    }
}

/// A line through points of the scene, or a single point.
struct Stroke {
    points: Vec<Vector3<f64>>,
    colour: RGBColor,
    /// Whether the drawing must be large enough to show it.
    framed: bool,
}

fn strokes(scene: &Scene) -> Vec<Stroke> {
    let splits = &scene.splits;
    let all = splits.train.iter().chain(&splits.val).chain(&splits.test);
    let positions: Vec<Vector3<f64>> = all.map(|view| vector(view.camera.position())).collect();
    let low = positions.iter().fold(positions[0], |low, position| low.inf(position));
    let high = positions.iter().fold(positions[0], |high, position| high.sup(position));
    let spread = (high - low).norm();
    let length = (FRUSTUM_SHARE * spread).max(CUBE_SHARE / f64::from(scene.unit_cube.scale));
    let mut strokes = points(scene);
    strokes.extend(cube(scene));
    for (views, colour) in [(&splits.train, TRAIN), (&splits.val, TEST), (&splits.test, TEST)] {
        strokes.extend(views.iter().flat_map(|view| pyramid(view, length, colour)));
    }
    strokes
}

fn points(scene: &Scene) -> Vec<Stroke> {
    let points = &scene.points;
    let range = |axis: usize| {
        let mut values: Vec<f32> = points.iter().map(|point| point[axis]).collect();
        values.sort_by(f32::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
        (!values.is_empty()).then(|| at(STRAY_POINTS)..=at(1.0 - STRAY_POINTS))
    };
    let ranges = [range(0), range(1), range(2)];
    let inside =
        |point: &[f32; 3]| point.iter().zip(&ranges).all(|(x, range)| range.as_ref().is_some_and(|r| r.contains(x)));
    let every = points.len().div_ceil(MOST_POINTS).max(1);
    let stroke = |point: &[f32; 3]| Stroke { points: vec![vector(*point)], colour: POINT, framed: inside(point) };
    points.iter().step_by(every).filter(|point| inside(point)).map(stroke).collect()
}

fn cube(scene: &Scene) -> Vec<Stroke> {
    let corner = |bits: usize| vector(scene.unit_cube.to_scene([0, 1, 2].map(|axis| (bits >> axis & 1) as f32)));
    let edges = (0..8).flat_map(|a| (0..3).map(move |axis| (a, a | 1 << axis))).filter(|(a, b)| a != b);
    edges.map(|(a, b)| Stroke { points: vec![corner(a), corner(b)], colour: CUBE, framed: true }).collect()
}

/// Returns the equator and the meridian of a panorama, and a line in the direction of its middle.
fn globe(view: &View, length: f64, colour: RGBColor) -> Vec<Stroke> {
    let position = vector(view.camera.position());
    let [up, forward] = [view.camera.up(), view.camera.forward()].map(|axis| vector(axis).normalize() * length);
    let right = forward.cross(&up) / length;
    let circle = |axis: &Vector3<f64>| {
        let at = |i: usize| {
            let (sine, cosine) = (std::f64::consts::TAU * i as f64 / CIRCLE_PARTS as f64).sin_cos();
            position + 0.5 * (forward * cosine + axis * sine)
        };
        (0..=CIRCLE_PARTS).map(at).collect()
    };
    let stroke = |points| Stroke { points, colour, framed: true };
    vec![stroke(circle(&right)), stroke(circle(&up)), stroke(vec![position, position + forward])]
}

/// Returns the edges from the camera to the corners of its image, and the image's outline with a mark on its upper
/// side; for a panorama, its globe.
fn pyramid(view: &View, length: f64, colour: RGBColor) -> Vec<Stroke> {
    let Camera { intrinsics, .. } = view.camera;
    if intrinsics.lens.is_panorama() {
        return globe(view, length, colour);
    }
    let (width, height) = (intrinsics.width as f32, intrinsics.height as f32);
    let forward = vector(view.camera.forward()).normalize();
    let position = vector(view.camera.position());
    let at = |x: f32, y: f32| {
        let direction = vector(view.camera.ray(x, y).1);
        // A corner of a fisheye image may lie behind the camera.
        position + direction * (length / direction.dot(&forward).max(0.2))
    };
    let corners = [at(0.0, 0.0), at(width, 0.0), at(width, height), at(0.0, height)];
    let peak = at(0.5 * width, -0.2 * height);
    let stroke = |points: &[Vector3<f64>]| Stroke { points: points.to_vec(), colour, framed: true };
    let mut strokes: Vec<Stroke> = corners.iter().map(|corner| stroke(&[position, *corner])).collect();
    strokes.push(stroke(&[corners[0], corners[1], corners[2], corners[3], corners[0]]));
    strokes.push(stroke(&[corners[0], peak, corners[1]]));
    strokes
}

/// Returns two axes perpendicular to `up`, to the right and away as seen by most cameras, or aligned with the
/// coordinate axes if the cameras look in all directions or are panoramas.
fn horizontal_axes(views: &[View], up: &Vector3<f64>) -> (Vector3<f64>, Vector3<f64>) {
    let across = |v: Vector3<f64>| v - up * up.dot(&v);
    let with_axis = views.iter().filter(|view| view.has_axis());
    let forward = with_axis.clone().map(|view| across(vector(view.camera.forward()).normalize())).sum::<Vector3<f64>>();
    let away = if forward.norm() > 0.3 * with_axis.count() as f64 {
        forward.normalize()
    } else {
        across(if up.y.abs() < 0.9 { Vector3::y() } else { Vector3::z() }).normalize()
    };
    (away.cross(up), away)
}

fn heading(root: &Area, scene: &Scene) {
    let splits = &scene.splits;
    text(root, &format!("{}: cameras", scene.name), (MARGIN, 10), 17, HPos::Left);
    let held_out = splits.val.len() + splits.test.len();
    let entries = [
        (TRAIN, format!("{} to train on", splits.train.len())),
        (TEST, format!("{held_out} held out")),
        (CUBE, "unit cube".to_owned()),
        (POINT, format!("{} points", scene.points.len())),
    ];
    let entries = entries.into_iter().filter(|(colour, _)| *colour != POINT || !scene.points.is_empty());
    for (index, (colour, label)) in entries.enumerate() {
        let x = MARGIN + 170 * index as i32;
        let line = PathElement::new(vec![(x, 41), (x + 18, 41)], colour.stroke_width(3));
        root.draw(&line).expect(IN_MEMORY);
        text(root, &label, (x + 24, 34), 13, HPos::Left);
    }
}

fn draw_panel(root: &Area, corner: (i32, i32), name: &str, axes: &[Vector3<f64>; 2], strokes: &[Stroke]) {
    let flat = |point: &Vector3<f64>| [point.dot(&axes[0]), point.dot(&axes[1])];
    let framed = || strokes.iter().filter(|stroke| stroke.framed).flat_map(|stroke| &stroke.points).map(flat);
    let range = |axis: usize| {
        let ends = framed().map(|point| point[axis]);
        ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    };
    let (x, y) = (range(0), range(1));
    let side = (x.1 - x.0).max(y.1 - y.0) * 1.04;
    let (middle_x, middle_y) = (0.5 * (x.0 + x.1), 0.5 * (y.0 + y.1));
    let scale = f64::from(PANEL) / side;
    let pixel = |point: &Vector3<f64>| {
        let [x, y] = flat(point);
        let across = (x - middle_x) * scale + 0.5 * f64::from(PANEL);
        let down = 0.5 * f64::from(PANEL) - (y - middle_y) * scale;
        (corner.0 + across.round() as i32, corner.1 + down.round() as i32)
    };
    let frame = Rectangle::new([corner, (corner.0 + PANEL, corner.1 + PANEL)], CUBE.stroke_width(1));
    root.draw(&frame).expect(IN_MEMORY);
    for stroke in strokes {
        let points: Vec<(i32, i32)> = stroke.points.iter().map(pixel).collect();
        match points[..] {
            [point] => root.draw(&Circle::new(point, 1, stroke.colour.filled())).expect(IN_MEMORY),
            _ => root.draw(&PathElement::new(points, stroke.colour.stroke_width(1))).expect(IN_MEMORY),
        }
    }
    let unit = round_length(0.25 * side);
    let (left, bottom) = (corner.0 + 10, corner.1 + PANEL + 12);
    let bar = PathElement::new(vec![(left, bottom), (left + (unit * scale) as i32, bottom)], INK.stroke_width(2));
    root.draw(&bar).expect(IN_MEMORY);
    text(root, &format!("{unit} scene units, {name}"), (left, bottom + 5), 13, HPos::Left);
}

/// Returns 1, 2 or 5 times a power of ten, at most `length`.
fn round_length(length: f64) -> f64 {
    let power = 10f64.powf(length.log10().floor());
    [5.0, 2.0, 1.0].map(|factor| factor * power).into_iter().find(|unit| *unit <= length).unwrap_or(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_the_bar_are_round() {
        assert_eq!([0.7, 3.2, 47.0, 1000.0].map(round_length), [0.5, 2.0, 20.0, 1000.0]);
    }
}
