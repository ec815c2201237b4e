//! The figure of each measurement.

use faer::Mat;

use super::bound::{Bound, LabelMap, Ranking};
use super::drift::{Drift, Trajectory};
use super::flow::Flow;
use super::matrix::mean_diagonal;
use super::spectrum::{self, Spectrum};
use crate::media::plot::{Axis, Content, Heat, Panel, Series, Style, figure};

/// Maximum number of pixels along a side of a matrix. A larger matrix is shown as blocks, each by its largest entry.
const MATRIX_PIXELS: usize = 440;
/// Number of decades below the mean of the diagonal that a matrix figure shows.
const MATRIX_DECADES: f64 = 5.0;
/// Values of a transform below this fraction of its peak are due to rounding and truncation.
const TRANSFORM_FLOOR: f64 = 1e-9;
/// The profile is shown up to the largest distance at which one of the kernels exceeds this value.
const PROFILE_END: f64 = 5e-3;
/// Value at which deviations of zero are drawn, below a single rounding error.
const DEVIATION_FLOOR: f64 = 1e-17;
/// Maximum number of models for which label maps are drawn. The JSON file always has all of them.
const MOST_MAPS: usize = 9;

/// Draws matrices side by side, given as `(title, matrix)`.
pub(super) fn matrices(title: &str, matrices: &[(String, &Mat<f64>)]) -> String {
    let panels: Vec<Panel> = matrices.iter().map(|(title, matrix)| matrix_panel(title, matrix)).collect();
    figure(title, &[], &panels, 3)
}

fn matrix_panel(title: &str, matrix: &Mat<f64>) -> Panel {
    let n = matrix.nrows();
    let (side, mean) = (n.min(MATRIX_PIXELS), mean_diagonal(matrix));
    let block = |k: usize| k * n / side..((k + 1) * n / side).max(k * n / side + 1);
    let largest = |i: usize, j: usize| {
        let numbers = block(j).flat_map(|column| block(i).map(move |row| matrix[(row, column)].abs()));
        (numbers.fold(0.0, f64::max) / mean).max(f64::MIN_POSITIVE).log10()
    };
    let values: Vec<f64> = (0..side).flat_map(|i| (0..side).map(move |j| largest(i, j))).collect();
    let top = values.iter().copied().fold(0.0, f64::max);
    let range = 0.0..n as f64;
    Panel {
        title: title.to_owned(),
        x: Axis::linear("sample j").from(range.clone()),
        y: Axis::linear("sample i").from(range),
        content: Content::Heat(Heat {
            width: side,
            values,
            range: -MATRIX_DECADES..top.ceil().max(1.0),
            label: "|G|/mean".to_owned(),
            log: true,
        }),
    }
}

/// Draws the spectra: eigenvalues, the kernel's profile and its Fourier transform.
pub(super) fn spectra(title: &str, spectra: &[Spectrum]) -> String {
    let legend: Vec<String> = spectra.iter().map(|spectrum| spectrum.model.clone()).collect();
    let series = |points: fn(&Spectrum) -> Vec<(f64, f64)>| lines(spectra, Style::Line, points);
    let eigenvalues = series(|spectrum| {
        let (all, floor) = (&spectrum.eigenvalues, spectrum::zero(&spectrum.eigenvalues.values));
        let values = all.values.iter().rev().take_while(|value| **value > floor).enumerate();
        values.map(|(k, value)| ((k + 1) as f64, value / all.mean)).collect()
    });
    let profiles = series(|s| pairs(&s.profile.distance, &s.profile.kernel));
    let transforms = series(|s| pairs(&s.profile.frequency[1..], &s.profile.transform[1..]));
    let end = profile_end(spectra);
    let (peak, lowest) = (maximum(&transforms), minimum(&transforms));
    let highest = spectra.first().map_or(1.0, |s| s.profile.frequency.len() as f64 - 1.0);
    let panels = [
        Panel {
            title: "eigenvalues of G that are not zero, largest first".into(),
            x: Axis::log("index"),
            y: Axis::log("eigenvalue / mean eigenvalue"),
            content: Content::Series(eigenvalues),
        },
        Panel {
            title: "kernel profile: mean of k(x, x + δ)".into(),
            x: Axis::linear("distance δ (1 = width of the cube)").from(0.0..end),
            y: Axis::linear("kernel, scaled to 1 at δ = 0"),
            content: Content::Series(clipped(profiles, end)),
        },
        Panel {
            title: "Fourier transform of the profile: how fast a wave is learned".into(),
            x: Axis::log("frequency (cycles per width of the cube)").from(1.0..highest),
            y: Axis::log("S(f)").from(lowest.max(peak * TRANSFORM_FLOOR)..2.0 * peak),
            content: Content::Series(transforms),
        },
    ];
    figure(title, &legend, &panels, 3)
}

