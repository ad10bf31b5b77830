//! A cohort in training.
//!
//! The order of an iteration is the notebook's: draw a minibatch, take the loss, update; where an epoch begins (iteration 0
//! included), measure accuracies after that update, then decay the learning rate.

use std::sync::Arc;
use std::time::Instant;

use ndarray::{Array2, s};

use super::beginning::draw;
use super::evaluation::{EVALUATION_ROWS, Evaluation, shape};
use super::lockstep::Lockstep;
use super::observer::{Detail, Ended, MemberState, Next, Observer, State};
use super::outcome::{EpochPoint, LossPoint, Outcome, SoFar};
use super::task::{Origin, Task, work_of_iteration};
use crate::blas::lanes::Lanes;
use crate::data::augment::Augment;
use crate::data::minibatch::{Batch, Changes, ImageChanges, Minibatch};
use crate::data::prepare::{Fitted, Prepared, Source};
use crate::data::{Dataset, Split};
use crate::model::cohort::{Cohort, Step, Weights};
use crate::model::schedule::{Moment, Rate};
use crate::model::wide::Wide;
use crate::model::{Hyperparameters, TwoLayerNet};
use crate::real::Real;
use crate::tensors::Parts;

/// A trial in training, with its figures of this iteration.
struct Running<'a> {
    /// Its number among the tasks.
    trial: usize,
    task: Task<'a>,
    rate: Rate,
    so_far: SoFar,
    /// The loss of this iteration; its penalty is taken only where the loss is kept.
    loss: LossPoint,
    val_accuracy: f64,
    val_loss: Option<f64>,
    /// Which validation images were right, at the end.
    val_right: Option<String>,
    /// The accuracy of the weights that are not averaged, where others are.
    raw_val_accuracy: Option<f64>,
}

/// A cohort, where it stands, and the buffers that it works in. Member k of the cohort is `running[k]`, and does `steps[k]`.
pub(super) struct Training<'a, W: Wide> {
    data: &'a Dataset,
    training_rows: PreparedRows<W::Real>,
    validation_rows: PreparedRows<W::Real>,
    prepared: Prepared<W::Real>,
    seed: u64,
    /// Floating-point operations of an iteration of one hidden unit.
    work_of_unit: f64,
    iteration: usize,
    iterations_per_epoch: usize,
    running: Vec<Running<'a>>,
    steps: Vec<Step>,
    lockstep: Lockstep<W>,
    evaluation: Evaluation<W>,
    /// When the members' share of time was last counted.
    counted: Instant,
}

