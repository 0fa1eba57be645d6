//! Scales map values to coordinates of an axis, and choose its ticks.

use maud::{Markup, html};

use super::{BOTTOM, LEFT, RIGHT, WIDTH, place};
use crate::numbers::short;

/// Ratio of the largest to the smallest value from which an axis may be logarithmic.
const LOGARITHMIC_FROM: f64 = 50.0;

/// The scale of one axis, which maps values `low..=high` to coordinates `from..=to`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
    /// Values of the ticks beside the axis.
    pub ticks: Vec<f64>,
}

impl Scale {
    /// A scale over the values' range, rounded outwards to ticks.
    pub fn round(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64, may_be_logarithmic: bool) -> Self {
        let (low, high) = range(values.clone());
        let smallest = values.filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        if may_be_logarithmic && low > 0.0 && high / smallest > LOGARITHMIC_FROM {
            let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
            // With many decades, every second or third has a tick.
            let step = ((last - first) as usize).div_ceil(5).max(1);
            let ticks = (first..=last).step_by(step).map(|power| 10f64.powi(power)).collect();
            let (low, high) = (10f64.powi(first).log10(), 10f64.powi(last).log10());
            return Self { low, high, from, to, logarithmic: true, ticks };
        }
        let step = round_step((high - low) / 4.0);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let ticks: Vec<f64> = (0..=(last - first) as usize).map(|n| (first + n as f64) * step).collect();
        Self { low: first * step, high: last * step, from, to, logarithmic: false, ticks }
    }

    /// A scale over exactly this range, with round ticks inside.
    pub fn exact(low: f64, high: f64, from: f64, to: f64) -> Self {
        // From 2^53 on, one more is the same number.
        let high = if high > low { high } else { low + (low.abs() * 1e-3).max(1.0) };
        let step = round_step((high - low) / 5.0).max(if low.fract() == 0.0 { 1.0 } else { 0.0 });
        let first = (low / step).ceil();
        let n = ((high - first * step) / step + 1e-9).floor() as usize;
        let ticks = (0..=n).map(|n| (first + n as f64) * step).collect();
        Self { low, high, from, to, logarithmic: false, ticks }
    }

    /// This scale without ticks, for axes without numbers.
    pub fn without_ticks(self) -> Self {
        Self { ticks: Vec::new(), ..self }
    }

    /// The coordinate of a value.
    pub fn place(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// The axis along the bottom, with its name.
    pub fn below(&self, name: &str, height: f64) -> Markup {
        let y = height - BOTTOM;
        html! {
            line.axis x1=(place(LEFT)) x2=(place(WIDTH - RIGHT)) y1=(place(y)) y2=(place(y)) {}
            @for &tick in &self.ticks {
                text.tick x=(place(self.place(tick))) y=(place(y + 16.0)) text-anchor="middle" { (written(tick)) }
            }
            text.name x=(place((LEFT + WIDTH - RIGHT) / 2.0)) y=(place(height - 5.0)) text-anchor="middle" { (name) }
        }
    }

    /// The axis along the left side, with its name and grid lines.
    pub fn beside(&self, name: &str) -> Markup {
        let middle = (self.from + self.to) / 2.0;
        let scale = if self.logarithmic { ", log scale" } else { "" };
        html! {
            @for &tick in &self.ticks {
                @let y = self.place(tick);
                line.grid x1=(place(LEFT)) x2=(place(WIDTH - RIGHT)) y1=(place(y)) y2=(place(y)) {}
                text.tick x=(place(LEFT - 6.0)) y=(place(y + 4.0)) text-anchor="end" { (written(tick)) }
            }
            text.name x="12" y=(place(middle)) text-anchor="middle" transform=(format!("rotate(-90 12 {})", place(middle))) {
                (name) (scale)
            }
        }
    }
}

/// A tick as text. Rounding removes the last digits of 0.30000000000000004, which three steps of 0.1 give.
fn written(tick: f64) -> String {
    short(if tick.abs() < 1e-12 { 0.0 } else { tick })
}

/// Smallest and largest value, always different from each other; 0 and 1 without values.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        // Differences of other values would be infinite, or steps 0.
        .map(|value| if value.abs() < 1e-300 { 0.0 } else { value.clamp(-1e300, 1e300) })
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    match (low <= high, high - low > 1e-12 * high.abs().max(1e-300)) {
        (false, _) => (0.0, 1.0),
        (true, true) => (low, high),
        // A single value lies in the middle.
        (true, false) if low == 0.0 => (0.0, 1.0),
        (true, false) => (low - 0.5 * low.abs(), low + 0.5 * low.abs()),
    }
}

/// The smallest of 1, 2 or 5 times a power of ten that is not below a step.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|round| *round >= step * 0.999).unwrap_or(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values come from the files of a run.
    #[test]
    fn values_of_any_size_have_few_ticks_and_finite_places() {
        let (small, large) = (5e-324, f64::MAX);
        for values in [[0.0, small], [-small, -small], [-large, large], [1e-310, 1e-310], [1e300, 1e300], [0.0, 0.0]] {
            for may_be_logarithmic in [false, true] {
                let scale = Scale::round(values.into_iter(), 100.0, 0.0, may_be_logarithmic);
                assert!((1..20).contains(&scale.ticks.len()), "{values:?}: {:?}", scale.ticks);
                assert!(scale.ticks.iter().all(|tick| scale.place(*tick).is_finite()), "{values:?}: {scale:?}");
            }
        }
    }

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        let scale = Scale::round([0.93, 1.41].into_iter(), 100.0, 0.0, true);
        assert_eq!(scale.ticks.iter().copied().map(written).collect::<Vec<_>>(), ["0.8", "1", "1.2", "1.4", "1.6"]);
        assert!((scale.place(0.8) - 100.0).abs() < 1e-9 && (scale.place(1.6)).abs() < 1e-9);
        let wide = Scale::round([0.002, 0.7].into_iter(), 0.0, 90.0, true);
        assert_eq!(wide.ticks, [0.001, 0.01, 0.1, 1.0]);
        assert!((wide.place(0.01) - 30.0).abs() < 1e-9);
        assert!(!Scale::round([0.002, 0.7].into_iter(), 0.0, 90.0, false).logarithmic);
        assert_eq!(Scale::exact(1.0, 12.0, 0.0, 1.0).ticks, [5.0, 10.0]);
        assert_eq!(Scale::exact(1.0, 4.0, 0.0, 1.0).ticks, [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn any_values_give_finite_places() {
        let cases: [&[f64]; 6] = [&[], &[0.0], &[7.0, 7.0], &[-3.0], &[f64::NAN, 1.0], &[1e-300, 1e300]];
        for values in cases {
            for may_be_logarithmic in [true, false] {
                let scale = Scale::round(values.iter().copied(), 0.0, 1.0, may_be_logarithmic);
                assert!((2..12).contains(&scale.ticks.len()), "{values:?}: {scale:?}");
                assert!(scale.ticks.iter().all(|tick| scale.place(*tick).is_finite()), "{values:?}: {scale:?}");
            }
        }
        let one = Scale::exact(1.0, 1.0, 0.0, 1.0);
        assert!(one.place(1.0).is_finite() && !one.ticks.is_empty());
    }

    #[test]
    fn an_epoch_of_any_number_has_a_place() {
        for epoch in [1u64 << 53, 10_000_000_000_000_000_000, u64::MAX] {
            let one = Scale::exact(epoch as f64, epoch as f64, 0.0, 1.0);
            assert!(one.place(epoch as f64).is_finite() && (1..20).contains(&one.ticks.len()), "{one:?}");
        }
    }
}
