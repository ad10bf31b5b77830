//! Limits, foreseen: a process that finds too little address space in the middle of training aborts or hangs, so it is counted before.
//!
//! On clusters address space is limited as memory is (`ulimit -v`, Grid Engine's `h_vmem`), but counts far more: OpenBLAS maps a buffer for
//! each product that runs at the same time, and asks again for ever where it gets none; the allocator maps an arena for each thread.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, io};

use crate::blas;
use crate::error::{Complaint, Error, Result};
use crate::machine::{AddressSpace, address_space, available_cores, other_threads_wait, thread_limits};

/// Address space of a thread: its stack, and the arena of the C library's allocator.
const THREAD_BYTES: u64 = (2 << 20) + (64 << 20);
/// What is left for all that is small: sweep files, records, leaderboards.
const SMALL_BYTES: u64 = 32 << 20;
/// What OpenBLAS's threads take to start, at most.
const LIBRARY_STARTS_WITHIN: Duration = Duration::from_millis(500);
/// Threads that read data and records, at most.
const MOST_READERS: usize = 16;

/// Makes sure of address space for `what`, of `bytes`, and for a first product, which it makes.
///
/// # Errors
/// A limit does not leave so much.
pub fn foresee(what: &str, bytes: u64) -> Result<()> {
    if address_space().is_some() {
        wait_for_library();
    }
    let buffer = if blas::has_a_buffer() { 0 } else { blas::MOST_BUFFER_BYTES };
    let need = bytes + buffer + THREAD_BYTES + SMALL_BYTES;
    let expected = || format!("{} for {what} and one worker", megabytes(need));
    check(need, expected, ", and by some 210000 for each further worker")?;
    blas::buffer_bytes();
    Ok(())
}

/// Waits until OpenBLAS's own threads, which it starts when it is loaded, have their buffers, so that what is left stays. One that finds no
/// space is not waited for.
fn wait_for_library() {
    let started = Instant::now();
    while !other_threads_wait() && started.elapsed() < LIBRARY_STARTS_WITHIN {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Makes sure of address space for `workers`, whose cohorts take `bytes` together. One of them takes the buffer of the first product.
///
/// # Errors
/// A limit does not leave so much.
pub fn foresee_workers(workers: usize, bytes: u64) -> Result<()> {
    let a_worker = blas::buffer_bytes() + THREAD_BYTES;
    // A further thread renews the lock.
    let need = workers as u64 * a_worker - blas::buffer_bytes() + bytes + THREAD_BYTES + SMALL_BYTES;
    let each = a_worker + bytes / workers as u64;
    let expected = || format!("{} for {workers} workers, {} each", megabytes(need), megabytes(each));
    check(need, expected, ", or take fewer --workers")
}

fn check(need: u64, expected: impl FnOnce() -> String, remedy: &str) -> Result<()> {
    let Some(space) = address_space().filter(|space| space.left_bytes < need) else { return Ok(()) };
    let AddressSpace { left_bytes, limit_bytes, name } = space;
    let found = format!("{} left by {name} {}", megabytes(left_bytes), limit_bytes / 1024);
    // With more space, a thread of OpenBLAS's own may take some that found none now.
    let enough =
        (limit_bytes + need - left_bytes + THREAD_BYTES + blas::MOST_BUFFER_BYTES).div_ceil(10_240_000) * 10_000;
    let remedy = format!(
        "raise it to {enough} (Grid Engine: h_vmem){remedy}; OPENBLAS_NUM_THREADS=1 in the environment spares what OpenBLAS takes for \
        threads of its own"
    );
    Err(Error::Content(Complaint::new("address space", expected(), found, remedy)))
}

/// Starts the threads that read data and records, before anything reads. Where the system allows none, or limits the address space, of
/// which each takes some, this thread reads alone.
pub fn start_readers() {
    let threads = if address_space().is_some() { vec![] } else { readers() };
    let builder = rayon::ThreadPoolBuilder::new();
    let started = match threads.len() {
        0 => builder.num_threads(1).use_current_thread().build_global(),
        count => {
            let mut threads = threads.into_iter();
            let run = |reader: rayon::ThreadBuilder| match threads.next().map(|thread| thread.send(reader)) {
                Some(Ok(())) => Ok(()),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            };
            builder.num_threads(count).spawn_handler(run).build_global()
        }
    };
    drop(started); // an error means that there are readers already
}

/// A thread for each reader, waiting for what it has to run; none where not all of them can be had, so that workers find some.
fn readers() -> Vec<mpsc::Sender<rayon::ThreadBuilder>> {
    let asked = env::var("RAYON_NUM_THREADS").ok().and_then(|count| count.parse().ok()).filter(|&count| count > 0);
    let count = asked.unwrap_or_else(|| available_cores().min(MOST_READERS));
    let start = |number| {
        let (run, runs) = mpsc::channel::<rayon::ThreadBuilder>();
        let wait = move || runs.recv().map(rayon::ThreadBuilder::run).unwrap_or_default();
        thread::Builder::new().name(format!("reader {number}")).spawn(wait).map(|_| run)
    };
    (0..count).map(start).collect::<io::Result<_>>().unwrap_or_default()
}

/// Makes sure that so many threads can be started, by starting them.
///
/// # Errors
/// They cannot.
pub fn foresee_threads(what: &str, count: usize) -> Result<()> {
    let start = |_| {
        let (end, ended) = mpsc::channel::<()>();
        let wait = move || ended.recv().unwrap_or_default();
        thread::Builder::new().spawn(wait).map(|thread| (end, thread))
    };
    let started = (0..count).map(start).collect::<io::Result<Vec<_>>>().map_err(|error| no_thread(what, &error))?;
    for (end, thread) in started {
        drop(end);
        drop(thread.join());
    }
    Ok(())
}

/// The error where a thread of `what` could not be started.
pub fn no_thread(what: &str, error: &dyn std::fmt::Display) -> Error {
    // A thread needs address space too, and the system's error is the same.
    let space = address_space().filter(|space| space.left_bytes < THREAD_BYTES);
    let limits = space.map_or_else(thread_limits, |space| format!("{} {}", space.name, space.limit_bytes / 1024));
    let found = if limits.is_empty() { error.to_string() } else { format!("no more allowed ({limits}): {error}") };
    let remedy = "raise the limit, take fewer --workers, or set OPENBLAS_NUM_THREADS=1, which spares the threads of OpenBLAS's own";
    Error::Content(Complaint::new("threads", format!("one more, {what}"), found, remedy))
}

/// Bytes for people: in MB where they are few.
pub fn megabytes(bytes: u64) -> String {
    let megabytes = (bytes as f64 / 1e6).round();
    if megabytes >= 1000.0 { format!("{:.1} GB", megabytes / 1000.0) } else { format!("{megabytes} MB") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_printed_in_megabytes_where_they_are_few() {
        assert_eq!(megabytes(151_400_000_000), "151.4 GB");
        assert_eq!([megabytes(999_600_000), megabytes(49_000_000), megabytes(0)], ["1.0 GB", "49 MB", "0 MB"]);
    }
}
