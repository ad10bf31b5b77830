//! Everything that the report of a sweep shows, computed once: the page, the figures and the tables are functions of it.

use std::collections::HashMap;

use super::groups::{Group, Groups, Member};
use super::importance::{self, Importance, Table};
use super::publish::Summary;
use super::statistics::Best;
use crate::data::DataConfig;
use crate::data::sets::DatasetName;
use crate::model::hyperparameters::Repeat;
use crate::sweep::journal::Results;
use crate::sweep::search::Decision;
use crate::sweep::space::{Resolved, Trial};

/// A grid of more cells than this is none: axes of drawn values, each value once.
const MOST_CELLS: usize = 2_000_000;
/// The best tenth of the configurations, but at least so many.
const FEWEST_BEST: usize = 5;
/// Equal parts into which an axis of many values is cut where its values are counted.
const PARTS: usize = 5;

/// A sweep, ready to be shown.
#[derive(Debug)]
pub struct View<'a> {
    /// Its directory's own name.
    pub name: String,
    /// How its trials ended.
    pub summary: Summary,
    /// Its trials, in their order.
    pub trials: &'a [Trial],
    /// What is recorded of them.
    pub results: &'a Results,
    /// What its cuts decided until now.
    pub cuts: Vec<Decision>,
    /// As configurations.
    pub groups: Groups<'a>,
    /// Rows of the validation split.
    pub images: Option<usize>,
    /// What mattered, or why that is not known.
    pub explained: Result<Explained, String>,
    /// Share of each axis in what the best tenth has in common, and how many these are; none with too few configurations.
    pub among_the_best: Option<(Vec<f64>, usize)>,
    /// The resolved sweep file.
    pub sweep_file: String,
    /// The flags with which `train` has the same splits.
    pub split_flags: Vec<String>,
    /// The name of the data set.
    pub data_set: &'static str,
    /// The content of `environment.json`.
    pub environment: Option<serde_json::Value>,
    /// The best network, as far as it can be shown.
    pub network: Option<Network>,
    /// Mean accuracies from which and to which colours go.
    pub colours: (f64, f64),
}

/// What mattered.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// The shares, of the axes in `axes`.
    pub importance: Importance,
    /// The axes that the grid has, as numbers of the sweep's axes.
    pub axes: Vec<usize>,
    /// Configurations of the grid, and its repeats.
    pub cells: usize,
    /// How many seeds each has.
    pub seeds: usize,
    /// What was left out to have a grid without holes, in words; empty where nothing was.
    pub left_out: String,
    /// Trials that diverged and count as guessing.
    pub diverged: usize,
    /// The axes by their share where diverged trials are left out with their configurations, if the order then is another.
    pub order_without_diverged: Option<Vec<usize>>,
}

/// The best network as pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The first layer, as PNG.
    pub first_layer: Option<Vec<u8>>,
    /// (classes, classes): how often the images of a class (row) were taken for each class, on the validation split.
    pub confusion: Option<Vec<Vec<usize>>>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Images that it was surest of and wrong about: PNG, what it is, what it was taken for, with which probability.
    pub worst: Vec<(Vec<u8>, usize, usize, f64)>,
    /// Why something is not shown.
    pub note: String,
}

impl<'a> View<'a> {
    /// Of what is recorded in a sweep's directory of this name.
    pub fn of(
        name: String,
        space: &Resolved,
        (trials, results): (&'a [Trial], &'a Results),
        summary: Summary,
        cuts: Vec<Decision>,
    ) -> Self {
        let data = space.data();
        // Of the user's own data the number of classes is not recorded: what diverged then counts as nothing right.
        let classes = data.dataset.published().map_or(usize::MAX, |set| set.classes);
        let groups = Groups::of(trials, results, classes, data.val);
        let mut means: Vec<f64> = groups.groups.iter().filter_map(|group| group.mean).collect();
        means.sort_by(f64::total_cmp);
        let high = means.last().copied().unwrap_or(1.0);
        let low = means.get(means.len() / 10).copied().unwrap_or(0.0);
        let colours = if low < high { (low, high) } else { (high - 0.01, high) };
        Self {
            name,
            summary,
            cuts,
            trials,
            results,
            explained: explained(&groups),
            among_the_best: among_the_best(&groups),
            images: data.val,
            sweep_file: space.to_toml(),
            split_flags: split_flags(data),
            data_set: data.dataset.name(),
            environment: None,
            network: None,
            groups,
            colours,
        }
    }

