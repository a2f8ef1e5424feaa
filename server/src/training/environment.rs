//! What a training runs on, as far as it might ever make a difference: the build of Limn and the processor's level.
//!
//! No difference is known: the same bytes come out of all of them. A run records both all the same, so that where two
//! trainings do differ, what was different is known too. It knows nothing of runs.

/// The build of Limn: its version, and a number of its sources and of what compiled them.
pub(crate) const ENGINE_BUILD: &str = concat!("limn ", env!("CARGO_PKG_VERSION"), " ", env!("LIMN_BUILD"));

/// The processor's level: what of its instructions a library may choose when it runs.
#[cfg(target_arch = "x86_64")]
pub(crate) fn cpu_level() -> &'static str {
    use std::arch::is_x86_feature_detected as has;
    let v2 = has!("sse3") && has!("ssse3") && has!("sse4.1") && has!("sse4.2") && has!("popcnt") && has!("cmpxchg16b");
    let v3 = has!("avx") && has!("avx2") && has!("bmi1") && has!("bmi2") && has!("f16c") && has!("fma");
    let v3 = v3 && has!("lzcnt") && has!("movbe");
    let v4 = has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl");
    match (v2, v3, v4) {
        (true, true, true) => "x86-64-v4",
        (true, true, false) => "x86-64-v3",
        (true, false, _) => "x86-64-v2",
        (false, _, _) => "x86-64-v1",
    }
}

/// The processor's level; elsewhere than on x86-64 its architecture is all that is told apart.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn cpu_level() -> &'static str {
    std::env::consts::ARCH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_has_a_version_and_a_number() {
        let words: Vec<&str> = ENGINE_BUILD.split(' ').collect();
        assert_eq!(words[..2], ["limn", env!("CARGO_PKG_VERSION")]);
        assert!(words.len() == 3 && words[2].len() == 16 && words[2].bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn a_processor_has_a_level() {
        let levels = ["x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4", std::env::consts::ARCH];
        assert!(levels.contains(&cpu_level()));
    }
}
