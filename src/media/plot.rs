//! Figures with several panels as SVG: lines, dots and heat maps on linear or logarithmic axes, with one legend for all
//! panels.

use std::fmt::Write as _;
use std::ops::Range;

use base64::Engine as _;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::media::colormap::VIRIDIS;

/// Colours that people with any colour vision can distinguish (Okabe and Ito 2008), without yellow for its low
/// contrast.
pub(crate) const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(60, 60, 60),
];
const FONT: &str = "sans-serif";
pub(crate) const INK: RGBColor = RGBColor(20, 20, 20);
const PANEL: (i32, i32) = (440, 340);
const MARGIN: i32 = 14;
/// Smallest width of a figure, so that a title fits above a single panel.
const LEAST_WIDTH: i32 = 720;
const TITLE_HEIGHT: i32 = 34;
const LEGEND_HEIGHT: i32 = 20;
/// Approximate width of a letter at the legend's size: there is no font to measure.
const LETTER: i32 = 7;
/// Space to the right of a heat map for its colour bar.
const BAR_MARGIN: i32 = 74;
/// Width of the colour bar.
const BAR: usize = 14;

/// An axis of a panel.
#[derive(Clone, Debug, Default)]
pub struct Axis {
    /// Text beside the axis.
    pub label: String,
    /// Whether the axis is logarithmic. Values below the axis are drawn at its edge.
    pub log: bool,
    /// `None` fits the range to the values.
    pub range: Option<Range<f64>>,
}

impl Axis {
    /// Returns a linear axis that fits its values.
    pub fn linear(label: &str) -> Self {
        Axis { label: label.to_owned(), ..Axis::default() }
    }

    /// Returns a logarithmic axis that fits its values.
    pub fn log(label: &str) -> Self {
        Axis { log: true, ..Axis::linear(label) }
    }

    /// Returns the axis with the given range.
    pub fn from(self, range: Range<f64>) -> Self {
        Axis { range: Some(range), ..self }
    }

    fn place(&self, value: f64) -> f64 {
        if self.log { value.max(f64::MIN_POSITIVE).log10() } else { value }
    }

    /// Returns the range in axis coordinates, widened if it is empty.
    fn places(&self, values: impl Iterator<Item = f64>) -> Range<f64> {
        let (low, high) = match &self.range {
            Some(range) => (self.place(range.start), self.place(range.end)),
            None => values
                .filter(|value| value.is_finite() && (!self.log || *value > 0.0))
                .map(|value| self.place(value))
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| (low.min(at), high.max(at))),
        };
        if low > high {
            return 0.0..1.0;
        }
        let space = if self.range.is_some() { 0.0 } else { 0.04 * (high - low) };
        if high - low < 1e-12 { low - 0.5..high + 0.5 } else { low - space..high + space }
    }
}

/// A series. Its colour is that of its entry in the legend.
#[derive(Clone, Debug)]
pub struct Series {
    /// Index of the series' entry in the legend.
    pub legend: usize,
    /// Points as pairs of x and y, in drawing order.
    pub points: Vec<(f64, f64)>,
    /// How the points are drawn.
    pub style: Style,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A solid line through the points.
    Line,
    /// A dashed line through the points.
    Dashed,
    /// Separate dots.
    Dots,
}

/// Values over a rectangle, shown as colours.
#[derive(Clone, Debug)]
pub struct Heat {
    /// Number of values in a row.
    pub width: usize,
    /// `[height, width]`, with the first row at the bottom.
    pub values: Vec<f64>,
    /// Ends of the colour bar; colours are constant beyond them.
    pub range: Range<f64>,
    /// Text beside the colour bar.
    pub label: String,
    /// Whether the colour bar's numbers are exponents of 10.
    pub log: bool,
}

/// What a panel shows.
#[derive(Clone, Debug)]
pub enum Content {
    /// Lines and dots.
    Series(Vec<Series>),
    /// A map of colours.
    Heat(Heat),
}

