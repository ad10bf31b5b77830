//! Exponentials and logarithms of the softmax: those of the platform, or the project's own, whose bits are the same on every CPU.

use crate::real::Real;

/// What a softmax is computed by.
pub trait Functions<T> {
    /// eˣ, for x ≤ 0.
    fn exp(x: T) -> T;
    /// ln x, for x ≥ 1.
    fn ln(x: f64) -> f64;
}

/// The functions of the platform's library: correct to the last bit or nearly so, which is not the same on every CPU.
#[derive(Clone, Copy, Debug)]
pub struct OfPlatform;

impl<T: Real> Functions<T> for OfPlatform {
    #[inline(always)]
    fn exp(x: T) -> T {
        x.exp()
    }

    #[inline(always)]
    fn ln(x: f64) -> f64 {
        x.ln()
    }
}

/// Additions and multiplications in a fixed order: the same bits everywhere, in vectors too.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Functions<f32> for Portable {
    /// eˣ = 2ⁿ·eʳ with n = round(x / ln 2) and |r| ≤ ln 2 / 2, where eʳ is its Taylor polynomial of degree 7: with the roundings, within
    /// 2 units in the last place. Zero below −87, where f32 has no more normal numbers; NaN stays.
    #[inline(always)]
    fn exp(x: f32) -> f32 {
        /// Added, it rounds to the nearest integer: 1.5·2²³.
        const TO_INTEGER: f32 = 12_582_912.0;
        /// ln 2 in two parts, the first with few enough digits that its product with n is exact.
        const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
        const TAYLOR: [f32; 6] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5];
        // NaN is not below, so it goes through the polynomial and stays NaN.
        let is_small = x < -87.0;
        let rounded = x * std::f32::consts::LOG2_E + TO_INTEGER;
        let n = rounded - TO_INTEGER;
        let r = x - n * LN2[0] - n * LN2[1];
        let mut polynomial = TAYLOR[0];
        for coefficient in &TAYLOR[1..] {
            polynomial = polynomial * r + coefficient;
        }
        let exponential = (polynomial * r + 1.0) * r + 1.0;
        let n_plus_bias = rounded.to_bits().wrapping_sub(TO_INTEGER.to_bits()).wrapping_add(127);
        let power = f32::from_bits(n_plus_bias << 23);
        if is_small { 0.0 } else { exponential * power }
    }

    #[inline(always)]
    fn ln(x: f64) -> f64 {
        libm::log(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_right_to_two_units_in_the_last_place() {
        let mut worst = 0.0_f64;
        for step in 0..=870_000 {
            let x = -step as f32 * 1e-4;
            let (found, exact) = (f64::from(Portable::exp(x)), f64::from(x).exp());
            worst = worst.max((found / exact - 1.0).abs());
        }
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "{worst}");
        assert_eq!((Portable::exp(0.0), Portable::exp(-87.5)), (1.0, 0.0));
        assert_eq!(Portable::exp(f32::NEG_INFINITY), 0.0);
        assert!(Portable::exp(f32::NAN).is_nan());
    }

    #[test]
    fn its_bits_are_these() {
        // What replays elsewhere are the bits, so a compiler that fuses or reorders is seen here.
        let bits = [-0.1_f32, -1.0, -3.7, -20.5, -86.9].map(|x| Portable::exp(x).to_bits());
        assert_eq!(bits, [1_063_756_653, 1_052_531_378, 1_019_906_302, 816_566_744, 12_980_105]);
    }
}
