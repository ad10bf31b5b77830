//! The second half of the notebook: 1,000 iterations on CIFAR-10.

use crate::data::minibatch::Sampler;
use crate::data::{DataConfig, Dataset, Split};
use crate::error::Result;
use crate::model::cohort::PenaltyGradient;
use crate::model::{Hyperparameters, TwoLayerNet};
use crate::random::Generator;
use crate::random::numpy::RandomState;
use crate::real::{Precision, Real};
use crate::report::history::LossPoint;
use crate::train::{self, Beginning, Detail, Ended, Observer, Outcome};

/// What the second half computes.
#[derive(Clone, Debug)]
pub struct Cifar<T> {
    /// (rows, D) of the training, validation and test data.
    pub shapes: [[usize; 2]; 3],
    /// Loss at each of the 1,000 iterations.
    pub losses: Vec<LossPoint>,
    /// How training ended, with the accuracies at the epochs.
    pub outcome: Outcome,
    /// The trained network; none where it diverged.
    pub network: Option<TwoLayerNet<T>>,
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

impl<T: Real> Cifar<T> {
    /// Computes it on `data` in the precision of `T`, going on where the first half left `state`; `iterated` is called once an
    /// iteration.
    ///
    /// # Errors
    /// The data have fewer rows than a minibatch.
    pub fn replay(
        data: &Dataset,
        mut state: RandomState,
        penalty_gradient: PenaltyGradient,
        iterated: impl FnMut(),
    ) -> Result<Self> {
        let rows = data.rows(Split::Train).len();
        let trial = Hyperparameters { precision: T::PRECISION, ..hyperparameters() }.check(rows)?;
        let network = TwoLayerNet::random(data.inputs(), trial.hidden, data.classes(), trial.weight_scale, &mut state);
        let sampler = Sampler::from_numpy(state, trial.sampling, rows);
        let beginning = Beginning { networks: vec![network], sampler, penalty_gradient };
        let mut log = Log { iterated, losses: Vec::with_capacity(trial.iterations), end: None };
        train::train_from(beginning, data, std::slice::from_ref(&trial), Detail::EveryIteration, &mut log);
        let Ended { outcome, network, train_seconds, .. } = log.end.expect("every trial ends");
        let shape = |split| [data.rows(split).len(), data.inputs()];
        let shapes = [Split::Train, Split::Val, Split::Test].map(shape);
        Ok(Self { shapes, losses: log.losses, outcome, network, train_seconds })
    }
}

/// Keeps what training tells.
struct Log<T, F> {
    iterated: F,
    losses: Vec<LossPoint>,
    end: Option<Ended<T>>,
}

impl<T, F: FnMut()> Observer<T> for Log<T, F> {
    fn iterated(&mut self, _trials: usize, _units: usize) {
        (self.iterated)();
    }

    fn loss(&mut self, _trial: usize, iteration: usize, loss: f64, learning_rate: f64) {
        self.losses.push(LossPoint { iteration, loss, learning_rate });
    }

    fn ended(&mut self, ended: Vec<Ended<T>>) {
        self.end = ended.into_iter().next();
    }
}
