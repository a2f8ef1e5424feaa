//! The rows that one tree learns from.

use super::random::Random;

/// Rows in canonical order, and what each weighs in the tree where that is not what it weighs everywhere.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub rows: Vec<u32>,
    /// By row number: how often the row was drawn, times its weight. `None` where each was drawn once.
    pub weights: Option<Vec<f64>>,
}

impl Sample {
    /// Draws so many of some rows, with replacement or without.
    pub fn new(
        usable: &[u32],
        count: usize,
        with_replacement: bool,
        weights: Option<&[f64]>,
        mut random: Random,
    ) -> Self {
        if !with_replacement {
            let mut rows = usable.to_vec();
            if count < rows.len() {
                random.shuffle(&mut rows, count);
                rows.truncate(count);
                rows.sort_unstable();
            }
            return Sample { rows, weights: None };
        }
        let mut drawn = vec![0_u32; usable.len()];
        (0..count).for_each(|_| drawn[random.below(usable.len())] += 1);
        let length = usable.last().map_or(0, |row| *row as usize + 1);
        let mut own = vec![0.0; length];
        for (row, times) in usable.iter().zip(&drawn) {
            let row = *row as usize;
            own[row] = f64::from(*times) * weights.map_or(1.0, |weights| weights[row]);
        }
        let rows = usable.iter().zip(&drawn).filter(|(_, times)| **times > 0).map(|(row, _)| *row).collect();
        Sample { rows, weights: Some(own) }
    }

    /// What the rows weigh together.
    pub fn weight(&self, weights: Option<&[f64]>) -> f64 {
        match self.weights.as_deref().or(weights) {
            None => self.rows.len() as f64,
            Some(weights) => self.rows.iter().map(|row| weights[*row as usize]).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::random::Purpose;
    use super::*;

    #[test]
    fn draws_are_as_many_as_asked_for() {
        let usable: Vec<u32> = (0..1_000).filter(|row| row % 5 != 0).collect();
        let random = || Random::new(3, Purpose::Rows, 1);
        let drawn = Sample::new(&usable, 800, true, None, random());
        assert_eq!(drawn.weight(None), 800.0);
        // A row is missed with probability 1/e.
        assert!((460..550).contains(&drawn.rows.len()), "{}", drawn.rows.len());
        assert!(drawn.rows.is_sorted() && drawn.rows.iter().all(|row| row % 5 != 0));
        let weights = vec![0.5; 1_000];
        assert_eq!(Sample::new(&usable, 800, true, Some(&weights), random()).weight(Some(&weights)), 400.0);
        let chosen = Sample::new(&usable, 100, false, None, random());
        assert_eq!((chosen.rows.len(), chosen.weight(None)), (100, 100.0));
        assert!(chosen.rows.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(Sample::new(&usable, 800, false, None, random()).rows, usable);
    }
}
