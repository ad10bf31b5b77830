//! Precisions: f32 and f64, for which there is one code, and integers, which are f32 but for their wide products.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{AddAssign, MulAssign, SubAssign};

use clap::ValueEnum;
use ndarray::{LinalgScalar, ScalarOperand};
use serde::{Deserialize, Serialize};

/// What a trial is trained in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits, 7 digits: twice as fast
    #[default]
    F32,
    /// 64 bits, 16 digits: what numpy computes in
    F64,
    /// Wide products of weights in 8 bits with pixels, all else in f32: fastest, with the same results on every CPU
    Int8,
    /// As int8, with 16 bits: nearly what f32 computes
    Int16,
}

impl Precision {
    /// Its name in files and flags. Identities of trials are hashes of it.
    pub fn key(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
        }
    }

    /// Bytes of a weight.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 | Self::Int8 | Self::Int16 => 4,
            Self::F64 => 8,
        }
    }

    /// What stands in records, models and checkpoints for the kernel that computed them: that of BLAS, or "integer", whose results do not
    /// depend on the kernel.
    pub fn kernel(self, blas: &str) -> &str {
        if self.is_integer() { INTEGER_KERNEL } else { blas }
    }

    /// Whether wide products are sums of integers: of pixels that are still bytes, with the same bits on every CPU.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Int8 | Self::Int16)
    }
}

/// The kernel of results that are the same with every kernel.
pub const INTEGER_KERNEL: &str = "integer";

/// Numbers of one precision, whichever it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// 32 bits.
    F32(Vec<f32>),
    /// 64 bits.
    F64(Vec<f64>),
}

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
    /// Its name among the hyperparameters.
    const PRECISION: Precision;
    /// Rounds to the nearest number of this precision.
    fn from_f64(value: f64) -> Self;

    /// Exact.
    fn as_f64(self) -> f64;

    /// Exact.
    fn from_byte(value: u8) -> Self;

    /// Numbers of this precision, as those of any.
    fn numbers(numbers: Vec<Self>) -> Numbers;

    /// Numbers of any precision, if they are of this one.
    fn of_numbers(numbers: &Numbers) -> Option<&[Self]>;
}

macro_rules! real {
    ($type:ident, $precision:ident) => {
        impl Real for $type {
            const PRECISION: Precision = Precision::$precision;

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

            fn numbers(numbers: Vec<Self>) -> Numbers {
                Numbers::$precision(numbers)
            }

            fn of_numbers(numbers: &Numbers) -> Option<&[Self]> {
                if let Numbers::$precision(numbers) = numbers { Some(numbers) } else { None }
            }
        }
    };
}

real!(f32, F32);
real!(f64, F64);
