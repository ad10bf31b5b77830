//! First layers whose wide products are sums of integers: weights and deltas are rounded, row by row, in each iteration.
//!
//! Weights V, what the update rule has beside them, and everything but the two wide products are f32. With the preparation of images
//! (x − mean) ∘ factor, of which x are bytes:
//!
//! ```text
//! q_u·s_u ≈ V_u ∘ factor             Z[u, i] = s_u (Σ_d q_u[d]·x_i[d] − Σ_d q_u[d]·mean[d])
//! p_u·t_u ≈ Δ_u                      dV[u, d] = t_u (Σ_i p_u[i]·x_i[d] − mean[d]·Σ_i p_u[i])·factor[d]
//! ```
//!
//! The sums over x are exact, everything else is done in a fixed order: a trial has the same bits on every CPU, in any cohort. Some rows at
//! a time pass through the backward product, the update rule and the rounding for the next iteration while they are in a cache.

use std::cell::RefCell;

use multiversion::multiversion;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::layers::{LayerRows, Layers};
use super::{Rows, Weights, Wide};
use crate::blas::lanes::{Lanes, Shape};
use crate::blas::matrix::Matrix;
use crate::data::byte_batch::ByteBatch;
use crate::data::minibatch::Batch;
use crate::integer::columns::Columns;
use crate::integer::kernel::{self, Form, Kernel};
use crate::integer::product::{Sums, are_long, product};
use crate::integer::rounding::{Rounded, RowNumbers, RowsMut};
use crate::integer::{Int16, Width};
use crate::model::functions::Portable;
use crate::real::Precision;
use crate::team::{self, First, Split};

/// Rows that pass through everything together: their weights, 300 kB with 3,072 inputs, stay in a second-level cache. A multiple of the
/// rows of every kernel's tile.
const ROWS: usize = 24;
/// Columns of V that are updated together: a multiple of the columns of every kernel's block.
const CHUNK: usize = 192;

/// V with all that belongs to it, and the rounded rows of this iteration.
#[derive(Debug)]
pub struct Integer<P: Width> {
    kernel: &'static Kernel,
    layers: Layers<f32>,
    /// V, rounded.
    weights: Rounded<P>,
    /// Whether that is the V of this iteration.
    is_rounded: bool,
    /// Weights that are evaluated, rounded.
    evaluated: Rounded<Int16>,
    /// Which these are, if they are those of this iteration.
    evaluated_weights: Option<Weights>,
    deltas: Rounded<P>,
    /// The minibatch, a column an image, for the forward product.
    images: Columns,
    /// The minibatch, a column an input, for the backward product.
    inputs: Columns,
}

/// Room for the sums of some rows.
#[derive(Debug, Default)]
struct Buffer {
    short: Vec<i32>,
    long: Vec<f64>,
}

impl Buffer {
    /// For the rows that are multiplied together, of so many columns.
    fn sums(&mut self, stride: usize) -> Sums<'_> {
        let count = ROWS * stride;
        self.short.resize(self.short.len().max(2 * count), 0);
        self.long.resize(self.long.len().max(count), 0.0);
        Sums { short: &mut self.short, long: &mut self.long, stride }
    }
}

thread_local! {
    /// That of each thread that computes a part of a product.
    static BUFFER: RefCell<Buffer> = RefCell::default();
}

impl<P: Width> Integer<P> {
    /// With a kernel of choice; it shows in no result.
    pub fn with_kernel(layers: Layers<f32>, kernel: &'static Kernel) -> Self {
        Self {
            kernel,
            weights: Rounded::zeros(kernel, layers.places(), layers.inputs()),
            is_rounded: false,
            evaluated: Rounded::zeros(kernel, 0, layers.inputs()),
            evaluated_weights: None,
            deltas: Rounded::zeros(kernel, 0, 0),
            images: Columns::new(kernel),
            inputs: Columns::new(kernel),
            layers,
        }
    }
}

impl<P: Width> Wide for Integer<P> {
    const PRECISION: Precision = P::PRECISION;
    type Real = f32;
    type Batch = ByteBatch;
    type Functions = Portable;
    const ROUNDED_BYTES: usize = 4;

