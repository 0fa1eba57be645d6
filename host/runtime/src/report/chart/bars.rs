//! Charts of stacked bars.

use maud::{Markup, html};

use super::scale::Scale;
use super::{BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, colour, figure, place};

/// A chart of stacked bars with a lower and an upper part.
pub(crate) struct Bars<'a> {
    pub title: &'a str,
    pub x: &'a str,
    pub y: &'a str,
    /// Colours of the parts in the palette, with their names.
    pub parts: [(usize, &'a str); 2],
    /// Bars: height of the lower part, height of the upper part, tooltip.
    pub bars: Vec<(f64, f64, String)>,
}

impl Bars<'_> {
    pub(crate) fn draw(&self) -> Markup {
        let tops = self.bars.iter().map(|(lower, upper, _)| lower + upper);
        let y = Scale::round(tops.chain([0.0]), HEIGHT - BOTTOM, TOP, false);
        let x = Scale::exact(0.0, self.bars.len() as f64, LEFT, WIDTH - RIGHT).without_ticks();
        let width = (WIDTH - LEFT - RIGHT) / self.bars.len().max(1) as f64;
        let wide = (0.85 * width).max(width - 4.0).min(46.0);
        let has_upper = self.bars.iter().any(|(_, upper, _)| *upper > 0.0);
        let rectangle = |at: usize, from: f64, to: f64, class: String, caption: &str| {
            let (top, bottom) = (y.place(to), y.place(from));
            html! {
                @if bottom > top {
                    rect.bar.(class) x=(place(x.place(at as f64 + 0.5) - wide / 2.0)) y=(place(top)) width=(place(wide))
                        height=(place(bottom - top)) { title { (caption) } }
                }
            }
        };
        let drawing = html! {
            (y.beside(self.y))
            (x.below(self.x, HEIGHT))
            @for (at, (lower, upper, caption)) in self.bars.iter().enumerate() {
                (rectangle(at, 0.0, *lower, colour(self.parts[0].0), caption))
                (rectangle(at, *lower, lower + upper, colour(self.parts[1].0) + " hatched", caption))
            }
        };
        let legend = html! {
            @if has_upper {
                ul.legend {
                    @for ((at, name), class) in self.parts.iter().zip(["", " hatched"]) {
                        li {
                            svg.key viewBox="0 0 14 14" aria-hidden="true" {
                                rect class=(format!("bar {}{class}", colour(*at))) x="1" y="1" width="12" height="12" {}
                            }
                            (name)
                        }
                    }
                }
            }
        };
        figure(self.title, HEIGHT, legend, drawing)
    }
}
