//! Products of integers: rows of rounded weights or deltas, times bytes of pixels, summed exactly.
//!
//! A pixel is a byte. A row of real numbers is rounded to integers of one scale, so every product of a row with pixels is a sum of
//! integers, and such a sum does not depend on its order: the same bits on every CPU, kernel, cohort and number of threads. There are no
//! lanes here, and no BLAS.
//!
//! ```text
//! q (n) of 8 or 16 bits, scale s          s·q ≈ row, s = max |row| / 127 or 32,639
//! S = Σ_k q[k]·x[k]                       exact; x[k] a byte
//! Σ_k row[k]·(x[k] − mean[k])·factor[k]   ≈ s·(S − Σ_k q[k]·mean[k]), where row ∘ factor was rounded
//! ```
//!
//! [`rounding`] makes integers of rows, [`columns`] brings pixels into the order in which a kernel reads them, [`product`] multiplies in
//! blocks that caches hold, [`kernel`] has the innermost loops, one for each kind of CPU, and is the only place with `unsafe`.

pub mod columns;
pub mod kernel;
pub mod product;
pub mod rounding;

use std::fmt::Debug;

use crate::real::Precision;

/// How many bits the rounded numbers have.
pub trait Width: Debug + Send + Sync + 'static {
    /// Bits.
    const BITS: u32;
    /// The largest rounded number.
    const LIMIT: f32;
    /// What trials of this width ask for.
    const PRECISION: Precision;
}

/// 8 bits: as fast as a CPU multiplies integers.
#[derive(Clone, Copy, Debug)]
pub struct Int8;

/// 16 bits: half the speed at most, and nearly what f32 computes.
#[derive(Clone, Copy, Debug)]
pub struct Int16;

impl Width for Int8 {
    const BITS: u32 = 8;
    const LIMIT: f32 = 127.0;
    const PRECISION: Precision = Precision::Int8;
}

impl Width for Int16 {
    const BITS: u32 = 16;
    // 127·256 + 127: each half of such a number is one of 8 bits.
    const LIMIT: f32 = 32_639.0;
    const PRECISION: Precision = Precision::Int16;
}

/// The most terms of a sum of products of 8 bits that stays within 32 bits: 255·128·n < 2³¹.
pub const MOST_TERMS: usize = 65_793;
