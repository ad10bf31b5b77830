//! One cohort from its first iteration to its last: minibatches, learning-rate decay, accuracies, history, divergence.
//!
//! The order of an iteration is the notebook's: draw a minibatch, take the loss, update; where an epoch begins (iteration 0
//! included), measure accuracies after that update, then decay the learning rate.

pub mod evaluation;
pub mod observer;
pub mod outcome;

use std::time::Instant;

pub use self::evaluation::accuracy;
use self::evaluation::{EVALUATION_ROWS, Evaluation};
pub use self::observer::{Detail, Ended, MemberState, Next, Observer, State};
pub use self::outcome::{EpochPoint, Outcome, SoFar, Status};
use crate::blas::lanes::{Lanes, Shape};
use crate::data::minibatch::{Minibatch, Sampler};
use crate::data::{Dataset, Split};
use crate::model::cohort::{Cohort, PenaltyGradient, Scratch, Start};
use crate::model::{CheckedHyperparameters, Hyperparameters, TwoLayerNet};
use crate::random::numpy::RandomState;
use crate::random::{self, Generator, Normals, Purpose};
use crate::real::{Precision, Real};

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
                let draw = |h: &_| first_network(data, h, &mut random::stream(shared.seed, Purpose::Init, 0));
                (first_networks(trials, draw), Sampler::new(shared.seed, shared.sampling, rows))
            }
            Generator::Numpy => {
                // One stream draws a network and then the minibatches. Trials of a cohort have networks of one shape, so
                // their streams stand at the same place when the weights are drawn.
                let first = RandomState::new(u32::try_from(shared.seed).expect("checked: numpy takes the seed"));
                let mut state = first.clone();
                let draw = |h: &_| {
                    state = first.clone();
                    first_network(data, h, &mut state)
                };
                let networks = first_networks(trials, draw);
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
    let Beginning { networks, sampler, penalty_gradient } = beginning;
    assert_eq!(networks.len(), trials.len(), "one network a trial");
    let begin = |(trial, (network, h)): (usize, (_, &CheckedHyperparameters))| MemberState {
        trial,
        start: Start { penalty_gradient, ..Start::of(network, h.l2, h.learning_rate) },
        so_far: SoFar::default(),
    };
    let members = networks.into_iter().zip(trials).enumerate().map(begin).collect();
    Training::new(State { iteration: 0, members }, sampler, data, trials).run(detail, observer);
}

/// Goes on where `state` stands; its members are among `trials`.
///
/// # Panics
/// As [`train`].
pub fn resume<T: Real>(
    state: State<T>,
    data: &Dataset,
    trials: &[CheckedHyperparameters],
    detail: Detail,
    observer: &mut dyn Observer<T>,
) {
    // Drawing the minibatches of the iterations that were done brings the stream to its place: some 2 ns a row.
    let mut sampler = Beginning::<T>::draw(data, &trials[..1]).sampler;
    let mut rows = vec![0; trials[0].batch_size];
    (0..state.iteration).for_each(|_| sampler.draw(&mut rows));
    Training::new(state, sampler, data, trials).run(detail, observer);
}

/// A trial on its way.
struct Running<'a> {
    /// Its number among those the cohort began with.
    trial: usize,
    hyperparameters: &'a CheckedHyperparameters,
    so_far: SoFar,
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
    penalties: Vec<f64>,
    train_accuracies: Vec<f64>,
    val_accuracies: Vec<f64>,
}

impl<'a, T: Real> Training<'a, T> {
    fn new(state: State<T>, sampler: Sampler, data: &'a Dataset, trials: &'a [CheckedHyperparameters]) -> Self {
        let shared = &trials[0];
        let lanes = lanes::<T>(data.inputs(), shared.batch_size);
        assert!(lanes.is_some() || trials.len() == 1, "this BLAS kernel has no lanes: trials train alone");
        let lanes = lanes.unwrap_or_else(Lanes::alone);
        let key = shared.cohort_key();
        assert!(trials.iter().all(|trial| trial.cohort_key() == key), "trials of a cohort share their minibatches");
        assert_eq!(shared.precision, T::PRECISION, "trials are trained in their precision");
        let train_rows = data.rows(Split::Train).len();
        let part =
            |MemberState { trial, start, so_far }| (start, Running { trial, hyperparameters: &trials[trial], so_far });
        let (starts, running): (Vec<_>, Vec<_>) = state.members.into_iter().map(part).unzip();
        let cohort = Cohort::new(starts, lanes);
        Self {
            data,
            iteration: state.iteration,
            iterations_per_epoch: shared.iterations_per_epoch(train_rows),
            sampler,
            counted: Instant::now(),
            mean: data.mean.iter().map(|&value| T::from_f64(value)).collect(),
            rows: vec![0; shared.batch_size],
            batch: Minibatch::new(shared.batch_size, data.inputs()),
            scratch: cohort.scratch(shared.batch_size),
            evaluation: Evaluation::new(&cohort, data.inputs()),
            losses: vec![0.0; running.len()],
            penalties: vec![0.0; running.len()],
            train_accuracies: vec![0.0; running.len()],
            val_accuracies: vec![0.0; running.len()],
            running,
            cohort,
        }
    }

