//! The second half of the notebook: 1,000 iterations on CIFAR-10.

use super::PenaltyGradient;
use crate::data::sampler::Sampler;
use crate::data::{DataConfig, Dataset, Split};
use crate::error::Result;
use crate::model::{Hyperparameters, TwoLayerNet};
use crate::random::Generator;
use crate::random::numpy::RandomState;
use crate::real::{Precision, Real};
use crate::tensors::Parts;
use crate::train::{Detail, Ended, LossPoint, Observer, Origin, Outcome, Task, engine};

/// What the second half computes.
#[derive(Clone, Debug)]
pub struct Cifar {
    /// (rows, D) of the training, validation and test data.
    pub shapes: [[usize; 2]; 3],
    /// Loss at each of the 1,000 iterations.
    pub losses: Vec<LossPoint>,
    /// How training ended, with the accuracies at the epochs.
    pub outcome: Outcome,
    /// The trained network, as `W1`, `b1`, `W2`, `b2`; none where it diverged.
    pub network: Option<Parts>,
    /// Time of the training.
    pub train_seconds: f64,
}

/// The notebook's split: it tests on the first 1,000 test images only.
pub fn data_config() -> DataConfig {
    DataConfig { train: Some(49_000), val: Some(1000), test: Some(1000), ..DataConfig::default() }
}

/// The notebook's configuration, in its f64. The seed is that of the toy network: there is no other before the draws.
pub fn hyperparameters() -> Hyperparameters {
    Hyperparameters {
        hidden: 50,
        learning_rate: 1e-4,
        learning_rate_decay: 0.95,
        l2: 0.25,
        batch_size: 200,
        iterations: 1000,
        weight_scale: 1e-4,
        precision: Precision::F64,
        random: Generator::Numpy,
        ..Hyperparameters::default()
    }
}

impl Cifar {
    /// Computes it on `data` in a precision, from where the first half left `state`; `iterated` is called once an iteration.
    ///
    /// # Errors
    /// The data have fewer rows than a minibatch.
    pub fn replay(
        data: &Dataset,
        mut state: RandomState,
        precision: Precision,
        penalty_gradient: PenaltyGradient,
        iterated: impl FnMut(),
    ) -> Result<Self> {
        let rows = data.rows(Split::Train).len();
        let l2 = hyperparameters().l2 * penalty_gradient.share();
        let trial = Hyperparameters { precision, l2, ..hyperparameters() }.check(rows)?;
        let network = match precision {
            Precision::F32 => first_network::<f32>(data, &trial, &mut state),
            Precision::F64 => first_network::<f64>(data, &trial, &mut state),
            Precision::Int8 | Precision::Int16 => unreachable!("a replay is in f32 or f64"),
        };
        let sampler = Sampler::from_numpy(state, trial.sampling, rows);
        let origin = Origin::Given { networks: vec![network], sampler };
        let mut log = Log { iterated, penalty_gradient, losses: Vec::with_capacity(trial.iterations), end: None };
        let trained = engine(precision).train(origin, data, &[Task::whole(&trial)], Detail::EveryIteration, &mut log);
        trained.expect("the network was drawn for the trial");
        let Ended { outcome, network, train_seconds, .. } = log.end.expect("every trial ends");
        let shape = |split| [data.rows(split).len(), data.inputs()];
        let shapes = [Split::Train, Split::Val, Split::Test].map(shape);
        Ok(Self { shapes, losses: log.losses, outcome, network, train_seconds })
    }
}

fn first_network<T: Real>(data: &Dataset, trial: &Hyperparameters, state: &mut RandomState) -> Parts {
    TwoLayerNet::<T>::random(data.inputs(), trial.hidden, data.classes(), [trial.weight_scale; 2], state).save()
}

/// Keeps what training reports.
struct Log<F> {
    iterated: F,
    penalty_gradient: PenaltyGradient,
    losses: Vec<LossPoint>,
    end: Option<Ended>,
}

impl<F: FnMut()> Observer for Log<F> {
    fn iterated(&mut self, _trials: usize, _work: f64) {
        (self.iterated)();
    }

    fn loss(&mut self, _trial: usize, point: &LossPoint) {
        self.losses.push(self.penalty_gradient.whole(*point));
    }

    fn ended(&mut self, ended: Vec<Ended>) {
        self.end = ended.into_iter().next();
    }
}
