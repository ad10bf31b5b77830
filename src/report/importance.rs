//! Which hyperparameters mattered: functional analysis of variance, exact on a full grid, with seeds as blocks.
//!
//! Given: y(c, s), the accuracy of configuration c with seed s, for every one of N configurations of a grid and every one of r seeds. Let
//! ȳ(c) be the mean over seeds and f∅ the mean of all. For a set u of axes, f_u(c) is the mean of ȳ over all other axes, less f_w for
//! every proper subset w of u. The f_u are orthogonal, so the variance of ȳ is the sum of V_u = mean f_u², and V_u over that sum is the
//! share of u: how much of the differences between configurations it explains (Hutter, Hoos and Leyton-Brown 2014, there for a model of y,
//! here for y itself).
//!
//! **Seeds are crossed, not nested:** one seed gives every configuration the same first weights and minibatches. What a seed does to all
//! alike is no noise. Noise is what is left of y after configuration and seed, with mean square MSE on (N − 1)(r − 1) degrees of freedom.
//! It adds MSE/r · Π(n_i − 1)/N to V_u, which is taken off again. With one seed, interactions of three axes and more stand for noise.
//! Intervals: whole seeds are drawn again with replacement, from three seeds on.

/// Accuracies of a full grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// How many values each axis has.
    pub sizes: Vec<usize>,
    /// How many seeds.
    pub seeds: usize,
    /// (configurations, seeds); of the configurations the last axis varies fastest.
    pub values: Vec<f64>,
}

/// A share of the variance between configurations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// From 0 to 1.
    pub share: f64,
    /// 2.5 and 97.5 % of what drawing seeds again gives; none for fewer than three seeds.
    pub interval: Option<(f64, f64)>,
}

/// What explains the differences between configurations.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// Of each axis alone.
    pub singles: Vec<Share>,
    /// Of each pair of axes, beyond what they explain alone; the largest first.
    pub pairs: Vec<(usize, usize, Share)>,
    /// Of three axes and more together.
    pub rest: f64,
    /// Standard deviation of a single accuracy around its configuration and seed; none where nothing can measure it.
    pub noise: Option<f64>,
    /// Standard deviation of what seeds do to all configurations alike; none with one seed.
    pub of_seeds: Option<f64>,
}

/// How often seeds are drawn again.
const DRAWS: usize = 400;

/// Explains a table. None where fewer than two configurations are there, or all are equal.
pub fn explain(table: &Table) -> Option<Importance> {
    let all: Vec<usize> = (0..table.seeds).collect();
    let parts = Parts::of(table, &all)?;
    let shares = parts.shares();
    let drawn = if table.seeds >= 3 { draws(table) } else { vec![] };
    let interval = |of: &dyn Fn(&Shares) -> f64| {
        let mut values: Vec<f64> = drawn.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values.get((share * (values.len().max(1) - 1) as f64).round() as usize).copied();
        at(0.025).zip(at(0.975))
    };
    let singles = (0..table.sizes.len())
        .map(|axis| Share { share: shares.singles[axis], interval: interval(&|drawn| drawn.singles[axis]) })
        .collect();
    let pair = |(at, &(a, b)): (usize, &(usize, usize))| {
        (a, b, Share { share: shares.pairs[at], interval: interval(&|drawn| drawn.pairs[at]) })
    };
    let mut pairs: Vec<_> = pairs(table.sizes.len()).iter().enumerate().map(pair).collect();
    pairs.sort_by(|a, b| b.2.share.total_cmp(&a.2.share));
    Some(Importance { singles, pairs, rest: shares.rest, noise: parts.noise, of_seeds: parts.of_seeds })
}

/// Every pair of so many axes.
pub fn pairs(axes: usize) -> Vec<(usize, usize)> {
    (0..axes).flat_map(|a| (a + 1..axes).map(move |b| (a, b))).collect()
}

