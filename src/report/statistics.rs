//! What validation accuracies are worth: intervals, comparisons on the same images, and what the best of many is once it is known that it was
//! the best of many.
//!
//! - *Interval, 95 %*: of one trial after Wilson, from the number of validation images; of several seeds after Student, from their spread.
//! - *Paired comparison*: each image is right or wrong for both configurations (a mean over seeds); the mean difference over the images has a
//!   normal interval. For one seed that is McNemar's test without its small-sample correction.
//! - *Corrected best* (bootstrap bias correction, Tsamardinos and others 2018): images are drawn with replacement, the best configuration on
//!   those drawn is measured on those that were not, and this is averaged. The maximum over many configurations is optimistic; this is not.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use rand::RngExt;
use serde::Serialize;

use crate::model::tally;
use crate::random::{Purpose, stream};
use crate::sweep::groups::Groups;
use crate::sweep::journal::{Record, Results};
use crate::sweep::space::Trial;
use crate::train::{Outcome, Status};

/// The 97.5 % quantile of a normal distribution.
pub const NORMAL: f64 = 1.959_964;
/// Configurations that the corrected value chooses among at most, the best first: the others are hardly ever chosen.
const CHOSEN_AMONG: usize = 200;
/// Configurations that are compared with the best at most, the best first.
const COMPARED: usize = 5000;
/// Images looked at in all drawings together, about, and the fewest and most drawings.
const LOOKS: usize = 200_000_000;
const DRAWINGS: [usize; 2] = [50, 1000];

/// The mean of numbers, if there are any.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Their standard deviation, with n − 1; none for fewer than two.
pub fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// The correlation of pairs of numbers; none where one side does not vary.
pub fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let of = |side: fn(&(f64, f64)) -> f64| mean(&pairs.iter().map(side).collect::<Vec<f64>>());
    let (a, b) = (of(|pair| pair.0)?, of(|pair| pair.1)?);
    let sum = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|pair| of(pair.0 - a, pair.1 - b)).sum::<f64>();
    let spread = (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    (spread > 0.0).then(|| sum(&|a, b| a * b) / spread)
}

/// The 97.5 % quantile of Student's t with so many degrees of freedom (at least 1).
pub fn student(freedom: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ];
    // Beyond the table the expansion in 1/n is right to three digits.
    TABLE.get(freedom.max(1) - 1).copied().unwrap_or(NORMAL + 2.372 / freedom as f64)
}

/// How far the 95 % interval of a mean reaches to either side, by Student's t; none for fewer than two numbers.
pub fn reach(values: &[f64]) -> Option<f64> {
    let count = values.len();
    deviation(values).map(|deviation| student(count - 1) * deviation / (count as f64).sqrt())
}

/// A mean over the seeds of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Trials that it is the mean of.
    pub seeds: usize,
    /// Their mean validation accuracy.
    pub val_mean: f64,
    /// Their standard deviation; none of one.
    pub val_sd: Option<f64>,
    /// The lower end of the interval; none where the number of images is not known.
    pub val_low: Option<f64>,
    /// The upper end.
    pub val_high: Option<f64>,
}

impl Estimate {
    /// Of these accuracies, each measured on so many images.
    ///
    /// # Panics
    /// There are none.
    pub fn of(accuracies: &[f64], images: Option<usize>) -> Self {
        let mean = mean(accuracies).expect("there are accuracies");
        let bounds = match (reach(accuracies), images) {
            (Some(reach), _) => Some([mean - reach, mean + reach]),
            (None, Some(images)) => Some(wilson(mean, images as f64)),
            (None, None) => None,
        };
        let bound = |at: usize| bounds.map(|bounds| bounds[at].clamp(0.0, 1.0));
        let (seeds, val_sd) = (accuracies.len(), deviation(accuracies));
        Self { seeds, val_mean: mean, val_sd, val_low: bound(0), val_high: bound(1) }
    }
}

/// Wilson's interval of a share of so many.
fn wilson(share: f64, n: f64) -> [f64; 2] {
    let square = NORMAL * NORMAL;
    let middle = (share + square / (2.0 * n)) / (1.0 + square / n);
    let half = NORMAL / (1.0 + square / n) * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
    [middle - half, middle + half]
}

