//! Rows of real numbers to integers of one scale.

use std::marker::PhantomData;

use multiversion::multiversion;

use super::Width;
use super::columns::Words;
use super::kernel::{Form, Kernel};

/// Added to a number below 2²², it leaves the number rounded to the nearest integer, ties to even, in the lowest bits: 1.5·2²³.
const TO_INTEGER: f32 = 12_582_912.0;
/// Rows whose largest number is below this count as zero, and 127 or 32,639 divided by it is still finite.
const SMALLEST: f32 = 1e-30;
/// Numbers that are rounded together, and partial sums: every loop runs over independent numbers.
const PIECE: usize = 256;

/// Rounded rows, in words as a kernel reads them.
#[derive(Debug)]
pub struct Rounded<P> {
    words: Words,
    numbers: Vec<RowNumbers>,
    /// Words of a kernel's row.
    pub steps: usize,
    /// A kernel's rows for each row: two where numbers of 16 bits are held as halves of 8.
    pub parts: usize,
    form: Form,
    width: PhantomData<P>,
}

/// What belongs to a rounded row beside its integers q.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowNumbers {
    /// What q is multiplied by; NaN where the row has a number that is not finite.
    pub scale: f32,
    /// Σ q·mean for weights, Σ q for deltas.
    pub sum: f32,
}

/// Some rows of [`Rounded`], to be written to.
#[derive(Debug)]
pub struct RowsMut<'a, P> {
    pub(super) words: &'a mut [u32],
    pub(super) numbers: &'a mut [RowNumbers],
    /// Words of a kernel's row.
    pub steps: usize,
    /// As of [`Rounded`].
    pub parts: usize,
    form: Form,
    width: PhantomData<P>,
}

impl<P: Width> Rounded<P> {
    /// Zeros: `rows` rows of `columns` numbers.
    pub fn zeros(kernel: &Kernel, rows: usize, columns: usize) -> Self {
        let form = kernel.form;
        let parts = if form == Form::Bytes && P::BITS == 16 { 2 } else { 1 };
        let mut rounded = Self { words: Words::default(), numbers: vec![], steps: 0, parts, form, width: PhantomData };
        rounded.resize(rows, columns);
        rounded
    }

    /// Makes room for other rows, whose values are whatever was there before.
    pub fn resize(&mut self, rows: usize, columns: usize) {
        self.steps = columns.div_ceil(self.form.numbers());
        self.numbers.resize(rows, RowNumbers::default());
        self.words.reserve(rows * self.parts * self.steps);
    }

    /// All rows.
    pub fn rows_mut(&mut self) -> RowsMut<'_, P> {
        let count = self.numbers.len() * self.parts * self.steps;
        RowsMut {
            words: &mut self.words.get_mut()[..count],
            numbers: &mut self.numbers,
            steps: self.steps,
            parts: self.parts,
            form: self.form,
            width: PhantomData,
        }
    }
}

impl<'a, P: Width> RowsMut<'a, P> {
    /// The first `rows` rows, and the others.
    pub fn split_at(self, rows: usize) -> (Self, Self) {
        let Self { words, numbers, steps, parts, form, width } = self;
        let (first_words, words) = words.split_at_mut(rows * parts * steps);
        let (first_numbers, numbers) = numbers.split_at_mut(rows);
        let first = RowsMut { words: first_words, numbers: first_numbers, steps, parts, form, width };
        (first, RowsMut { words, numbers, steps, parts, form, width })
    }

    /// Words of all rows: (rows, parts, steps).
    pub fn words(&self) -> &[u32] {
        self.words
    }

