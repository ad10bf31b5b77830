//! What a network computes between the two wide products: biases, ReLU, second layer, and their gradients. Nothing here
//! knows an update rule.
//!
//! Everything is held transposed, a row a unit or class and a column an image: rows are B long and contiguous, so every loop runs
//! over independent columns. Those loops are plain multiplications and additions (never fused), and the sums over columns have
//! eight partial sums whatever the machine: the numbers are the same on every CPU. For H units and C classes, with the
//! formulas of [`two_layer_net`](super::two_layer_net):
//!
//! ```text
//! Zᵀ (H, B) is given, and becomes Aᵀ, then Δᵀ     Sᵀ (C, B), then dSᵀ     W2 (H, C)
//! ```

use multiversion::multiversion;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis};

use super::two_layer_net::rectify;
use crate::random::dropout::{Dropped, Uniforms};
use crate::real::Real;
use crate::team::{self, Split};
use crate::tensors::Parts;

/// Partial sums of a sum over columns.
const PARTIAL_SUMS: usize = 8;
/// Classes whose sums are carried together: as many as registers hold.
const GROUP: usize = 5;
/// The parameters' names in [`Parts`].
const NAMES: [&str; 3] = ["b1", "W2", "b2"];
/// Hidden units whose share of the scores is added together.
const UNITS: usize = 5;
/// Images whose scores one thread computes: a multiple of these.
const IMAGES: usize = 16;
/// Hidden units whose gradients one thread computes: a multiple of these. They fill whole periods of the known kernels' lanes (1 or 12
/// places), so that they stand together.
const BLOCK: usize = 48;
/// Hidden units of a network of which several threads do a part each.
const LEAST_UNITS: usize = 256;

/// The parameters of a network other than its first-layer weights; their gradient has the same shapes.
#[derive(Clone, Debug, PartialEq)]
pub struct Head<T> {
    /// First-layer biases, (H).
    pub b1: Array1<T>,
    /// Second-layer weights, (H, C).
    pub w2: Array2<T>,
    /// Second-layer biases, (C).
    pub b2: Array1<T>,
}

/// The rows of a wide matrix that belong to one trial.
#[derive(Debug)]
pub struct UnitRows<'a, T> {
    /// The matrix, (places, B).
    pub wide: ArrayViewMut2<'a, T>,
    /// The row of each hidden unit.
    pub places: &'a [usize],
}

impl<T> UnitRows<'_, T> {
    /// The same rows, borrowed.
    fn rows(&mut self) -> UnitRows<'_, T> {
        UnitRows { wide: self.wide.view_mut(), places: self.places }
    }

    /// The row of hidden unit `unit`.
    #[inline(always)]
    fn row(&mut self, unit: usize) -> &mut [T] {
        self.wide.row_mut(self.places[unit]).into_slice().expect("rows are contiguous")
    }

    /// Whether all units before each multiple of [`BLOCK`] stand above those that follow.
    fn are_in_blocks(&self) -> bool {
        let mut next = 0;
        self.places.chunks(BLOCK).all(|block| {
            let before = next;
            next = block.iter().max().map_or(0, |last| last + 1);
            block.iter().all(|&place| place >= before)
        })
    }
}

impl<T: Real> Head<T> {
    /// Zeros, for H hidden units and C classes.
    pub fn zeros(hidden: usize, classes: usize) -> Self {
        Self { b1: Array1::zeros(hidden), w2: Array2::zeros((hidden, classes)), b2: Array1::zeros(classes) }
    }

    /// C.
    pub fn classes(&self) -> usize {
        self.b2.len()
    }

    /// From Zᵀ / `scale`: Aᵀ in its place, of which some is dropped where that is asked for, and Sᵀ (C, B).
    pub fn scores(
        &self,
        units: &mut UnitRows<'_, T>,
        scale: T,
        dropped: Option<(Dropped<T>, &Uniforms)>,
        scores: &mut [T],
    ) {
        let columns = units.wide.ncols();
        let scores = ArrayViewMut2::from_shape((self.classes(), columns), scores).expect("Sᵀ is (C, B)");
        let images = Images { first: 0, units: units.rows(), scores };
        team::each(self.parts(), (columns, IMAGES, IMAGES), images, &|images| scores_of(self, images, scale, dropped));
    }

