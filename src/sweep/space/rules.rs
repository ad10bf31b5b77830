//! `[halving]`, `[confirm]` and `[budget]`: what a sweep does with its trials beside training each to its end.

use toml::de::DeValue;

use super::axis::Place;
use super::values::{nearest, shown, typed};
use crate::error::{Error, Result};
use crate::model::value::{Kind, Value};
use crate::numbers;

/// Where trials are dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum Cuts {
    /// Each at a share of a trial's own iterations, keeping a share of all configurations.
    Listed(Vec<[f64; 2]>),
    /// The first after so many iterations, each later by a factor, keeping one part in as many.
    Geometric {
        /// The factor.
        eta: f64,
        /// Iterations before the first.
        min_iterations: usize,
    },
}

/// `[halving]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Halving {
    /// The cuts, if they are said.
    pub cuts: Option<Cuts>,
    /// Configurations that every cut keeps at least, if it is said.
    pub finalists: Option<usize>,
    /// Where the cuts stand, for messages.
    pub place: String,
}

impl Halving {
    /// The cuts; where none are said, the cheapest of the study of docs/search.md that lose no more than 0.2 points against the full grid.
    pub fn cuts(&self) -> Cuts {
        self.cuts.clone().unwrap_or_else(|| Cuts::Listed(DEFAULT_CUTS.to_vec()))
    }

    /// Whether they are those of the study, written or not: a directory's file writes them.
    pub fn are_of_the_study(&self) -> bool {
        self.cuts() == Cuts::Listed(DEFAULT_CUTS.to_vec())
    }

    /// Configurations that every cut keeps at least: one, and with the cuts of the study as many as there.
    pub fn finalists(&self) -> usize {
        self.finalists.unwrap_or(if self.cuts.is_some() { 1 } else { FINALISTS })
    }
}

/// `[confirm]`: the finalists once more, with seeds that the search has not seen, and on all folds of the rows where that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// Fresh seeds of each, if it is said.
    seeds: Option<usize>,
    /// Folds on which each seed is trained; 0: on the training split.
    pub folds: usize,
    /// Configurations that are confirmed, the best first.
    pub finalists: usize,
}

impl Confirm {
    /// Fresh seeds of each: three, and of folds one.
    pub fn seeds(&self) -> usize {
        self.seeds.unwrap_or(if self.folds == 0 { 3 } else { 1 })
    }
}

/// `[budget]`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Budget {
    /// The first trials in the order of the sweep.
    pub max_trials: Option<usize>,
    /// The first trials whose iterations are not more than that together.
    pub max_trial_iterations: Option<u64>,
    /// After so many hours the sweep ends as an interruption does.
    pub max_hours: Option<f64>,
    /// The search ends at a cut where a configuration has reached that.
    pub target_val_accuracy: Option<f64>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Where trials are dropped, if they are.
    pub halving: Option<Halving>,
    /// What is confirmed, if anything is.
    pub confirm: Option<Confirm>,
    /// What the sweep may cost.
    pub budget: Budget,
}

/// The tables.
pub(super) const TABLES: [&str; 3] = ["halving", "confirm", "budget"];
const FINALISTS: usize = 8;
/// After 1/27, 1/9 and 1/3 of the iterations a third goes on.
const DEFAULT_CUTS: [[f64; 2]; 3] = [[0.037, 0.333], [0.111, 0.111], [0.333, 0.037]];

/// The keys of a table.
fn keys(table: &str) -> &'static [&'static str] {
    match table {
        "halving" => &["cuts", "eta", "min_iterations", "finalists"],
        "confirm" => &["seeds", "folds", "finalists"],
        _ => &["max_trials", "max_trial_iterations", "max_hours", "target_val_accuracy"],
    }
}

impl Rules {
    /// Takes the line of one of the tables: what it says without any key.
    pub(super) fn begin(&mut self, table: &str, place: &Place) {
        match table {
            "halving" => drop(self.halving(place)),
            "confirm" => drop(self.confirm()),
            _ => {}
        }
    }

    fn halving(&mut self, place: &Place) -> &mut Halving {
        let new = || Halving { cuts: None, finalists: None, place: place.to_string() };
        self.halving.get_or_insert_with(new)
    }

    fn confirm(&mut self) -> &mut Confirm {
        self.confirm.get_or_insert(Confirm { seeds: None, folds: 0, finalists: FINALISTS })
    }

