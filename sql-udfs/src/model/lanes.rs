//! The same loop compiled for several kinds of processors, of which the best that this one has is run.
//!
//! Results never depend on which: a loop says what is computed, in which order numbers are added included, and the
//! compiler only chooses how many lanes do it at once. It knows nothing of what is computed.

/// A computation whose loops gain from wide registers. [`Job::run`] must be `#[inline(always)]`, and so must be all that it
/// calls in its loops, to be compiled for the processor.
pub(crate) trait Job {
    /// Computes.
    fn run(self);
}

/// The widest registers that may be used, so that tests can run what other processors would: 0 for what every processor
/// has, 1 for AVX2, 2 for AVX-512.
#[cfg(test)]
pub(crate) mod widest {
    use std::cell::Cell;

    thread_local! {
        static WIDEST: Cell<u8> = const { Cell::new(2) };
    }

    /// What this thread may use.
    pub(crate) fn get() -> u8 {
        WIDEST.get()
    }

    /// Calls `test` with each in turn.
    pub(crate) fn each(mut test: impl FnMut(u8)) {
        for widest in 0..=2 {
            WIDEST.set(widest);
            test(widest);
        }
    }
}

#[cfg(not(test))]
mod widest {
    /// All.
    pub(super) const fn get() -> u8 {
        2
    }
}

/// Runs the job with the widest registers that the processor has.
pub(crate) fn run(job: impl Job) {
    #[cfg(target_arch = "x86_64")]
    {
        let wide = widest::get() >= 2
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512vl")
            && std::is_x86_feature_detected!("avx512dq");
        if wide && std::is_x86_feature_detected!("bmi2") && std::is_x86_feature_detected!("avx2") {
            #[expect(unsafe_code, reason = "the features that the function needs have just been detected")]
            // SAFETY: `run_avx512` is unsafe to call only on a processor without its features, and this one has them.
            return unsafe { run_avx512(job) };
        }
        if widest::get() >= 1 && std::is_x86_feature_detected!("avx2") {
            #[expect(unsafe_code, reason = "the feature that the function needs has just been detected")]
            // SAFETY: `run_avx2` is unsafe to call only on a processor without AVX2, and this one has it.
            return unsafe { run_avx2(job) };
        }
    }
    job.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512bw,avx512vl,avx512dq,bmi2")]
fn run_avx512(job: impl Job) {
    job.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2(job: impl Job) {
    job.run();
}