/// A configuration with what is recorded of its trials.
#[derive(Clone, Debug)]
pub struct Configuration<'a> {
    /// The first of its trials, in the order of the sweep.
    pub first: &'a Trial,
    /// Its records, in that order.
    pub records: Vec<&'a Record>,
    /// Complete if all that are recorded are; else what the worst of them is.
    pub status: Status,
    /// The cut at which it was dropped.
    pub rung: Option<usize>,
    /// Of its accuracies; none where one of its trials diverged or failed.
    pub estimate: Option<Estimate>,
    /// The mean of its validation losses, where all are recorded.
    pub val_loss: Option<f64>,
}

impl<'a> Configuration<'a> {
    fn of(first: &'a Trial, records: Vec<&'a Record>) -> Option<Self> {
        let outcomes = || records.iter().map(|record| &record.outcome);
        let status = outcomes().map(|outcome| outcome.status).max()?;
        let all = |of: fn(&Outcome) -> Option<f64>| outcomes().map(of).collect::<Option<Vec<f64>>>();
        let estimate = all(|outcome| outcome.val_accuracy).map(|all| Estimate::of(&all, images(records[0])));
        let val_loss = all(|outcome| outcome.val_loss).map(|all| all.iter().sum::<f64>() / all.len() as f64);
        let rung = outcomes().filter_map(|outcome| outcome.rung).max();
        Some(Self { first, status, rung, estimate, val_loss, records })
    }

    /// Its records by the images that they were measured on: those of one validation split, or of each fold in turn.
    fn by_fold(&self) -> BTreeMap<(usize, usize), Vec<&'a Record>> {
        let mut folds: BTreeMap<_, Vec<&Record>> = BTreeMap::new();
        for &record in &self.records {
            folds.entry((record.hyperparameters.folds, record.hyperparameters.fold)).or_default().push(record);
        }
        folds
    }

    /// For each image, the share of seeds that have it right; the images of one fold behind those of the other.
    fn right(&self) -> Option<Vec<f64>> {
        let mut all = vec![];
        for records in self.by_fold().values() {
            let rows = images(records[0])?;
            let mut sums = vec![0.0; rows];
            for record in records {
                let right = tally::unpack(record.outcome.val_right.as_deref()?, rows)?;
                sums.iter_mut().zip(right).for_each(|(sum, right)| *sum += f64::from(u8::from(right)));
            }
            all.extend(sums.into_iter().map(|sum| sum / records.len() as f64));
        }
        Some(all)
    }

    /// How many images it was measured on.
    fn images(&self) -> Option<usize> {
        self.by_fold().values().map(|records| images(records[0])).sum()
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// How many validation images there were: the record has which are right, and what share.
fn images(record: &Record) -> Option<usize> {
    let text = record.outcome.val_right.as_deref()?;
    let bits = tally::unpack_bytes(text)?;
    let right: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
    let accuracy = record.outcome.val_accuracy.filter(|&accuracy| accuracy > 0.0)?;
    let rows = (f64::from(right) / accuracy).round() as usize;
    (rows.div_ceil(8) == bits.len()).then_some(rows)
}

/// The configurations that have results, best first: complete ones by their mean accuracy, then dropped ones, the last first, then diverged
/// and failed ones; equals by validation loss, then in the order of the sweep.
pub fn rank<'a>(trials: &'a [Trial], results: &'a Results) -> Vec<Configuration<'a>> {
    let groups = Groups::of(trials);
    let configuration = |members: &Vec<usize>| {
        let records = members.iter().filter_map(|&position| results.records.get(&trials[position].id)).collect();
        Configuration::of(&trials[members[0]], records)
    };
    let mut ranked: Vec<Configuration<'a>> = groups.members.iter().filter_map(configuration).collect();
    ranked.sort_by(better_first);
    ranked
}

fn better_first(a: &Configuration<'_>, b: &Configuration<'_>) -> Ordering {
    let accuracy =
        |configuration: &Configuration<'_>| configuration.estimate.map_or(-1.0, |estimate| estimate.val_mean);
    let loss = |configuration: &Configuration<'_>| configuration.val_loss.unwrap_or(f64::INFINITY);
    a.status
        .cmp(&b.status)
        .then(b.rung.unwrap_or(0).cmp(&a.rung.unwrap_or(0)))
        .then(accuracy(b).total_cmp(&accuracy(a)))
        .then(loss(a).total_cmp(&loss(b)))
}

/// The best configuration, and what its accuracy is worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Best {
    /// The first of its trials.
    pub trial: String,
    /// Its accuracy.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Validation images that it was measured on.
    pub images: Option<usize>,
    /// Folds that it was measured on; 0 without cross-validation.
    #[serde(skip_serializing_if = "is_zero")]
    pub folds: usize,
    /// Configurations that it is the best of, those that a search dropped among them.
    pub of: usize,
    /// What the best of so many can be expected to be on other images; none where records lack which images were right.
    pub corrected_val_accuracy: Option<f64>,
    /// Other configurations that cannot be told from it on these images, with 95 %.
    pub not_told_apart: Option<usize>,
}