/// Draws training and the predictions of Theorem 1, and the deviations between them.
pub(super) fn flows(title: &str, flows: &[Flow]) -> String {
    let legend: Vec<String> = flows.iter().map(|flow| flow.model.clone()).collect();
    let mut losses = lines(flows, Style::Dots, |flow| pairs(&flow.times[1..], &flow.loss[1..]));
    losses.extend(lines(flows, Style::Line, |flow| pairs(&flow.times[1..], &flow.predicted_loss[1..])));
    let floored = |values: &[f64]| values.iter().map(|value| value.max(DEVIATION_FLOOR)).collect::<Vec<f64>>();
    let steps = |flow: &Flow| flow.steps[1..].iter().map(|&step| step as f64).collect::<Vec<f64>>();
    let mut deviations = lines(flows, Style::Line, |flow| pairs(&steps(flow), &floored(&flow.deviation[1..])));
    let against_flow = |flow: &Flow| pairs(&steps(flow), &floored(&flow.deviation_flow[1..]));
    deviations.extend(lines(flows, Style::Dashed, against_flow));
    let panels = [
        Panel {
            title: "loss: trained (dots) and gradient descent's law (lines)".into(),
            x: Axis::log("time t = learning rate × step"),
            y: Axis::log("½ mean (O − Y)²"),
            content: Content::Series(losses),
        },
        Panel {
            title: "largest deviation: from descent's law (solid), the flow (dashed)".into(),
            x: Axis::log("step"),
            y: Axis::log("deviation / size of O(0) − Y").from(DEVIATION_FLOOR..1.0),
            content: Content::Series(deviations),
        },
    ];
    figure(title, &legend, &panels, 2)
}

/// Draws the drift of the grid tangent kernel and of the full tangent kernel, and the loss during training.
pub(super) fn drifts(title: &str, drifts: &[Drift]) -> String {
    let legend: Vec<String> = drifts.iter().map(|drift| drift.model.clone()).collect();
    let panel = |title: &str, y: Axis, of: fn(&Trajectory) -> &Vec<f64>| {
        let mut series = lines(drifts, Style::Line, |drift| course_points(drift, of(&drift.phi_fixed)));
        series.extend(drifts.iter().enumerate().filter_map(|(legend, drift)| {
            let points = course_points(drift, of(drift.phi_learned.as_ref()?));
            Some(Series { legend, points, style: Style::Dashed })
        }));
        Panel { title: title.to_owned(), x: Axis::log("step"), y, content: Content::Series(series) }
    };
    // With θ fixed, the drift is zero, which a logarithmic axis cannot show; it is drawn on the edge.
    let largest = drifts.iter().filter_map(|drift| drift.phi_learned.as_ref()).flat_map(|trajectory| &trajectory.grid);
    let largest = largest.copied().fold(1.0, f64::max);
    let change = "‖G(t) − G(0)‖ / ‖G(0)‖";
    let panels = [
        panel(
            "grid part; θ held (solid), learned (dashed)",
            Axis::log(change).from(DEVIATION_FLOOR..2.0 * largest),
            |trajectory| &trajectory.grid,
        ),
        panel("full tangent kernel; θ held (solid), learned (dashed)", Axis::log(change), |trajectory| {
            &trajectory.full
        }),
        panel("loss; θ held (solid), learned (dashed)", Axis::log("½ mean (f − y)²"), |trajectory| {
            &trajectory.loss
        }),
    ];
    figure(title, &legend, &panels, 3)
}

