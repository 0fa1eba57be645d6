//! Normalisation and augmentation of signals.

use std::f32::consts::TAU;
use std::ops::Range;

use medcoss_sdk::rand::RngExt;
use medcoss_sdk::{SampleRng, intensity};

use crate::options::Normalise;

/// Frequencies of baseline wander in Hz: breathing and slower.
const WANDER_HZ: Range<f32> = 0.05..0.4;

/// Takes the mean off each lead of `values` `[leads, n_times]` and divides as the setting says. Flat leads become 0.
pub(crate) fn normalise(values: &mut [f32], n_times: usize, how: Normalise) {
    if how == Normalise::Lead {
        values.chunks_exact_mut(n_times).for_each(intensity::standardise);
        return;
    }
    for lead in values.chunks_exact_mut(n_times) {
        let mean = lead.iter().map(|&value| f64::from(value)).sum::<f64>() / n_times as f64;
        lead.iter_mut().for_each(|value| *value = (f64::from(*value) - mean) as f32);
    }
    if how == Normalise::Record {
        intensity::standardise(values);
    }
}

/// Augmentation of training samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Augmentation {
    /// Gain is between one minus and one plus this.
    pub amplitude_scaling: f32,
    /// Largest height of the wander.
    pub baseline_wander: f32,
    /// Probability of a flat lead.
    pub lead_dropout: f64,
    pub sampling_rate_hz: usize,
}

impl Augmentation {
    /// Changes `values` `[leads, n_times]`.
    pub(crate) fn apply(&self, values: &mut [f32], n_times: usize, rng: &mut SampleRng) {
        let gain = 1.0 + self.amplitude_scaling * rng.random_range(-1.0..=1.0_f32);
        for lead in values.chunks_exact_mut(n_times) {
            let height = self.baseline_wander * rng.random::<f32>();
            let frequency = rng.random_range(WANDER_HZ) / self.sampling_rate_hz as f32;
            let phase: f32 = rng.random();
            let dropped = rng.random_bool(self.lead_dropout);
            for (time, value) in lead.iter_mut().enumerate() {
                *value = *value * gain + height * (TAU * (frequency * time as f32 + phase)).sin();
                if dropped {
                    *value = 0.0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use medcoss_sdk::sample_rng;

    #[test]
    fn proportions_of_leads_stay_where_they_should() {
        let values = [1.0, 3.0, 10.0, 30.0, 5.0, 5.0];
        let normalised = |how| {
            let mut values = values;
            normalise(&mut values, 2, how);
            values
        };
        assert_eq!(normalised(Normalise::None), [-1.0, 1.0, -10.0, 10.0, 0.0, 0.0]);
        assert_eq!(normalised(Normalise::Lead), [-1.0, 1.0, -1.0, 1.0, 0.0, 0.0]);
        // Mean of squares: (1 + 1 + 100 + 100) / 6.
        let deviation = (202.0_f32 / 6.0).sqrt();
        let expected = [-1.0, 1.0, -10.0, 10.0, 0.0, 0.0].map(|value| value / deviation);
        let close = |(a, b): (&f32, f32)| (a - b).abs() < 1e-6;
        assert!(normalised(Normalise::Record).iter().zip(expected).all(close));
    }

    #[test]
    fn augmentation_stays_within_its_bounds_and_can_be_nothing() {
        let still =
            Augmentation { amplitude_scaling: 0.0, baseline_wander: 0.0, lead_dropout: 0.0, sampling_rate_hz: 100 };
        let ones = vec![1.0_f32; 3 * 400];
        let apply = |augmentation: Augmentation, seed| {
            let mut values = ones.clone();
            augmentation.apply(&mut values, 400, &mut sample_rng(seed));
            values
        };
        assert_eq!(apply(still, 1), ones);
        let (mut dropped, mut widest) = (0, 0.0_f32);
        for seed in 0..200 {
            let scaled = apply(Augmentation { amplitude_scaling: 0.2, ..still }, seed);
            assert!(scaled.iter().all(|value| *value == scaled[0] && (0.8..=1.2).contains(value)));
            let wandered = apply(Augmentation { baseline_wander: 0.5, ..still }, seed);
            widest = wandered.iter().fold(widest, |widest, value| widest.max((value - 1.0).abs()));
            let fewer = apply(Augmentation { lead_dropout: 0.25, ..still }, seed);
            dropped += fewer.chunks_exact(400).filter(|lead| lead.iter().all(|&value| value == 0.0)).count();
        }
        assert!(widest > 0.4 && widest <= 0.5001, "{widest}");
        assert!((110..190).contains(&dropped), "{dropped} of 600, expected 150");
    }
}
