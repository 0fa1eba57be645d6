//! Scatter plots, one mark for each sample.

use maud::{Markup, html};

use super::scale::Scale;
use super::{BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, figure, legend, mark, place};

/// One point of a scatter plot.
pub(crate) struct Point {
    pub x: f64,
    pub y: f64,
    /// Position of the colour in the palette, which also selects the mark's shape.
    pub colour: usize,
    /// Whether a ring surrounds the point.
    pub ringed: bool,
    /// Tooltip of the point.
    pub caption: String,
}

/// A scatter plot.
pub(crate) struct Scatter<'a> {
    pub title: &'a str,
    pub x: &'a str,
    pub y: &'a str,
    /// Names of the used colours.
    pub colours: Vec<(String, usize)>,
    pub points: Vec<Point>,
}

/// Height of a scatter plot, larger than other charts' since both axes count alike.
const TALL: f64 = HEIGHT + 90.0;

impl Scatter<'_> {
    pub(crate) fn draw(&self) -> Markup {
        let x = Scale::round(self.points.iter().map(|point| point.x), LEFT, WIDTH - RIGHT, false);
        let y = Scale::round(self.points.iter().map(|point| point.y), TALL - BOTTOM, TOP, false);
        let drawing = html! {
            (y.beside(self.y))
            (x.below(self.x, TALL))
            @for point in &self.points {
                @let (across, up) = (x.place(point.x), y.place(point.y));
                g.sample {
                    title { (point.caption) }
                    @if point.ringed { circle.ring cx=(place(across)) cy=(place(up)) r="6.5" {} }
                    (mark(point.colour, across, up, 3.6))
                }
            }
        };
        figure(self.title, TALL, legend(self.colours.iter().map(|(name, at)| (name.as_str(), *at))), drawing)
    }
}