    /// Measured: with AVX2 products of both widths take 0.6 of the time of f32 (Zen 3); with VNNI a quarter and a half (Zen 4).
    fn cost_of_operation() -> f64 {
        match (kernel::chosen().form, P::BITS) {
            (Form::Words, _) => 0.6,
            (Form::Bytes, 8) => 0.25,
            (Form::Bytes, _) => 0.5,
        }
    }

    /// In 16 bits, whatever the training.
    fn cost_of_evaluation() -> f64 {
        Integer::<Int16>::cost_of_operation()
    }

    /// Measured on Zen 3: 2.5 ms an iteration of 800 units of 3,072 inputs, at 75 GFLOP/s.
    fn cost_of_rounding() -> f64 {
        75.0
    }

    fn new(layers: Layers<f32>, _: &Lanes) -> Self {
        Self::with_kernel(layers, kernel::chosen())
    }

    fn layers(&self) -> &Layers<f32> {
        &self.layers
    }

    fn layers_mut(&mut self) -> &mut Layers<f32> {
        (self.is_rounded, self.evaluated_weights) = (false, None);
        &mut self.layers
    }

    fn forward(&mut self, batch: &ByteBatch, z: &mut [f32]) {
        if !self.is_rounded {
            round_all(&mut self.weights, &self.layers.v, batch);
            self.is_rounded = true;
        }
        forward(self.kernel, self.weights.rows_mut(), &mut self.images, batch, z);
    }

    fn evaluate(&mut self, batch: &ByteBatch, weights: Weights, z: &mut [f32]) {
        if self.evaluated_weights != Some(weights) {
            let matrix = match weights {
                Weights::Raw => &self.layers.v,
                Weights::Averaged => self.layers.average.as_ref().expect("there is an average"),
            };
            round_all(&mut self.evaluated, matrix, batch);
            self.evaluated_weights = Some(weights);
        }
        forward(self.kernel, self.evaluated.rows_mut(), &mut self.images, batch, z);
    }

    fn update(&mut self, deltas: &[f32], batch: &ByteBatch, members: &mut [Rows]) {
        let (places, room) = (self.layers.places(), batch.room());
        let deltas = ArrayView2::from_shape((places, room), deltas).expect("Δᵀ is (places, B)");
        self.inputs.of_inputs(batch.pixels(), batch.labels().len(), batch.inputs(), batch.stride());
        self.weights.resize(places, batch.inputs());
        self.deltas.resize(places, room);
        let Self { kernel, layers, weights, deltas: rounded, inputs, .. } = self;
        let clips = members.iter().any(|member| member.method.clip_norm > 0.0);
        let shared = Shared { kernel, inputs, batch, is_gradient_kept: clips };
        if clips {
            let rows = layers.rows_of(members);
            let all = Part { rows, weights: weights.rows_mut(), rounded_deltas: rounded.rows_mut(), deltas };
            all.each(&|part, sums| part.keep_gradient(&shared, sums));
            layers.clip(members);
        }
        let rows = layers.rows_of(members);
        let all = Part { rows, weights: weights.rows_mut(), rounded_deltas: rounded.rows_mut(), deltas };
        all.each(&|part, sums| part.update(&shared, members, sums));
        (self.is_rounded, self.evaluated_weights) = (true, None);
    }

    /// Every row is summed exactly, wherever it stands.
    fn lanes(_: Shape) -> Option<Lanes> {
        Some(Lanes::any())
    }
}

/// Rounds all rows of `matrix` as weights.
fn round_all<P: Width>(rounded: &mut Rounded<P>, matrix: &Matrix<f32>, batch: &ByteBatch) {
    rounded.resize(matrix.rows(), matrix.columns());
    let all = (First(0), rounded.rows_mut());
    team::each(team::parts(), (matrix.rows(), 1, 1), all, &|(First(first), mut rows)| {
        for row in 0..rows.len() {
            rows.set_weights(row, matrix.row(first + row), batch.factor(), batch.mean());
        }
    });
}