    fn run(mut self, detail: Detail, observer: &mut dyn Observer<T>) {
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

    fn state(&mut self) -> State<T> {
        self.count_time();
        let member = |(member, run): (usize, &Running<'_>)| MemberState {
            trial: run.trial,
            start: self.cohort.state(member),
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
        for (member, penalty) in self.penalties.iter_mut().enumerate() {
            *penalty = if keep_losses { self.cohort.penalty(member) } else { 0.0 };
        }
        self.cohort.iterate(&self.batch, &mut self.scratch, &mut self.losses);
        let units = self.running.iter().map(|run| run.hyperparameters.hidden).sum();
        observer.iterated(self.running.len(), units);
        for (loss, penalty) in self.losses.iter_mut().zip(&self.penalties) {
            *loss += penalty;
        }
        self.drop_diverged(observer);

        for (member, run) in self.running.iter_mut().enumerate() {
            let loss = self.losses[member];
            run.so_far.first_loss.get_or_insert(loss);
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
            run.so_far.curve.push(point);
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
                first_loss: run.so_far.first_loss,
                final_loss: None,
                train_accuracy: None,
                iterations_done: iteration,
                diverged_at: Some(iteration),
                curve: run.so_far.curve,
            };
            Ended { trial: run.trial, outcome, network: None, train_seconds: run.so_far.seconds }
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
                first_loss: run.so_far.first_loss,
                final_loss: Some(loss),
                train_accuracy: run.so_far.curve.last().map(|point| point.train_accuracy),
                iterations_done: iterations,
                diverged_at: None,
                curve: run.so_far.curve,
            };
            ended.push(Ended { trial: run.trial, outcome, network: Some(network), train_seconds: run.so_far.seconds });
        }
        observer.ended(ended);
    }

    /// Takes the members that `leaves` names out of the cohort, and returns them.
    fn leave(&mut self, leaves: &[bool]) -> Vec<Running<'a>> {
        self.count_time();
        self.cohort.retain(|member| !leaves[member]);
        let mut leaves_of = leaves.iter();
        self.losses.retain(|_| leaves_of.next() != Some(&true));
        self.penalties.truncate(self.losses.len());
        let (left, stayed) = std::mem::take(&mut self.running)
            .into_iter()
            .enumerate()
            .partition::<Vec<_>, _>(|(member, _)| leaves[*member]);
        self.running = stayed.into_iter().map(|(_, run)| run).collect();
        left.into_iter().map(|(_, run)| run).collect()
    }
}

/// Bytes that a worker needs, at most, for a cohort of so many hidden units: weights, what they began from or a copy of them on its way
/// into a checkpoint, that checkpoint's bytes; a minibatch and the wide buffer, and the same for evaluation.
pub fn bytes_of_cohort(precision: Precision, units: usize, batch_size: usize, inputs: usize) -> usize {
    let rows = batch_size + EVALUATION_ROWS;
    (3 * units * inputs + rows * (inputs + units)) * precision.bytes()
}

/// Where units stand in products of these shapes; `None` where a trial's bits would depend on its neighbours.
pub fn lanes<T: Real>(inputs: usize, batch_size: usize) -> Option<Lanes> {
    Lanes::measured::<T>(Shape { batch_rows: batch_size, evaluation_rows: EVALUATION_ROWS, inputs })
}

/// The networks that trials of one seed start from. Those of one shape and scale start from the same weights, so these are drawn
/// once: normals are slow, some 20 ns each from numpy's stream.
fn first_networks<T: Clone>(
    trials: &[CheckedHyperparameters],
    mut draw: impl FnMut(&CheckedHyperparameters) -> TwoLayerNet<T>,
) -> Vec<TwoLayerNet<T>> {
    // What the weights are drawn by, beside what all trials of a cohort have in common. Without `..`: a new hyperparameter is asked about.
    let drawn_by = |h: &CheckedHyperparameters| {
        let Hyperparameters {
            hidden,
            weight_scale,
            seed: _,
            random: _,
            precision: _,
            batch_size: _,
            sampling: _,
            learning_rate: _,
            learning_rate_decay: _,
            l2: _,
            iterations: _,
        } = **h;
        (hidden, weight_scale)
    };
    let mut networks: Vec<TwoLayerNet<T>> = Vec::with_capacity(trials.len());
    for (at, h) in trials.iter().enumerate() {
        let same = trials[..at].iter().position(|other| drawn_by(other) == drawn_by(h));
        networks.push(same.map_or_else(|| draw(h), |same| networks[same].clone()));
    }
    networks
}

/// The network that a trial starts from: drawn for its seed and shape alone.
fn first_network<T: Real>(data: &Dataset, h: &CheckedHyperparameters, stream: &mut impl Normals) -> TwoLayerNet<T> {
    TwoLayerNet::random(data.inputs(), h.hidden, data.classes(), h.weight_scale, stream)
}
