//! One cohort from its first iteration to its last: minibatches, learning-rate decay, accuracies, history, divergence.
//!
//! The order of an iteration is the notebook's: draw a minibatch, take the loss, update; where an epoch begins (iteration 0
//! included), measure accuracies after that update, then decay the learning rate.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::blas::lanes::{Lanes, Shape};
use crate::data::minibatch::{Minibatch, Sampler};
use crate::data::{Dataset, Split, dataset::Rows};
use crate::model::cohort::{Cohort, PenaltyGradient, Scratch, Start};
use crate::model::{CheckedHyperparameters, TwoLayerNet};
use crate::random::numpy::RandomState;
use crate::random::{self, Generator, Normals, Purpose};
use crate::real::Real;

/// Rows of a minibatch at evaluation. The number of rows in a product shows in the last bits, so it is one number everywhere.
const EVALUATION_ROWS: usize = 250;

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All iterations done.
    Complete,
    /// The loss was no longer a finite number.
    Diverged,
    /// The program failed at it.
    Failed,
}

impl Status {
    /// As it stands in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
        }
    }
}

/// What is measured where an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochPoint {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Iteration, from 0.
    pub iteration: usize,
    /// Loss with penalty on this iteration's minibatch, before the update.
    pub loss: f64,
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Accuracy on this minibatch, after the update.
    pub train_accuracy: f64,
    /// Accuracy on the validation split, after the update.
    pub val_accuracy: f64,
}

/// A trial's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Validation accuracy after the last iteration, a fraction; none if it diverged.
    pub val_accuracy: Option<f64>,
    /// Loss of the first iteration.
    pub first_loss: Option<f64>,
    /// Loss of the last iteration; none if it diverged.
    pub final_loss: Option<f64>,
    /// Minibatch accuracy where the last epoch began.
    pub train_accuracy: Option<f64>,
    /// Updates done.
    pub iterations_done: usize,
    /// The iteration whose loss was not finite.
    pub diverged_at: Option<usize>,
    /// One point an epoch.
    pub curve: Vec<EpochPoint>,
}

/// Which losses are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Those where an epoch begins: a loss with its penalty costs a pass over the weights.
    Epochs,
    /// Every iteration's.
    EveryIteration,
}

/// Told what happens while a cohort trains.
pub trait Observer<T> {
    /// So many trials, with so many hidden units in all, have done one more iteration.
    fn iterated(&mut self, _trials: usize, _units: usize) {}

    /// The loss of a trial at an iteration, where [`Detail`] asks for it.
    fn loss(&mut self, _trial: usize, _iteration: usize, _loss: f64, _learning_rate: f64) {}

    /// A trial began an epoch.
    fn epoch(&mut self, _trial: usize, _point: &EpochPoint) {}

    /// Asked once an iteration: whether to leave off here.
    fn stops(&self) -> bool {
        false
    }

    /// Trials ended, together.
    fn ended(&mut self, ended: Vec<Ended<T>>);
}

/// A trial at its end.
#[derive(Clone, Debug)]
pub struct Ended<T> {
    /// Its number among those the cohort began with.
    pub trial: usize,
    /// Its result.
    pub outcome: Outcome,
    /// The trained network; none if it diverged.
    pub network: Option<TwoLayerNet<T>>,
    /// Its share of the time that the cohort took.
    pub train_seconds: f64,
}

/// What a cohort starts from.
#[derive(Clone, Debug)]
pub struct Beginning<T> {
    /// The first network of each trial.
    pub networks: Vec<TwoLayerNet<T>>,
    /// Draws the rows of every minibatch.
    pub sampler: Sampler,
    /// Which gradient of the penalty training descends.
    pub penalty_gradient: PenaltyGradient,
}

impl<T: Real> Beginning<T> {
    /// Drawn as the trials' hyperparameters say.
    ///
    /// # Panics
    /// There are no trials.
    pub fn draw(data: &Dataset, trials: &[CheckedHyperparameters]) -> Self {
        let shared = &trials[0];
        let rows = data.rows(Split::Train).len();
        let (networks, sampler) = match shared.random {
            Generator::ChaCha8 => {
                let networks =
                    trials.iter().map(|h| first_network(data, h, &mut random::stream(h.seed, Purpose::Init, 0)));
                (networks.collect(), Sampler::new(shared.seed, shared.sampling, rows))
            }
            Generator::Numpy => {
                // One stream draws a network and then the minibatches. Trials of a cohort have networks of one shape, so
                // their streams stand at the same place when the weights are drawn.
                let first = RandomState::new(u32::try_from(shared.seed).expect("checked: numpy takes the seed"));
                let mut state = first.clone();
                let draw = |h| {
                    state = first.clone();
                    first_network(data, h, &mut state)
                };
                let networks: Vec<_> = trials.iter().map(draw).collect();
                (networks, Sampler::from_numpy(state, shared.sampling, rows))
            }
        };
        Self { networks, sampler, penalty_gradient: PenaltyGradient::Derived }
    }
}

