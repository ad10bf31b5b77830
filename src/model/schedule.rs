//! The learning rate as a function of the iteration. Nothing of it is saved: a training that resumes computes it again.

use std::f64::consts::PI;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Where a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The iteration, from 0.
    pub iteration: usize,
    /// Iterations of an epoch.
    pub per_epoch: usize,
    /// Iterations of the whole training.
    pub iterations: usize,
}

/// The schedules by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleName {
    /// Times `learning_rate_decay` after each epoch, as the notebook does
    #[default]
    Decay,
    /// Times `learning_rate_decay` after every `decay_epochs` epochs
    Step,
    /// Half a cosine from `learning_rate` to its floor
    Cosine,
    /// A straight line from `learning_rate` to its floor
    Linear,
}

impl ScheduleName {
    /// Its name in files and flags. Identities of trials are hashes of it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Decay => "decay",
            Self::Step => "step",
            Self::Cosine => "cosine",
            Self::Linear => "linear",
        }
    }
}

/// How the learning rate changes from iteration to iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// η at its largest.
    pub base: f64,
    /// Iterations in which the rate rises in a straight line to what the curve gives; 0: none.
    pub warmup: usize,
    /// What follows.
    pub curve: Curve,
}

/// A schedule without its warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Curve {
    /// Multiplied by `factor` after each iteration that begins an epoch, as the notebook does.
    EpochDecay {
        /// The factor.
        factor: f64,
    },
    /// Multiplied by `factor` after every so many epochs.
    Step {
        /// The factor.
        factor: f64,
        /// Epochs of one rate.
        epochs: usize,
    },
    /// Half a cosine from the end of the warm-up to the last iteration. Source: I. Loshchilov and F. Hutter, "SGDR" (2017).
    Cosine {
        /// Where it ends, as a share of the rate that it begins with.
        floor: f64,
    },
    /// A straight line from the end of the warm-up to the last iteration.
    Linear {
        /// As of the cosine.
        floor: f64,
    },
}

impl Schedule {
    /// η of the update at a moment.
    ///
    /// `EpochDecay` multiplies factor by factor, because a power would round once and differ in the last bits.
    pub fn rate(self, at: Moment) -> f64 {
        let rate = match self.curve {
            Curve::EpochDecay { factor } => decayed(self.base, factor, epochs_begun(at)),
            Curve::Step { factor, epochs } => decayed(self.base, factor, at.iteration / (at.per_epoch * epochs)),
            // `libm`, whose bits are the same on every machine.
            Curve::Cosine { floor } => {
                self.base * (floor + (1.0 - floor) * 0.5 * (1.0 + libm::cos(PI * self.progress(at))))
            }
            Curve::Linear { floor } => self.base * (1.0 - (1.0 - floor) * self.progress(at)),
        };
        self.warmed_up(rate, at.iteration)
    }

    /// Of the iterations after the warm-up, the share that is done.
    fn progress(self, at: Moment) -> f64 {
        let done = at.iteration.saturating_sub(self.warmup);
        done as f64 / at.iterations.saturating_sub(self.warmup).max(1) as f64
    }

    fn warmed_up(self, rate: f64, iteration: usize) -> f64 {
        if iteration < self.warmup { rate * ((iteration + 1) as f64 / self.warmup as f64) } else { rate }
    }
}

/// Epochs begun before the iteration.
fn epochs_begun(at: Moment) -> usize {
    at.iteration.div_ceil(at.per_epoch)
}

fn decayed(rate: f64, factor: f64, times: usize) -> f64 {
    (0..times).fold(rate, |rate, _| rate * factor)
}

/// [`Schedule::rate`], iteration by iteration without computing the product of all epochs each time.
#[derive(Clone, Debug)]
pub struct Rate {
    schedule: Schedule,
    /// The last moment that was asked for, and its rate before the warm-up's share.
    last: Option<(Moment, f64)>,
}

impl Rate {
    /// Of a schedule.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, last: None }
    }

    /// η of the update at a moment; moments are asked for in their order.
    pub fn at(&mut self, at: Moment) -> f64 {
        let Curve::EpochDecay { factor } = self.schedule.curve else { return self.schedule.rate(at) };
        let rate = match self.last {
            Some((last, rate)) => decayed(rate, factor, epochs_begun(at) - epochs_begun(last)),
            None => decayed(self.schedule.base, factor, epochs_begun(at)),
        };
        self.last = Some((at, rate));
        self.schedule.warmed_up(rate, at.iteration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(schedule: Schedule, iterations: usize) -> Vec<f64> {
        (0..iterations).map(|iteration| schedule.rate(Moment { iteration, per_epoch: 3, iterations })).collect()
    }

    #[test]
    fn the_rate_decays_after_each_iteration_that_begins_an_epoch() {
        let schedule = Schedule { base: 8.0, warmup: 0, curve: Curve::EpochDecay { factor: 0.5 } };
        assert_eq!(rates(schedule, 8), [8.0, 4.0, 4.0, 4.0, 2.0, 2.0, 2.0, 1.0]);
    }

    #[test]
    fn the_other_curves_are_what_their_names_say() {
        let of = |warmup, curve| rates(Schedule { base: 8.0, warmup, curve }, 8);
        assert_eq!(of(0, Curve::Step { factor: 0.5, epochs: 2 }), [8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 4.0, 4.0]);
        assert_eq!(of(0, Curve::Linear { floor: 0.0 }), [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]);
        assert_eq!(of(4, Curve::Linear { floor: 0.0 }), [2.0, 4.0, 6.0, 8.0, 8.0, 6.0, 4.0, 2.0]);
        assert_eq!(of(0, Curve::Linear { floor: 0.5 })[4], 6.0);
        let cosine = of(0, Curve::Cosine { floor: 0.0 });
        let formula = |iteration: usize| 4.0 * (1.0 + (PI * iteration as f64 / 8.0).cos());
        assert!(cosine.iter().enumerate().all(|(iteration, rate)| (rate - formula(iteration)).abs() < 1e-14));
        assert!((of(0, Curve::Cosine { floor: 0.25 })[4] - 5.0).abs() < 1e-14);
        assert_eq!(of(9, Curve::EpochDecay { factor: 1.0 })[..2], [8.0 / 9.0, 16.0 / 9.0], "longer than the training");
    }

    #[test]
    fn step_by_step_it_is_the_same_to_the_bit_from_any_iteration_on() {
        let curves = [
            Curve::EpochDecay { factor: 0.95 },
            Curve::Step { factor: 0.3, epochs: 2 },
            Curve::Cosine { floor: 0.1 },
            Curve::Linear { floor: 0.1 },
        ];
        let at = |iteration| Moment { iteration, per_epoch: 7, iterations: 1000 };
        for curve in curves {
            let schedule = Schedule { base: 1e-3, warmup: 20, curve };
            for begun_at in [0, 1, 6, 7, 8, 500] {
                let mut rate = Rate::new(schedule);
                for iteration in begun_at..1000 {
                    assert_eq!(rate.at(at(iteration)), schedule.rate(at(iteration)), "{iteration}");
                }
            }
        }
    }
}