/// One diagram of a figure.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Text above the diagram.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// What is drawn between the axes.
    pub content: Content,
}

/// Draws panels in rows of `columns`, below a title and a legend (none if empty). The SVG is complete and
/// self-contained.
pub fn figure(title: &str, legend: &[String], panels: &[Panel], columns: usize) -> String {
    let columns = columns.clamp(1, panels.len().max(1)) as i32;
    let rows = (panels.len() as i32 + columns - 1) / columns;
    let width = (columns * PANEL.0 + 2 * MARGIN).max(LEAST_WIDTH);
    let entries = legend_places(legend, width);
    let legend_height = entries.last().map_or(0, |(_, y)| y + LEGEND_HEIGHT);
    let top = TITLE_HEIGHT + legend_height;
    let height = top + rows * PANEL.1 + MARGIN;
    let (mut svg, mut pictures) = (String::new(), String::new());
    {
        let root = SVGBackend::with_string(&mut svg, (width as u32, height as u32)).into_drawing_area();
        root.fill(&WHITE).expect(IN_MEMORY);
        text(&root, title, (MARGIN, 10), 17, HPos::Left);
        draw_legend(&root, legend, &entries);
        for (index, panel) in panels.iter().enumerate() {
            let (column, row) = (index as i32 % columns, index as i32 / columns);
            let corner = (MARGIN + column * PANEL.0, top + row * PANEL.1);
            pictures.push_str(&draw_panel(&root, panel, corner));
        }
        root.present().expect(IN_MEMORY);
    }
    let end = svg.rfind("</svg>").unwrap_or(svg.len());
    svg.insert_str(end, &pictures);
    svg
}

pub(crate) type Area<'s> = DrawingArea<SVGBackend<'s>, plotters::coord::Shift>;
pub(crate) const IN_MEMORY: &str = "drawing to memory does not fail";

fn colour(legend: usize) -> RGBColor {
    COLOURS[legend % COLOURS.len()]
}

/// Returns whether no earlier entry has the same colour. Entries of a second round of colours are drawn thicker.
fn first_round(legend: usize) -> bool {
    legend < COLOURS.len()
}

/// Draws `words` at `at`, which is the left end, right end or middle of their upper edge, according to `side`.
pub(crate) fn text(area: &Area, words: &str, at: (i32, i32), size: i32, side: HPos) {
    let style = (FONT, size).into_font().color(&INK).pos(Pos::new(side, VPos::Top));
    area.draw(&Text::new(words.to_owned(), at, style)).expect(IN_MEMORY);
}

/// Returns where the entries of the legend begin, laid out in rows.
fn legend_places(legend: &[String], width: i32) -> Vec<(i32, i32)> {
    let (mut x, mut y) = (MARGIN, 0);
    let place = |label: &String| {
        let entry = 40 + LETTER * label.chars().count() as i32;
        if x > MARGIN && x + entry > width - MARGIN {
            (x, y) = (MARGIN, y + LEGEND_HEIGHT);
        }
        let at = (x, y);
        x += entry;
        at
    };
    legend.iter().map(place).collect()
}

fn draw_legend(root: &Area, legend: &[String], places: &[(i32, i32)]) {
    for (index, (label, (x, y))) in legend.iter().zip(places).enumerate() {
        let (x, y) = (*x, TITLE_HEIGHT + y);
        let width = if first_round(index) { 3 } else { 8 };
        let line = PathElement::new(vec![(x, y + 7), (x + 20, y + 7)], colour(index).stroke_width(width));
        root.draw(&line).expect(IN_MEMORY);
        text(root, label, (x + 25, y), 13, HPos::Left);
    }
}

