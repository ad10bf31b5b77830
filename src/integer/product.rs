//! Products of rounded rows with columns of pixels, in blocks that caches hold.

use multiversion::multiversion;

use super::Width;
use super::columns::Columns;
use super::kernel::{Form, Kernel, TileOf};
use super::rounding::RowsMut;

/// Words of a row that are multiplied before the next rows: a block of columns of so many words stays in the first-level cache. Pairs of
/// 16 bits need it too: 128 pairs of products, 255·32,639 each, are the most whose sum stays within 32 bits.
const STEPS: usize = 128;

/// The exact sums of a product, and room to work in.
#[derive(Debug)]
pub struct Sums<'a> {
    /// (rows, stride): sums in 32 bits.
    pub short: &'a mut [i32],
    /// (rows, stride): sums of numbers of 16 bits that leave 32 bits, as integers in f64, which is exact below 2⁵³. Used where
    /// [`are_long`] says so.
    pub long: &'a mut [f64],
    /// From a row of sums to the next, with room for whole vectors.
    pub stride: usize,
}

/// Whether sums of so many words leave 32 bits.
pub fn are_long<P: Width>(kernel: &Kernel, steps: usize) -> bool {
    P::BITS == 16 && (kernel.form == Form::Bytes || steps > STEPS)
}

/// S (rows, columns `from` to `to`): `sums[r][c − from]` = Σ_k `row[r][k]·column[c][k]`, exactly. `from` is the first column of a block.
///
/// # Panics
/// Rows are longer than columns, or `sums` has too little room.
pub fn product<P: Width>(
    kernel: &Kernel,
    rows: &RowsMut<'_, P>,
    columns: &Columns,
    (from, to): (usize, usize),
    sums: &mut Sums<'_>,
) {
    let (words, steps, parts) = (rows.words(), rows.steps, rows.parts);
    assert!(steps <= columns.steps(), "rows are as long as columns");
    let (count, stride) = (rows.len() * parts, sums.stride);
    // Halves of rows of 16 bits take turns in one buffer: a tile of them at a time.
    for start in (0..steps).step_by(STEPS) {
        let chunk = STEPS.min(steps - start);
        for block in columns.blocks(from, to) {
            let width = block.vectors * kernel.lanes;
            let of_columns = &block.words[start * width..][..chunk * width];
            for first in (0..count).step_by(kernel.rows) {
                kernel.tile(TileOf {
                    rows: &words[first * steps + start..],
                    count: kernel.rows.min(count - first),
                    row_stride: steps,
                    columns: of_columns,
                    vectors: block.vectors,
                    steps: chunk,
                    sums: &mut sums.short[first * stride + block.first - from..],
                    sum_stride: stride,
                    adds: start > 0 && !(P::BITS == 16 && parts == 1),
                });
            }
        }
        if P::BITS == 16 && parts == 1 && steps > STEPS {
            add(&mut sums.long[..count * stride], &sums.short[..count * stride], start > 0);
        }
    }
    if parts == 2 {
        for (row, long) in sums.long.chunks_exact_mut(stride).take(rows.len()).enumerate() {
            let (high, low) = sums.short[2 * row * stride..][..2 * stride].split_at(stride);
            join(long, high, low);
        }
    }
}

/// Takes sums of a part of the words, or adds them.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn add(long: &mut [f64], short: &[i32], adds: bool) {
    match adds {
        true => long.iter_mut().zip(short).for_each(|(long, &short)| *long += f64::from(short)),
        false => long.iter_mut().zip(short).for_each(|(long, &short)| *long = f64::from(short)),
    }
}

/// 256·high + low
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn join(long: &mut [f64], high: &[i32], low: &[i32]) {
    for ((long, &high), &low) in long.iter_mut().zip(high).zip(low) {
        *long = 256.0 * f64::from(high) + f64::from(low);
    }
}
