//! Classes from numbers: between thresholds, or of about equal size.

use anyhow::{Result, bail};

/// The finite number that a text holds.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Classes of values between ascending thresholds, and the names of the classes.
///
/// # Errors
/// A class without values.
pub(super) fn binned(values: &[f64], bins: &[f64]) -> Result<(Vec<usize>, Vec<String>)> {
    let labels: Vec<usize> = values.iter().map(|value| bins.iter().filter(|bin| *bin <= value).count()).collect();
    let name = |class: usize| match (class.checked_sub(1).and_then(|at| bins.get(at)), bins.get(class)) {
        (None, Some(above)) => format!("below {above}"),
        (Some(below), Some(above)) => format!("{below} to {above}"),
        (Some(below), None) => format!("{below} and above"),
        (None, None) => "all".into(),
    };
    let names: Vec<String> = (0..=bins.len()).map(name).collect();
    if let Some(empty) = (0..names.len()).find(|class| !labels.contains(class)) {
        bail!("no sample has a value in the bin {:?}\nhint: choose other thresholds, or fewer quantiles", names[empty]);
    }
    Ok((labels, names))
}

/// Thresholds between `n` classes of about equal size. Each threshold is the value of a sample.
///
/// # Errors
/// Too many equal values, so that classes would be empty.
pub(super) fn quantiles(values: &[f64], n: usize) -> Result<Vec<f64>> {
    // Before room for the thresholds is claimed: their number is the task's, and may be any.
    if n > values.len() {
        bail!("{n} quantiles are more than the {} values\nhint: choose fewer, or bins", values.len());
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut bins: Vec<f64> = (1..n).map(|at| sorted[at * sorted.len() / n]).collect();
    bins.dedup();
    if bins.len() + 1 < n || bins[0] <= sorted[0] {
        bail!("{n} quantiles of {} values coincide, since many are equal\nhint: choose fewer, or bins", values.len());
    }
    Ok(bins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_between_thresholds_are_classes_with_names() {
        let (labels, names) = binned(&[0.1, 0.2, 0.35, 7.0], &[0.2, 0.4]).unwrap();
        assert_eq!(labels, [0, 1, 1, 2]);
        assert_eq!(names, ["below 0.2", "0.2 to 0.4", "0.4 and above"]);
        assert!(binned(&[0.1, 0.5], &[0.2, 0.4]).unwrap_err().to_string().contains("\"0.2 to 0.4\""));
    }

    #[test]
    fn quantiles_are_of_equal_size_where_values_differ() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0, 0.0];
        assert_eq!(quantiles(&values, 3).unwrap(), [2.0, 4.0]);
        assert_eq!(binned(&values, &[2.0, 4.0]).unwrap().0, [2, 0, 2, 1, 1, 0]);
        assert!(quantiles(&[0.0, 0.0, 0.0, 1.0], 2).is_err());
        assert!(quantiles(&[1.0, 1.0], 3).is_err());
    }

    #[test]
    fn more_quantiles_than_values_are_refused_before_memory_is_claimed() {
        for n in [3, 1 << 40, usize::MAX] {
            let error = quantiles(&[1.0, 2.0], n).unwrap_err().to_string();
            assert!(error.contains("more than the 2 values"), "{error}");
        }
        assert!(quantiles(&[], 2).is_err());
    }
}