/// Trains trials of one [cohort key](crate::model::hyperparameters::CohortKey) in lockstep, and tells `observer`.
///
/// # Panics
/// The trials differ in it, are of another precision than `T`, or there are none.
pub fn train<T: Real>(
    data: &Dataset,
    trials: &[CheckedHyperparameters],
    detail: Detail,
    observer: &mut dyn Observer<T>,
) {
    train_from(Beginning::draw(data, trials), data, trials, detail, observer);
}

/// As [`train`], from networks and minibatches that the caller gives.
///
/// # Panics
/// As [`train`], or there is not one network a trial.
pub fn train_from<T: Real>(
    beginning: Beginning<T>,
    data: &Dataset,
    trials: &[CheckedHyperparameters],
    detail: Detail,
    observer: &mut dyn Observer<T>,
) {
    let mut training = Training::new(beginning, data, trials);
    while !training.running.is_empty() && !observer.stops() {
        training.iterate(detail, observer);
    }
}

/// A trial on its way.
struct Running<'a> {
    /// Its number among those the cohort began with.
    trial: usize,
    hyperparameters: &'a CheckedHyperparameters,
    first_loss: Option<f64>,
    curve: Vec<EpochPoint>,
    /// Its share of the time since the cohort began.
    seconds: f64,
}

/// A cohort, where it stands, and the buffers that it works in. Member k of the cohort is `running[k]`.
struct Training<'a, T> {
    data: &'a Dataset,
    iteration: usize,
    iterations_per_epoch: usize,
    running: Vec<Running<'a>>,
    cohort: Cohort<T>,
    sampler: Sampler,
    /// When the members' share of time was last counted.
    counted: Instant,
    // Buffers, allocated once.
    mean: Vec<T>,
    rows: Vec<u32>,
    batch: Minibatch<T>,
    scratch: Scratch<T>,
    evaluation: Evaluation<T>,
    losses: Vec<f64>,
    train_accuracies: Vec<f64>,
    val_accuracies: Vec<f64>,
}

impl<'a, T: Real> Training<'a, T> {
    fn new(beginning: Beginning<T>, data: &'a Dataset, trials: &'a [CheckedHyperparameters]) -> Self {
        let shared = &trials[0];
        let lanes = lanes::<T>(data.inputs(), shared.batch_size);
        assert!(lanes.is_some() || trials.len() == 1, "this BLAS kernel has no lanes: trials train alone");
        let lanes = lanes.unwrap_or_else(Lanes::alone);
        let key = shared.cohort_key();
        assert!(trials.iter().all(|trial| trial.cohort_key() == key), "trials of a cohort share their minibatches");
        let Beginning { networks, sampler, penalty_gradient } = beginning;
        assert_eq!(networks.len(), trials.len(), "one network a trial");
        assert_eq!(shared.precision, T::PRECISION, "trials are trained in their precision");
        let train_rows = data.rows(Split::Train).len();
        let start = |(network, h): (_, &CheckedHyperparameters)| Start {
            network,
            l2: h.l2,
            learning_rate: h.learning_rate,
            penalty_gradient,
        };
        let cohort = Cohort::new(networks.into_iter().zip(trials).map(start).collect(), lanes);
        let begin = |(trial, hyperparameters)| Running {
            trial,
            hyperparameters,
            first_loss: None,
            curve: vec![],
            seconds: 0.0,
        };
        Self {
            data,
            iteration: 0,
            iterations_per_epoch: shared.iterations_per_epoch(train_rows),
            running: trials.iter().enumerate().map(begin).collect(),
            sampler,
            counted: Instant::now(),
            mean: data.mean.iter().map(|&value| T::from_f64(value)).collect(),
            rows: vec![0; shared.batch_size],
            batch: Minibatch::new(shared.batch_size, data.inputs()),
            scratch: cohort.scratch(shared.batch_size),
            evaluation: Evaluation::new(&cohort, data.inputs()),
            losses: vec![0.0; trials.len()],
            train_accuracies: vec![0.0; trials.len()],
            val_accuracies: vec![0.0; trials.len()],
            cohort,
        }
    }