impl<'a, W: Wide> Training<'a, W> {
    /// # Errors
    /// As [`Engine::train`](super::Engine::train).
    ///
    /// # Panics
    /// As [`Engine::train`](super::Engine::train).
    pub(super) fn new(origin: Origin, data: &'a Dataset, tasks: &[Task<'a>]) -> Result<Self, String> {
        let shared = tasks[0].hyperparameters;
        let fitted = data.fitted(shared.recipe())?;
        let (inputs, batch_size) = (fitted.outputs(), shared.batch_size);
        let lanes = W::lanes(shape(inputs, batch_size));
        assert!(lanes.is_some() || tasks.len() == 1, "this BLAS kernel has no lanes: trials train alone");
        let lanes = lanes.unwrap_or_else(Lanes::alone);
        let key = shared.cohort_key();
        let has_key = |task: &Task<'_>| task.hyperparameters.cohort_key() == key;
        assert!(tasks.iter().all(has_key), "trials of a cohort share their minibatches");
        assert_eq!(shared.precision, W::Real::PRECISION, "trials are trained in their precision");

        let method = |trial: usize| tasks[trial].hyperparameters.method();
        let fresh = |trial: usize| (trial, SoFar::default());
        let (cohort, sampler, iteration, trials) = match origin {
            Origin::Seed => {
                let (networks, sampler) = draw::<W::Real>(data, inputs, tasks);
                let networks = networks.into_iter().enumerate().map(|(trial, network)| (network, method(trial)));
                let trials: Vec<_> = (0..tasks.len()).map(fresh).collect();
                (Cohort::<W>::new(networks.collect(), lanes), sampler, 0, trials)
            }
            Origin::Given { networks, sampler } => {
                assert_eq!(networks.len(), tasks.len(), "one network a task");
                let load = |(trial, parts)| Ok((TwoLayerNet::load(parts)?, method(trial)));
                let networks = networks.iter().enumerate().map(load).collect::<Result<_, String>>()?;
                (Cohort::new(networks, lanes), sampler, 0, (0..tasks.len()).map(fresh).collect())
            }
            Origin::Resumed(State { iteration, members }) => {
                let parts: Vec<_> = members.iter().map(|member| (&member.parts, method(member.trial))).collect();
                let cohort = Cohort::resume(&parts, inputs, lanes)?;
                let sampler = draw::<W::Real>(data, inputs, &tasks[..1]).1;
                (cohort, sampler, iteration, members.into_iter().map(|member| (member.trial, member.so_far)).collect())
            }
        };
        let run = |(trial, so_far): (usize, SoFar)| {
            let task = tasks[trial];
            let rate = Rate::new(task.hyperparameters.schedule());
            let loss = LossPoint { iteration: 0, data_loss: 0.0, penalty: 0.0, learning_rate: 0.0 };
            Running {
                trial,
                task,
                rate,
                so_far,
                loss,
                val_accuracy: 0.0,
                val_loss: None,
                val_right: None,
                raw_val_accuracy: None,
            }
        };
        let running: Vec<_> = trials.into_iter().map(run).collect();
        let one_unit = Hyperparameters { hidden: 1, ..(**shared).clone() };
        let evaluation = Evaluation::new(&cohort, inputs);
        let mut lockstep = Lockstep::new(cohort, sampler, batch_size, inputs);
        let (augment, input_dropout, seed) = (shared.augment(), shared.input_dropout, shared.seed);
        let shape = data.shape();
        let images = ImageChanges::Drawn(augment);
        let changes = Changes { shape, images, input_dropout, seed, iteration: 0 };
        lockstep.changes = (!augment.is_none() || input_dropout > 0.0).then_some(changes);
        // The stream of minibatches comes to its place by drawing those of the iterations that were done.
        (0..iteration).for_each(|_| lockstep.skip());
        Ok(Self {
            data,
            training_rows: PreparedRows::of(data, &fitted, shared, Split::Train, augment)?,
            validation_rows: PreparedRows::of(data, &fitted, shared, Split::Val, Augment::default())?,
            prepared: fitted.prepared(),
            seed,
            work_of_unit: work_of_iteration(&one_unit, data.inputs()),
            iteration,
            iterations_per_epoch: shared.iterations_per_epoch(data.rows(Split::Train).len()),
            steps: vec![Step::default(); running.len()],
            running,
            lockstep,
            evaluation,
            counted: Instant::now(),
        })
    }

    /// Trains until no trial is left, or the observer stops it.
    pub(super) fn run(mut self, detail: Detail, observer: &mut dyn Observer) {
        let begun_at = self.iteration;
        while !self.running.is_empty() {
            let next = observer.next();
            let asks = matches!(next, Next::Checkpoint | Next::CheckpointAndStop);
            if asks && self.iteration > begun_at {
                observer.checkpoint(self.state());
            }
            if matches!(next, Next::CheckpointAndStop | Next::Stop) {
                return;
            }
            self.iterate(detail, observer);
        }
    }

    fn state(&mut self) -> State {
        self.count_time();
        let member = |(member, run): (usize, &Running<'_>)| MemberState {
            trial: run.trial,
            parts: self.lockstep.cohort.state(member),
            so_far: run.so_far.clone(),
        };
        State { iteration: self.iteration, members: self.running.iter().enumerate().map(member).collect() }
    }

    /// Gives each member its share of the time since this was last done.
    fn count_time(&mut self) {
        let share = self.counted.elapsed().as_secs_f64() / self.running.len() as f64;
        self.counted = Instant::now();
        self.running.iter_mut().for_each(|run| run.so_far.seconds += share);
    }

    /// One iteration of every member, and the end of those that diverged or are complete.
    fn iterate(&mut self, detail: Detail, observer: &mut dyn Observer) {
        let (iteration, per_epoch) = (self.iteration, self.iterations_per_epoch);
        let epoch_begins = iteration.is_multiple_of(per_epoch);
        let is_kept = |run: &Running<'_>| epoch_begins || iteration + 1 == run.task.until;
        for (member, (run, step)) in self.running.iter_mut().zip(&mut self.steps).enumerate() {
            let moment = Moment { iteration, per_epoch, iterations: run.task.hyperparameters.iterations };
            let learning_rate = run.rate.at(moment);
            // A penalty costs a pass over the weights, so it is taken only where the loss is kept.
            let is_asked_for = detail == Detail::EveryIteration || is_kept(run);
            let penalty = if is_asked_for { self.lockstep.cohort.penalty(member) } else { 0.0 };
            run.loss = LossPoint { iteration, data_loss: 0.0, penalty, learning_rate };
            *step = Step { iteration, rate: learning_rate, seed: self.seed, data_loss: 0.0 };
        }
        let source = self.training_rows.source(&self.prepared, self.data, Split::Train);
        self.lockstep.iterate(&source, &mut self.steps);
        let units: usize = self.running.iter().map(|run| run.task.hyperparameters.hidden).sum();
        observer.iterated(self.running.len(), units as f64 * self.work_of_unit);
        let mut some_diverged = false;
        for (run, step) in self.running.iter_mut().zip(&self.steps) {
            run.loss.data_loss = step.data_loss;
            some_diverged |= run.is_diverged(epoch_begins);
        }
        if some_diverged {
            let end = |run: Running<'_>| Ended {
                trial: run.trial,
                train_seconds: run.so_far.seconds,
                outcome: Outcome::diverged(iteration, run.so_far),
                network: None,
            };
            let (ended, _) = self.leave(|run| run.is_diverged(epoch_begins), |_, _| ());
            observer.ended(ended.into_iter().map(end).collect());
        }

        for run in &mut self.running {
            run.so_far.first_loss.get_or_insert(run.loss.loss());
            if detail == Detail::EveryIteration {
                observer.loss(run.trial, &run.loss);
            }
        }
        if epoch_begins {
            self.begin_epoch(observer);
        }
        self.iteration += 1;
        if self.running.iter().any(|run| self.iteration == run.task.until) {
            self.end_complete(observer);
        }
    }

    /// Accuracies after this iteration's update.
    fn begin_epoch(&mut self, observer: &mut dyn Observer) {
        let Lockstep { cohort, batch, scratch, .. } = &mut self.lockstep;
        let of_batch = self.evaluation.tallies_of_batch(cohort, batch, scratch);
        for (run, tally) in self.running.iter_mut().zip(of_batch) {
            run.so_far.curve.push(EpochPoint {
                epoch: self.iteration / self.iterations_per_epoch,
                iteration: self.iteration,
                loss: run.loss.loss(),
                learning_rate: run.loss.learning_rate,
                train_accuracy: tally.accuracy(),
                val_accuracy: 0.0,
                val_loss: None,
            });
        }
        self.validate();
        for run in &mut self.running {
            if let Some(point) = run.so_far.curve.last_mut() {
                (point.val_accuracy, point.val_loss) = (run.val_accuracy, run.val_loss);
                observer.epoch(run.trial, point);
            }
        }
    }

    /// Measures accuracy and loss of every member on the validation split.
    fn validate(&mut self) {
        let source = self.validation_rows.source(&self.prepared, self.data, Split::Val);
        let tallies = self.evaluation.tallies(&self.lockstep.cohort, Weights::Averaged, &source);
        for (run, tally) in self.running.iter_mut().zip(tallies) {
            (run.val_accuracy, run.val_loss) = (tally.accuracy(), tally.loss());
            if self.iteration == run.task.until {
                run.val_right = Some(tally.right());
            }
        }
    }

    fn end_complete(&mut self, observer: &mut dyn Observer) {
        self.validate();
        if self.lockstep.cohort.averages() {
            let source = self.validation_rows.source(&self.prepared, self.data, Split::Val);
            let tallies = self.evaluation.tallies(&self.lockstep.cohort, Weights::Raw, &source);
            self.running.iter_mut().zip(tallies).for_each(|(run, tally)| run.raw_val_accuracy = Some(tally.accuracy()));
        }
        let iterations = self.iteration;
        let (left, networks) = self.leave(|run| run.task.until == iterations, network_of);
        let end = |(run, network): (Running<'_>, Parts)| Ended {
            trial: run.trial,
            train_seconds: run.so_far.seconds,
            outcome: Outcome {
                raw_val_accuracy: run.raw_val_accuracy,
                val_loss: run.val_loss,
                val_right: run.val_right,
                ..Outcome::complete(iterations, run.loss.loss(), run.val_accuracy, run.so_far)
            },
            network: Some(network),
        };
        observer.ended(left.into_iter().zip(networks).map(end).collect());
    }

    /// Takes the members that `leaves` selects out of the cohort, and returns them, with what `keep` makes of each.
    fn leave<K>(
        &mut self,
        leaves: impl Fn(&Running<'_>) -> bool,
        keep: impl Fn(&Cohort<W>, usize) -> K,
    ) -> (Vec<Running<'a>>, Vec<K>) {
        self.count_time();
        let cohort = &mut self.lockstep.cohort;
        let leaves: Vec<bool> = self.running.iter().map(leaves).collect();
        let kept = (0..leaves.len()).filter(|&member| leaves[member]).map(|member| keep(cohort, member)).collect();
        cohort.retain(|member| !leaves[member]);
        let mut leave = leaves.iter();
        let left = self.running.extract_if(.., |_| leave.next() == Some(&true)).collect();
        self.steps.truncate(self.running.len());
        (left, kept)
    }
}

