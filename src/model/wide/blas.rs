//! First layers in f32 or f64, with products by BLAS.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::layers::{LayerRows, Layers};
use super::{Rows, Weights, Wide};
use crate::blas::lanes::{Lanes, Shape};
use crate::blas::matrix::Matrix;
use crate::data::minibatch::Minibatch;
use crate::model::functions::OfPlatform;
use crate::model::optimizer::Target;
use crate::real::{Precision, Real};
use crate::team;

/// V with all that belongs to it.
#[derive(Debug)]
pub struct Blas<T> {
    layers: Layers<T>,
    /// As of [`Lanes::parts`].
    parts: Option<(usize, usize)>,
}

/// How a product of so many rows is split among the threads that are free.
fn parts(parts: Option<(usize, usize)>, rows: usize) -> (usize, (usize, usize, usize)) {
    match parts {
        Some((unit, least)) => (team::parts(), (rows, unit, least)),
        None => (1, (rows, 1, 0)),
    }
}

impl<T: Real> Blas<T> {
    /// Zᵀ (places, B) = V·Xᵀ, of V or its average.
    fn product(&self, weights: &Matrix<T>, batch: &Minibatch<T>, z: &mut [T]) {
        let shape = (weights.rows(), batch.buffer().nrows());
        let z = ArrayViewMut2::from_shape(shape, z).expect("Zᵀ is (places, B)");
        let (parts, sizes) = parts(self.parts, shape.0);
        team::each(parts, sizes, (weights.view(), z), &|(weights, mut z): (_, ArrayViewMut2<'_, T>)| {
            general_mat_mul(T::one(), &weights, &batch.buffer().t(), T::zero(), &mut z);
        });
    }
}

impl<T: Real> Wide for Blas<T> {
    const PRECISION: Precision = T::PRECISION;
    type Real = T;
    type Batch = Minibatch<T>;
    type Functions = OfPlatform;

    fn new(layers: Layers<T>, lanes: &Lanes) -> Self {
        Self { layers, parts: lanes.parts() }
    }

    fn layers(&self) -> &Layers<T> {
        &self.layers
    }

    fn layers_mut(&mut self) -> &mut Layers<T> {
        &mut self.layers
    }

    fn forward(&mut self, batch: &Minibatch<T>, z: &mut [T]) {
        self.product(&self.layers.v, batch, z);
    }

    fn evaluate(&mut self, batch: &Minibatch<T>, weights: Weights, z: &mut [T]) {
        let weights = match weights {
            Weights::Raw => &self.layers.v,
            Weights::Averaged => self.layers.average.as_ref().expect("there is an average"),
        };
        self.product(weights, batch, z);
    }

    fn update(&mut self, deltas: &[T], batch: &Minibatch<T>, members: &mut [Rows]) {
        let shape = (self.layers.places(), batch.buffer().nrows());
        let deltas = ArrayView2::from_shape(shape, deltas).expect("Δᵀ is (places, B)");
        let beta = if self.layers.target == Target::Gradient { T::zero() } else { T::one() };
        let (parts, sizes) = parts(self.parts, shape.0);
        let clips = members.iter().any(|member| member.method.clip_norm > 0.0);
        let all = (deltas, self.layers.rows_of(members));
        team::each(parts, sizes, all, &|(deltas, mut rows): (_, LayerRows<'_, T>)| {
            general_mat_mul(T::one(), &deltas, &batch.buffer(), beta, &mut rows.target().view_mut());
            if !clips {
                rows.step(members);
            }
        });
        if clips {
            self.layers.clip(members);
            let members = &*members;
            team::each(parts, sizes, self.layers.rows_of(members), &|mut rows: LayerRows<'_, T>| rows.step(members));
        }
    }

    fn lanes(shape: Shape) -> Option<Lanes> {
        Lanes::measured::<T>(shape)
    }
}
