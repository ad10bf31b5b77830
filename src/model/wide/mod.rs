//! All first layers of a cohort as one matrix: what an arithmetic has to write to train networks.

pub mod blas;

use ndarray::Array2;

use super::optimizer::{Layout, Method, Scalars};
use crate::blas::lanes::{Lanes, Shape};
use crate::data::minibatch::Batch;
use crate::real::Real;
use crate::tensors::Parts;

/// The first-layer weights of a cohort, V (places, D): a row a hidden unit, with what the update rule keeps beside them. Rows without a
/// unit are zero, and stay so.
pub trait Wide: Sized + Send {
    /// What scores, heads and losses are computed in.
    type Real: Real;
    /// The minibatches that the products read.
    type Batch: Batch<Self::Real>;

    /// Zeros, for members with this layout.
    fn zeros(places: usize, inputs: usize, layout: Layout) -> Self;

    /// Rows of V, those without a unit included.
    fn places(&self) -> usize;

    /// D.
    fn inputs(&self) -> usize;

    /// Gives the unit at `place` its first weights, (D), of which the average begins too.
    fn set(&mut self, place: usize, weights: &mut dyn Iterator<Item = Self::Real>);

    /// The first wide product: Zᵀ (places, B) = V·Xᵀ.
    ///
    /// # Panics
    /// `z` has another size.
    fn forward(&self, batch: &Self::Batch, z: &mut [Self::Real]);

    /// As [`forward`](Self::forward), with the average of the weights.
    ///
    /// # Panics
    /// There is none, or `z` has another size.
    fn forward_average(&self, batch: &Self::Batch, z: &mut [Self::Real]);

    /// The second wide product, accumulated into the layout's [target](Layout::target): += Δᵀ (places, B)·X.
    ///
    /// # Panics
    /// `deltas` have another size.
    fn backward(&mut self, deltas: &[Self::Real], batch: &Self::Batch);

    /// ‖dW1‖² of the units at `places`, after the backward product, summed in f64.
    ///
    /// # Panics
    /// The gradient is not kept ([`Layout::target`]).
    fn gradient_squares(&self, places: &[usize]) -> f64;

    /// What is left to do for the units of one member after the backward product: the rule's step where that was not the update, the
    /// largest norm of a unit's weights, the average of the weights.
    fn step(&mut self, places: &[usize], method: &Method, scalars: &Scalars);

    /// Multiplies the weights of the units at `places`.
    fn multiply(&mut self, places: &[usize], factor: f64);

    /// Members have left: there are `places` rows now, of which each pair of `moves` names a former and its new place.
    fn relocate(&mut self, moves: &[(usize, usize)], places: usize);

    /// ‖V‖² over the units at `places`, summed in f64.
    fn squares(&self, places: &[usize]) -> f64;

    /// W1 (D, H) = `scale` · V, for the units at `places`.
    fn first_layer(&self, places: &[usize], scale: f64) -> Array2<Self::Real>;

    /// The average of W1 (D, H), for the units at `places`.
    ///
    /// # Panics
    /// There is none.
    fn average_layer(&self, places: &[usize]) -> Array2<Self::Real>;

    /// Writes weights and state of the units at `places`.
    fn save(&self, places: &[usize], into: &mut Parts);

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// Something is missing or has another shape or precision.
    fn load(&mut self, places: &[usize], from: &Parts) -> Result<(), String>;

    /// Where units stand in products of these shapes so that no result depends on its neighbours; none where it would.
    fn lanes(shape: Shape) -> Option<Lanes>;
}
