//! Charts of values with confidence intervals, one below the other.

use maud::{Markup, html};

use super::scale::Scale;
use super::{BOTTOM, LEFT, RIGHT, TOP, WIDTH, colour, figure, legend, mark, place};
use crate::numbers::short;

/// Height of a row in units of the chart.
const ROW: f64 = 24.0;
/// Width in units of the chart for the value at the end of a row.
const VALUE: f64 = 48.0;

/// A value with its confidence interval.
pub(crate) struct Interval {
    pub name: String,
    pub colour: usize,
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// A chart of values with intervals, one in each row.
pub(crate) struct Intervals<'a> {
    pub title: &'a str,
    pub x: &'a str,
    pub rows: Vec<Interval>,
}

impl Intervals<'_> {
    pub(crate) fn draw(&self) -> Markup {
        let height = TOP + ROW * self.rows.len() as f64 + BOTTOM;
        let values = self.rows.iter().flat_map(|row| [row.low, row.value, row.high]);
        let x = Scale::round(values, LEFT - 30.0, WIDTH - RIGHT - VALUE, false);
        let drawing = html! {
            @for &tick in &x.ticks {
                line.grid x1=(place(x.place(tick))) x2=(place(x.place(tick))) y1=(place(TOP)) y2=(place(height - BOTTOM)) {}
            }
            (x.below(self.x, height))
            @for (at, row) in self.rows.iter().enumerate() {
                @let y = TOP + ROW * (at as f64 + 0.5);
                g {
                    title { (row.name) ": " (short(row.value)) " (" (short(row.low)) " to " (short(row.high)) ")" }
                    line.whisker.(colour(row.colour)) x1=(place(x.place(row.low))) x2=(place(x.place(row.high))) y1=(place(y)) y2=(place(y)) {}
                    (mark(row.colour, x.place(row.value), y, 5.0))
                    text.tick x=(place(WIDTH - RIGHT)) y=(place(y + 4.0)) text-anchor="end" { (short(row.value)) }
                }
            }
        };
        figure(self.title, height, legend(self.rows.iter().map(|row| (row.name.as_str(), row.colour))), drawing)
    }
}
