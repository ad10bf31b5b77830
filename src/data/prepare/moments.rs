//! Means and standard deviations of pixels and channels. Sums of integers are exact: only the last divisions round.

use super::Fitted;
use crate::data::images::Rows;

/// Standard deviations below one grey level count as one: what never changes is not blown up.
const LEAST_DEVIATION: f64 = 1.0;

/// The mean image, (D).
pub fn means(rows: Rows<'_>, inputs: usize) -> Vec<f64> {
    let mut sums = vec![0_u64; inputs];
    for row in rows.pixels.chunks_exact(inputs) {
        sums.iter_mut().zip(row).for_each(|(sum, &pixel)| *sum += u64::from(pixel));
    }
    sums.iter().map(|&sum| sum as f64 / rows.len() as f64).collect()
}

/// Mean 0 and standard deviation 1 of each of `groups`: input d is in group d mod `groups`, so that of as many groups as channels each
/// is a channel, and of as many as inputs each is a pixel of a channel.
pub fn standardised(rows: Rows<'_>, inputs: usize, groups: usize) -> Fitted {
    let (mut sums, mut squares) = (vec![0_u64; inputs], vec![0_u64; inputs]);
    for row in rows.pixels.chunks_exact(inputs) {
        for ((sum, square), &pixel) in sums.iter_mut().zip(&mut squares).zip(row) {
            *sum += u64::from(pixel);
            *square += u64::from(pixel) * u64::from(pixel);
        }
    }
    let of_group = |of: &[u64], group: usize| of.iter().skip(group).step_by(groups).sum::<u64>() as f64;
    let count = (rows.len() * inputs / groups) as f64;
    let moments: Vec<(f64, f64)> = (0..groups)
        .map(|group| {
            let mean = of_group(&sums, group) / count;
            let variance = of_group(&squares, group) / count - mean * mean;
            (mean, variance.max(0.0).sqrt().max(LEAST_DEVIATION))
        })
        .collect();
    let of_input = |input: usize| moments[input % groups];
    let mean = (0..inputs).map(|input| of_input(input).0).collect();
    let factor = (0..inputs).map(|input| 1.0 / of_input(input).1).collect();
    Fitted { mean, factor: Some(factor), projection: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::Real;

    #[test]
    fn each_group_has_mean_0_and_deviation_1() {
        let pixels: Vec<u8> = (0..6000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 20) as u8).collect();
        let rows = Rows { pixels: &pixels, labels: &[0; 1000] };
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
}