    /// One iteration of every member, and the end of those that diverged or are complete.
    fn iterate(&mut self, detail: Detail, observer: &mut dyn Observer<T>) {
        self.sampler.draw(&mut self.rows);
        let rows = self.rows.iter().map(|&row| row as usize);
        self.batch.gather(self.data.rows(Split::Train), &self.mean, rows);

        let iteration = self.iteration;
        let epoch_begins = iteration.is_multiple_of(self.iterations_per_epoch);
        let is_last = |run: &Running<'_>| iteration + 1 == run.hyperparameters.iterations;
        let some_end = self.running.iter().any(is_last);
        // A loss with its penalty costs a pass over the weights, so it is taken only where it is kept.
        let keep_losses = detail == Detail::EveryIteration || epoch_begins || some_end;
        let penalty = |member| if keep_losses { self.cohort.penalty(member) } else { 0.0 };
        let penalties: Vec<f64> = (0..self.running.len()).map(penalty).collect();
        self.cohort.iterate(&self.batch, &mut self.scratch, &mut self.losses);
        let units = self.running.iter().map(|run| run.hyperparameters.hidden).sum();
        observer.iterated(self.running.len(), units);
        for (loss, penalty) in self.losses.iter_mut().zip(&penalties) {
            *loss += penalty;
        }
        self.drop_diverged(observer);

        for (member, run) in self.running.iter_mut().enumerate() {
            let loss = self.losses[member];
            run.first_loss.get_or_insert(loss);
            if detail == Detail::EveryIteration {
                observer.loss(run.trial, iteration, loss, self.cohort.learning_rate(member));
            }
        }
        if epoch_begins {
            self.begin_epoch(observer);
        }
        if some_end {
            self.end_complete(observer);
        }
        self.iteration += 1;
    }

    /// Accuracies after this iteration's update, then the decay of the learning rates.
    fn begin_epoch(&mut self, observer: &mut dyn Observer<T>) {
        self.evaluation.accuracies_of_batch(&self.cohort, &self.batch, &mut self.scratch, &mut self.train_accuracies);
        let val = self.data.rows(Split::Val);
        self.evaluation.accuracies(&self.cohort, val, &self.mean, &mut self.val_accuracies);
        for (member, run) in self.running.iter_mut().enumerate() {
            let point = EpochPoint {
                epoch: self.iteration / self.iterations_per_epoch,
                iteration: self.iteration,
                loss: self.losses[member],
                learning_rate: self.cohort.learning_rate(member),
                train_accuracy: self.train_accuracies[member],
                val_accuracy: self.val_accuracies[member],
            };
            observer.epoch(run.trial, &point);
            run.curve.push(point);
            self.cohort.decay_learning_rate(member, run.hyperparameters.learning_rate_decay);
        }
    }

    fn drop_diverged(&mut self, observer: &mut dyn Observer<T>) {
        if self.losses[..self.running.len()].iter().all(|loss| loss.is_finite()) {
            return;
        }
        let diverged: Vec<bool> = self.losses.iter().map(|loss| !loss.is_finite()).collect();
        let iteration = self.iteration;
        let end = |run: Running<'_>| {
            let outcome = Outcome {
                status: Status::Diverged,
                val_accuracy: None,
                first_loss: run.first_loss,
                final_loss: None,
                train_accuracy: None,
                iterations_done: iteration,
                diverged_at: Some(iteration),
                curve: run.curve,
            };
            Ended { trial: run.trial, outcome, network: None, train_seconds: run.seconds }
        };
        observer.ended(self.leave(&diverged).into_iter().map(end).collect());
    }

    fn end_complete(&mut self, observer: &mut dyn Observer<T>) {
        let val = self.data.rows(Split::Val);
        self.evaluation.accuracies(&self.cohort, val, &self.mean, &mut self.val_accuracies);
        let done: Vec<bool> =
            self.running.iter().map(|run| self.iteration + 1 == run.hyperparameters.iterations).collect();
        let of_done = |values: &[f64]| -> Vec<f64> {
            values.iter().zip(&done).filter(|(_, done)| **done).map(|(&value, _)| value).collect()
        };
        let (accuracies, losses) = (of_done(&self.val_accuracies), of_done(&self.losses));
        let members = (0..done.len()).filter(|&member| done[member]);
        let networks: Vec<_> = members.map(|member| self.cohort.network(member)).collect();
        let (mut ended, iterations) = (Vec::new(), self.iteration + 1);
        for (((run, network), val_accuracy), loss) in
            self.leave(&done).into_iter().zip(networks).zip(accuracies).zip(losses)
        {
            let outcome = Outcome {
                status: Status::Complete,
                val_accuracy: Some(val_accuracy),
                first_loss: run.first_loss,
                final_loss: Some(loss),
                train_accuracy: run.curve.last().map(|point| point.train_accuracy),
                iterations_done: iterations,
                diverged_at: None,
                curve: run.curve,
            };
            ended.push(Ended { trial: run.trial, outcome, network: Some(network), train_seconds: run.seconds });
        }
        observer.ended(ended);
    }

    /// Takes the members that `leaves` names out of the cohort, and returns them.
    fn leave(&mut self, leaves: &[bool]) -> Vec<Running<'a>> {
        let share = self.counted.elapsed().as_secs_f64() / self.running.len() as f64;
        self.counted = Instant::now();
        self.running.iter_mut().for_each(|run| run.seconds += share);
        self.cohort.retain(|member| !leaves[member]);
        let mut leaves_of = leaves.iter();
        self.losses.retain(|_| leaves_of.next() != Some(&true));
        let (left, stayed) = std::mem::take(&mut self.running)
            .into_iter()
            .enumerate()
            .partition::<Vec<_>, _>(|(member, _)| leaves[*member]);
        self.running = stayed.into_iter().map(|(_, run)| run).collect();
        left.into_iter().map(|(_, run)| run).collect()
    }
}