/// Variances, noise taken off.
struct Parts {
    singles: Vec<f64>,
    pairs: Vec<f64>,
    total: f64,
    noise: Option<f64>,
    of_seeds: Option<f64>,
}

struct Shares {
    singles: Vec<f64>,
    pairs: Vec<f64>,
    rest: f64,
}

impl Parts {
    /// Of these seeds, each as often as it is named.
    fn of(table: &Table, seeds: &[usize]) -> Option<Self> {
        let cells: usize = table.sizes.iter().product();
        assert_eq!(table.values.len(), cells * table.seeds, "a value for every configuration and seed");
        if cells < 2 {
            return None;
        }
        let (n, r) = (cells as f64, seeds.len() as f64);
        let of = |cell: usize, seed: usize| table.values[cell * table.seeds + seed];
        let means: Vec<f64> =
            (0..cells).map(|cell| seeds.iter().map(|&seed| of(cell, seed)).sum::<f64>() / r).collect();
        let all = means.iter().sum::<f64>() / n;
        let variance = means.iter().map(|mean| (mean - all).powi(2)).sum::<f64>() / n;
        if variance.is_nan() || variance <= 1e-30 {
            return None;
        }
        // What is left of each axis, and of each pair.
        let effects: Vec<Vec<f64>> = (0..table.sizes.len())
            .map(|axis| averages(table, &means, &[axis]).into_iter().map(|mean| mean - all).collect())
            .collect();
        let square = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
        let of_pair = |&(a, b): &(usize, usize)| {
            let mut left = averages(table, &means, &[a, b]);
            for (at, value) in left.iter_mut().enumerate() {
                *value -= all + effects[a][at / table.sizes[b]] + effects[b][at % table.sizes[b]];
            }
            square(&left)
        };
        let pairs = pairs(table.sizes.len());
        let raw_singles: Vec<f64> = effects.iter().map(|effect| square(effect)).collect();
        let raw_pairs: Vec<f64> = pairs.iter().map(of_pair).collect();

        let free = |axes: &[usize]| axes.iter().map(|&axis| table.sizes[axis] as f64 - 1.0).product::<f64>();
        let of_pairs: f64 = pairs.iter().map(|&(a, b)| free(&[a, b])).sum();
        let of_singles: f64 = (0..table.sizes.len()).map(|axis| free(&[axis])).sum();
        let (mut of_seeds, mut mean_square) = (None, None);
        if seeds.len() > 1 {
            let column: Vec<f64> =
                seeds.iter().map(|&seed| (0..cells).map(|cell| of(cell, seed)).sum::<f64>() / n).collect();
            let mut sum = 0.0;
            for (cell, mean) in means.iter().enumerate() {
                let residual = |(&seed, column): (&usize, &f64)| (of(cell, seed) - mean - column + all).powi(2);
                sum += seeds.iter().zip(&column).map(residual).sum::<f64>();
            }
            mean_square = Some(sum / ((n - 1.0) * (r - 1.0)));
            let square = column.iter().map(|mean| (mean - all).powi(2)).sum::<f64>() / (r - 1.0);
            of_seeds = Some((square - mean_square.unwrap_or(0.0) / n).max(0.0).sqrt());
        } else {
            let freedom = n - 1.0 - of_singles - of_pairs;
            let left = n * (variance - raw_singles.iter().sum::<f64>() - raw_pairs.iter().sum::<f64>());
            if freedom >= 1.0 {
                mean_square = Some(left.max(0.0) / freedom);
            }
        }
        let bias = |freedom: f64| mean_square.unwrap_or(0.0) / r * freedom / n;
        let less = |(raw, axes): (f64, &[usize])| (raw - bias(free(axes))).max(0.0);
        Some(Self {
            singles: raw_singles.iter().enumerate().map(|(axis, &raw)| less((raw, &[axis]))).collect(),
            pairs: raw_pairs.iter().zip(&pairs).map(|(&raw, &(a, b))| less((raw, &[a, b]))).collect(),
            total: variance - bias(n - 1.0),
            noise: mean_square.map(f64::sqrt),
            of_seeds,
        })
    }

