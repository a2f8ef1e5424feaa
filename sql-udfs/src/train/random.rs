//! Random numbers by counter: the same (seed, counter) gives the same number on any machine and any number of threads.
//!
//! SplitMix64 (<https://doi.org/10.1145/2660193.2660195>), whose state is a counter. Nothing here is shared: who needs many
//! numbers takes a [`Random`] of its own, named by what it is for.

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number uniform in `[0, 1)`, one for each (seed, counter).
pub(super) fn uniform(seed: u64, counter: u64) -> f64 {
    // The seed is mixed first, so that neighbouring seeds do not give shifted copies of one sequence.
    let state = mix(seed).wrapping_add(counter.wrapping_add(1).wrapping_mul(GOLDEN_GAMMA));
    (mix(state) >> 11) as f64 / (1_u64 << 53) as f64
}

fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// The numbers of one purpose, one after another.
#[derive(Debug, Clone)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// The numbers for a purpose and a part of it, such as a tree, which have nothing to do with those of any other.
    pub fn new(seed: u64, purpose: Purpose, part: u64) -> Self {
        let purpose = mix(mix(seed).wrapping_add(GOLDEN_GAMMA.wrapping_mul(purpose as u64)));
        Random { state: mix(purpose ^ mix(part.wrapping_add(GOLDEN_GAMMA))) }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// The next number, uniform in `[0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The next whole number from 0 to below `bound`, which is above 0; no one is more likely by more than 2^-32 × bound.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// Brings the first `count` places of a list into random order, from the whole list.
    pub fn shuffle<T>(&mut self, values: &mut [T], count: usize) {
        for at in 0..count.min(values.len()) {
            let other = at + self.below(values.len() - at);
            values.swap(at, other);
        }
    }
}

/// What random numbers are for: each purpose has its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// The rows of a tree.
    Rows = 1,
    /// The features of a split, and a cut by chance.
    Cuts = 2,
    /// The rows that early stopping measures on.
    Validation = 3,
    /// The rows at which clusters start.
    Starts = 4,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // With a state of 0 the mixed seed is 0: these are the reference implementation's first outputs for seed 0.
        let expected: [u64; 3] = [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f];
        for (counter, expected) in expected.into_iter().enumerate() {
            assert_eq!(uniform(0, counter as u64), (expected >> 11) as f64 / (1_u64 << 53) as f64);
        }
    }

    #[test]
    fn numbers_are_uniform_and_differ_by_seed() {
        let below = (0..100_000).filter(|i| uniform(7, *i) < 0.2).count();
        assert!((19_500..20_500).contains(&below), "{below}");
        assert_ne!(uniform(1, 1), uniform(2, 0));
    }

    #[test]
    fn purposes_and_parts_have_numbers_of_their_own() {
        let first = |purpose, part| Random::new(7, purpose, part).bits();
        let all = [first(Purpose::Rows, 0), first(Purpose::Rows, 1), first(Purpose::Cuts, 0), first(Purpose::Cuts, 1)];
        assert!((1..4).all(|i| !all[..i].contains(&all[i])), "{all:?}");
        let mut random = Random::new(7, Purpose::Rows, 3);
        let mut counts = [0; 5];
        (0..10_000).for_each(|_| counts[random.below(5)] += 1);
        assert!(counts.iter().all(|count| (1_850..2_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_shuffle_keeps_all_and_puts_each_first_equally_often() {
        let mut random = Random::new(1, Purpose::Cuts, 0);
        let mut firsts = [0; 4];
        for _ in 0..8_000 {
            let mut values = [0, 1, 2, 3];
            random.shuffle(&mut values, 2);
            firsts[values[0]] += 1;
            values.sort_unstable();
            assert_eq!(values, [0, 1, 2, 3]);
        }
        assert!(firsts.iter().all(|count| (1_850..2_150).contains(count)), "{firsts:?}");
    }
}