impl Best {
    /// Of these configurations, best first.
    pub fn of(ranked: &[Configuration<'_>]) -> Option<Self> {
        let complete: Vec<&Configuration<'_>> = ranked.iter().filter(|one| one.status == Status::Complete).collect();
        let best = *complete.first()?;
        let right = complete.iter().take(COMPARED).map(|one| one.right()).collect::<Option<Vec<_>>>();
        let right = right.filter(|right| right.iter().all(|one| one.len() == right[0].len()));
        Some(Self {
            trial: best.first.id.clone(),
            estimate: best.estimate?,
            images: best.images(),
            folds: best.by_fold().keys().filter(|(folds, _)| *folds > 0).count(),
            of: ranked.iter().filter(|one| one.status != Status::Failed).count(),
            corrected_val_accuracy: right.as_ref().map(|right| corrected(&right[..right.len().min(CHOSEN_AMONG)])),
            not_told_apart: right.map(|right| right[1..].iter().filter(|other| !differ(&right[0], other)).count()),
        })
    }

    /// Its accuracy with so many decimals, and how it was measured.
    pub fn measured(&self, decimals: usize) -> String {
        let percent = |share: f64| format!("{:.decimals$}", share * 100.0);
        let Self { estimate, images, folds, .. } = self;
        let Estimate { seeds, val_mean, val_sd, val_low, val_high } = estimate;
        let spread = val_sd.map_or(String::new(), |sd| format!(" ± {}", percent(sd)));
        let interval = match (val_low, val_high) {
            (Some(low), Some(high)) => format!("95 %: {}–{}; ", percent(*low), percent(*high)),
            _ => String::new(),
        };
        let images = images.map_or(String::new(), |images| format!("{images} images, "));
        let repeats = match (*folds, *seeds) {
            (0, 1) => "1 seed".to_owned(),
            (0, seeds) => format!("{seeds} seeds"),
            (folds, trials) if folds == trials => format!("{folds} folds"),
            (folds, trials) => format!("{trials} trials on {folds} folds"),
        };
        format!("{}{spread} % ({interval}{images}{repeats})", percent(*val_mean))
    }

    /// In words.
    pub fn text(&self) -> String {
        let percent = |share: f64| format!("{:.1}", share * 100.0);
        let Self { of, corrected_val_accuracy, not_told_apart, .. } = self;
        let mut text = self.measured(1);
        if *of > 1 {
            text += &format!(", the best of {of}, so optimistic");
            text.extend(corrected_val_accuracy.map(|corrected| format!(": corrected {} %", percent(corrected))));
            text.extend(not_told_apart.map(|count| match count {
                1 => "; 1 other configuration cannot be told from it (paired, 95 %)".to_owned(),
                count => format!("; {count} other configurations cannot be told from it (paired, 95 %)"),
            }));
        }
        text
    }
}

/// Whether the mean difference of two configurations on the same images is other than nothing.
fn differ(a: &[f64], b: &[f64]) -> bool {
    let n = a.len() as f64;
    let mean = a.iter().zip(b).map(|(a, b)| a - b).sum::<f64>() / n;
    let squares: f64 = a.iter().zip(b).map(|(a, b)| (a - b - mean).powi(2)).sum();
    mean.abs() > NORMAL * (squares / (n - 1.0)).sqrt() / n.sqrt()
}

/// The accuracy, on images that were not drawn, of the configuration that is the best on images that were: the mean over many drawings. The
/// same numbers give the same value on every machine.
pub fn corrected(right: &[Vec<f64>]) -> f64 {
    let images = right[0].len();
    let drawings = (LOOKS / (images * right.len()).max(1)).clamp(DRAWINGS[0], DRAWINGS[1]);
    let mut sum = 0.0;
    for drawing in 0..drawings {
        let mut stream = stream(0, Purpose::Bootstrap, drawing as u64);
        let mut weights = vec![0.0_f64; images];
        (0..images).for_each(|_| weights[stream.random_range(0..images)] += 1.0);
        let on_drawn = |one: &Vec<f64>| one.iter().zip(&weights).map(|(right, weight)| right * weight).sum::<f64>();
        // Of equals the first, which ranks before the others.
        let chosen = right.iter().fold((f64::NEG_INFINITY, &right[0]), |best, one| {
            let value = on_drawn(one);
            if value > best.0 { (value, one) } else { best }
        });
        let others = chosen.1.iter().zip(&weights).filter(|(_, weight)| **weight == 0.0);
        let (count, correct) = others.fold((0.0, 0.0), |(count, sum), (right, _)| (count + 1.0, sum + right));
        sum += if count > 0.0 { correct / count } else { chosen.0 / images as f64 };
    }
    sum / drawings as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_those_of_the_textbooks() {
        // statsmodels: proportion_confint(500, 1000, method="wilson") = (0.46907, 0.53093).
        let one = Estimate::of(&[0.5], Some(1000));
        assert!((one.val_low.unwrap() - 0.469_07).abs() < 1e-5 && (one.val_high.unwrap() - 0.530_93).abs() < 1e-5);
        assert_eq!((one.seeds, one.val_sd), (1, None));
        // scipy: t.interval(0.95, 2, mean, sem) of 0.50, 0.52, 0.54: 0.52 ± 4.303 · 0.02 / √3.
        let three = Estimate::of(&[0.50, 0.52, 0.54], Some(1000));
        assert!((three.val_sd.unwrap() - 0.02).abs() < 1e-12);
        assert!((three.val_high.unwrap() - 0.52 - 4.303 * 0.02 / 3_f64.sqrt()).abs() < 1e-9);
        assert_eq!(Estimate::of(&[0.5], None).val_low, None, "an older record does not say of how many images");
    }

    #[test]
    fn correlation_is_that_of_the_textbooks() {
        // numpy: corrcoef([1, 2, 3, 4], [2, 1, 4, 3])[0, 1] = 0.6.
        let near = |pairs: &[(f64, f64)], expected: f64| (correlation(pairs).unwrap() - expected).abs() < 1e-12;
        assert!(near(&[(1.0, 2.0), (2.0, 1.0), (3.0, 4.0), (4.0, 3.0)], 0.6));
        assert!(near(&[(1.0, 3.0), (2.0, 1.0)], -1.0));
        assert_eq!((correlation(&[(1.0, 2.0), (1.0, 3.0)]), correlation(&[])), (None, None));
    }

    /// So many configurations, none better than another: each image right with one half.
    fn coins(configurations: usize, images: usize) -> Vec<Vec<f64>> {
        let coin = |one: usize| {
            let mut stream = stream(1, Purpose::Bootstrap, one as u64);
            (0..images).map(|_| f64::from(u8::from(stream.random::<bool>()))).collect()
        };
        (0..configurations).map(coin).collect()
    }

    #[test]
    fn the_best_of_many_coins_is_corrected_to_what_coins_are() {
        let coins = coins(100, 500);
        let accuracy = |one: &Vec<f64>| one.iter().sum::<f64>() / 500.0;
        let best = coins.iter().map(accuracy).fold(0.0, f64::max);
        assert!(best > 0.54, "{best} is luck");
        let corrected = corrected(&coins);
        assert!((corrected - 0.5).abs() < 0.02, "{corrected}");
    }

    #[test]
    fn what_is_really_better_is_told_apart_and_coins_are_not() {
        let coins = coins(40, 1000);
        let told = coins[1..].iter().filter(|other| differ(&coins[0], other)).count();
        assert!(told <= 6, "{told} of 39 at 95 %");
        let mut better = coins[0].clone();
        better.iter_mut().take(300).for_each(|right| *right = 1.0);
        assert!(differ(&better, &coins[0]) && !differ(&coins[0], &coins[0]));
    }
}
