//! All that a cohort's first layers hold, whatever the arithmetic of their products.

use ndarray::Array2;

use super::Rows;
use crate::blas::matrix::Matrix;
use crate::model::optimizer::{Layout, Target, blend, norm_factor, squares};
use crate::real::Real;
use crate::team::{self, First};
use crate::tensors::Parts;

/// V (places, D), a row a hidden unit, and the matrices of the same shape that the update rule has beside it. Rows without a unit are
/// zero, and stay so.
#[derive(Debug)]
pub struct Layers<T> {
    /// Where the backward product accumulates.
    pub target: Target,
    /// V.
    pub v: Matrix<T>,
    /// State of the update rule.
    pub slots: Vec<Matrix<T>>,
    /// The gradient, where the layout has that target.
    pub gradient: Option<Matrix<T>>,
    /// The average of the weights.
    pub average: Option<Matrix<T>>,
}

/// Where the average of the weights is in [`Parts`].
const AVERAGE: &str = "average.V";

/// The name of a matrix of state in [`Parts`].
fn slot_name(slot: usize) -> String {
    format!("slot{slot}.V")
}

/// The rows at `places` of a matrix as one run of numbers.
fn rows_of<T: Real>(matrix: &Matrix<T>, places: &[usize]) -> Vec<T> {
    places.iter().flat_map(|&place| matrix.row(place)).copied().collect()
}

impl<T: Real> Layers<T> {
    /// Zeros, for members with this layout.
    pub fn zeros(places: usize, inputs: usize, layout: Layout) -> Self {
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

    /// Rows of V, those without a unit included.
    pub fn places(&self) -> usize {
        self.v.rows()
    }

    /// D.
    pub fn inputs(&self) -> usize {
        self.v.columns()
    }

    /// Gives the unit at `place` its first weights, (D), of which the average begins too.
    pub fn set(&mut self, place: usize, weights: &mut dyn Iterator<Item = T>) {
        let row = self.v.row_mut(place);
        row.iter_mut().zip(weights).for_each(|(place, weight)| *place = weight);
        self.average.iter_mut().for_each(|average| average.row_mut(place).copy_from_slice(row));
    }

    /// The matrix that the backward product accumulates into.
    pub fn target_mut(&mut self) -> &mut Matrix<T> {
        match self.target {
            Target::Weights => &mut self.v,
            Target::Slot(slot) => &mut self.slots[slot],
            Target::Gradient => self.gradient.as_mut().expect("the rule asked for it"),
        }
    }

    /// ‖dW1‖² of the units at `places`, after the backward product, summed in f64.
    ///
    /// # Panics
    /// The gradient is not kept.
    pub fn gradient_squares(&self, places: &[usize]) -> f64 {
        let gradient = self.gradient.as_ref().expect("the gradient is kept");
        places.iter().map(|&place| squares(gradient.row(place))).sum()
    }

    /// What is left to do for the units of one member after the backward product: the rule's step where that was not the update, and what
    /// [`finish`] does.
    pub fn step(&mut self, of: &Rows) {
        let Rows { places, method, scalars, .. } = of;
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
            finish(of, row, self.average.as_mut().map(|average| average.row_mut(place)));
        }
    }

    /// Multiplies the weights of the units at `places`.
    pub fn multiply(&mut self, places: &[usize], factor: f64) {
        let factor = T::from_f64(factor);
        for &place in places {
            self.v.row_mut(place).iter_mut().for_each(|weight| *weight *= factor);
        }
    }

    /// Members have left: there are `places` rows now, of which each pair of `moves` names a former and its new place.
    pub fn relocate(&mut self, moves: &[(usize, usize)], places: usize) {
        for matrix in
            std::iter::once(&mut self.v).chain(&mut self.slots).chain(&mut self.gradient).chain(&mut self.average)
        {
            let mut relocated = Matrix::zeros(places, matrix.columns());
            moves.iter().for_each(|&(from, to)| relocated.row_mut(to).copy_from_slice(matrix.row(from)));
            *matrix = relocated;
        }
    }

    /// ‖V‖² over the units at `places`, summed in f64.
    pub fn squares(&self, places: &[usize]) -> f64 {
        let of_row =
            |place: usize| self.v.row(place).iter().map(|weight| weight.as_f64() * weight.as_f64()).sum::<f64>();
        let parts = team::parts();
        if parts == 1 {
            return places.iter().map(|&place| of_row(place)).sum();
        }
        // Rows by several threads, their sums in order: the same bits.
        let mut sums = Array2::zeros((places.len(), 1));
        team::each(parts, (places.len(), 1, 1), (First(0), sums.view_mut()), &|(First(first), mut sums)| {
            sums.iter_mut().zip(&places[first..]).for_each(|(sum, &place)| *sum = of_row(place));
        });
        sums.iter().sum()
    }

    /// W1 (D, H) = `scale` · V, for the units at `places`.
    pub fn first_layer(&self, places: &[usize], scale: f64) -> Array2<T> {
        let scale = T::from_f64(scale);
        Array2::from_shape_fn((self.inputs(), places.len()), |(input, unit)| self.v.row(places[unit])[input] * scale)
    }

    /// The average of W1 (D, H), for the units at `places`.
    ///
    /// # Panics
    /// There is none.
    pub fn average_layer(&self, places: &[usize]) -> Array2<T> {
        let average = self.average.as_ref().expect("there is an average");
        Array2::from_shape_fn((self.inputs(), places.len()), |(input, unit)| average.row(places[unit])[input])
    }

    /// Writes weights and state of the units at `places`.
    pub fn save(&self, places: &[usize], into: &mut Parts) {
        let shape = [places.len(), self.inputs()];
        into.put("V", &shape, rows_of(&self.v, places));
        for (slot, matrix) in self.slots.iter().enumerate() {
            into.put(&slot_name(slot), &shape, rows_of(matrix, places));
        }
        if let Some(average) = &self.average {
            into.put(AVERAGE, &shape, rows_of(average, places));
        }
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// Something is missing or has another shape or precision.
    pub fn load(&mut self, places: &[usize], from: &Parts) -> Result<(), String> {
        let shape = [places.len(), self.inputs()];
        let names = (0..self.slots.len()).map(slot_name).zip(&mut self.slots);
        let names = std::iter::once(("V".to_owned(), &mut self.v)).chain(names);
        for (name, matrix) in names.chain(self.average.iter_mut().map(|average| (AVERAGE.to_owned(), average))) {
            let rows = from.numbers::<T>(&name, &shape)?.chunks_exact(shape[1]);
            places.iter().zip(rows).for_each(|(&place, row)| matrix.row_mut(place).copy_from_slice(row));
        }
        Ok(())
    }
}

/// What follows the rule's step for one unit: the largest norm of its weights, and their average.
pub fn finish<T: Real>(of: &Rows, row: &mut [T], average: Option<&mut [T]>) {
    let sigma = of.scalars.factors.weights;
    if of.method.max_norm > 0.0
        && let Some(factor) = norm_factor(of.method.max_norm, sigma * sigma * squares(row))
    {
        let factor = T::from_f64(factor);
        row.iter_mut().for_each(|weight| *weight *= factor);
    }
    if let Some(average) = average {
        blend(average, row, of.scalars.average, sigma);
    }
}
