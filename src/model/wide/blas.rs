//! First layers in f32 or f64, with products by BLAS.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use super::Wide;
use crate::blas::lanes::{Lanes, Shape};
use crate::blas::matrix::Matrix;
use crate::data::minibatch::Minibatch;
use crate::model::optimizer::{Rule, Scalars, Target};
use crate::real::Real;
use crate::tensors::Parts;

/// V, and the matrices that the rule has beside it, all (places, D).
#[derive(Debug)]
pub struct Blas<T> {
    rule: Rule,
    v: Matrix<T>,
    slots: Vec<Matrix<T>>,
    /// Where the rule needs the gradient itself.
    gradient: Option<Matrix<T>>,
}

/// The name of a matrix of state in [`Parts`].
fn slot_name(slot: usize) -> String {
    format!("slot{slot}.V")
}

/// The rows at `places` of a matrix as one run of numbers.
fn rows_of<T: Real>(matrix: &Matrix<T>, places: &[usize]) -> Vec<T> {
    places.iter().flat_map(|&place| matrix.row(place)).copied().collect()
}

impl<T: Real> Wide for Blas<T> {
    type Real = T;
    type Batch = Minibatch<T>;

    fn zeros(places: usize, inputs: usize, rule: Rule) -> Self {
        let zeros = || Matrix::zeros(places, inputs);
        let gradient = (rule.target() == Target::Gradient).then(zeros);
        Self { rule, v: zeros(), slots: (0..rule.slots()).map(|_| zeros()).collect(), gradient }
    }

    fn places(&self) -> usize {
        self.v.rows()
    }

    fn inputs(&self) -> usize {
        self.v.columns()
    }

    fn set(&mut self, place: usize, weights: &mut dyn Iterator<Item = T>) {
        self.v.row_mut(place).iter_mut().zip(weights).for_each(|(place, weight)| *place = weight);
    }

    fn forward(&self, batch: &Minibatch<T>, z: &mut [T]) {
        let shape = (self.v.rows(), batch.buffer().nrows());
        let mut z = ArrayViewMut2::from_shape(shape, z).expect("Zᵀ is (places, B)");
        general_mat_mul(T::one(), &self.v.view(), &batch.buffer().t(), T::zero(), &mut z);
    }

    fn backward(&mut self, deltas: &[T], batch: &Minibatch<T>) {
        let shape = (self.v.rows(), batch.buffer().nrows());
        let deltas = ArrayView2::from_shape(shape, deltas).expect("Δᵀ is (places, B)");
        let (target, beta) = match (self.rule.target(), &mut self.gradient) {
            (Target::Weights, _) => (&mut self.v, T::one()),
            (Target::Slot(slot), _) => (&mut self.slots[slot], T::one()),
            (Target::Gradient, gradient) => (gradient.as_mut().expect("the rule asked for it"), T::zero()),
        };
        general_mat_mul(T::one(), &deltas, &batch.buffer(), beta, &mut target.view_mut());
    }

    fn step(&mut self, places: &[usize], scalars: &Scalars) {
        let Some(gradient) = &self.gradient else { return };
        for &place in places {
            let mut slots: Vec<&mut [T]> = self.slots.iter_mut().map(|slot| slot.row_mut(place)).collect();
            self.rule.apply(scalars, self.v.row_mut(place), &mut slots, gradient.row(place));
        }
    }

    fn multiply(&mut self, places: &[usize], factor: f64) {
        let factor = T::from_f64(factor);
        for &place in places {
            self.v.row_mut(place).iter_mut().for_each(|weight| *weight *= factor);
        }
    }

    fn relocate(&mut self, moves: &[(usize, usize)], places: usize) {
        for matrix in std::iter::once(&mut self.v).chain(&mut self.slots).chain(&mut self.gradient) {
            let mut relocated = Matrix::zeros(places, matrix.columns());
            moves.iter().for_each(|&(from, to)| relocated.row_mut(to).copy_from_slice(matrix.row(from)));
            *matrix = relocated;
        }
    }

    fn squares(&self, places: &[usize]) -> f64 {
        let of_row = |row: &[T]| row.iter().map(|weight| weight.as_f64() * weight.as_f64()).sum::<f64>();
        places.iter().map(|&place| of_row(self.v.row(place))).sum()
    }

    fn first_layer(&self, places: &[usize], scale: f64) -> Array2<T> {
        let scale = T::from_f64(scale);
        Array2::from_shape_fn((self.inputs(), places.len()), |(input, unit)| self.v.row(places[unit])[input] * scale)
    }

    fn save(&self, places: &[usize], into: &mut Parts) {
        let shape = [places.len(), self.inputs()];
        into.put("V", &shape, rows_of(&self.v, places));
        for (slot, matrix) in self.slots.iter().enumerate() {
            into.put(&slot_name(slot), &shape, rows_of(matrix, places));
        }
    }

    fn load(&mut self, places: &[usize], from: &Parts) -> Result<(), String> {
        let shape = [places.len(), self.inputs()];
        let names = std::iter::once("V".to_owned()).chain((0..self.slots.len()).map(slot_name));
        for (name, matrix) in names.zip(std::iter::once(&mut self.v).chain(&mut self.slots)) {
            let rows = from.numbers::<T>(&name, &shape)?.chunks_exact(shape[1]);
            places.iter().zip(rows).for_each(|(&place, row)| matrix.row_mut(place).copy_from_slice(row));
        }
        Ok(())
    }

    fn lanes(shape: Shape) -> Option<Lanes> {
        Lanes::measured::<T>(shape)
    }
}
