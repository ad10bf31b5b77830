//! All first layers of a cohort as one matrix: what an arithmetic has to write to train networks.

pub mod blas;
pub mod integer;
pub mod layers;

use super::optimizer::{Method, Scalars};
use crate::blas::lanes::{Lanes, Shape};
use crate::data::minibatch::Batch;
use crate::model::functions::Functions;
use crate::real::{Precision, Real};
use layers::Layers;

/// Which weights of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Those that the update rule changes.
    Raw,
    /// The average of these, where the member keeps one.
    Averaged,
}

/// The rows of the wide matrix that belong to one member, and what an update does to them.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The row of V for each hidden unit.
    pub places: Vec<usize>,
    /// How the member is trained.
    pub method: Method,
    /// The numbers of this iteration's update.
    pub scalars: Scalars,
    /// ‖dW‖² of all parameters but the first-layer weights, where gradients are clipped.
    pub head_squares: f64,
}

/// The first layers of a cohort, with an arithmetic for their two wide products.
pub trait Wide: Sized + Send {
    /// Which of the precisions of trials this is.
    const PRECISION: Precision;
    /// What weights, scores, heads and losses are computed in.
    type Real: Real;
    /// The minibatches that the products read.
    type Batch: Batch<Self::Real>;
    /// Exponentials and logarithms.
    type Functions: Functions<Self::Real>;

    /// Bytes that a weight has beside its numbers in [`Layers`]: rounded, for training and for evaluation.
    const ROUNDED_BYTES: usize = 0;

    /// What a floating-point operation of the wide products costs, where one of f32 costs 1.
    fn cost_of_operation() -> f64 {
        size_of::<Self::Real>() as f64 / 4.0
    }

    /// The same of products that evaluate.
    fn cost_of_evaluation() -> f64 {
        Self::cost_of_operation()
    }

    /// What all that is done to a weight once an iteration costs beside the products and the update rule, in operations of f32.
    fn cost_of_rounding() -> f64 {
        0.0
    }

    /// These layers, whose units stand in these lanes.
    fn new(layers: Layers<Self::Real>, lanes: &Lanes) -> Self;

    /// The layers.
    fn layers(&self) -> &Layers<Self::Real>;

    /// The layers, to be changed.
    fn layers_mut(&mut self) -> &mut Layers<Self::Real>;

    /// The first wide product: Zᵀ (places, B) = V·Xᵀ.
    ///
    /// # Panics
    /// `z` has another size.
    fn forward(&mut self, batch: &Self::Batch, z: &mut [Self::Real]);

    /// As [`forward`](Self::forward), to evaluate these weights.
    ///
    /// # Panics
    /// There is no average, or `z` has another size.
    fn evaluate(&mut self, batch: &Self::Batch, weights: Weights, z: &mut [Self::Real]);

    /// The second wide product, += Δᵀ (places, B)·X into the [target](crate::model::optimizer::Target), and all that the members' rules do
    /// with it. Where gradients are clipped, it sets the factor among the scalars of `members`.
    ///
    /// # Panics
    /// `deltas` have another size.
    fn update(&mut self, deltas: &[Self::Real], batch: &Self::Batch, members: &mut [Rows]);

    /// Where units stand in products of these shapes so that no result depends on its neighbours; none where it would.
    fn lanes(shape: Shape) -> Option<Lanes>;
}