    /// Takes a key of one of the tables.
    ///
    /// # Errors
    /// It is not known, or its value is not accepted.
    pub(super) fn set(&mut self, table: &str, place: &Place, value: &DeValue<'_>) -> Result<()> {
        let key = place.key.as_str();
        if !keys(table).contains(&key) {
            let found = format!("`{key}`");
            return Err(Error::usage(&place.place, format!("a key of [{table}]"), found, nearest(key, keys(table))));
        }
        match table {
            "halving" => {
                let halving = self.halving(place);
                match key {
                    "cuts" => halving.cuts = Some(Cuts::Listed(cuts(place, value)?)),
                    "finalists" => halving.finalists = Some(whole(place, value)?),
                    _ => {
                        let (mut eta, mut min_iterations) = match halving.cuts {
                            Some(Cuts::Geometric { eta, min_iterations }) => (eta, min_iterations),
                            Some(Cuts::Listed(_)) | None => (3.0, 100),
                        };
                        if key == "eta" {
                            eta = number(place, value, "a number above 1", |eta| eta > 1.0)?;
                        } else {
                            min_iterations = whole(place, value)?;
                        }
                        halving.cuts = Some(Cuts::Geometric { eta, min_iterations });
                    }
                }
                if key != "finalists" {
                    halving.place = place.to_string();
                }
            }
            "confirm" => {
                let confirm = self.confirm();
                let amount = whole(place, value)?;
                match key {
                    "seeds" => confirm.seeds = Some(amount),
                    "folds" if amount < 2 => {
                        return Err(Error::usage(place, "a whole number from 2", shown(value), "change the value"));
                    }
                    "folds" => confirm.folds = amount,
                    _ => confirm.finalists = amount,
                }
            }
            _ => match key {
                "max_trials" => self.budget.max_trials = Some(whole(place, value)?),
                "max_trial_iterations" => self.budget.max_trial_iterations = Some(whole(place, value)? as u64),
                "max_hours" => {
                    self.budget.max_hours = Some(number(place, value, "a number above 0", |hours| hours > 0.0)?);
                }
                _ => {
                    let is_share = |share: f64| share > 0.0 && share <= 1.0;
                    self.budget.target_val_accuracy = Some(number(place, value, SHARE, is_share)?);
                }
            },
        }
        Ok(())
    }

    /// Every key with its value as TOML writes it, by table. What ends a process and changes no result is not among them.
    pub(super) fn texts(&self) -> Vec<(&'static str, &'static str, String)> {
        let mut texts = vec![];
        if let Some(halving) = &self.halving {
            match &halving.cuts() {
                Cuts::Listed(cuts) => {
                    let cut = |[at, keep]: &[f64; 2]| format!("[{}, {}]", numbers::text(*at), numbers::text(*keep));
                    let cuts = cuts.iter().map(cut).collect::<Vec<_>>().join(", ");
                    texts.push(("halving", "cuts", format!("[{cuts}]")));
                }
                Cuts::Geometric { eta, min_iterations } => {
                    texts.push(("halving", "eta", numbers::text(*eta)));
                    texts.push(("halving", "min_iterations", min_iterations.to_string()));
                }
            }
            texts.push(("halving", "finalists", halving.finalists().to_string()));
        }
        if let Some(confirm @ Confirm { folds, finalists, .. }) = self.confirm {
            texts.push(("confirm", "seeds", confirm.seeds().to_string()));
            if folds > 0 {
                texts.push(("confirm", "folds", folds.to_string()));
            }
            texts.push(("confirm", "finalists", finalists.to_string()));
        }
        let Budget { max_trials, max_trial_iterations, max_hours: _, target_val_accuracy } = self.budget;
        texts.extend(max_trials.map(|count| ("budget", "max_trials", count.to_string())));
        texts.extend(max_trial_iterations.map(|count| ("budget", "max_trial_iterations", count.to_string())));
        texts.extend(target_val_accuracy.map(|share| ("budget", "target_val_accuracy", numbers::text(share))));
        texts
    }
}

const SHARE: &str = "a share above 0, at most 1";

/// A whole number from 1.
fn whole(place: &Place, value: &DeValue<'_>) -> Result<usize> {
    match typed(place, &Kind::Whole, value)? {
        Value::Whole(number) if number > 0 => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
        _ => Err(Error::usage(place, "a whole number from 1", shown(value), "change the value")),
    }
}

fn number(place: &Place, value: &DeValue<'_>, expected: &str, is_right: impl Fn(f64) -> bool) -> Result<f64> {
    match typed(place, &Kind::Number, value)? {
        Value::Number(number) if is_right(number) => Ok(number),
        _ => Err(Error::usage(place, expected, shown(value), "change the value")),
    }
}

/// `[[at, keep], …]`: later ones later, keeping fewer.
fn cuts(place: &Place, value: &DeValue<'_>) -> Result<Vec<[f64; 2]>> {
    let expected =
        "a list of pairs: at which share of its iterations a trial is judged, and which share of all is kept";
    let remedy = "write for example cuts = [[0.04, 0.34], [0.34, 0.12]]";
    let wrong = |found: String| Error::usage(place, expected, found, remedy);
    let DeValue::Array(pairs) = value else { return Err(wrong(shown(value))) };
    let mut cuts: Vec<[f64; 2]> = vec![];
    for pair in pairs {
        let (DeValue::Array(pair), is_share) = (pair.get_ref(), |share: f64| share > 0.0 && share < 1.0) else {
            return Err(wrong(shown(pair.get_ref())));
        };
        let numbers = pair.iter().map(|part| number(place, part.get_ref(), "a share between 0 and 1", is_share));
        let [at, keep] = numbers.collect::<Result<Vec<f64>>>()?[..] else {
            return Err(wrong(format!("a list of {}", pair.len())));
        };
        if let Some([before, kept]) = cuts.last().filter(|[before, kept]| at <= *before || keep >= *kept) {
            let found = format!("[{at}, {keep}] after [{before}, {kept}]");
            return Err(Error::usage(place, "each cut later than the one before, keeping fewer", found, remedy));
        }
        cuts.push([at, keep]);
    }
    if cuts.is_empty() { Err(wrong("an empty list".to_owned())) } else { Ok(cuts) }
}
