//! The update rules and schedules against PyTorch's (`scripts/optimizer-oracle.py`), in one table of cases.

use std::collections::BTreeMap;

use mlpgrid::model::optimizer::{Factors, Method, Rule, clip_factor, squares};
use mlpgrid::model::schedule::{Curve, Moment, Schedule};
use serde::Deserialize;

/// What the script wrote.
#[derive(Deserialize)]
struct Oracle {
    cases: Vec<Case>,
    schedules: Vec<Rates>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    optimizer: String,
    l2: f64,
    clip_norm: f64,
    rate: f64,
    #[serde(default)]
    momentum: f64,
    #[serde(default)]
    beta1: f64,
    #[serde(default)]
    beta2: f64,
    #[serde(default)]
    epsilon: f64,
    /// After so many iterations.
    parameters: BTreeMap<usize, Vec<f64>>,
}

#[derive(Deserialize)]
struct Rates {
    name: String,
    base: f64,
    rates: Vec<f64>,
}

const ITERATIONS: usize = 100;
/// Of these the first are weights, the others biases.
const SIZE: usize = 9;
const WEIGHTS: usize = 6;

fn oracle() -> Oracle {
    let text = std::fs::read_to_string("tests/fixtures/optimizers.json").expect("the fixture is there");
    serde_json::from_str(&text).expect("the fixture is what the script wrote")
}

/// The gradient of the script's loss.
fn gradient(w: &[f64]) -> Vec<f64> {
    let a = |row: usize, column: usize| {
        let (i, j) = (row as f64, column as f64);
        (if row == column { 2.0 } else { 0.0 }) + 0.3 * (1.0 + 2.0 * i + 3.0 * j + i * j).cos()
    };
    let of_row = |row: usize| {
        let product: f64 = (0..SIZE).map(|column| a(row, column) * w[column]).sum();
        product - (1.0 + row as f64).sin() + w[row].sin()
    };
    (0..SIZE).map(of_row).collect()
}

fn method(case: &Case) -> Method {
    let &Case { momentum, beta1, beta2, epsilon, l2, clip_norm, .. } = case;
    let rule = match case.optimizer.as_str() {
        "sgd" => Rule::Sgd,
        "momentum" => Rule::Momentum { momentum, nesterov: false },
        "nesterov" => Rule::Momentum { momentum, nesterov: true },
        "adam" => Rule::Adam { beta1, beta2, epsilon, decoupled: false },
        "adamw" => Rule::Adam { beta1, beta2, epsilon, decoupled: true },
        other => panic!("no rule {other}"),
    };
    Method { rule, l2, clip_norm, ..Method::default() }
}

#[test]
fn every_update_rule_is_pytorchs_to_1e_6_over_100_iterations() {
    for case in oracle().cases {
        let method = method(&case);
        let mut parameters: Vec<f64> = (0..SIZE).map(|at| (3.0 * at as f64).cos()).collect();
        let mut slots = vec![vec![0.0; SIZE]; method.layout().slots()];
        let mut compared = 0;
        for iteration in 0..ITERATIONS {
            let gradient = gradient(&parameters);
            let rate = case.rate * 0.99_f64.powi(iteration as i32);
            let mut scalars = method.scalars(iteration, rate, Factors::default());
            if case.clip_norm > 0.0 {
                scalars.clip = clip_factor(case.clip_norm, squares(&gradient));
            }
            for (range, scalars) in [(0..WEIGHTS, scalars), (WEIGHTS..SIZE, scalars.of_biases())] {
                let mut slots: Vec<&mut [f64]> = slots.iter_mut().map(|slot| &mut slot[range.clone()]).collect();
                method.rule.apply(&scalars, &mut parameters[range.clone()], &mut slots, &gradient[range]);
            }
            if let Some(expected) = case.parameters.get(&(iteration + 1)) {
                compared += 1;
                for (ours, theirs) in parameters.iter().zip(expected) {
                    let error = (ours - theirs).abs();
                    assert!(error < 1e-6, "{} after {}: {ours} for {theirs}", case.name, iteration + 1);
                }
            }
        }
        assert_eq!(compared, 4, "{}", case.name);
    }
}

#[test]
fn every_schedule_is_pytorchs() {
    let schedules = oracle().schedules;
    assert!(schedules.len() >= 6);
    for Rates { name, base, rates } in schedules {
        let (warmup, curve) = match name.as_str() {
            "cosine" => (0, Curve::Cosine { floor: 0.0 }),
            "cosine, floor 0.2" => (0, Curve::Cosine { floor: 0.2 }),
            "linear" => (0, Curve::Linear { floor: 0.0 }),
            "linear, floor 0.3" => (0, Curve::Linear { floor: 0.3 }),
            "step" => (0, Curve::Step { factor: 0.3, epochs: 2 }),
            "linear after a warm-up of 10" => (10, Curve::Linear { floor: 0.0 }),
            other => panic!("no schedule {other}"),
        };
        for (iteration, expected) in rates.iter().enumerate() {
            let moment = Moment { iteration, per_epoch: 10, iterations: rates.len() };
            let rate = Schedule { base, warmup, curve }.rate(moment);
            assert!((rate - expected).abs() < 1e-12, "{name} at {iteration}: {rate} for {expected}");
        }
    }
}
