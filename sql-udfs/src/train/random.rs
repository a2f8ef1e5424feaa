//! Random numbers by counter: the same (seed, counter) gives the same number on any machine and any number of threads.
//!
//! SplitMix64 (<https://doi.org/10.1145/2660193.2660195>), whose state is a counter. It keeps no state of its own.

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
}