    /// From Aᵀ and dSᵀ: the gradient of these parameters, without penalty, and dZᵀ · `delta_factor` in place of Aᵀ. `kept_factor` is what
    /// the activations that dropout kept were multiplied by. `d_activations` (B) is room to work in.
    pub fn backward(
        &self,
        units: &mut UnitRows<'_, T>,
        d_scores: &[T],
        factors: [T; 2],
        gradient: &mut Self,
        d_activations: &mut [T],
    ) {
        for (d_bias, d_row) in gradient.b2.iter_mut().zip(d_scores.chunks_exact(d_activations.len())) {
            *d_bias = sum(d_row);
        }
        let parts = self.parts();
        let parts = if parts > 1 && !units.are_in_blocks() { 1 } else { parts };
        let part = UnitsPart {
            first: 0,
            units: units.rows(),
            w2: self.w2.view(),
            d_b1: gradient.b1.view_mut(),
            d_w2: gradient.w2.view_mut(),
            room: Some(d_activations),
        };
        team::each(parts, (self.b1.len(), BLOCK, BLOCK), part, &|part| backward(part, d_scores, factors));
    }

    /// Into how many parts the work on this network is split: one where it is too little for a second thread to be worth waking.
    fn parts(&self) -> usize {
        if self.b1.len() < LEAST_UNITS { 1 } else { team::parts() }
    }

    /// b1, W2, b2 as plain numbers.
    pub fn parameters(&self) -> [&[T]; 3] {
        [self.b1.as_slice(), self.w2.as_slice(), self.b2.as_slice()].map(|part| part.expect("a head is contiguous"))
    }

    /// As [`Head::parameters`], to be changed.
    pub fn parameters_mut(&mut self) -> [&mut [T]; 3] {
        let parts = [self.b1.as_slice_mut(), self.w2.as_slice_mut(), self.b2.as_slice_mut()];
        parts.map(|part| part.expect("a head is contiguous"))
    }

    /// Writes them, with a prefix before each name.
    pub fn save(&self, into: &mut Parts, prefix: &str) {
        let (hidden, classes) = self.w2.dim();
        let shapes: [&[usize]; 3] = [&[hidden], &[hidden, classes], &[classes]];
        for ((name, shape), numbers) in NAMES.into_iter().zip(shapes).zip(self.parameters()) {
            into.put(&format!("{prefix}{name}"), shape, numbers.to_vec());
        }
    }

    /// Reads what [`Head::save`] wrote.
    ///
    /// # Errors
    /// Something is missing, or does not fit the rest or the precision.
    pub fn load(from: &Parts, prefix: &str) -> Result<Self, String> {
        let name = |name: &str| format!("{prefix}{name}");
        let &[hidden, classes] = from.tensor(&name("W2"))?.shape() else {
            return Err(format!("`{}` is no matrix", name("W2")));
        };
        let mut head = Self::zeros(hidden, classes);
        let shapes: [&[usize]; 3] = [&[hidden], &[hidden, classes], &[classes]];
        for ((part, shape), numbers) in NAMES.into_iter().zip(shapes).zip(head.parameters_mut()) {
            numbers.copy_from_slice(from.numbers(&name(part), shape)?);
        }
        Ok(head)
    }
}

/// Zᵀ and Sᵀ of some images.
struct Images<'a, T> {
    /// The number of the first one.
    first: usize,
    units: UnitRows<'a, T>,
    /// (C, images)
    scores: ArrayViewMut2<'a, T>,
}

