//! All that a cohort's first layers hold, whatever the arithmetic of their products.

use std::ops::Range;

use multiversion::multiversion;
use ndarray::{Array1, Array2, ArrayViewMut1};

use super::Rows;
use crate::blas::matrix::{Matrix, RowsMut};
use crate::model::optimizer::{Layout, Method, Target, blend, clip_factor, norm_factor, squares};
use crate::real::Real;
use crate::team::{self, Split};
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
    /// The number of the member that each row belongs to, of [`rows_of`](Self::rows_of).
    owners: Vec<u32>,
}

/// Some rows of [`Layers`], to be split among threads.
#[derive(Debug)]
pub struct LayerRows<'a, T> {
    /// Where the backward product accumulates.
    pub target: Target,
    /// Of V.
    pub v: RowsMut<'a, T>,
    /// Of the state of the update rule.
    pub slots: [Option<RowsMut<'a, T>>; 2],
    /// Of the gradient.
    pub gradient: Option<RowsMut<'a, T>>,
    /// Of the average.
    pub average: Option<RowsMut<'a, T>>,
    /// The number of the member that each row belongs to; one that there is not where a row has no unit.
    pub owners: &'a [u32],
}

/// Rows that are summed side by side.
const GROUP: usize = 8;
/// Rows for which another thread is worth waking.
const LEAST_ROWS: usize = 64;
/// No member.
const NOBODY: u32 = u32::MAX;

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
            owners: vec![],
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

    /// All rows, which belong to `members`.
    pub fn rows_of(&mut self, members: &[Rows]) -> LayerRows<'_, T> {
        self.owners.clear();
        self.owners.resize(self.v.rows(), NOBODY);
        for (number, member) in members.iter().enumerate() {
            member.places.iter().for_each(|&place| self.owners[place] = number as u32);
        }
        let mut slots = self.slots.iter_mut().map(Matrix::rows_mut);
        LayerRows {
            target: self.target,
            v: self.v.rows_mut(),
            slots: [slots.next(), slots.next()],
            gradient: self.gradient.as_mut().map(Matrix::rows_mut),
            average: self.average.as_mut().map(Matrix::rows_mut),
            owners: &self.owners,
        }
    }

    /// Sets the factor that clips the gradient of each member, from the gradient of its first layer and what is known of the others.
    ///
    /// # Panics
    /// The gradient is not kept.
    pub fn clip(&self, members: &mut [Rows]) {
        let gradient = self.gradient.as_ref().expect("the gradient is kept");
        for member in members {
            let squares = sum_of_rows(&member.places, |places| places.map(|place| squares(gradient.row(place))));
            let squares = squares + member.head_squares;
            member.scalars.clip = clip_factor(member.method.clip_norm, squares);
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
        sum_of_rows(places, |places| norms(places.map(|place| self.v.row(place))))
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

/// The sum of a number of each of the rows at `places`, in their order: the same bits by however many threads. `of_rows` computes some at a
/// time; where fewer are left, the last one stands for those that are missing.
fn sum_of_rows(places: &[usize], of_rows: impl Fn([usize; GROUP]) -> [f64; GROUP] + Sync) -> f64 {
    let of_group = |group: &[usize]| {
        let numbers = of_rows(std::array::from_fn(|at| group[at.min(group.len() - 1)]));
        numbers.into_iter().take(group.len())
    };
    let parts = team::parts();
    if parts == 1 {
        return places.chunks(GROUP).flat_map(of_group).sum();
    }
    let mut sums = Array1::zeros(places.len());
    let all = (places, sums.view_mut());
    team::each(parts, (places.len(), GROUP, LEAST_ROWS), all, &|(places, mut sums): (
        &[usize],
        ArrayViewMut1<'_, f64>,
    )| {
        sums.iter_mut().zip(places.chunks(GROUP).flat_map(of_group)).for_each(|(sum, number)| *sum = number);
    });
    sums.iter().sum()
}

/// ‖row‖² of each row, summed from its first number to its last. An addition waits for the one before it, so several rows are summed side by
/// side: twice as fast as row after row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn norms<T: Real>(rows: [&[T]; GROUP]) -> [f64; GROUP] {
    let rows = rows.map(|row| &row[..rows[0].len()]);
    let mut sums = [0.0; GROUP];
    for column in 0..rows[0].len() {
        for (sum, row) in sums.iter_mut().zip(rows) {
            let weight = row[column].as_f64();
            *sum += weight * weight;
        }
    }
    sums
}

impl<T: Send> Split for LayerRows<'_, T> {
    fn split(self, rows: usize) -> (Self, Self) {
        let Self { target, v, slots: [slot0, slot1], gradient, average, owners } = self;
        let fields = ((v, (slot0, slot1)), ((gradient, average), owners));
        let (first, others) = fields.split(rows);
        let rows = |((v, (slot0, slot1)), ((gradient, average), owners))| Self {
            target,
            v,
            slots: [slot0, slot1],
            gradient,
            average,
            owners,
        };
        (rows(first), rows(others))
    }
}

