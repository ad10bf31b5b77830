//! The two precisions: one code for f32 and f64.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{AddAssign, MulAssign, SubAssign};

use ndarray::{LinalgScalar, ScalarOperand};
use safetensors::Dtype;

/// f32 or f64: what weights, minibatches and scores are made of.
pub trait Real:
    LinalgScalar
    + ScalarOperand
    + num_traits::Float
    + AddAssign
    + SubAssign
    + MulAssign
    + Sum
    + Display
    + Debug
    + Send
    + Sync
    + 'static
{
    /// `f32` or `f64`.
    const NAME: &'static str;
    /// Its name in safetensors files.
    const DTYPE: Dtype;

    /// Rounds to the nearest number of this precision.
    fn from_f64(value: f64) -> Self;

    /// Exact.
    fn as_f64(self) -> f64;

    /// Exact.
    fn from_byte(value: u8) -> Self;

    /// As a safetensors file holds it.
    fn to_le_bytes(self) -> impl IntoIterator<Item = u8>;
}

macro_rules! real {
    ($type:ident, $dtype:ident) => {
        impl Real for $type {
            const NAME: &'static str = stringify!($type);
            const DTYPE: Dtype = Dtype::$dtype;

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $type
            }

            #[inline(always)]
            fn as_f64(self) -> f64 {
                f64::from(self)
            }

            #[inline(always)]
            fn from_byte(value: u8) -> Self {
                $type::from(value)
            }

            fn to_le_bytes(self) -> impl IntoIterator<Item = u8> {
                $type::to_le_bytes(self)
            }
        }
    };
}

real!(f32, F32);
real!(f64, F64);