    /// As shares of their sum; what is neither single nor pair is the rest.
    fn shares(&self) -> Shares {
        let known: f64 = self.singles.iter().chain(&self.pairs).sum();
        let whole = self.total.max(known).max(f64::MIN_POSITIVE);
        let share = |values: &[f64]| values.iter().map(|value| value / whole).collect();
        Shares { singles: share(&self.singles), pairs: share(&self.pairs), rest: 1.0 - known / whole }
    }
}

/// The means of cells over all axes but these, the last of them varying fastest.
fn averages(table: &Table, means: &[f64], axes: &[usize]) -> Vec<f64> {
    let length: usize = axes.iter().map(|&axis| table.sizes[axis]).product();
    let mut sums = vec![0.0; length];
    let strides: Vec<usize> = axes.iter().map(|&axis| table.sizes[axis + 1..].iter().product::<usize>()).collect();
    for (cell, mean) in means.iter().enumerate() {
        let place = axes
            .iter()
            .zip(&strides)
            .fold(0, |at, (&axis, stride)| at * table.sizes[axis] + cell / stride % table.sizes[axis]);
        sums[place] += mean;
    }
    let share = length as f64 / means.len() as f64;
    sums.iter().map(|sum| sum * share).collect()
}

/// What other seeds could have given: whole seeds drawn with replacement, the same draws every time.
fn draws(table: &Table) -> Vec<Shares> {
    // A short generator of Knuth's (MMIX): equal directories give equal pages.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let count = (20_000_000 / table.values.len().max(1) / table.sizes.len().pow(2).max(1)).clamp(50, DRAWS);
    let draw = |_| {
        let seeds: Vec<usize> = (0..table.seeds).map(|_| next() % table.seeds).collect();
        // One seed many times is one seed: it has no noise of its own.
        let is_one = seeds.iter().all(|seed| *seed == seeds[0]);
        (!is_one).then(|| Parts::of(table, &seeds)).flatten().map(|parts| parts.shares())
    };
    (0..count).filter_map(draw).collect()
}