impl Running<'_> {
    /// Whether its loss is no longer a finite number. Judged by what the trial's own iterations take: the loss without penalty, and the
    /// penalty where an epoch begins or the trial ends; never by what its neighbours or the detail of a history ask for.
    fn is_diverged(&self, epoch_begins: bool) -> bool {
        let LossPoint { iteration, data_loss, .. } = self.loss;
        let is_kept = epoch_begins || iteration + 1 == self.task.until;
        !(data_loss.is_finite() && (!is_kept || self.loss.loss().is_finite()))
    }
}

/// The rows of a split that are prepared once for all cohorts, where that pays: a projection costs a product.
struct PreparedRows<T>(Option<Arc<Array2<T>>>);

impl<T: Real> PreparedRows<T> {
    /// None where rows are gathered as bytes: without a projection, or where images change from iteration to iteration.
    fn of(
        data: &Dataset,
        fitted: &Fitted,
        hyperparameters: &Hyperparameters,
        split: Split,
        augment: Augment,
    ) -> Result<Self, String> {
        let recipe = hyperparameters.recipe();
        if !recipe.preparation.projects() || !augment.is_none() {
            return Ok(Self(None));
        }
        let name = format!("{recipe:?} {split:?} {:?}", T::PRECISION);
        let make = || {
            let (prepared, rows) = (fitted.prepared::<T>(), data.rows(split));
            let (source, count) = (prepared.source(rows), rows.len());
            // By the gather, in the blocks of an evaluation: the same bits as those of an evaluation that prepares them itself.
            let mut batch = Minibatch::new(EVALUATION_ROWS, fitted.outputs());
            let mut numbers = Array2::zeros((count, fitted.outputs()));
            for start in (0..count).step_by(EVALUATION_ROWS) {
                let end = (start + EVALUATION_ROWS).min(count);
                batch.gather(&source, start..end, None);
                numbers.slice_mut(s![start..end, ..]).assign(&batch.x());
            }
            Ok(numbers)
        };
        data.once(name, make).map(|numbers| Self(Some(numbers)))
    }

    /// The rows as minibatches are gathered from them.
    fn source<'a>(&'a self, prepared: &'a Prepared<T>, data: &'a Dataset, split: Split) -> Source<'a, T> {
        let rows = data.rows(split);
        match &self.0 {
            Some(numbers) => Source::Numbers { x: numbers.view(), labels: rows.labels },
            None => prepared.source(rows),
        }
    }
}

/// A network at its end: the average of its weights with the weights themselves beside it, where there is one.
fn network_of<W: Wide>(cohort: &Cohort<W>, member: usize) -> Parts {
    let mut parts = cohort.network(member, Weights::Averaged).save();
    if cohort.averages() {
        let raw = cohort.network(member, Weights::Raw).save();
        parts.tensors.extend(raw.tensors.into_iter().map(|(name, tensor)| (format!("raw.{name}"), tensor)));
    }
    parts
}