impl<T: Send> Split for Images<'_, T> {
    fn split(self, images: usize) -> (Self, Self) {
        let Self { first, units: UnitRows { wide, places }, scores } = self;
        let (wide, scores) = (wide.split_at(Axis(1), images), scores.split_at(Axis(1), images));
        let of = |first, wide, scores| Self { first, units: UnitRows { wide, places }, scores };
        (of(first, wide.0, scores.0), of(first + images, wide.1, scores.1))
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn scores_of<T: Real>(layer: &Head<T>, images: Images<'_, T>, scale: T, dropped: Option<(Dropped<T>, &Uniforms)>) {
    let Images { first, mut units, mut scores } = images;
    for (mut row, &bias) in scores.rows_mut().into_iter().zip(&layer.b2) {
        row.fill(bias);
    }
    for (unit, &bias) in layer.b1.iter().enumerate() {
        let row = units.row(unit);
        for value in row.iter_mut() {
            *value = rectify(*value * scale + bias);
        }
        if let Some((dropped, uniforms)) = dropped {
            dropped.apply(row, &uniforms.row(unit)[first..]);
        }
    }
    // Several units at a time, so that a row of scores is loaded and stored once for all of them. Each score is still summed
    // unit after unit.
    let (classes, weights) = (layer.classes(), layer.w2.as_slice().expect("W2 is row-major"));
    let (groups, rest) = units.places.as_chunks::<UNITS>();
    for (group, places) in groups.iter().enumerate() {
        add_units(&mut scores, units.wide.view(), places, &weights[group * UNITS * classes..]);
    }
    for (unit, place) in (groups.len() * UNITS..).zip(rest) {
        add_units(&mut scores, units.wide.view(), &[*place], &weights[unit * classes..]);
    }
}

/// Sᵀ += for U hidden units, A[·, h]·W2[h, c]. `weights` begins with the first of them.
#[inline(always)]
fn add_units<T: Real, const U: usize>(
    scores: &mut ArrayViewMut2<'_, T>,
    wide: ArrayView2<'_, T>,
    places: &[usize; U],
    weights: &[T],
) {
    let (classes, columns) = scores.dim();
    let row = |place: usize| wide.index_axis_move(Axis(0), place).to_slice().expect("rows are contiguous");
    let activations: [&[T]; U] = places.map(|place| &row(place)[..columns]);
    for (class, row) in scores.rows_mut().into_iter().enumerate() {
        let weights: [T; U] = std::array::from_fn(|unit| weights[unit * classes + class]);
        let row = &mut row.into_slice().expect("rows are contiguous")[..columns]; // as long as the others: no bound is checked below
        for (column, score) in row.iter_mut().enumerate() {
            for unit in 0..U {
                *score += activations[unit][column] * weights[unit];
            }
        }
    }
}

/// Some hidden units, with their second-layer weights and the gradients of these and of the biases.
struct UnitsPart<'a, T> {
    /// The place of the first row of `units.wide`.
    first: usize,
    units: UnitRows<'a, T>,
    w2: ArrayView2<'a, T>,
    d_b1: ArrayViewMut1<'a, T>,
    d_w2: ArrayViewMut2<'a, T>,
    /// dA of a unit, (B). The parts of other threads make room for themselves.
    room: Option<&'a mut [T]>,
}