    /// An accuracy on the scale of colours.
    pub fn colour(&self, accuracy: f64) -> f64 {
        ((accuracy - self.colours.0) / (self.colours.1 - self.colours.0)).clamp(0.0, 1.0)
    }

    /// Whether trials have no record yet.
    pub fn is_incomplete(&self) -> bool {
        self.summary.missing > 0
    }

    /// How many other configurations cannot be distinguished from the best with 95 % confidence, and how they were compared: as the
    /// terminal has it, where all records have which images were right.
    pub fn ties(&self) -> (usize, String) {
        let noun = self.groups.noun();
        let by_images = self.summary.best_configuration.as_ref().and_then(|best| best.not_told_apart);
        match (by_images, self.groups.has_repeats()) {
            (Some(ties), true) => (ties, format!("compared image by image, each a mean over {noun}s")),
            (Some(ties), false) => (ties, "compared image by image".to_owned()),
            (None, true) => (self.groups.ties(self.images), format!("compared {noun} by {noun}")),
            (None, false) => (self.groups.ties(self.images), "image by image, where that is recorded".to_owned()),
        }
    }

    /// The configuration that confirmation chose, and what it is worth.
    pub fn confirmed(&self) -> Option<(&Group<'a>, &Best)> {
        let (best, trial) = (self.summary.confirmed.as_ref()?, self.summary.best_trial.as_ref()?);
        let has_trial = |group: &&Group<'_>| group.members.iter().any(|member| member.trial.id == *trial);
        self.groups.groups.iter().find(has_trial).map(|group| (group, best))
    }

    /// The axes by what they explain, the most important first; in their own order where that is not known.
    pub fn axes_by_importance(&self) -> Vec<usize> {
        let mut axes: Vec<usize> = (0..self.groups.axes.len()).collect();
        let shares = match (&self.explained, &self.among_the_best) {
            (Ok(explained), _) => {
                let mut shares = vec![-1.0; axes.len()];
                let pairs = explained.axes.iter().zip(&explained.importance.singles);
                pairs.for_each(|(&axis, single)| shares[axis] = single.share);
                shares
            }
            (Err(_), Some((shares, _))) => shares.clone(),
            (Err(_), None) => return axes,
        };
        axes.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
        axes
    }

    /// What a configuration is, in a line: the values that vary.
    pub fn configuration(&self, at: &[usize]) -> String {
        let value = |(axis, &value): (&super::groups::Axis, &usize)| format!("{} {}", axis.name, axis.label(value));
        let values: Vec<String> = self.groups.axes.iter().zip(at).map(value).collect();
        if values.is_empty() { "the one configuration".to_owned() } else { values.join(", ") }
    }
}

fn split_flags(data: &DataConfig) -> Vec<String> {
    let rows = [("train", data.train), ("val", data.val), ("test-rows", data.test)];
    let rows = rows.into_iter().filter_map(|(flag, rows)| Some(format!(" --{flag} {}", rows?)));
    let set = (data.dataset != DatasetName::default()).then(|| format!(" --dataset {}", data.dataset.key()));
    set.into_iter().chain(rows).collect()
}

/// A percentage as people read it.
pub fn percent(fraction: f64, decimals: usize) -> String {
    format!("{:.decimals$} %", 100.0 * fraction)
}

/// What is left of each axis' values so that every configuration has every repeat.
struct SubGrid {
    /// The numbers of the values that are left, an axis.
    values: Vec<Vec<usize>>,
    repeats: Vec<Repeat>,
}

/// The accuracies of a group by repeat; a guess where it diverged.
fn worths(groups: &Groups<'_>) -> HashMap<Cell, f64> {
    let worth = |at: &Vec<usize>, member: &Member<'_>| {
        Some(((at.clone(), member.trial.hyperparameters.repeat()), member.worth(groups.chance)?))
    };
    let all = groups.groups.iter().flat_map(|group| group.members.iter().filter_map(|member| worth(&group.at, member)));
    all.collect()
}