/// Bytes that a worker needs for a cohort of so many hidden units: weights, minibatch, wide buffer, the same for evaluation.
pub fn bytes_of_cohort<T: Real>(units: usize, batch_size: usize, inputs: usize) -> usize {
    let rows = batch_size + EVALUATION_ROWS;
    (units * inputs + rows * (inputs + units)) * size_of::<T>()
}

/// Where units stand in products of these shapes; `None` where a trial's bits would depend on its neighbours.
pub fn lanes<T: Real>(inputs: usize, batch_size: usize) -> Option<Lanes> {
    Lanes::measured::<T>(Shape { batch_rows: batch_size, evaluation_rows: EVALUATION_ROWS, inputs })
}

/// The network that a trial starts from: drawn for its seed and shape alone.
fn first_network<T: Real>(data: &Dataset, h: &CheckedHyperparameters, stream: &mut impl Normals) -> TwoLayerNet<T> {
    TwoLayerNet::random(data.inputs(), h.hidden, data.classes(), h.weight_scale, stream)
}

/// Buffers for measuring accuracy.
pub struct Evaluation<T> {
    batch: Minibatch<T>,
    scratch: Scratch<T>,
    correct: Vec<usize>,
}

impl<T: Real> Evaluation<T> {
    /// Room for the networks of `cohort`, of `inputs` inputs.
    pub fn new(cohort: &Cohort<T>, inputs: usize) -> Self {
        let batch = Minibatch::new(EVALUATION_ROWS, inputs);
        Self { batch, scratch: cohort.scratch(EVALUATION_ROWS), correct: vec![0; cohort.len()] }
    }

    /// The accuracy of each member of `cohort` on `rows`, a fraction.
    pub fn accuracies(&mut self, cohort: &Cohort<T>, rows: Rows<'_>, mean: &[T], accuracies: &mut [f64]) {
        self.correct.fill(0);
        for start in (0..rows.len()).step_by(EVALUATION_ROWS) {
            let end = (start + EVALUATION_ROWS).min(rows.len());
            self.batch.gather(rows, mean, start..end);
            cohort.count_correct(&self.batch, &mut self.scratch, &mut self.correct);
        }
        fractions(&self.correct, rows.len(), accuracies);
    }

    /// The accuracy of each member on a minibatch that is there already.
    fn accuracies_of_batch(
        &mut self,
        cohort: &Cohort<T>,
        batch: &Minibatch<T>,
        scratch: &mut Scratch<T>,
        accuracies: &mut [f64],
    ) {
        self.correct.fill(0);
        cohort.count_correct(batch, scratch, &mut self.correct);
        fractions(&self.correct, batch.labels().len(), accuracies);
    }
}

fn fractions(correct: &[usize], rows: usize, accuracies: &mut [f64]) {
    for (accuracy, &correct) in accuracies.iter_mut().zip(correct) {
        *accuracy = correct as f64 / rows as f64;
    }
}

/// The accuracy on `rows` of a network that was trained with minibatches of `batch_size`, a fraction: what training itself measured.
pub fn accuracy<T: Real>(network: &TwoLayerNet<T>, batch_size: usize, rows: Rows<'_>, mean: &[f64]) -> f64 {
    let mean: Vec<T> = mean.iter().map(|&value| T::from_f64(value)).collect();
    let start =
        Start { network: network.clone(), l2: 0.0, learning_rate: 0.0, penalty_gradient: PenaltyGradient::Derived };
    let lanes = lanes::<T>(mean.len(), batch_size).unwrap_or_else(Lanes::alone);
    let cohort = Cohort::new(vec![start], lanes);
    let mut accuracy = [0.0];
    Evaluation::new(&cohort, mean.len()).accuracies(&cohort, rows, &mean, &mut accuracy);
    accuracy[0]
}
