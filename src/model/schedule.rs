//! The learning rate as a function of the iteration. Nothing of it is saved: a training that resumes computes it again.

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

/// How the learning rate changes from iteration to iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// Multiplied by `factor` after each iteration that begins an epoch, as the notebook does.
    EpochDecay {
        /// The factor.
        factor: f64,
    },
}

impl Schedule {
    /// η of the update at a moment, from `base`, that of the first update.
    ///
    /// `EpochDecay` multiplies factor by factor, because a power would round once and differ in the last bits.
    pub fn rate(self, base: f64, at: Moment) -> f64 {
        match self {
            Self::EpochDecay { factor } => decayed(base, factor, epochs_begun(at)),
        }
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
    base: f64,
    /// The last moment that was asked for, and its rate.
    last: Option<(Moment, f64)>,
}

impl Rate {
    /// From `base`, the rate of the first update.
    pub fn new(schedule: Schedule, base: f64) -> Self {
        Self { schedule, base, last: None }
    }

    /// η of the update at a moment; moments are asked for in their order.
    pub fn at(&mut self, at: Moment) -> f64 {
        let rate = match (self.schedule, self.last) {
            (Schedule::EpochDecay { factor }, Some((last, rate))) => {
                decayed(rate, factor, epochs_begun(at) - epochs_begun(last))
            }
            (schedule, None) => schedule.rate(self.base, at),
        };
        self.last = Some((at, rate));
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_decays_after_each_iteration_that_begins_an_epoch() {
        let schedule = Schedule::EpochDecay { factor: 0.5 };
        let rate = |iteration| schedule.rate(8.0, Moment { iteration, per_epoch: 3, iterations: 9 });
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(rate), [8.0, 4.0, 4.0, 4.0, 2.0, 2.0, 2.0, 1.0]);
    }

    #[test]
    fn step_by_step_it_is_the_same_to_the_bit_from_any_iteration_on() {
        let schedule = Schedule::EpochDecay { factor: 0.95 };
        let at = |iteration| Moment { iteration, per_epoch: 7, iterations: 1000 };
        for begun_at in [0, 1, 6, 7, 8, 500] {
            let mut rate = Rate::new(schedule, 1e-3);
            for iteration in begun_at..1000 {
                assert_eq!(rate.at(at(iteration)), schedule.rate(1e-3, at(iteration)), "{iteration}");
            }
        }
    }
}
