//! Charts as SVG in the page. Plot crates draw fixed colours and fonts. Here both follow the page (light, dark, print),
//! and every mark has its values as a tooltip and for screen readers.
//!
//! All charts have one size, so that their text has one size; the page lays them out in columns.

mod bars;
mod intervals;
mod lines;
mod scale;
mod scatter;

pub(crate) use bars::Bars;
pub(crate) use intervals::{Interval, Intervals};
pub(crate) use lines::{Band, LineChart, Series};
pub(crate) use scatter::{Point, Scatter};

use maud::{Markup, html};

/// Number of colours in the palette. Later series repeat the colours with dashes or other marks.
pub(crate) const N_COLOURS: usize = 8;

/// Width of a chart in units of its own.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 250.0;
/// Margins for the axes: left, right, top, bottom.
const LEFT: f64 = 54.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 42.0;

/// CSS class of a colour of the palette.
pub(crate) fn colour(at: usize) -> String {
    format!("c{}", at % N_COLOURS)
}

/// A chart with its title above and its legend below.
fn figure(title: &str, height: f64, legend: Markup, drawing: Markup) -> Markup {
    html! {
        figure.chart {
            figcaption { (title) }
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(title) { (drawing) }
            (legend)
        }
    }
}

/// The legend of a chart with more than one colour.
fn legend<'a>(entries: impl Iterator<Item = (&'a str, usize)>) -> Markup {
    let entries: Vec<_> = entries.collect();
    html! {
        @if entries.len() > 1 {
            ul.legend {
                @for (name, at) in entries {
                    li { (key(at)) (name) }
                }
            }
        }
    }
}

/// A mark in a colour, as in charts, for legends.
pub(crate) fn key(at: usize) -> Markup {
    html! { svg.key viewBox="0 0 14 14" aria-hidden="true" { (mark(at, 7.0, 7.0, 5.0)) } }
}

/// A mark whose shape differs with its colour, so that the colour alone carries no information.
fn mark(at: usize, x: f64, y: f64, size: f64) -> Markup {
    let class = colour(at);
    let corners = |points: &[(f64, f64)]| {
        points.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + dx * size, y + dy * size)).collect::<Vec<_>>().join(" ")
    };
    html! {
        @match at % 4 {
            0 => circle.mark.(class) cx=(place(x)) cy=(place(y)) r=(place(size)) {},
            1 => polygon.mark.(class) points=(corners(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)])) {},
            2 => polygon.mark.(class) points=(corners(&[(0.0, -1.1), (1.1, 0.9), (-1.1, 0.9)])) {},
            _ => polygon.mark.(class) points=(corners(&[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)])) {},
        }
    }
}

/// A coordinate as text.
fn place(value: f64) -> String {
    crate::numbers::trimmed(format!("{value:.1}"))
}