/// Draws a panel and returns the images to overlay on it.
fn draw_panel(root: &Area, panel: &Panel, corner: (i32, i32)) -> String {
    let area = root.clone().shrink(corner, PANEL);
    let is_heat = matches!(panel.content, Content::Heat(_));
    let series: &[Series] = if let Content::Series(series) = &panel.content { series } else { &[] };
    let points = || series.iter().flat_map(|series| &series.points);
    let x_range = panel.x.places(points().map(|point| point.0));
    let y_range = panel.y.places(points().map(|point| point.1));
    let mut chart = ChartBuilder::on(&area)
        .caption(&panel.title, (FONT, 14))
        .margin(8)
        .margin_right(if is_heat { BAR_MARGIN } else { 16 })
        .x_label_area_size(42)
        .y_label_area_size(62)
        .build_cartesian_2d(x_range.clone(), y_range.clone())
        .expect(IN_MEMORY);
    draw_mesh(&mut chart, panel, &x_range, &y_range);
    for series in series {
        draw_series(&mut chart, panel, series, &x_range, &y_range);
    }
    let Content::Heat(heat) = &panel.content else { return String::new() };
    let pixels = chart.plotting_area().get_pixel_range();
    draw_bar_labels(root, heat, &pixels);
    heat_pictures(heat, &pixels)
}

type Chart<'a, 's> = ChartContext<'a, SVGBackend<'s>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

fn draw_mesh(chart: &mut Chart, panel: &Panel, x: &Range<f64>, y: &Range<f64>) {
    let (x_label, y_label) = (tick_labels(&panel.x, x), tick_labels(&panel.y, y));
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .axis_style(RGBColor(90, 90, 90))
        .label_style((FONT, 12))
        .axis_desc_style((FONT, 13))
        .x_desc(&panel.x.label)
        .y_desc(&panel.y.label)
        .x_labels(7)
        .y_labels(8)
        .x_label_formatter(&x_label)
        .y_label_formatter(&y_label)
        .draw()
        .expect(IN_MEMORY);
}

/// Returns the formatter of tick labels. On a logarithmic axis, it labels powers of ten, and other values only if the
/// axis is short. On a linear axis, it shortens numbers to three digits.
fn tick_labels(axis: &Axis, range: &Range<f64>) -> impl Fn(&f64) -> String + use<> {
    let (log, wide) = (axis.log, range.end - range.start > 2.0);
    move |&at: &f64| match log {
        true if (at - at.round()).abs() < 1e-6 => power_of_ten(at.round() as i32),
        true if wide => String::new(),
        true => digits(10f64.powf(at), 2),
        false => digits(at, 3),
    }
}

fn power_of_ten(exponent: i32) -> String {
    match exponent {
        0..=3 => 10i64.pow(exponent as u32).to_string(),
        -2..0 => 10f64.powi(exponent).to_string(),
        _ => format!("1e{exponent}"),
    }
}

/// Formats a number with `count` significant digits.
fn digits(value: f64, count: i32) -> String {
    if value.abs() < 1e-12 {
        "0".to_owned()
    } else if (1e-3..1e5).contains(&value.abs()) {
        let decimals = (count - 1 - value.abs().log10().floor() as i32).max(0) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{value:.1e}")
    }
}

fn draw_series(chart: &mut Chart, panel: &Panel, series: &Series, x: &Range<f64>, y: &Range<f64>) {
    let place =
        |&(px, py): &(f64, f64)| (panel.x.place(px).clamp(x.start, x.end), panel.y.place(py).clamp(y.start, y.end));
    let points: Vec<(f64, f64)> =
        series.points.iter().filter(|point| point.0.is_finite() && point.1.is_finite()).map(place).collect();
    let colour = colour(series.legend);
    let (width, radius) = if first_round(series.legend) { (2, 4) } else { (4, 7) };
    let stroke = colour.stroke_width(width);
    let dot = if first_round(series.legend) { colour.filled() } else { colour.stroke_width(2) };
    let drawn = match series.style {
        Style::Line => chart.draw_series(LineSeries::new(points, stroke)).map(drop),
        Style::Dashed => chart.draw_series(DashedLineSeries::new(points, 6, 4, stroke)).map(drop),
        Style::Dots => chart.draw_series(points.into_iter().map(|at| Circle::new(at, radius, dot))).map(drop),
    };
    drawn.expect(IN_MEMORY);
}