    /// Scale and sum of row `row`.
    pub fn numbers(&self, row: usize) -> RowNumbers {
        self.numbers[row]
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Rounds weights ∘ `factor` into row `row`; its sum is Σ q·`mean`.
    pub fn set_weights(&mut self, row: usize, weights: &[f32], factor: Option<&[f32]>, mean: &[f32]) {
        let words = &mut self.words[row * self.parts * self.steps..][..self.parts * self.steps];
        self.numbers[row] = match factor {
            None => weights_to::<P>(words, weights, mean, self.form),
            Some(factor) => scaled_weights_to::<P>(words, weights, factor, mean, self.form),
        };
    }

    /// Rounds deltas into row `row`; its sum is Σ q.
    pub fn set_deltas(&mut self, row: usize, deltas: &[f32]) {
        let words = &mut self.words[row * self.parts * self.steps..][..self.parts * self.steps];
        self.numbers[row] = deltas_to::<P>(words, deltas, self.form);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn weights_to<P: Width>(words: &mut [u32], weights: &[f32], mean: &[f32], form: Form) -> RowNumbers {
    let scale = Scale::of::<P>(largest(weights));
    let (mut q, mut sums) = ([0; PIECE], [0.0; PIECE]);
    for (at, (weights, mean)) in weights.chunks(PIECE).zip(mean.chunks(PIECE)).enumerate() {
        scale.round(weights, &mut q);
        for ((sum, &q), &mean) in sums.iter_mut().zip(&q).zip(mean) {
            *sum += q as f32 * mean;
        }
        put::<P>(words, at, &mut q, weights.len(), form);
    }
    RowNumbers { scale: scale.scale, sum: total(sums) }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn scaled_weights_to<P: Width>(
    words: &mut [u32],
    weights: &[f32],
    factor: &[f32],
    mean: &[f32],
    form: Form,
) -> RowNumbers {
    let (mut scaled, mut most) = ([0.0; PIECE], 0);
    let pieces = || weights.chunks(PIECE).zip(factor.chunks(PIECE));
    for (weights, factor) in pieces() {
        most = most.max(largest(multiply(&mut scaled, weights, factor)));
    }
    let scale = Scale::of::<P>(most);
    let (mut q, mut sums) = ([0; PIECE], [0.0; PIECE]);
    for (at, ((weights, factor), mean)) in pieces().zip(mean.chunks(PIECE)).enumerate() {
        scale.round(multiply(&mut scaled, weights, factor), &mut q);
        for ((sum, &q), &mean) in sums.iter_mut().zip(&q).zip(mean) {
            *sum += q as f32 * mean;
        }
        put::<P>(words, at, &mut q, weights.len(), form);
    }
    RowNumbers { scale: scale.scale, sum: total(sums) }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn deltas_to<P: Width>(words: &mut [u32], deltas: &[f32], form: Form) -> RowNumbers {
    let scale = Scale::of::<P>(largest(deltas));
    let (mut q, mut sum) = ([0; PIECE], 0);
    for (at, deltas) in deltas.chunks(PIECE).enumerate() {
        scale.round(deltas, &mut q);
        sum += i64::from(q[..deltas.len()].iter().sum::<i32>());
        put::<P>(words, at, &mut q, deltas.len(), form);
    }
    RowNumbers { scale: scale.scale, sum: sum as f32 }
}

#[inline(always)]
fn multiply<'a>(product: &'a mut [f32; PIECE], weights: &[f32], factor: &[f32]) -> &'a [f32] {
    for ((product, &weight), &factor) in product.iter_mut().zip(weights).zip(factor) {
        *product = weight * factor;
    }
    &product[..weights.len()]
}

/// Bits of the largest |x|; they are ordered as the numbers are, and NaN is above infinity.
#[inline(always)]
fn largest(numbers: &[f32]) -> u32 {
    numbers.iter().fold(0, |most, number| most.max(number.to_bits() & 0x7fff_ffff))
}

/// Adds partial sums by halves: always in this order.
#[inline(always)]
fn total(mut sums: [f32; PIECE]) -> f32 {
    let mut count = PIECE / 2;
    while count > 0 {
        let (first, second) = sums.split_at_mut(count);
        first.iter_mut().zip(second).for_each(|(first, second)| *first += *second);
        count /= 2;
    }
    sums[0]
}

/// How a row is rounded.
#[derive(Clone, Copy, Debug)]
struct Scale {
    scale: f32,
    /// 1 / scale; 0 where the row counts as zero.
    inverse: f32,
    /// The largest integer; 0 where the row has numbers that are not finite.
    limit: i32,
}

impl Scale {
    /// For rows whose largest number has these bits.
    #[inline(always)]
    fn of<P: Width>(most: u32) -> Self {
        let (most, limit) = (f32::from_bits(most), P::LIMIT as i32);
        if !most.is_finite() {
            // What is computed from such a row is no number, as it would be in floating point.
            return Self { scale: f32::NAN, inverse: 0.0, limit: 0 };
        }
        if most < SMALLEST {
            return Self { scale: 0.0, inverse: 0.0, limit };
        }
        Self { scale: most / P::LIMIT, inverse: P::LIMIT / most, limit }
    }

    #[inline(always)]
    fn round(self, numbers: &[f32], q: &mut [i32; PIECE]) {
        for (q, &number) in q.iter_mut().zip(numbers) {
            let rounded = (number * self.inverse + TO_INTEGER).to_bits().wrapping_sub(TO_INTEGER.to_bits());
            // Where a row is not finite, its integers are of no consequence, but must not leave their range.
            *q = rounded.cast_signed().clamp(-self.limit, self.limit);
        }
    }
}

/// Writes the first `count` integers of piece `at` of a row into words; what fills the last word is zero.
#[inline(always)]
fn put<P: Width>(words: &mut [u32], at: usize, q: &mut [i32; PIECE], count: usize, form: Form) {
    q[count..].fill(0);
    match (form, P::BITS) {
        (Form::Words, _) => pairs(&mut words[at * PIECE / 2..], &q[..count.next_multiple_of(2)]),
        (Form::Bytes, 8) => quads(&mut words[at * PIECE / 4..], &q[..count.next_multiple_of(4)]),
        (Form::Bytes, _) => {
            let half = words.len() / 2;
            let (high, low) = words.split_at_mut(half);
            // q = 256·high + low, with both from −128 to 127.
            let mut of_high = [0; PIECE];
            for (high, q) in of_high.iter_mut().zip(&mut *q) {
                *high = (*q + 128) >> 8;
                *q -= 256 * *high;
            }
            quads(&mut high[at * PIECE / 4..], &of_high[..count.next_multiple_of(4)]);
            quads(&mut low[at * PIECE / 4..], &q[..count.next_multiple_of(4)]);
        }
    }
}

#[inline(always)]
fn pairs(words: &mut [u32], q: &[i32]) {
    for (word, q) in words.iter_mut().zip(q.as_chunks::<2>().0) {
        *word = q[0].cast_unsigned() & 0xffff | q[1].cast_unsigned() << 16;
    }
}

#[inline(always)]
fn quads(words: &mut [u32], q: &[i32]) {
    for (word, q) in words.iter_mut().zip(q.as_chunks::<4>().0) {
        let byte = |at: usize| q[at].cast_unsigned() & 0xff;
        *word = byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
    }
}
