//! Quantiles of residuals: between neighbours as scikit-learn interpolates, or by weight.

/// The value below which a share of some values lies, between the two nearest; of weighted values the first at which the
/// weights reach the share. 0 for no values.
pub(super) fn quantile(values: &mut [(f64, f64)], weighed: bool, share: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    if weighed {
        values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let total: f64 = values.iter().map(|(_, weight)| weight).sum();
        let mut below = 0.0;
        for (value, weight) in values.iter() {
            below += weight;
            if below >= share * total && *weight > 0.0 {
                return *value;
            }
        }
        return values[values.len() - 1].0;
    }
    let place = share * (values.len() - 1) as f64;
    let lower = place.floor() as usize;
    let (_, (low, _), above) = values.select_nth_unstable_by(lower, |a, b| a.0.total_cmp(&b.0));
    let low = *low;
    match above.iter().map(|(value, _)| *value).min_by(f64::total_cmp) {
        Some(high) => low + (high - low) * (place - lower as f64),
        None => low,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_hand() {
        let of =
            |values: &[f64], share| quantile(&mut values.iter().map(|v| (*v, 1.0)).collect::<Vec<_>>(), false, share);
        assert_eq!(of(&[3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(of(&[3.0, 1.0, 2.0, 10.0], 0.5), 2.5);
        // Between the places 0.9 · 4 = 3.6: 3 + 0.6.
        assert!((of(&[4.0, 0.0, 3.0, 1.0, 2.0], 0.9) - 3.6).abs() < 1e-12);
        assert_eq!((of(&[7.0], 0.1), of(&[], 0.5)), (7.0, 0.0));
        let mut weighed = [(1.0, 1.0), (5.0, 3.0), (2.0, 1.0)];
        assert_eq!(quantile(&mut weighed, true, 0.5), 5.0);
        assert_eq!(quantile(&mut weighed, true, 0.2), 1.0);
    }
}
