//! Means and standard deviations of pixels and channels. Sums of bytes are sums of integers, and exact: only the last divisions round.
//! Other numbers are summed in f64, row after row.

use super::Fitted;
use crate::data::images::{RowValues, Rows};

/// Standard deviations below one grey level count as one: what never changes is not blown up.
const LEAST_DEVIATION: f64 = 1.0;
/// Of numbers that are no bytes: as a share of the largest standard deviation.
const LEAST_SHARE: f64 = 1e-6;

/// The mean image, (D).
pub fn means(rows: Rows<'_>, inputs: usize) -> Vec<f64> {
    match rows.values {
        RowValues::Bytes(values) => {
            let mut sums = vec![0_u64; inputs];
            for row in values.chunks_exact(inputs) {
                sums.iter_mut().zip(row).for_each(|(sum, &pixel)| *sum += u64::from(pixel));
            }
            sums.iter().map(|&sum| sum as f64 / rows.len() as f64).collect()
        }
        RowValues::Floats(values) => {
            let mut sums = vec![0.0; inputs];
            for row in values.chunks_exact(inputs) {
                sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
            }
            sums.iter().map(|sum| sum / rows.len() as f64).collect()
        }
    }
}

/// Mean 0 and standard deviation 1 of each of `groups`: input d is in group d mod `groups`, so that of as many groups as channels each
/// is a channel, and of as many as inputs each is a pixel of a channel.
pub fn standardised(rows: Rows<'_>, inputs: usize, groups: usize) -> Fitted {
    let (means, deviations) = match rows.values {
        RowValues::Bytes(values) => of_bytes(values, inputs, groups),
        RowValues::Floats(values) => of_floats(values, means(rows, inputs), groups),
    };
    let mean = (0..inputs).map(|input| means[input % groups]).collect();
    let factor = (0..inputs).map(|input| 1.0 / deviations[input % groups]).collect();
    Fitted { mean, factor: Some(factor), projection: None }
}

/// Means and standard deviations of each group.
fn of_bytes(values: &[u8], inputs: usize, groups: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut sums, mut squares) = (vec![0_u64; inputs], vec![0_u64; inputs]);
    for row in values.chunks_exact(inputs) {
        for ((sum, square), &pixel) in sums.iter_mut().zip(&mut squares).zip(row) {
            *sum += u64::from(pixel);
            *square += u64::from(pixel) * u64::from(pixel);
        }
    }
    let of_group = |of: &[u64], group: usize| of.iter().skip(group).step_by(groups).sum::<u64>() as f64;
    let count = (values.len() / groups) as f64;
    let moments = |group| {
        let mean = of_group(&sums, group) / count;
        let variance = of_group(&squares, group) / count - mean * mean;
        (mean, variance.max(0.0).sqrt().max(LEAST_DEVIATION))
    };
    (0..groups).map(moments).unzip()
}

/// Means and standard deviations of each group, from the means of the inputs. Differences from the mean are summed, not squares, of which
/// little is left where the mean is large.
fn of_floats(values: &[f32], means: Vec<f64>, groups: usize) -> (Vec<f64>, Vec<f64>) {
    let inputs = means.len();
    let of_group = |of: &[f64], group: usize| of.iter().skip(group).step_by(groups).sum::<f64>();
    let means: Vec<f64> = (0..groups).map(|group| of_group(&means, group) / (inputs / groups) as f64).collect();
    let mut squares = vec![0.0; inputs];
    for row in values.chunks_exact(inputs) {
        for (input, (square, &value)) in squares.iter_mut().zip(row).enumerate() {
            let difference = f64::from(value) - means[input % groups];
            *square += difference * difference;
        }
    }
    let count = (values.len() / groups) as f64;
    let deviations: Vec<f64> = (0..groups).map(|group| (of_group(&squares, group) / count).sqrt()).collect();
    let largest = deviations.iter().copied().fold(0.0, f64::max);
    let least = if largest > 0.0 { LEAST_SHARE * largest } else { 1.0 };
    (means, deviations.into_iter().map(|deviation| deviation.max(least)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::Real;

    #[test]
    fn each_group_has_mean_0_and_deviation_1() {
        let pixels: Vec<u8> = (0..6000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 20) as u8).collect();
        let rows = Rows::of_bytes(&pixels, &[0; 1000]);
        for groups in [3, 6] {
            let fitted = standardised(rows, 6, groups);
            let factor = fitted.factor.as_ref().unwrap();
            let mut values = vec![vec![]; groups];
            for row in pixels.chunks_exact(6) {
                for (input, &pixel) in row.iter().enumerate() {
                    values[input % groups].push((f64::from_byte(pixel) - fitted.mean[input]) * factor[input]);
                }
            }
            for group in values {
                let mean = group.iter().sum::<f64>() / group.len() as f64;
                let variance = group.iter().map(|value| value * value).sum::<f64>() / group.len() as f64;
                assert!(mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-9, "{mean} {variance}");
            }
        }
    }

    #[test]
    fn floats_have_mean_0_and_deviation_1_and_what_never_changes_is_0() {
        let value = |at: u32| 1000.0 + (at.wrapping_mul(2_654_435_761) >> 20) as f32 * 1e-3;
        let values: Vec<f32> = (0..2000).flat_map(|row| [value(2 * row), 0.1, value(2 * row + 1) * 1e-4]).collect();
        let rows = Rows::of_floats(&values, &[0; 2000]);
        let Fitted { mean, factor, .. } = standardised(rows, 3, 3);
        let factor = factor.unwrap();
        let prepared = |input: usize| {
            let of_input = values.iter().skip(input).step_by(3);
            of_input.map(|&value| (f64::from(value) - mean[input]) * factor[input]).collect::<Vec<_>>()
        };
        for input in [0, 2] {
            let prepared = prepared(input);
            let mean = prepared.iter().sum::<f64>() / 2000.0;
            let variance = prepared.iter().map(|value| value * value).sum::<f64>() / 2000.0;
            assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-6, "{mean} {variance}");
        }
        assert!(prepared(1).iter().all(|value| value.abs() < 1e-6));
        let constant = standardised(Rows::of_floats(&[3.0; 10], &[0; 5]), 2, 2);
        assert_eq!(constant.factor, Some(vec![1.0; 2]));
    }
}
