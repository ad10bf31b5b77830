//! Threads that help each other: a worker without a cohort joins those that still train.
//!
//! Work is split where its results do not show it: rows of the wide matrix, in whole lanes; units and images of a second layer. So how
//! many threads a cohort has is of no consequence for any bit, and may change from one product to the next. There are never more threads
//! than workers: the helpers are the pool's own threads, which take a part of a product when they have nothing else to do.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::blas::matrix::RowsMut;
use crate::error::Result;
use crate::{blas, limits};

/// Workers of this process that train a cohort.
static BUSY: AtomicUsize = AtomicUsize::new(0);
/// Workers that have none to train.
static FREE: AtomicUsize = AtomicUsize::new(0);

/// The workers of a process, counted while this is there. There is one at a time.
#[derive(Debug)]
pub struct Pool(ThreadPool);

impl Pool {
    /// So many workers, of which `busy` begin with a cohort.
    ///
    /// # Errors
    /// Threads cannot be started.
    pub fn new(workers: usize, busy: usize) -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(workers).thread_name(|worker| format!("worker {worker}"));
        let pool = pool.start_handler(|_| blas::set_one_thread()).build();
        let pool = pool.map_err(|error| limits::no_thread(&format!("of {workers} workers"), &error))?;
        BUSY.store(busy, Ordering::Relaxed);
        FREE.store(workers - busy, Ordering::Relaxed);
        Ok(Self(pool))
    }
}

impl Deref for Pool {
    type Target = ThreadPool;

    fn deref(&self) -> &ThreadPool {
        &self.0
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        BUSY.store(0, Ordering::Relaxed);
        FREE.store(0, Ordering::Relaxed);
    }
}

/// The calling worker will train nothing more.
pub fn leave() {
    BUSY.fetch_sub(1, Ordering::Relaxed);
    FREE.fetch_add(1, Ordering::Relaxed);
}

/// How many parts the calling thread had better split its work into: one, outside of a pool or where nobody is free.
pub fn parts() -> usize {
    let free = FREE.load(Ordering::Relaxed);
    if free == 0 || rayon::current_thread_index().is_none() {
        return 1;
    }
    1 + free.div_ceil(BUSY.load(Ordering::Relaxed).max(1))
}

/// Work on rows that can be split.
pub trait Split: Send + Sized {
    /// The work on the first `rows` rows, and on the others.
    fn split(self, rows: usize) -> (Self, Self);
}

impl<A: Split, B: Split> Split for (A, B) {
    fn split(self, rows: usize) -> (Self, Self) {
        let ((a, c), (b, d)) = (self.0.split(rows), self.1.split(rows));
        ((a, b), (c, d))
    }
}

impl<A: Split> Split for Option<A> {
    fn split(self, rows: usize) -> (Self, Self) {
        self.map_or((None, None), |of| {
            let (first, others) = of.split(rows);
            (Some(first), Some(others))
        })
    }
}

impl<T: Sync> Split for &[T] {
    fn split(self, rows: usize) -> (Self, Self) {
        self.split_at(rows)
    }
}

impl<T: Send> Split for ArrayViewMut1<'_, T> {
    fn split(self, rows: usize) -> (Self, Self) {
        self.split_at(Axis(0), rows)
    }
}

impl<T: Send> Split for RowsMut<'_, T> {
    fn split(self, rows: usize) -> (Self, Self) {
        self.split_at(rows)
    }
}

impl<T: Sync> Split for ArrayView2<'_, T> {
    fn split(self, rows: usize) -> (Self, Self) {
        self.split_at(Axis(0), rows)
    }
}

impl<T: Send> Split for ArrayViewMut2<'_, T> {
    fn split(self, rows: usize) -> (Self, Self) {
        self.split_at(Axis(0), rows)
    }
}

/// The number of the first row.
#[derive(Clone, Copy, Debug)]
pub struct First(pub usize);

impl Split for First {
    fn split(self, rows: usize) -> (Self, Self) {
        (self, Self(self.0 + rows))
    }
}

/// Splits `work` on `size` rows into `parts`, which begin at multiples of `unit` and have at least `least` rows, and does each part.
pub fn each<W: Split>(
    parts: usize,
    (size, unit, least): (usize, usize, usize),
    work: W,
    of_part: &(impl Fn(W) + Sync),
) {
    let half = parts / 2;
    let first = (size * half / parts.max(1)).next_multiple_of(unit.max(1)).max(least);
    if half == 0 || first + least > size {
        return of_part(work);
    }
    let (a, b) = work.split(first);
    rayon::join(
        || each(half, (first, unit, least), a, of_part),
        || each(parts - half, (size - first, unit, least), b, of_part),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Mutex;

    struct Span(usize, usize);

    impl Split for Span {
        fn split(self, rows: usize) -> (Self, Self) {
            (Self(self.0, rows), Self(self.0 + rows, self.1 - rows))
        }
    }

    proptest! {
        #[test]
        fn all_work_is_done_once_in_parts_that_may_be(
            parts in 1_usize..9, size in 0_usize..300, unit in 1_usize..25, least in 0_usize..60,
        ) {
            let done = Mutex::new(vec![]);
            each(parts, (size, unit, least), Span(0, size), &|Span(at, size)| done.lock().unwrap().push((at, size)));
            let mut done = done.into_inner().unwrap();
            done.sort_unstable();
            prop_assert!(done.len() <= parts);
            prop_assert_eq!(done.iter().map(|part| part.1).sum::<usize>(), size);
            let mut next = 0;
            for &(start, size_of_part) in &done {
                prop_assert_eq!(start, next);
                prop_assert!(start % unit == 0 || unit > 1 && least % unit != 0);
                prop_assert!(done.len() == 1 || size_of_part >= least);
                next += size_of_part;
            }
        }
    }

    #[test]
    fn outside_of_a_pool_nothing_is_split() {
        let pool = Pool::new(4, 1).expect("threads");
        assert_eq!(parts(), 1);
        assert_eq!(pool.install(parts), 4);
    }
}