/// Which values stand out among the best: Σ (p − q)² / q over an axis' values, with p a value's share among the best and q among all, as
/// shares of their sum. This is the discrete form of PED-ANOVA (Watanabe, Bansal and Hutter 2023). `ranked` are the values of the
/// configurations, best first.
pub fn among_the_best(sizes: &[usize], ranked: &[&[usize]], best: usize) -> Vec<f64> {
    let divergence = |axis: usize| {
        let mut counts = vec![[0.0_f64; 2]; sizes[axis]];
        for (place, at) in ranked.iter().enumerate() {
            counts[at[axis]][1] += 1.0 / ranked.len() as f64;
            if place < best {
                counts[at[axis]][0] += 1.0 / best as f64;
            }
        }
        counts.iter().filter(|[_, q]| *q > 0.0).map(|[p, q]| (p - q).powi(2) / q).sum::<f64>()
    };
    let found: Vec<f64> = (0..sizes.len()).map(divergence).collect();
    let sum: f64 = found.iter().sum();
    found.iter().map(|value| if sum > 0.0 { value / sum } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 × 3 × 2 configurations with three seeds: the first axis has four times the variance of the second, the third does nothing; a
    /// seed shifts all, and each value has noise of a standard deviation of about `noise`.
    fn known(noise: f64, seeds: usize) -> Table {
        let (first, second) = ([-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]);
        let mut state = 12345_u64;
        let mut draw = || {
            let mut sum = 0.0;
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                sum += (state >> 11) as f64 / (1_u64 << 53) as f64;
            }
            sum - 6.0
        };
        let mut values = vec![];
        for cell in 0..18 {
            for seed in 0..seeds {
                values.push(50.0 + first[cell / 6] + second[cell / 2 % 3] + 0.7 * seed as f64 + noise * draw());
            }
        }
        Table { sizes: vec![3, 3, 2], seeds, values }
    }

    fn near(found: f64, expected: f64, within: f64) {
        assert!((found - expected).abs() <= within, "{found}, not {expected}");
    }

    #[test]
    fn without_noise_shares_are_exact_and_what_a_seed_does_to_all_is_no_noise() {
        let found = explain(&known(0.0, 3)).unwrap();
        near(found.singles[0].share, 0.8, 1e-9);
        near(found.singles[1].share, 0.2, 1e-9);
        near(found.singles[2].share, 0.0, 1e-9);
        near(found.rest + found.pairs.iter().map(|pair| pair.2.share).sum::<f64>(), 0.0, 1e-9);
        near(found.noise.unwrap(), 0.0, 1e-6);
        near(found.of_seeds.unwrap(), 0.7, 1e-6);
        let (low, high) = found.singles[0].interval.unwrap();
        assert!((low - 0.8).abs() < 1e-9 && (high - 0.8).abs() < 1e-9);
    }

    #[test]
    fn noise_is_measured_and_taken_off() {
        let found = explain(&known(0.5, 3)).unwrap();
        near(found.noise.unwrap(), 0.5, 0.12);
        near(found.singles[0].share, 0.8, 0.06);
        near(found.singles[1].share, 0.2, 0.06);
        near(found.singles[2].share, 0.0, 0.02);
        let (low, high) = found.singles[0].interval.unwrap();
        assert!(low < found.singles[0].share && found.singles[0].share < high && high - low < 0.3, "{low} {high}");
    }

    #[test]
    fn parts_add_up_to_the_variance() {
        let table = known(0.5, 3);
        let found = explain(&table).unwrap();
        let sum: f64 = found.singles.iter().map(|single| single.share).sum::<f64>()
            + found.pairs.iter().map(|pair| pair.2.share).sum::<f64>()
            + found.rest;
        near(sum, 1.0, 1e-9);
    }

    #[test]
    fn an_interaction_is_a_pairs_and_no_axis_own() {
        // Good where both axes agree: no axis means anything alone.
        let values = [1.0, 0.0, 0.0, 1.0, 1.1, 0.1, 0.1, 1.1];
        let table =
            Table { sizes: vec![2, 2], seeds: 2, values: (0..4).flat_map(|c| [values[c], values[c + 4]]).collect() };
        let found = explain(&table).unwrap();
        near(found.pairs[0].2.share, 1.0, 1e-9);
        near(found.singles[0].share + found.singles[1].share, 0.0, 1e-9);
    }

    #[test]
    fn with_one_seed_high_interactions_stand_for_noise_and_there_is_no_interval() {
        let found = explain(&known(0.5, 1)).unwrap();
        assert!(found.noise.is_some() && found.of_seeds.is_none() && found.singles[0].interval.is_none());
        near(found.singles[0].share, 0.8, 0.15);
        let two_axes = Table { sizes: vec![2, 2], seeds: 1, values: vec![0.0, 1.0, 2.0, 3.5] };
        assert_eq!(explain(&two_axes).unwrap().noise, None, "nothing can measure it");
    }

    #[test]
    fn equal_configurations_explain_nothing() {
        assert_eq!(explain(&Table { sizes: vec![2], seeds: 2, values: vec![0.5; 4] }), None);
        assert_eq!(explain(&Table { sizes: vec![], seeds: 2, values: vec![0.5; 2] }), None);
    }

    #[test]
    fn among_the_best_the_axis_whose_values_they_share_stands_out() {
        let cells: Vec<Vec<usize>> = (0..4).flat_map(|a| (0..4).map(move |b| vec![a, b])).collect();
        let ranked: Vec<&[usize]> = cells.iter().map(Vec::as_slice).collect();
        // The four best have the first axis' first value, and every value of the second.
        assert_eq!(among_the_best(&[4, 4], &ranked, 4), [1.0, 0.0]);
    }
}
