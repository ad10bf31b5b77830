//! Nothing is allocated inside an iteration: this program counts what its allocator is asked for.

#![allow(unsafe_code)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;
use std::time::Instant;

use common::Place;
use indicatif::TermLike;
use mlpgrid::blas;
use mlpgrid::data::prepare::Preparation;
use mlpgrid::data::{DataConfig, Dataset, Split};
use mlpgrid::model::Hyperparameters;
use mlpgrid::model::optimizer::Optimizer;
use mlpgrid::real::Precision;
use mlpgrid::report::progress::Progress;
use mlpgrid::train::{Detail, Ended, EpochPoint, Next, Observer, Origin, Task, engine};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts for each thread how often it is asked for memory.
struct Counting;

// SAFETY: everything is handed on to the system's allocator as it comes.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ITERATIONS: usize = 40;

/// Notes how much had been allocated when each iteration began, and where an epoch did.
struct Watch {
    before: [usize; ITERATIONS],
    begun: usize,
    epoch_began: [bool; ITERATIONS],
}

impl Observer for Watch {
    fn next(&mut self) -> Next {
        self.before[self.begun] = ALLOCATIONS.get();
        self.begun += 1;
        Next::Iterate
    }

    fn epoch(&mut self, _trial: usize, _point: &EpochPoint) {
        self.epoch_began[self.begun - 1] = true;
    }

    fn ended(&mut self, _ended: Vec<Ended>) {}
}

fn nothing_is_allocated_inside_an_iteration(precision: Precision, detail: Detail, change: fn(&mut Hyperparameters)) {
    blas::initialise().expect("OpenBLAS takes one thread");
    let place = Place::new();
    let data = Dataset::load(&place.data(), &DataConfig::default()).expect("the data are there");
    let trial = |hidden, l2| {
        let mut trial =
            Hyperparameters { hidden, l2, batch_size: 20, iterations: ITERATIONS, precision, ..Default::default() };
        change(&mut trial);
        trial.check(data.rows(Split::Train).len()).expect("in range")
    };
    let mut watch = Watch { before: [0; ITERATIONS], begun: 0, epoch_began: [false; ITERATIONS] };
    let trials = [trial(50, 0.25), trial(7, 0.0), trial(33, 900.0)];
    let tasks = trials.each_ref().map(Task::whole);
    engine(precision).train(Origin::Seed, &data, &tasks, detail, &mut watch).expect("the trials are trained");
    assert_eq!(watch.begun, ITERATIONS);
    // The first iteration lets OpenBLAS and the sampler get what they keep; the last ends the trials.
    let of_iteration = |at: usize| watch.before[at + 1] - watch.before[at];
    let plain: Vec<usize> = (1..ITERATIONS - 1).filter(|&at| !watch.epoch_began[at]).collect();
    assert!(plain.len() > 20, "most iterations begin no epoch");
    for at in plain {
        assert_eq!(of_iteration(at), 0, "{precision:?} {detail:?}: allocations in iteration {at}");
    }
}

#[test]
fn nothing_is_allocated_inside_an_iteration_in_either_precision() {
    nothing_is_allocated_inside_an_iteration(Precision::F32, Detail::Epochs, |_| {});
    nothing_is_allocated_inside_an_iteration(Precision::F64, Detail::Epochs, |_| {});
    nothing_is_allocated_inside_an_iteration(Precision::F32, Detail::EveryIteration, |_| {});
}

#[test]
fn nor_with_other_update_rules_regularizers_and_random_changes() {
    nothing_is_allocated_inside_an_iteration(Precision::F32, Detail::Epochs, |h| {
        (h.optimizer, h.learning_rate, h.dropout, h.label_smoothing) = (Optimizer::Momentum, 1e-6, 0.5, 0.1);
        (h.mirror, h.shift, h.rotate, h.cutout, h.contrast) = (0.5, 3, 10.0, 5, 0.2);
    });
    nothing_is_allocated_inside_an_iteration(Precision::F32, Detail::Epochs, |h| {
        (h.optimizer, h.average, h.clip_norm, h.max_norm) = (Optimizer::Adam, 0.9, 1.0, 1.0);
        (h.preparation, h.input_dropout) = (Preparation::Pixel, 0.2);
    });
}

/// A terminal that counts what is drawn on it.
#[derive(Debug)]
struct Terminal;

thread_local! {
    static DRAWN: Cell<usize> = const { Cell::new(0) };
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        100
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn write_str(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        DRAWN.set(DRAWN.get() + 1);
        Ok(())
    }
}

#[test]
fn a_bar_formats_its_figures_at_most_ten_times_a_second_and_allocates_nothing_between() {
    const STEPS: usize = 300_000;
    let progress = Progress::on_terminal("sweep", "trial-iterations", STEPS as f64, Box::new(Terminal));
    let plain = Progress::new("sweep", "trial-iterations", STEPS as f64); // no terminal here
    let (started, drawn, mut with_allocations) = (Instant::now(), DRAWN.get(), 0);
    for _ in 0..STEPS {
        let before = ALLOCATIONS.get();
        progress.add(1, 1.0);
        with_allocations += usize::from(ALLOCATIONS.get() > before);
        let before = ALLOCATIONS.get();
        plain.add(1, 1.0);
        plain.skip(0.0);
        with_allocations += usize::from(ALLOCATIONS.get() > before);
    }
    let tenths = started.elapsed().as_millis() as usize / 100 + 1;
    assert!(
        with_allocations <= 2 * tenths,
        "{with_allocations} steps of {STEPS} allocated in {tenths} tenths of a second"
    );
    assert!(DRAWN.get() - drawn <= 2 * tenths, "message and position are each drawn once");
    assert_eq!(progress.done(), (STEPS as u64, STEPS as f64));
    assert_eq!(plain.done(), (STEPS as u64, STEPS as f64), "what is skipped is not done");
}
