//! Measuring with all workers at once: in this process, or in several where one OpenBLAS has no room for all.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::gemm;
use super::throughput::{self, Breakdown, Cell, Images};
use crate::error::{Error, Result};
use crate::processes::{self, Process, Reports};
use crate::{blas, limits};

/// The task of a further process.
pub const TASK: &str = "bench";

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// The rate of products of square matrices of this size, in GFLOP/s.
    Gemm(usize),
    /// The rate of training, in trial-iterations a second.
    Training(Cell),
    /// Where the time of an iteration goes, on one worker while all are busy.
    Breakdown(Cell),
}

type Figures = Vec<f64>;

/// What a further process is to measure.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Order {
    /// To prepare a measurement, with so many workers, of such a time.
    Prepare(What, usize, Duration),
    /// To begin: all processes are prepared.
    Begin,
}

/// What it reports.
#[derive(Debug, Serialize, Deserialize)]
enum Event {
    Prepared,
    Measured(Figures),
    Failed(String, u8),
}

/// Measures, with so many workers at once.
pub struct Measurer {
    parts: Vec<usize>,
    images: Images,
    processes: Vec<(Process, Reports<Event>)>,
}

impl Measurer {
    /// For `workers`, in further processes of `program` where one has no room for them.
    ///
    /// # Errors
    /// A process cannot be started.
    pub fn new(program: &Path, workers: usize) -> Result<Self> {
        let parts = processes::parts(workers);
        let further = if parts.len() == 1 { 0 } else { parts.len() };
        let processes = (0..further).map(|_| Process::start(program, TASK)).collect::<Result<_>>()?;
        Ok(Self { parts, images: Images::default(), processes })
    }

    /// The rate of products of matrices of `size` × `size` by `workers`, the measurer's own number or fewer, at once: GFLOP/s.
    ///
    /// # Errors
    /// A limit of the machine does not leave room for so many workers, or a process died.
    pub fn gemm(&mut self, size: usize, workers: usize, duration: Duration) -> Result<f64> {
        self.sum(What::Gemm(size), workers, duration)
    }

    /// The rate of training of `workers` cohorts at once: trial-iterations a second.
    ///
    /// # Errors
    /// A process died.
    pub fn training(&mut self, cell: Cell, workers: usize, duration: Duration) -> Result<f64> {
        self.sum(What::Training(cell), workers, duration)
    }

    /// Where the time of an iteration goes while all workers are busy.
    ///
    /// # Errors
    /// A process died.
    pub fn breakdown(&mut self, cell: Cell, duration: Duration) -> Result<Breakdown> {
        let workers = self.parts.iter().sum();
        let figures = self.measure(What::Breakdown(cell), workers, duration)?;
        let [gather_micros, forward_micros, middle_micros, backward_micros] = figures[0][..] else {
            return Err(died());
        };
        Ok(Breakdown { gather_micros, forward_micros, middle_micros, backward_micros })
    }

    /// Whether all that is measured is measured in this process.
    pub fn is_alone(&self) -> bool {
        self.processes.is_empty()
    }

    fn sum(&mut self, what: What, workers: usize, duration: Duration) -> Result<f64> {
        Ok(self.measure(what, workers, duration)?.iter().flatten().sum())
    }

    /// The figures of each process that has a part of the workers.
    fn measure(&mut self, what: What, workers: usize, duration: Duration) -> Result<Vec<Figures>> {
        if self.processes.is_empty() {
            return Ok(vec![measure(&mut self.images, what, workers, duration, &|| ())?]);
        }
        let mut left = workers;
        let mut busy = Vec::new();
        for ((process, events), &part) in self.processes.iter_mut().zip(&self.parts) {
            let workers = part.min(left);
            left -= workers;
            if workers > 0 {
                process.order(&Order::Prepare(what, workers, duration));
                busy.push((process, events));
            }
        }
        for (_, events) in &mut busy {
            match events.next() {
                Some(Event::Prepared) => {}
                Some(Event::Failed(message, exit_code)) => return Err(Error::Reported { message, exit_code }),
                _ => return Err(died()),
            }
        }
        busy.iter().for_each(|(process, _)| process.order(&Order::Begin));
        let figures = |(_, events): (&mut Process, &mut Reports<Event>)| match events.next() {
            Some(Event::Measured(figures)) => Ok(figures),
            _ => Err(died()),
        };
        busy.into_iter().map(figures).collect()
    }
}

fn died() -> Error {
    Error::usage("bench", "figures of every further process", "one that died", "take fewer --workers")
}

fn measure(
    images: &mut Images,
    what: What,
    workers: usize,
    duration: Duration,
    others: &(dyn Fn() + Sync),
) -> Result<Figures> {
    let of_worker = match what {
        What::Gemm(size) => gemm::bytes(size),
        What::Training(cell) | What::Breakdown(cell) => cell.bytes(),
    };
    limits::foresee("the images", Images::BYTES)?;
    limits::foresee_workers(workers, (workers * of_worker) as u64)?;
    limits::foresee_threads("a worker", workers)?;
    Ok(match what {
        What::Gemm(size) => vec![gemm::gflops(workers, size, duration, others)],
        What::Training(cell) => {
            vec![throughput::trial_iterations_per_second(images.filled(), cell, workers, duration, others)]
        }
        What::Breakdown(cell) => {
            let parts = throughput::breakdown(images.filled(), cell, workers, duration, others);
            vec![parts.gather_micros, parts.forward_micros, parts.middle_micros, parts.backward_micros]
        }
    })
}

/// A further process: measures what it was asked for.
///
/// # Errors
/// OpenBLAS does not keep to one thread.
pub fn serve() -> Result<()> {
    blas::initialise()?;
    let mut images = Images::default();
    let orders = Mutex::new(processes::orders::<Order>()?);
    let next = || orders.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let others = || {
        processes::report(&Event::Prepared);
        let _ = next(); // to begin
    };
    while let Ok(Order::Prepare(what, workers, duration)) = next() {
        processes::report(&match measure(&mut images, what, workers, duration, &others) {
            Ok(figures) => Event::Measured(figures),
            Err(error) => Event::Failed(error.to_string(), error.exit_code()),
        });
    }
    Ok(())
}