/// Zᵀ of rounded weights.
fn forward<P: Width>(kernel: &Kernel, weights: RowsMut<'_, P>, images: &mut Columns, batch: &ByteBatch, z: &mut [f32]) {
    let (room, rows) = (batch.room(), weights.len());
    images.of_images(batch.pixels(), room, batch.inputs(), batch.stride());
    let images = &*images;
    let z = ArrayViewMut2::from_shape((rows, room), z).expect("Zᵀ is (places, B)");
    team::each(team::parts(), (rows, ROWS, ROWS), (weights, z), &|(weights, z)| {
        let z = z.into_slice().expect("whole rows");
        BUFFER.with_borrow_mut(|buffer| forward_part(kernel, weights, images, batch, buffer, z));
    });
}

/// Some rows of [`forward`].
fn forward_part<P: Width>(
    kernel: &Kernel,
    mut weights: RowsMut<'_, P>,
    images: &Columns,
    batch: &ByteBatch,
    buffer: &mut Buffer,
    z: &mut [f32],
) {
    let (room, stride) = (batch.room(), images.padded());
    let mut sums = buffer.sums(stride);
    let are_long = are_long::<P>(kernel, weights.steps);
    for z in z.chunks_mut(ROWS * room) {
        let (rows, others) = weights.split_at(z.len() / room);
        weights = others;
        product(kernel, &rows, images, (0, images.count()), &mut sums);
        for (row, z) in z.chunks_exact_mut(room).enumerate() {
            let RowNumbers { scale, sum } = rows.numbers(row);
            let of_row = row * stride..(row + 1) * stride;
            match are_long {
                true => scores(z, &sums.long[of_row], scale * batch.kept(), sum),
                false => scores(z, &sums.short[of_row], scale * batch.kept(), sum),
            }
        }
    }
}

impl<P: Width> Split for RowsMut<'_, P> {
    fn split(self, rows: usize) -> (Self, Self) {
        self.split_at(rows)
    }
}

impl<P: Width> Split for Part<'_, P> {
    fn split(self, count: usize) -> (Self, Self) {
        let Self { rows, weights, rounded_deltas, deltas } = self;
        let (first, others) = ((rows, weights), (rounded_deltas, deltas)).split(count);
        let part = |((rows, weights), (rounded_deltas, deltas))| Self { rows, weights, rounded_deltas, deltas };
        (part(first), part(others))
    }
}

/// What all rows need for an update.
struct Shared<'a> {
    kernel: &'a Kernel,
    inputs: &'a Columns,
    batch: &'a ByteBatch,
    /// Whether the gradient of all rows is there already.
    is_gradient_kept: bool,
}

/// Some rows of V, with all that belongs to them.
struct Part<'a, P: Width> {
    rows: LayerRows<'a, f32>,
    weights: RowsMut<'a, P>,
    rounded_deltas: RowsMut<'a, P>,
    /// (rows, B).
    deltas: ArrayView2<'a, f32>,
}

