//! Throughput, against the machine's own matrix multiply.

pub mod gemm;
pub mod measure;
pub mod throughput;

use std::sync::Barrier;

/// The moment from which workers are timed: when all of them are prepared, and those of other processes too.
pub struct Start<'a> {
    barrier: Barrier,
    others: &'a (dyn Fn() + Sync),
}

impl<'a> Start<'a> {
    /// Of so many workers of this process; `others` returns when those of other processes are prepared.
    pub fn new(workers: usize, others: &'a (dyn Fn() + Sync)) -> Self {
        Self { barrier: Barrier::new(workers), others }
    }

    /// Called by every worker when it is prepared; returns for all of them at the same time.
    fn wait(&self) {
        if self.barrier.wait().is_leader() {
            (self.others)();
        }
        self.barrier.wait();
    }
}
