//! Line charts, one line for each series.

use maud::{Markup, html};

use super::scale::Scale;
use super::{BOTTOM, HEIGHT, LEFT, N_COLOURS, RIGHT, TOP, WIDTH, colour, figure, legend, mark, place};
use crate::numbers::short;

/// Largest number of points that are drawn of a line; longer lines are thinned evenly.
const MOST_POINTS: usize = 400;
/// Largest number of points of a line with a mark and a tooltip.
const MOST_MARKS: usize = 40;
/// Smallest width in units from which a band shows its name.
const NAMED_FROM: f64 = 34.0;

/// A series of points, drawn as one line.
pub(crate) struct Series {
    pub name: String,
    /// Position of the series' colour in the palette.
    pub colour: usize,
    /// Points by ascending x.
    pub points: Vec<(f64, f64)>,
}

/// A range of the x axis, such as a stage of a run.
pub(crate) struct Band {
    pub name: String,
    pub from: f64,
    pub to: f64,
}

/// A line chart of several series.
pub(crate) struct LineChart<'a> {
    pub title: &'a str,
    /// Names of the axes, with units.
    pub x: &'a str,
    pub y: &'a str,
    /// Whether values of very different magnitude may be drawn on a logarithmic scale.
    pub may_be_logarithmic: bool,
    pub bands: Vec<Band>,
    pub series: Vec<Series>,
}

impl LineChart<'_> {
    pub(crate) fn draw(&self) -> Markup {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let ends = self.bands.iter().flat_map(|band| [band.from, band.to]);
        let (first, last) = ends
            .chain(points().map(|point| point.0))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(first, last), x| (first.min(x), last.max(x)));
        let (first, last) = if first <= last { (first, last) } else { (0.0, 1.0) };
        let x = Scale::exact(first, last, LEFT, WIDTH - RIGHT);
        let y = Scale::round(points().map(|point| point.1), HEIGHT - BOTTOM, TOP, self.may_be_logarithmic);
        let drawing = html! {
            @for (at, band) in self.bands.iter().enumerate() { (draw_band(band, at, &x)) }
            (y.beside(self.y))
            (x.below(self.x, HEIGHT))
            @for series in &self.series { (draw_series(series, &x, &y)) }
        };
        figure(
            self.title,
            HEIGHT,
            legend(self.series.iter().map(|series| (series.name.as_str(), series.colour))),
            drawing,
        )
    }
}

fn draw_band(band: &Band, at: usize, x: &Scale) -> Markup {
    let (from, to) = (x.place(band.from), x.place(band.to));
    let shade = if at.is_multiple_of(2) { "even" } else { "odd" };
    // A letter takes about seven units.
    let fits = to - from >= NAMED_FROM.max(6.5 * band.name.chars().count() as f64);
    html! {
        rect.band.(shade) x=(place(from)) y=(place(TOP)) width=(place((to - from).max(0.0))) height=(place(HEIGHT - BOTTOM - TOP)) {
            title { (band.name) }
        }
        @if fits {
            text.band x=(place((from + to) / 2.0)) y=(place(TOP + 11.0)) text-anchor="middle" { (band.name) }
        }
    }
}

fn draw_series(series: &Series, x: &Scale, y: &Scale) -> Markup {
    let points: Vec<(f64, f64)> = series.points.iter().copied().filter(|point| point.1.is_finite()).collect();
    let last = points.len().saturating_sub(1);
    let every = |most: usize| points.len().div_ceil(most).max(1);
    let taken = |most: usize| points.iter().enumerate().filter(move |(at, _)| at % every(most) == 0 || *at == last);
    let mut path = String::new();
    for (at, (_, point)) in taken(MOST_POINTS).enumerate() {
        let command = if at == 0 { 'M' } else { 'L' };
        path.push_str(&format!("{command}{} {}", place(x.place(point.0)), place(y.place(point.1))));
    }
    let dashed = if series.colour >= N_COLOURS { "dashed" } else { "solid" };
    html! {
        path.line.(dashed).(colour(series.colour)) d=(path) {}
        @for (_, point) in taken(MOST_MARKS) {
            g.point {
                (mark(series.colour, x.place(point.0), y.place(point.1), 2.6))
                circle.touch cx=(place(x.place(point.0))) cy=(place(y.place(point.1))) r="7" {
                    title { (series.name) ", " (short(point.0)) ": " (short(point.1)) }
                }
            }
        }
    }
}