impl<P: Width> Part<'_, P> {
    /// Some rows at a time.
    fn each(self, of_rows: &(dyn Fn(&mut Self, &mut Buffer) + Sync)) {
        let rows = self.rows.v.len();
        team::each(team::parts(), (rows, ROWS, ROWS), self, &|part: Self| {
            BUFFER.with_borrow_mut(|buffer| {
                let mut rest = part;
                while rest.rows.v.len() > ROWS {
                    let (mut first, others) = rest.split(ROWS);
                    of_rows(&mut first, buffer);
                    rest = others;
                }
                of_rows(&mut rest, buffer);
            });
        });
    }

    fn round_deltas(&mut self) {
        for (row, deltas) in self.deltas.rows().into_iter().enumerate() {
            self.rounded_deltas.set_deltas(row, deltas.to_slice().expect("rows are contiguous"));
        }
    }

    /// The gradient of all rows into its matrix.
    fn keep_gradient(&mut self, shared: &Shared<'_>, sums: &mut Buffer) {
        self.round_deltas();
        let mut sums = sums.sums(CHUNK);
        let gradient = self.rows.gradient.as_mut().expect("clipping keeps the gradient");
        for_each_chunk(shared.inputs.count(), |from, to| {
            product(shared.kernel, &self.rounded_deltas, shared.inputs, (from, to), &mut sums);
            for row in 0..gradient.len() {
                shared.gradient(&mut gradient.row_mut(row)[from..to], &sums, &self.rounded_deltas, row, from);
            }
        });
    }

    /// Backward product, update rule, and the rounding for the next iteration.
    fn update(&mut self, shared: &Shared<'_>, members: &[Rows], sums: &mut Buffer) {
        if !shared.is_gradient_kept {
            self.round_deltas();
        }
        let mut sums = sums.sums(CHUNK);
        let Self { rows, weights, rounded_deltas, .. } = self;
        let mut of_chunk = [0.0; CHUNK];
        for_each_chunk(shared.inputs.count(), |from, to| {
            if !shared.is_gradient_kept {
                // The weights come from far, some lines of each row, which no CPU foresees: they are on their way during the product.
                (0..rows.v.len()).for_each(|row| kernel::prefetch(&rows.v.row_mut(row)[from..to]));
                product(shared.kernel, rounded_deltas, shared.inputs, (from, to), &mut sums);
            }
            for (row, &owner) in rows.owners.iter().enumerate() {
                let Some(member) = members.get(owner as usize) else { continue };
                let gradient = (!shared.is_gradient_kept).then(|| {
                    let chunk = &mut of_chunk[..to - from];
                    shared.gradient(chunk, &sums, rounded_deltas, row, from);
                    &*chunk
                });
                rows.advance(row, &(from..to), member, gradient);
            }
        });
        for (row, &owner) in rows.owners.iter().enumerate() {
            if let Some(member) = members.get(owner as usize) {
                rows.finish(row, member);
            }
            weights.set_weights(row, rows.v.row_mut(row), shared.batch.factor(), shared.batch.mean());
        }
    }
}

fn for_each_chunk(columns: usize, mut of_chunk: impl FnMut(usize, usize)) {
    for from in (0..columns).step_by(CHUNK) {
        of_chunk(from, columns.min(from + CHUNK));
    }
}

impl Shared<'_> {
    /// The gradient of a row's weights from `from` on.
    fn gradient<P: Width>(
        &self,
        gradient: &mut [f32],
        sums: &Sums<'_>,
        deltas: &RowsMut<'_, P>,
        row: usize,
        from: usize,
    ) {
        let RowNumbers { scale, sum } = deltas.numbers(row);
        let (of_chunk, of_row) = (from..from + gradient.len(), row * sums.stride..row * sums.stride + gradient.len());
        let (mean, scale) = (&self.batch.mean()[of_chunk.clone()], scale * self.batch.kept());
        match are_long::<P>(self.kernel, deltas.steps) {
            true => gradient_of(gradient, &sums.long[of_row], mean, sum, scale),
            false => gradient_of(gradient, &sums.short[of_row], mean, sum, scale),
        }
        if let Some(factor) = self.batch.factor() {
            gradient.iter_mut().zip(&factor[of_chunk]).for_each(|(gradient, factor)| *gradient *= factor);
        }
    }
}

/// An exact sum.
trait Exact: Copy {
    /// The nearest f32.
    fn to_f32(self) -> f32;
}

impl Exact for i32 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self as f32
    }
}

impl Exact for f64 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        self as f32
    }
}

/// z = scale·(S − sum)
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn scores<S: Exact>(z: &mut [f32], sums: &[S], scale: f32, sum: f32) {
    for (z, exact) in z.iter_mut().zip(sums) {
        *z = scale * (exact.to_f32() - sum);
    }
}

/// g = scale·(S − mean·sum)
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn gradient_of<S: Exact>(gradient: &mut [f32], sums: &[S], mean: &[f32], sum: f32, scale: f32) {
    for ((gradient, exact), &mean) in gradient.iter_mut().zip(sums).zip(mean) {
        *gradient = scale * (exact.to_f32() - mean * sum);
    }
}
