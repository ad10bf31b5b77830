//! The next sweep file: a narrower space around what won, with the reason beside each line.
//!
//! What won is the best configuration and those behind it that paired comparison does not tell from it, two to twelve of them.
//! A hyperparameter goes on between the values that they have, widened by half a step to the values that were tried beside these; where they
//! lie at the edge of what was tried, by a whole step beyond it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::statistics::{Best, Configuration};
use crate::model::Hyperparameters;
use crate::model::hyperparameters::OF_REPEATS;
use crate::model::value::Value;
use crate::numbers;
use crate::sweep::space::{Resolved, Trial};
use crate::train::Status;

/// Configurations that count as winners at least, and at most.
const FEWEST: usize = 2;
const MOST: usize = 12;

/// The text of the next sweep file; none where no configuration is complete. `ranked` are the configurations, best first; `samples` are drawn.
pub fn next(space: &Resolved, trials: &[Trial], ranked: &[Configuration<'_>], samples: usize) -> Option<String> {
    let complete: Vec<&Configuration<'_>> = ranked.iter().filter(|one| one.status == Status::Complete).collect();
    let best = Best::of(ranked)?;
    let count = (1 + best.not_told_apart.unwrap_or(0)).clamp(FEWEST, MOST).min(complete.len());
    let winners = &complete[..count];
    let mut text = format!(
        "# Around the {count} best of {} configurations: {}.\n\n{}",
        best.of,
        best.text(),
        space.data_as_toml()
    );
    let (mut fixed, mut random) = (String::new(), String::new());
    let base = (*complete[0].first.hyperparameters).clone();
    let seeds: BTreeSet<u64> = trials.iter().map(|trial| trial.hyperparameters.seed).collect();
    for (position, entry) in base.entries().iter().enumerate().filter(|(_, entry)| entry.name != "seed") {
        let of = |trial: &Trial| trial.hyperparameters.entries()[position].value;
        let mut tried: Vec<Value> = vec![];
        trials.iter().map(of).for_each(|value| {
            if !tried.contains(&value) {
                tried.push(value)
            }
        });
        if let [only] = tried[..] {
            if entry.is_written() {
                let _ = writeln!(fixed, "{} = {only}", entry.name);
            }
            continue;
        }
        if OF_REPEATS.contains(&entry.name) {
            continue; // all folds, where there were several
        }
        let mut won: Vec<Value> = vec![];
        winners.iter().map(|one| of(one.first)).for_each(|value| {
            if !won.contains(&value) {
                won.push(value)
            }
        });
        match around(entry.name, &tried, &won, &base) {
            Next::Fixed(value, why) => drop(writeln!(fixed, "{} = {value} # {why}", entry.name)),
            Next::Drawn(law, why) => drop(writeln!(random, "{} = {law} # {why}", entry.name)),
        }
    }
    let _ = write!(text, "\n[fixed]\n{fixed}");
    if seeds.len() > 1 {
        let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
        let _ = write!(text, "\n[grid]\nseed = [{}] # the same repeats\n", seeds.join(", "));
    } else if let Some(seed) = seeds.first() {
        let _ = write!(text, "\n[grid]\nseed = [{seed}]\n");
    }
    if !random.is_empty() {
        let _ = write!(text, "\n[random]\nsamples = {samples}\nsampler = \"sobol\"\n{random}");
    }
    text += &space.rules_as_toml();
    Some(text)
}

/// What becomes of a hyperparameter, and why.
enum Next {
    Fixed(String, String),
    Drawn(String, String),
}

fn around(name: &str, tried: &[Value], won: &[Value], base: &Hyperparameters) -> Next {
    let number = |value: &Value| match value {
        Value::Whole(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        Value::Word(_) => None,
    };
    let numbers_of = |values: &[Value]| -> Option<Vec<f64>> {
        let mut numbers = values.iter().map(number).collect::<Option<Vec<f64>>>()?;
        numbers.sort_by(f64::total_cmp);
        Some(numbers)
    };
    let (Some(tried_numbers), Some(won_numbers)) = (numbers_of(tried), numbers_of(won)) else {
        return match won {
            [only] => Next::Fixed(only.to_string(), format!("all of the best have it; {} were tried", tried.len())),
            several => {
                let words: Vec<String> = several.iter().map(Value::to_string).collect();
                Next::Drawn(format!("{{ choice = [{}] }}", words.join(", ")), "among the best".to_owned())
            }
        };
    };
    let (first, last) = (tried_numbers[0], tried_numbers[tried_numbers.len() - 1]);
    let (low, high) = (won_numbers[0], won_numbers[won_numbers.len() - 1]);
    // Positive numbers are looked at by their ratios, others by their differences.
    let is_log = first > 0.0;
    let [to, from]: [fn(f64) -> f64; 2] = if is_log { [libm::log, libm::exp] } else { [|x| x, |x| x] };
    let below = tried_numbers.iter().rev().find(|&&value| value < low);
    let above = tried_numbers.iter().find(|&&value| value > high);
    let step = (to(last) - to(first)) / (tried_numbers.len() - 1) as f64;
    let is_whole = matches!(tried[0], Value::Whole(_));
    let spelled = |value: f64| if is_whole { Value::Whole(value.round() as u64) } else { Value::Number(value) };
    let fits = |value: f64| {
        let mut trial = base.clone();
        trial.set(name, spelled(value)) && trial.check(usize::MAX).is_ok()
    };
    let new_low = below.map_or(from(to(low) - step), |&below| from((to(below) + to(low)) / 2.0));
    let new_high = above.map_or(from(to(high) + step), |&above| from((to(above) + to(high)) / 2.0));
    let rounded = |value: f64| format!("{value:.2e}").parse::<f64>().unwrap_or(value);
    let [new_low, new_high] = [(new_low, low), (new_high, high)].map(|(new, old)| {
        let new = if is_whole { new.round() } else { rounded(new) };
        // A rate that grows from epoch to epoch is hardly ever meant.
        let new = if name == "learning_rate_decay" { new.min(1.0_f64.max(last)) } else { new };
        if fits(new) { new } else { old }
    });
    let text = |value: f64| spelled(value).to_string();
    let edge = match (below, above) {
        (None, None) => ", both edges of what was tried",
        (None, _) => ", the lower edge of what was tried: further down",
        (_, None) => ", the upper edge of what was tried: further up",
        _ => "",
    };
    let why = format!("the best have {} to {} of {} to {}{edge}", text(low), text(high), text(first), text(last));
    if new_low >= new_high {
        return Next::Fixed(text(low), why);
    }
    let law = if is_log && new_low > 0.0 { "log_uniform" } else { "uniform" };
    Next::Drawn(format!("{{ {law} = [{}, {}] }}", numbers::text(new_low), numbers::text(new_high)), why)
}