type Pixels = (Range<i32>, Range<i32>);

fn draw_bar_labels(root: &Area, heat: &Heat, (x, y): &Pixels) {
    let end = |value: f64| if heat.log { format!("1e{value:.0}") } else { digits(value, 3) };
    for (share, at) in [(1.0, y.start), (0.5, (y.start + y.end) / 2 - 6), (0.0, y.end - 12)] {
        let value = heat.range.start + share * (heat.range.end - heat.range.start);
        text(root, &end(value), (x.end + 26, at), 11, HPos::Left);
    }
    text(root, &heat.label, (x.end + 8, y.start - 16), 12, HPos::Left);
}

/// Returns the heat map and its colour bar.
fn heat_pictures(heat: &Heat, (x, y): &Pixels) -> String {
    let share = |value: f64| ((value - heat.range.start) / (heat.range.end - heat.range.start)) as f32;
    let height = heat.values.len() / heat.width.max(1);
    let rows = (0..height).rev().flat_map(|row| &heat.values[row * heat.width..(row + 1) * heat.width]);
    let map: Vec<u8> = rows.flat_map(|&value| VIRIDIS.rgb8(share(value))).collect();
    let bar: Vec<u8> = (0..128 * BAR).map(|k| 127 - k / BAR).flat_map(|k| VIRIDIS.rgb8(k as f32 / 127.0)).collect();
    picture(x, y, heat.width, height, &map) + &picture(&(x.end + 8..x.end + 8 + BAR as i32), y, BAR, 128, &bar)
}

fn picture(x: &Range<i32>, y: &Range<i32>, width: usize, height: usize, rgb: &[u8]) -> String {
    let mut png = Vec::new();
    let encoder = PngEncoder::new(&mut png);
    encoder.write_image(rgb, width as u32, height as u32, ExtendedColorType::Rgb8).expect(IN_MEMORY);
    let mut element = String::new();
    let _ = writeln!(
        element,
        "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
         style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
        x.start,
        y.start,
        x.end - x.start,
        y.end - y.start,
        base64::engine::general_purpose::STANDARD.encode(png)
    );
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_axes_are_short() {
        assert_eq!(
            [0.0, 0.25, 12.5, 1234.0, 2e7, -0.5].map(|value| digits(value, 3)),
            ["0", "0.25", "12.5", "1234", "2.0e7", "-0.5"]
        );
        assert_eq!([-7, -1, 0, 3, 4].map(power_of_ten), ["1e-7", "0.1", "1", "1000", "1e4"]);
    }

    #[test]
    fn a_figure_holds_its_words_and_its_picture_whatever_the_values() {
        let points = vec![(0.0, 0.0), (1.0, f64::NAN), (2.0, 1e-3), (3.0, f64::INFINITY)];
        let lines = Content::Series(vec![Series { legend: 9, points, style: Style::Line }]);
        let values = vec![f64::NAN, 1.0, 2.0, 3.0];
        let heat = Content::Heat(Heat { width: 2, values, range: 0.0..3.0, label: "bar".into(), log: false });
        let panel = |content, y| Panel { title: "a <b>".into(), x: Axis::linear("x"), y, content };
        let panels = [panel(lines, Axis::log("y")), panel(heat, Axis::linear("rows").from(0.0..2.0))];
        let svg = figure("title", &["one".into()], &panels, 2);
        assert!(svg.contains("a &lt;b&gt;") && svg.contains("data:image/png;base64,") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        figure("nothing", &[], &[panel(Content::Series(Vec::new()), Axis::log("y"))], 3);
    }
}