/// The values of a configuration on every axis, by position, and a repeat.
type Cell = (Vec<usize>, Repeat);

/// Takes away the value or repeat that lacks the most, again and again, until nothing is lacking.
fn without_holes(groups: &Groups<'_>, has: &dyn Fn(&Cell) -> bool) -> SubGrid {
    let mut grid = SubGrid {
        values: groups.axes.iter().map(|axis| (0..axis.values.len()).collect()).collect(),
        repeats: groups.repeats.clone(),
    };
    let axes = groups.axes.len();
    loop {
        // Present ones of each value, repeats as a last axis.
        let mut present: Vec<HashMap<usize, usize>> = vec![HashMap::new(); axes + 1];
        let place_of = |repeat: Repeat| grid.repeats.binary_search(&repeat).ok();
        for group in &groups.groups {
            let is_in = group.at.iter().zip(&grid.values).all(|(value, values)| values.contains(value));
            for member in group.members.iter().filter(|_| is_in) {
                let repeat = member.trial.hyperparameters.repeat();
                let Some(place) = place_of(repeat).filter(|_| has(&(group.at.clone(), repeat))) else { continue };
                group.at.iter().zip(&mut present).for_each(|(value, counts)| *counts.entry(*value).or_default() += 1);
                *present[axes].entry(place).or_default() += 1;
            }
        }
        let lengths: Vec<usize> = grid.values.iter().map(Vec::len).chain([grid.repeats.len()]).collect();
        let whole: usize = lengths.iter().product();
        if whole == 0 {
            return grid;
        }
        let mut worst: Option<(f64, usize, usize)> = None;
        for axis in 0..=axes {
            let of_one = whole / lengths[axis];
            for place in 0..lengths[axis] {
                let key = if axis < axes { grid.values[axis][place] } else { place };
                let share = 1.0 - present[axis].get(&key).copied().unwrap_or(0) as f64 / of_one as f64;
                if share > 0.0 && worst.is_none_or(|(most, ..)| share > most) {
                    worst = Some((share, axis, place));
                }
            }
        }
        match worst {
            None => return grid,
            Some((_, axis, place)) if axis < axes => drop(grid.values[axis].remove(place)),
            Some((_, _, place)) => drop(grid.repeats.remove(place)),
        }
    }
}

fn explained(groups: &Groups<'_>) -> Result<Explained, String> {
    if groups.axes.is_empty() {
        return Err("No hyperparameter varies but seed and fold.".to_owned());
    }
    let cells = groups.axes.iter().try_fold(1_usize, |cells, axis| cells.checked_mul(axis.values.len()));
    if cells.is_none_or(|cells| cells > MOST_CELLS || cells > 4 * groups.groups.len().max(16)) {
        return Err("The configurations are no grid: their values were drawn or belong to several spaces, so shares of variance cannot be \
                    computed from their means."
            .to_owned());
    }
    let worths = worths(groups);
    let grid = without_holes(groups, &|key| worths.contains_key(key));
    let left: Vec<usize> = (0..groups.axes.len()).filter(|&axis| grid.values[axis].len() > 1).collect();
    if left.is_empty() || grid.repeats.is_empty() {
        return Err("Not enough trials are recorded for a grid without holes yet.".to_owned());
    }
    let importance = explain(groups, &grid, &left, &worths);
    let importance = importance.ok_or("All configurations reach the same accuracy: there is nothing to explain.")?;
    let count: usize = left.iter().map(|&axis| grid.values[axis].len()).product();
    let is_in = |at: &[usize]| at.iter().zip(&grid.values).all(|(value, values)| values.contains(value));
    let diverged = groups.groups.iter().filter(|group| is_in(&group.at)).flat_map(|group| &group.members);
    let diverged = diverged.filter(|member| member.status() == Some(crate::train::Status::Diverged)).count();
    let complete_only: HashMap<_, _> = if diverged > 0 {
        worths.iter().filter(|(_, worth)| **worth != groups.chance).map(|(k, v)| (k.clone(), *v)).collect()
    } else {
        HashMap::new()
    };
    let order = |importance: &Importance, axes: &[usize]| {
        let mut order: Vec<usize> = (0..axes.len()).collect();
        order.sort_by(|&a, &b| importance.singles[b].share.total_cmp(&importance.singles[a].share));
        order.into_iter().map(|place| axes[place]).collect::<Vec<_>>()
    };
    let order_without_diverged = (diverged > 0).then(|| {
        let grid = without_holes(groups, &|key| complete_only.contains_key(key));
        let axes: Vec<usize> = (0..groups.axes.len()).filter(|&axis| grid.values[axis].len() > 1).collect();
        (axes.len() > 1 && !grid.repeats.is_empty())
            .then(|| explain(groups, &grid, &axes, &complete_only))
            .flatten()
            .map(|found| order(&found, &axes))
    });
    let order_without_diverged = order_without_diverged.flatten().filter(|without| {
        let with: Vec<usize> = order(&importance, &left).into_iter().filter(|axis| without.contains(axis)).collect();
        with != *without
    });
    Ok(Explained {
        importance,
        axes: left,
        cells: count,
        seeds: grid.repeats.len(),
        left_out: left_out(groups, &grid),
        diverged,
        order_without_diverged,
    })
}