impl<'a, T: Real> LayerRows<'a, T> {
    /// The rows that the backward product accumulates into.
    pub fn target(&mut self) -> &mut RowsMut<'a, T> {
        let Self { v, slots, gradient, .. } = self;
        match self.target {
            Target::Weights => v,
            Target::Slot(slot) => slots[slot].as_mut().expect("the rule has that slot"),
            Target::Gradient => gradient.as_mut().expect("the rule asked for it"),
        }
    }

    /// What is left to do after the backward product: the rules' steps where those were not the update, and what [`finish`](Self::finish) does.
    pub fn step(&mut self, members: &[Rows]) {
        let columns = 0..self.v.columns();
        // All that happens to a row happens while it is in the first-level cache.
        for (row, &owner) in self.owners.iter().enumerate() {
            let Some(member) = members.get(owner as usize) else { continue };
            self.advance(row, &columns, member, None);
            self.finish(row, member);
        }
    }

    /// The rule's step for some columns of a row of `member`. `gradient` is that of the data loss, where the backward product has not left it
    /// in the target.
    pub fn advance(&mut self, row: usize, columns: &Range<usize>, member: &Rows, gradient: Option<&[T]>) {
        let Rows { method: Method { rule, .. }, scalars, .. } = member;
        let Self { target, v, slots: [slot0, slot1], gradient: kept, .. } = self;
        let weights = &mut v.row_mut(row)[columns.clone()];
        let slots = (columns_of(slot0, row, columns), columns_of(slot1, row, columns));
        match (target, slots) {
            (Target::Weights, _) => gradient.into_iter().for_each(|gradient| add(weights, gradient)),
            (Target::Slot(_), (Some(slot), _)) => {
                gradient.into_iter().for_each(|gradient| add(slot, gradient));
                rule.advance(scalars, weights, slot);
            }
            (_, slots) => {
                let kept = columns_of(kept, row, columns).map(|gradient| &*gradient);
                let gradient = gradient.or(kept).expect("the rule asked for it");
                match slots {
                    (Some(first), Some(second)) => rule.apply(scalars, weights, &mut [first, second], gradient),
                    (Some(slot), None) => rule.apply(scalars, weights, &mut [slot], gradient),
                    (None, _) => rule.apply(scalars, weights, &mut [], gradient),
                }
            }
        }
    }

    /// What follows the rule's step for a row of `member`: the largest norm of its weights, and their average.
    pub fn finish(&mut self, row: usize, member: &Rows) {
        let (method, scalars, weights) = (&member.method, &member.scalars, self.v.row_mut(row));
        let sigma = scalars.factors.weights;
        if method.max_norm > 0.0
            && let Some(factor) = norm_factor(method.max_norm, sigma * sigma * squares(weights))
        {
            let factor = T::from_f64(factor);
            weights.iter_mut().for_each(|weight| *weight *= factor);
        }
        if let Some(average) = &mut self.average {
            blend(average.row_mut(row), weights, scalars.average, sigma);
        }
    }
}

/// Some columns of a row, where the matrix is there.
fn columns_of<'a, T>(
    matrix: &'a mut Option<RowsMut<'_, T>>,
    row: usize,
    columns: &Range<usize>,
) -> Option<&'a mut [T]> {
    matrix.as_mut().map(|rows| &mut rows.row_mut(row)[columns.clone()])
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn add<T: Real>(to: &mut [T], more: &[T]) {
    to.iter_mut().zip(more).for_each(|(place, &more)| *place += more);
}
