//! How the C library's allocator keeps memory that nobody uses: little, and not for long.
//!
//! The problem: glibc makes up to eight arenas for each core, and each keeps what was freed inside of it. A server whose
//! statements run on many threads then holds several times what is in use, and ever more for a while, which looks like
//! a leak. Our way: few arenas, large blocks as mappings of their own, and free pages given back now and then. Where
//! the C library is another one, nothing is done. It knows nothing of what memory is for.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

#[cfg(target_env = "gnu")]
use crate::limits::{ALLOCATOR_ARENAS_MAX, ALLOCATOR_MAPPED_BYTES, ALLOCATOR_TRIMMED_BYTES};

/// Sets the allocator up; call it before there are threads. Variables of glibc (`MALLOC_ARENA_MAX`,
/// <https://man7.org/linux/man-pages/man3/mallopt.3.html>) come first: who has set one of them knows better.
pub fn set_up() {
    #[cfg(target_env = "gnu")]
    for (name, variable, value) in [
        (libc::M_ARENA_MAX, "MALLOC_ARENA_MAX", ALLOCATOR_ARENAS_MAX),
        (libc::M_MMAP_THRESHOLD, "MALLOC_MMAP_THRESHOLD_", ALLOCATOR_MAPPED_BYTES),
        (libc::M_TRIM_THRESHOLD, "MALLOC_TRIM_THRESHOLD_", ALLOCATOR_TRIMMED_BYTES),
    ] {
        if let (None, Ok(value)) = (std::env::var_os(variable), std::ffi::c_int::try_from(value)) {
            #[expect(
                unsafe_code,
                reason = "mallopt takes two numbers and keeps no pointer; it is called before threads"
            )]
            // SAFETY: a call by value; what it does not accept it answers with 0 and leaves as it was.
            let _accepted = unsafe { libc::mallopt(name, value) };
        }
    }
}

/// Gives free memory back now and then, until told to stop.
pub async fn keep_trimming(interval: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // It walks all free blocks, and so is no work for a thread that answers others.
        if tokio::task::spawn_blocking(trim).await.is_err() {
            return;
        }
    }
}

/// Gives free pages in the middle of arenas back to the system.
fn trim() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "malloc_trim takes a number and keeps no pointer; it locks what it looks at")]
        // SAFETY: a call by value, which any thread may make at any time.
        let _gave_some = unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(test)]
#[cfg(target_env = "gnu")]
mod tests {
    use super::*;

    /// Resident memory in KiB, as Linux tells it.
    fn resident() -> u64 {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim_end_matches("kB").trim().parse().unwrap()
    }

    #[test]
    fn free_memory_between_what_is_in_use_goes_back() {
        // Blocks that are no mappings of their own, every 64th of which stays in use, as in a fragmented arena.
        let mut blocks: Vec<Vec<u8>> = (0..20_000).map(|_| vec![1; 10_000]).collect();
        let mut number = 0;
        blocks.retain(|_| {
            number += 1;
            number % 64 == 0
        });
        let before = resident();
        trim();
        let after = resident();
        assert!(before > after + 100 * 1024, "{before} KiB before, {after} KiB after");
        assert!(blocks.iter().all(|block| block.len() == 10_000));
    }
}