impl<T: Send + Sync> Split for UnitsPart<'_, T> {
    fn split(self, count: usize) -> (Self, Self) {
        let Self { first, units: UnitRows { wide, places }, w2, d_b1, d_w2, room } = self;
        let (places, others) = places.split_at(count);
        let next = others.iter().min().map_or(first + wide.nrows(), |&place| place);
        let (wide, wide_of_others) = wide.split_at(Axis(0), next - first);
        let fields = ((w2, d_b1), d_w2).split(count);
        let of = |first, units, ((w2, d_b1), d_w2), room| Self { first, units, w2, d_b1, d_w2, room };
        let part = of(first, UnitRows { wide, places }, fields.0, room);
        (part, of(next, UnitRows { wide: wide_of_others, places: others }, fields.1, None))
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn backward<T: Real>(part: UnitsPart<'_, T>, d_scores: &[T], [delta_factor, kept_factor]: [T; 2]) {
    let UnitsPart { first, mut units, w2, mut d_b1, mut d_w2, room } = part;
    let (columns, classes) = (units.wide.ncols(), w2.ncols());
    let mut own = Vec::new();
    let d_activations = room.unwrap_or_else(|| {
        own.resize(columns, T::zero());
        &mut own
    });
    let weights = w2.as_slice().expect("W2 is row-major").chunks_exact(classes);
    let d_weights = d_w2.as_slice_mut().expect("dW2 is row-major").chunks_exact_mut(classes);
    for (&place, (d_bias, (weights, d_weights))) in units.places.iter().zip(d_b1.iter_mut().zip(weights.zip(d_weights)))
    {
        let row = units.wide.row_mut(place - first).into_slice().expect("rows are contiguous");
        d_activations.fill(T::zero());
        let groups = weights.chunks(GROUP).zip(d_weights.chunks_mut(GROUP)).zip(d_scores.chunks(GROUP * columns));
        for ((weights, d_weights), d_rows) in groups {
            match weights.len() {
                1 => backward_classes::<T, 1>(row, d_rows, weights, d_weights, d_activations),
                2 => backward_classes::<T, 2>(row, d_rows, weights, d_weights, d_activations),
                3 => backward_classes::<T, 3>(row, d_rows, weights, d_weights, d_activations),
                4 => backward_classes::<T, 4>(row, d_rows, weights, d_weights, d_activations),
                _ => backward_classes::<T, GROUP>(row, d_rows, weights, d_weights, d_activations),
            }
        }
        *d_bias = rectify_gradient(row, d_activations, delta_factor, kept_factor);
    }
}

/// For G classes and one hidden unit: dA[i, h] += Σ_c dS[i, c]·W2[h, c], and dW2[h, c] = Σ_i A[i, h]·dS[i, c]. Each dS is loaded once,
/// and all sums stay in registers.
#[inline(always)]
fn backward_classes<T: Real, const G: usize>(
    activations: &[T],
    d_rows: &[T],
    weights: &[T],
    d_weights: &mut [T],
    d_activations: &mut [T],
) {
    let columns = activations.len();
    let factors: [T; G] = std::array::from_fn(|class| weights[class]);
    let rows: [(&[[T; PARTIAL_SUMS]], &[T]); G] =
        std::array::from_fn(|class| d_rows[class * columns..][..columns].as_chunks());
    let mut sums = [[T::zero(); PARTIAL_SUMS]; G];
    let (blocks, rest) = activations.as_chunks::<PARTIAL_SUMS>();
    let (d_blocks, d_rest) = d_activations.as_chunks_mut::<PARTIAL_SUMS>();
    for (at, (activations, d_activations)) in blocks.iter().zip(d_blocks).enumerate() {
        let mut d_block = *d_activations;
        for class in 0..G {
            let d_scores = rows[class].0[at];
            sums[class] = multiply_add(sums[class], *activations, d_scores);
            d_block = multiply_add(d_block, d_scores, [factors[class]; PARTIAL_SUMS]);
        }
        *d_activations = d_block;
    }
    for (lane, (&activation, d_activation)) in rest.iter().zip(d_rest).enumerate() {
        for class in 0..G {
            let d_score = rows[class].1[lane];
            sums[class][lane] += activation * d_score;
            *d_activation += d_score * factors[class];
        }
    }
    for (d_weight, sums) in d_weights.iter_mut().zip(sums) {
        *d_weight = total(sums);
    }
}

/// dZ is dA · `kept` where A > 0, and zero elsewhere, dropped or not: returns Σ_i dZ[i, h], and leaves dZ · `factor` in place of A.
#[inline(always)]
fn rectify_gradient<T: Real>(activations: &mut [T], d_activations: &[T], factor: T, kept: T) -> T {
    let pick = |activation: T, d_activation: T| if activation <= T::zero() { T::zero() } else { d_activation * kept };
    let mut sums = [T::zero(); PARTIAL_SUMS];
    let (blocks, rest) = activations.as_chunks_mut::<PARTIAL_SUMS>();
    let (d_blocks, d_rest) = d_activations.as_chunks::<PARTIAL_SUMS>();
    for (block, d_block) in blocks.iter_mut().zip(d_blocks) {
        let dz: [T; PARTIAL_SUMS] = std::array::from_fn(|lane| pick(block[lane], d_block[lane]));
        sums = std::array::from_fn(|lane| sums[lane] + dz[lane]);
        *block = dz.map(|value| value * factor);
    }
    for (lane, (activation, &d_activation)) in rest.iter_mut().zip(d_rest).enumerate() {
        let dz = pick(*activation, d_activation);
        sums[lane] += dz;
        *activation = dz * factor;
    }
    total(sums)
}

/// sums + a∘b
#[inline(always)]
fn multiply_add<T: Real>(sums: [T; PARTIAL_SUMS], a: [T; PARTIAL_SUMS], b: [T; PARTIAL_SUMS]) -> [T; PARTIAL_SUMS] {
    std::array::from_fn(|lane| sums[lane] + a[lane] * b[lane])
}

/// The sum, in [`PARTIAL_SUMS`] partial sums.
#[inline(always)]
fn sum<T: Real>(values: &[T]) -> T {
    let mut sums = [T::zero(); PARTIAL_SUMS];
    let (blocks, rest) = values.as_chunks::<PARTIAL_SUMS>();
    for block in blocks {
        for lane in 0..PARTIAL_SUMS {
            sums[lane] += block[lane];
        }
    }
    for (sum, &value) in sums.iter_mut().zip(rest) {
        *sum += value;
    }
    total(sums)
}

/// Adds partial sums by halves: always in this order.
#[inline(always)]
fn total<T: Real>(sums: [T; PARTIAL_SUMS]) -> T {
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}
