//! Which arithmetics there are. Below this file numbers have types, above it they do not.

use std::marker::PhantomData;

use super::evaluation::{self, EVALUATION_ROWS, shape};
use super::observer::{Detail, Observer};
use super::task::{Origin, Task};
use super::training::Training;
use crate::data::Dataset;
use crate::data::augment::View;
use crate::data::images::Rows;
use crate::data::prepare::Fitted;
use crate::data::sets::Shape;
use crate::integer::{Int8, Int16};
use crate::model::Hyperparameters;
use crate::model::optimizer::{Layout, Optimizer};
use crate::model::wide::{Wide, blas::Blas, integer::Integer};
use crate::real::Precision;
use crate::tensors::Parts;

/// What a cohort costs, for planning: a function of a trial's cohort key, the inputs and the update rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// What an iteration of one hidden unit costs, in floating-point operations of f32 or what takes as long.
    pub cost_of_unit: f64,
    /// What a validation row costs each of them, in the same.
    pub cost_of_evaluation: f64,
    /// Bytes of first-layer weights of one hidden unit.
    pub weight_bytes_of_unit: usize,
    /// Bytes that a worker needs for each hidden unit of its cohort, at most: weights and what the rule keeps beside them, their first
    /// values or a copy on its way into a checkpoint, that checkpoint's bytes, the rows of the wide buffers.
    pub bytes_of_unit: usize,
    /// Bytes that it needs besides: minibatches, for training and evaluation.
    pub bytes_fixed: usize,
}

impl Fit {
    /// Bytes that a worker needs for a cohort of so many hidden units.
    pub fn bytes(&self, units: usize) -> usize {
        self.bytes_fixed + units * self.bytes_of_unit
    }
}

/// An arithmetic that trains cohorts.
pub trait Engine: Sync {
    /// What cohorts of trials like this one cost.
    fn fit(&self, hyperparameters: &Hyperparameters, inputs: usize) -> Fit;

    /// Whether trials with minibatches of `batch_size` rows may share a cohort: not where the neighbours would show in their bits. Measured
    /// once a process.
    fn may_share(&self, batch_size: usize, inputs: usize) -> bool;

    /// Trains tasks of one [cohort key](crate::model::hyperparameters::CohortKey) in lockstep, and reports to `observer`.
    ///
    /// # Errors
    /// What the cohort resumes from does not fit its tasks.
    ///
    /// # Panics
    /// There are no tasks, they differ in the key or are of another precision, there is not one network for each, or there are several
    /// though they [may not share](Self::may_share) a cohort.
    fn train(
        &self,
        origin: Origin,
        data: &Dataset,
        tasks: &[Task<'_>],
        detail: Detail,
        observer: &mut dyn Observer,
    ) -> Result<(), String>;

    /// The accuracy on `rows` of a network that was trained with minibatches of `batch_size`, a fraction: what training itself measured.
    ///
    /// # Errors
    /// The network is of another precision, or its tensors do not fit each other.
    fn accuracy(&self, network: &Parts, fitted: &Fitted, batch_size: usize, rows: Rows<'_>) -> Result<f64, String>;

    /// The probabilities of all classes, (rows, C), that a network gives to the images of `rows`, each changed as the view changes images of
    /// this shape.
    ///
    /// # Errors
    /// As of [`Engine::accuracy`].
    fn probabilities(
        &self,
        network: &Parts,
        fitted: &Fitted,
        batch_size: usize,
        rows: Rows<'_>,
        view: (Shape, View),
    ) -> Result<Vec<f64>, String>;
}

/// The engine for a precision.
pub fn engine(precision: Precision) -> &'static dyn Engine {
    match precision {
        Precision::F32 => &Arithmetic::<Blas<f32>>(PhantomData),
        Precision::F64 => &Arithmetic::<Blas<f64>>(PhantomData),
        Precision::Int8 => &Arithmetic::<Integer<Int8>>(PhantomData),
        Precision::Int16 => &Arithmetic::<Integer<Int16>>(PhantomData),
    }
}

/// What cohorts of trials like this one cost, in the trial's own precision.
pub fn fit(hyperparameters: &Hyperparameters, inputs: usize) -> Fit {
    engine(hyperparameters.precision).fit(hyperparameters, inputs)
}

/// What an update costs for each weight beside the products, in floating-point operations that take as long. Measured on Zen 3 in cohorts
/// of 16 networks of 50 units with batches of 200: an iteration takes 1.09 times as long with momentum as with plain descent, 1.22 times
/// with Adam; it is memory traffic.
fn update_cost(layout: Layout) -> f64 {
    let of_rule = match layout.optimizer {
        Optimizer::Sgd => 0.0,
        Optimizer::Momentum | Optimizer::Nesterov => 70.0,
        Optimizer::Adam | Optimizer::Adamw => 175.0,
    };
    // A gradient that is kept to be clipped, and an average of the weights, are a pass each.
    of_rule + 50.0 * (f64::from(u8::from(layout.clips)) + f64::from(u8::from(layout.averages)))
}

/// The engine whose first layers are `W`.
struct Arithmetic<W>(PhantomData<fn() -> W>);

impl<W: Wide> Engine for Arithmetic<W> {
    fn fit(&self, hyperparameters: &Hyperparameters, inputs: usize) -> Fit {
        let batch_size = hyperparameters.batch_size;
        let bytes = size_of::<W::Real>();
        let rows = batch_size + EVALUATION_ROWS;
        let layout = hyperparameters.method().layout();
        // All matrices, and those that are saved a second and a third time: as they begin or on their way into a checkpoint, and its bytes.
        let matrices = layout.matrices() + 2 * (1 + layout.slots() + usize::from(layout.averages));
        let outputs = hyperparameters.recipe().outputs(inputs);
        let unprojected = if outputs < inputs || hyperparameters.preparation.projects() { inputs } else { 0 };
        Fit {
            cost_of_unit: (4.0 * batch_size as f64 * W::cost_of_operation()
                + update_cost(layout) * (bytes as f64 / 4.0)
                + W::cost_of_rounding())
                * outputs as f64,
            cost_of_evaluation: 2.0 * outputs as f64 * W::cost_of_evaluation(),
            weight_bytes_of_unit: outputs * bytes,
            bytes_of_unit: (matrices * outputs + rows) * bytes + outputs * W::ROUNDED_BYTES,
            bytes_fixed: rows * (outputs + unprojected) * bytes,
        }
    }

    fn may_share(&self, batch_size: usize, inputs: usize) -> bool {
        W::lanes(shape(inputs, batch_size)).is_some()
    }

    fn train(
        &self,
        origin: Origin,
        data: &Dataset,
        tasks: &[Task<'_>],
        detail: Detail,
        observer: &mut dyn Observer,
    ) -> Result<(), String> {
        let data = data.fold(tasks.first().and_then(|task| task.hyperparameters.fold()));
        Training::<W>::new(origin, &data, tasks)?.run(detail, observer);
        Ok(())
    }

    fn accuracy(&self, network: &Parts, fitted: &Fitted, batch_size: usize, rows: Rows<'_>) -> Result<f64, String> {
        evaluation::accuracy::<W>(network, fitted, batch_size, rows)
    }

    fn probabilities(
        &self,
        network: &Parts,
        fitted: &Fitted,
        batch_size: usize,
        rows: Rows<'_>,
        view: (Shape, View),
    ) -> Result<Vec<f64>, String> {
        evaluation::probabilities::<W>(network, fitted, batch_size, rows, view)
    }
}
