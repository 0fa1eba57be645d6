//! Segmentation loss and its gradient: cross-entropy plus soft Dice, as in nnU-Net (Isensee et al., Nature Methods 2021).
//!
//! Worked out by hand in one pass over the logits rather than by tensor operations: a batch of volumes has millions of voxels, and
//! softmax, one-hot classes and sums by class would each be arrays of that size. Sums are made in a fixed order, so that the same batch
//! gives the same bits.

/// Smoothing term in numerator and denominator of the Dice coefficient: no division by zero for a class that is absent from a batch.
const SMOOTH: f64 = 1.0;

/// Loss of a batch, and its derivative with respect to each logit.
///
/// `logits` is `[tokens, n_classes, voxels]` and `classes` `[tokens, voxels]`. The loss is the mean over voxels of the cross-entropy,
/// plus 1 minus the mean over classes but the background of `(2 sum(p y) + 1) / (sum(p) + sum(y) + 1)`, whose sums run over the batch.
pub(super) fn loss_and_gradient(
    logits: &[f32],
    classes: &[u8],
    n_classes: usize,
    n_in_token: usize,
) -> (f64, Vec<f32>) {
    let n_voxels = classes.len();
    let token = n_classes * n_in_token;
    let mut probabilities = vec![0.0f32; logits.len()];
    let (mut cross_entropy, mut overlap) = (0.0, vec![0.0; n_classes]);
    let (mut predicted, mut present) = (vec![0.0; n_classes], vec![0.0; n_classes]);
    for ((logits, probabilities), truth) in
        logits.chunks_exact(token).zip(probabilities.chunks_exact_mut(token)).zip(classes.chunks_exact(n_in_token))
    {
        softmax(logits, probabilities, n_in_token);
        for (class, of_class) in probabilities.chunks_exact(n_in_token).enumerate() {
            // Of one token in single precision, of all in double.
            predicted[class] += f64::from(of_class.iter().sum::<f32>());
        }
        for (voxel, &class) in truth.iter().enumerate() {
            let class = usize::from(class);
            let probability = f64::from(probabilities[class * n_in_token + voxel]);
            cross_entropy -= probability.max(f64::from(f32::MIN_POSITIVE)).ln();
            overlap[class] += probability;
            present[class] += 1.0;
        }
    }
    let n_foreground = (n_classes - 1) as f64;
    let below = |class: usize| predicted[class] + present[class] + SMOOTH;
    let above = |class: usize| 2.0 * overlap[class] + SMOOTH;
    let dice: f64 = (1..n_classes).map(|class| above(class) / below(class)).sum::<f64>() / n_foreground;
    let loss = cross_entropy / n_voxels as f64 + 1.0 - dice;

    // Derivatives with respect to the probability of a class: where the class is true, and where it is not.
    let by_probability: Vec<[f32; 2]> = (0..n_classes)
        .map(|class| {
            let elsewhere = if class == 0 { 0.0 } else { above(class) / below(class).powi(2) / n_foreground };
            let there = if class == 0 { 0.0 } else { elsewhere - 2.0 / below(class) / n_foreground };
            [elsewhere as f32, there as f32]
        })
        .collect();
    let mut gradient = probabilities;
    let a_voxel = 1.0 / n_voxels as f32;
    let mut mean = vec![0.0f32; n_in_token];
    for (gradient, truth) in gradient.chunks_exact_mut(token).zip(classes.chunks_exact(n_in_token)) {
        let slope = |class: usize, truth: u8| by_probability[class][usize::from(usize::from(truth) == class)];
        mean.fill(0.0);
        for (class, of_class) in gradient.chunks_exact(n_in_token).enumerate() {
            for ((mean, probability), &truth) in mean.iter_mut().zip(of_class).zip(truth) {
                *mean += probability * slope(class, truth);
            }
        }
        for (class, of_class) in gradient.chunks_exact_mut(n_in_token).enumerate() {
            for ((value, mean), &truth) in of_class.iter_mut().zip(&mean).zip(truth) {
                let is = f32::from(u8::from(usize::from(truth) == class));
                *value = *value * (slope(class, truth) - mean) + (*value - is) * a_voxel;
            }
        }
    }
    (loss, gradient)
}

/// Probabilities of one token, `[n_classes, voxels]`.
fn softmax(logits: &[f32], probabilities: &mut [f32], n_in_token: usize) {
    let mut largest = logits[..n_in_token].to_vec();
    for of_class in logits.chunks_exact(n_in_token).skip(1) {
        largest.iter_mut().zip(of_class).for_each(|(largest, logit)| *largest = largest.max(*logit));
    }
    let mut sums = vec![0.0f32; n_in_token];
    for (of_class, logits) in probabilities.chunks_exact_mut(n_in_token).zip(logits.chunks_exact(n_in_token)) {
        for (((probability, logit), largest), sum) in of_class.iter_mut().zip(logits).zip(&largest).zip(&mut sums) {
            *probability = (logit - largest).exp();
            *sum += *probability;
        }
    }
    for of_class in probabilities.chunks_exact_mut(n_in_token) {
        of_class.iter_mut().zip(&sums).for_each(|(probability, sum)| *probability /= sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_of_even_odds_is_known() {
        // Two voxels of one token, one of class 1; all probabilities one half: ln 2, and Dice (2 * 0.5 + 1) / (1 + 1 + 1).
        let (loss, gradient) = loss_and_gradient(&[0.0; 4], &[0, 1], 2, 2);
        assert!((loss - (2f64.ln() + 1.0 - 2.0 / 3.0)).abs() < 1e-6, "{loss}");
        assert_eq!(gradient.len(), 4);
    }

    #[test]
    fn a_correct_prediction_has_zero_loss_and_a_large_logit_a_finite_one() {
        let logits: Vec<f32> = [0u8, 1, 2]
            .iter()
            .flat_map(|class| (0..3).map(move |c| if c == *class { 800.0 } else { -800.0 }))
            .collect();
        let (loss, gradient) = loss_and_gradient(&logits, &[0, 1, 2], 3, 1);
        assert!(loss.abs() < 1e-6 && gradient.iter().all(|value| value.abs() < 1e-6), "{loss} {gradient:?}");
        let (loss, gradient) = loss_and_gradient(&logits, &[1, 2, 0], 3, 1);
        assert!(loss.is_finite() && loss > 10.0 && gradient.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let (n_tokens, n_classes, n_in_token) = (3, 4, 5);
        let logits: Vec<f32> =
            (0..n_tokens * n_classes * n_in_token).map(|at| ((at * 37 % 23) as f32 - 11.0) / 6.0).collect();
        let classes: Vec<u8> = (0..n_tokens * n_in_token).map(|at| [0, 1, 0, 3, 0, 1][at % 6]).collect();
        let loss = |logits: &[f32]| loss_and_gradient(logits, &classes, n_classes, n_in_token).0;
        let (_, gradient) = loss_and_gradient(&logits, &classes, n_classes, n_in_token);
        for at in 0..logits.len() {
            let shifted = |by: f32| {
                let mut logits = logits.clone();
                logits[at] += by;
                loss(&logits)
            };
            let expected = (shifted(0.01) - shifted(-0.01)) / 0.02;
            assert!((f64::from(gradient[at]) - expected).abs() < 2e-5, "{at}: {} instead of {expected}", gradient[at]);
        }
    }
}