fn course_points(drift: &Drift, values: &[f64]) -> Vec<(f64, f64)> {
    drift.steps.iter().map(|&step| step as f64).zip(values.iter().copied()).skip(1).collect()
}

/// Draws errors against bounds, and the label maps.
pub(super) fn bounds(title: &str, bounds: &[Bound], ranking: Option<&Ranking>, maps: &[LabelMap]) -> String {
    let legend: Vec<String> = bounds.iter().map(|bound| bound.model.clone()).collect();
    let mut panels = Vec::new();
    if bounds.iter().any(|bound| bound.test_error.is_some()) {
        let of_rank = |rank: Option<f64>| rank.map_or_else(String::new, |rank| format!(", rank correlation {rank:.2}"));
        let scatter = |how: &str, rank: Option<f64>, of: fn(&Bound) -> f64| Panel {
            title: format!("bound and measured error{}", of_rank(rank)),
            x: Axis::log(&format!("sqrt(2Δ/n) {how}")),
            y: Axis::log("error at points held out (RMS)"),
            content: Content::Series(lines(bounds, Style::Dots, |bound| {
                vec![(of(bound), bound.test_error.unwrap_or(f64::NAN))]
            })),
        };
        panels.push(scatter("at trace n", ranking.map(|r| r.at_trace_n), |bound| bound.at_trace_n.bound));
        panels.push(scatter("as it is", ranking.map(|r| r.as_it_is), |bound| bound.as_it_is.bound));
    }
    let has_legend = !panels.is_empty();
    if maps.len() <= MOST_MAPS {
        panels.extend(label_maps(maps));
    }
    figure(title, if has_legend { &legend } else { &[] }, &panels, 3)
}

/// Returns the two-point maps of the bound `sqrt(2Δ/n)` at n = 2, on a common colour scale.
fn label_maps(maps: &[LabelMap]) -> Vec<Panel> {
    let bound = |delta: &f64| delta.max(0.0).sqrt();
    let largest = maps.iter().flat_map(|map| map.delta.iter().flatten().map(bound)).fold(0.0, f64::max);
    let panel = |map: &LabelMap| Panel {
        title: format!("{}: bound of two points", map.model),
        x: Axis::linear("label Y₁").from(-1.0..1.0),
        y: Axis::linear("label Y₂").from(-1.0..1.0),
        content: Content::Heat(Heat {
            width: map.labels.len(),
            values: map.delta.iter().flatten().map(bound).collect(),
            range: 0.0..largest,
            label: "sqrt(2Δ/n)".to_owned(),
            log: false,
        }),
    };
    maps.iter().map(panel).collect()
}

fn lines<T>(items: &[T], style: Style, points: impl Fn(&T) -> Vec<(f64, f64)>) -> Vec<Series> {
    items.iter().enumerate().map(|(legend, item)| Series { legend, points: points(item), style }).collect()
}

fn pairs(x: &[f64], y: &[f64]) -> Vec<(f64, f64)> {
    x.iter().copied().zip(y.iter().copied()).collect()
}

fn maximum(series: &[Series]) -> f64 {
    series.iter().flat_map(|series| &series.points).map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max)
}

fn minimum(series: &[Series]) -> f64 {
    series.iter().flat_map(|series| &series.points).map(|point| point.1).fold(f64::INFINITY, f64::min)
}

/// Returns the distance up to which the profiles are shown. Beyond half the cube there are only wrap-around effects,
/// because the last cell of a level shares its far node with the first.
fn profile_end(spectra: &[Spectrum]) -> f64 {
    let end = |s: &Spectrum| {
        s.profile.kernel[..s.profile.kernel.len() / 2].iter().rposition(|value| value.abs() > PROFILE_END).unwrap_or(0)
    };
    let last = spectra.iter().map(|s| s.profile.distance[end(s)]).fold(0.0, f64::max);
    (1.2 * last).clamp(0.01, 1.0)
}

fn clipped(mut series: Vec<Series>, end: f64) -> Vec<Series> {
    series.iter_mut().for_each(|series| series.points.retain(|point| point.0 <= end));
    series
}