/// What a smaller grid lacks of the whole, in words.
fn left_out(groups: &Groups<'_>, grid: &SubGrid) -> String {
    let axis = |(axis, kept): (&super::groups::Axis, &Vec<usize>)| {
        let missing: Vec<String> =
            (0..axis.values.len()).filter(|value| !kept.contains(value)).map(|value| axis.label(value)).collect();
        (!missing.is_empty()).then(|| format!("{} {}", axis.name, missing.join(", ")))
    };
    let mut parts: Vec<String> = groups.axes.iter().zip(&grid.values).filter_map(axis).collect();
    let gone = groups.repeats.iter().filter(|repeat| !grid.repeats.contains(repeat));
    let gone: Vec<String> = gone.map(|repeat| groups.name(*repeat)).collect();
    if !gone.is_empty() {
        parts.push(gone.join(", "));
    }
    parts.join("; ")
}

fn explain(groups: &Groups<'_>, grid: &SubGrid, axes: &[usize], worths: &HashMap<Cell, f64>) -> Option<Importance> {
    let sizes: Vec<usize> = axes.iter().map(|&axis| grid.values[axis].len()).collect();
    let cells: usize = sizes.iter().product();
    let mut values = Vec::with_capacity(cells * grid.repeats.len());
    let mut at: Vec<usize> = grid.values.iter().map(|values| values.first().copied().unwrap_or(0)).collect();
    debug_assert_eq!(at.len(), groups.axes.len());
    for cell in 0..cells {
        let mut rest = cell;
        for (&axis, &size) in axes.iter().zip(&sizes).rev() {
            at[axis] = grid.values[axis][rest % size];
            rest /= size;
        }
        for &repeat in &grid.repeats {
            values.push(*worths.get(&(at.clone(), repeat))?);
        }
    }
    importance::explain(&Table { sizes, seeds: grid.repeats.len(), values })
}

/// The best tenth, at least [`FEWEST_BEST`], of all that ended or were dropped; axes of many values are cut into parts of equal numbers.
fn among_the_best(groups: &Groups<'_>) -> Option<(Vec<f64>, usize)> {
    let ranked: Vec<Vec<usize>> = groups
        .groups
        .iter()
        .filter(|group| group.worth.is_some() || group.dropped.is_some())
        .map(|group| {
            let place = |(axis, &value): (&super::groups::Axis, &usize)| match axis.is_listed() {
                true => value,
                false => value * PARTS / axis.values.len(),
            };
            groups.axes.iter().zip(&group.at).map(place).collect()
        })
        .collect();
    let best = (ranked.len() / 10).max(FEWEST_BEST);
    if ranked.len() < 2 * best || groups.axes.is_empty() {
        return None;
    }
    let sizes: Vec<usize> =
        groups.axes.iter().map(|axis| if axis.is_listed() { axis.values.len() } else { PARTS }).collect();
    let ranked: Vec<&[usize]> = ranked.iter().map(Vec::as_slice).collect();
    Some((importance::among_the_best(&sizes, &ranked, best), best))
}
