//! First layers in f32 or f64, with products by BLAS.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use super::Wide;
use crate::blas::lanes::{Lanes, Shape};
use crate::blas::matrix::Matrix;
use crate::data::minibatch::Minibatch;
use crate::model::optimizer::{Layout, Method, Scalars, Target, blend, norm_factor, squares};
use crate::real::Real;
use crate::tensors::Parts;

/// V, and the matrices that the update rule has beside it, all (places, D).
#[derive(Debug)]
pub struct Blas<T> {
    target: Target,
    v: Matrix<T>,
    slots: Vec<Matrix<T>>,
    /// Where the rule needs the gradient itself.
    gradient: Option<Matrix<T>>,
    /// The average of the weights.
    average: Option<Matrix<T>>,
}

/// Where the average of the weights is in [`Parts`].
const AVERAGE: &str = "average.V";

/// The name of a matrix of state in [`Parts`].
fn slot_name(slot: usize) -> String {
    format!("slot{slot}.V")
}

/// Zᵀ (places, B) = `weights`·Xᵀ.
fn forward<T: Real>(weights: &Matrix<T>, batch: &Minibatch<T>, z: &mut [T]) {
    let shape = (weights.rows(), batch.buffer().nrows());
    let mut z = ArrayViewMut2::from_shape(shape, z).expect("Zᵀ is (places, B)");
    general_mat_mul(T::one(), &weights.view(), &batch.buffer().t(), T::zero(), &mut z);
}

/// The rows at `places` of a matrix as one run of numbers.
fn rows_of<T: Real>(matrix: &Matrix<T>, places: &[usize]) -> Vec<T> {
    places.iter().flat_map(|&place| matrix.row(place)).copied().collect()
}

impl<T: Real> Wide for Blas<T> {
    type Real = T;
    type Batch = Minibatch<T>;

    fn zeros(places: usize, inputs: usize, layout: Layout) -> Self {
        let zeros = || Matrix::zeros(places, inputs);
        let target = layout.target();
        Self {
            target,
            v: zeros(),
            slots: (0..layout.slots()).map(|_| zeros()).collect(),
            gradient: (target == Target::Gradient).then(zeros),
            average: layout.averages.then(zeros),
        }
    }

    fn places(&self) -> usize {
        self.v.rows()
    }

    fn inputs(&self) -> usize {
        self.v.columns()
    }

    fn set(&mut self, place: usize, weights: &mut dyn Iterator<Item = T>) {
        let row = self.v.row_mut(place);
        row.iter_mut().zip(weights).for_each(|(place, weight)| *place = weight);
        self.average.iter_mut().for_each(|average| average.row_mut(place).copy_from_slice(row));
    }

    fn forward(&self, batch: &Minibatch<T>, z: &mut [T]) {
        forward(&self.v, batch, z);
    }

    fn forward_average(&self, batch: &Minibatch<T>, z: &mut [T]) {
        forward(self.average.as_ref().expect("there is an average"), batch, z);
    }

    fn backward(&mut self, deltas: &[T], batch: &Minibatch<T>) {
        let shape = (self.v.rows(), batch.buffer().nrows());
        let deltas = ArrayView2::from_shape(shape, deltas).expect("Δᵀ is (places, B)");
        let (target, beta) = match (self.target, &mut self.gradient) {
            (Target::Weights, _) => (&mut self.v, T::one()),
            (Target::Slot(slot), _) => (&mut self.slots[slot], T::one()),
            (Target::Gradient, gradient) => (gradient.as_mut().expect("the rule asked for it"), T::zero()),
        };
        general_mat_mul(T::one(), &deltas, &batch.buffer(), beta, &mut target.view_mut());
    }

    fn gradient_squares(&self, places: &[usize]) -> f64 {
        let gradient = self.gradient.as_ref().expect("the gradient is kept");
        places.iter().map(|&place| squares(gradient.row(place))).sum()
    }

    fn step(&mut self, places: &[usize], method: &Method, scalars: &Scalars) {
        if self.target == Target::Weights && method.max_norm == 0.0 && self.average.is_none() {
            return;
        }
        // All that happens to a row happens while it is in the first-level cache.
        for &place in places {
            let row = self.v.row_mut(place);
            match (&mut self.slots[..], &self.gradient) {
                (_, None) if self.target == Target::Weights => {}
                ([slot], None) => method.rule.advance(scalars, row, slot.row_mut(place)),
                ([], Some(gradient)) => method.rule.apply(scalars, row, &mut [], gradient.row(place)),
                ([slot], Some(gradient)) => {
                    method.rule.apply(scalars, row, &mut [slot.row_mut(place)], gradient.row(place));
                }
                ([first, second], Some(gradient)) => {
                    let slots = &mut [first.row_mut(place), second.row_mut(place)];
                    method.rule.apply(scalars, row, slots, gradient.row(place));
                }
                (slots, _) => unreachable!("no rule has {} slots", slots.len()),
            }
            let sigma = scalars.factors.weights;
            if method.max_norm > 0.0
                && let Some(factor) = norm_factor(method.max_norm, sigma * sigma * squares(row))
            {
                let factor = T::from_f64(factor);
                row.iter_mut().for_each(|weight| *weight *= factor);
            }
            if let Some(average) = &mut self.average {
                blend(average.row_mut(place), row, scalars.average, sigma);
            }
        }
    }

    fn multiply(&mut self, places: &[usize], factor: f64) {
        let factor = T::from_f64(factor);
        for &place in places {
            self.v.row_mut(place).iter_mut().for_each(|weight| *weight *= factor);
        }
    }

    fn relocate(&mut self, moves: &[(usize, usize)], places: usize) {
        for matrix in
            std::iter::once(&mut self.v).chain(&mut self.slots).chain(&mut self.gradient).chain(&mut self.average)
        {
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

    fn average_layer(&self, places: &[usize]) -> Array2<T> {
        let average = self.average.as_ref().expect("there is an average");
        Array2::from_shape_fn((self.inputs(), places.len()), |(input, unit)| average.row(places[unit])[input])
    }

    fn save(&self, places: &[usize], into: &mut Parts) {
        let shape = [places.len(), self.inputs()];
        into.put("V", &shape, rows_of(&self.v, places));
        for (slot, matrix) in self.slots.iter().enumerate() {
            into.put(&slot_name(slot), &shape, rows_of(matrix, places));
        }
        if let Some(average) = &self.average {
            into.put(AVERAGE, &shape, rows_of(average, places));
        }
    }

    fn load(&mut self, places: &[usize], from: &Parts) -> Result<(), String> {
        let shape = [places.len(), self.inputs()];
        let names = (0..self.slots.len()).map(slot_name).zip(&mut self.slots);
        let names = std::iter::once(("V".to_owned(), &mut self.v)).chain(names);
        for (name, matrix) in names.chain(self.average.iter_mut().map(|average| (AVERAGE.to_owned(), average))) {
            let rows = from.numbers::<T>(&name, &shape)?.chunks_exact(shape[1]);
            places.iter().zip(rows).for_each(|(&place, row)| matrix.row_mut(place).copy_from_slice(row));
        }
        Ok(())
    }

    fn lanes(shape: Shape) -> Option<Lanes> {
        Lanes::measured::<T>(shape)
    }
}
