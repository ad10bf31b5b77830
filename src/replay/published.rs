//! The notebook's numbers as printed, in one table, and the judgement of ours beside them.
//!
//! There are two sets: one with the gradient of the penalty as derived, 2λ W, and one as the notebook's author wrote it, λ W.
//! How exactly a number must be met follows from how it was printed:
//!
//! | printed | ok when ours |
//! |---|---|
//! | `1.30378789133` | rounds to the same digits |
//! | `3.3e-1` | rounds to the same digits, with an exponent |
//! | `0.017149607938732093`: all digits of a double, the last of which depend on the order in which a BLAS sums | differs by at most 1e-12 of it |
//! | `< 1e-8` | is below |
//! | `(49000, 3072)` | is the same |

use serde::Serialize;

use super::{Cifar, PenaltyGradient, Toy};
use crate::train::LossPoint;

/// How far a number that was printed with all its digits may be from ours, relative to it.
pub const RELATIVE_TOLERANCE: f64 = 1e-12;
/// A number printed with so many decimals was printed with all its digits.
const ALL_DECIMALS: usize = 15;

/// Numbers of one kind, which the notebook prints together; `R` is where ours are.
pub struct Group<R: 'static> {
    /// What they are.
    pub name: &'static str,
    /// Each of them, in the notebook's order.
    pub numbers: &'static [Number],
    /// Ours, in the same order.
    ours: fn(&R) -> Vec<Value>,
}

/// A published number: what it is, as printed with the gradient of the penalty as derived, and with the author's.
pub struct Number {
    name: &'static str,
    derived: &'static str,
    notebook: &'static str,
}

/// A number that the gradient of the penalty changes.
const fn each(name: &'static str, derived: &'static str, notebook: &'static str) -> Number {
    Number { name, derived, notebook }
}

/// A number that it does not change, at least not in the printed digits.
const fn both(name: &'static str, printed: &'static str) -> Number {
    each(name, printed, printed)
}

/// One of our numbers.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Number(f64),
    Shape(Vec<usize>),
}

/// One number: ours beside the published one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The group.
    pub group: &'static str,
    /// The number.
    pub number: &'static str,
    /// Ours, with more digits than were published.
    pub ours: String,
    /// As published.
    pub published: &'static str,
    /// The absolute difference, where there is one number to differ from.
    pub difference: Option<f64>,
    /// Whether ours is the published one.
    pub ok: bool,
    /// What the gradient as derived gives, where the published number is another: there the notebook is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derived: Option<&'static str>,
}

/// The first half.
pub const TOY: &[Group<Toy>] = &[
    Group {
        name: "toy scores",
        numbers: &[
            both("row 0, class 0", "-0.81233741"),
            both("row 0, class 1", "-1.27654624"),
            both("row 0, class 2", "-0.70335995"),
            both("row 1, class 0", "-0.17129677"),
            both("row 1, class 1", "-1.18803311"),
            both("row 1, class 2", "-0.47310444"),
            both("row 2, class 0", "-0.51590475"),
            both("row 2, class 1", "-1.01354314"),
            both("row 2, class 2", "-0.85042150"),
            both("row 3, class 0", "-0.15419291"),
            both("row 3, class 1", "-0.48629638"),
            both("row 3, class 2", "-0.52901952"),
            both("row 4, class 0", "-0.00618733"),
            both("row 4, class 1", "-0.12435261"),
            both("row 4, class 2", "-0.15226949"),
        ],
        ours: |toy| numbers(toy.scores.iter().copied()),
    },
    Group { name: "toy loss", numbers: &[both("reg 0.05", "1.30378789133")], ours: |toy| numbers([toy.loss]) },
    Group {
        name: "toy gradient check",
        numbers: &[
            each("W1", "< 1e-8", "8.0e-1"),
            both("b1", "< 1e-8"),
            each("W2", "< 1e-8", "3.3e-1"),
            both("b2", "< 1e-8"),
        ],
        ours: |toy| numbers(toy.gradient_errors),
    },
    Group {
        name: "toy training",
        numbers: &[both("loss at 0", "1.241994"), each("final loss", "0.017149607938732093", "0.01714908583773327")],
        ours: |toy| numbers([toy.losses[0], toy.losses[toy.losses.len() - 1]]),
    },
];

/// The second half.
pub const CIFAR: &[Group<Cifar>] = &[
    Group {
        name: "CIFAR-10 data",
        numbers: &[
            both("training rows", "(49000, 3072)"),
            both("training labels", "(49000,)"),
            both("validation rows", "(1000, 3072)"),
            both("validation labels", "(1000,)"),
            both("test rows", "(1000, 3072)"),
            both("test labels", "(1000,)"),
        ],
        ours: |cifar| {
            let shapes = |&[rows, inputs]: &[usize; 2]| [Value::Shape(vec![rows, inputs]), Value::Shape(vec![rows])];
            cifar.shapes.iter().flat_map(shapes).collect()
        },
    },
    Group {
        name: "CIFAR-10 training",
        numbers: &[
            both("loss at 0", "2.302954"),
            both("loss at 100", "2.302550"),
            each("loss at 200", "2.297648", "2.297603"),
            each("loss at 300", "2.259602", "2.259162"),
            each("loss at 400", "2.204170", "2.203468"),
            each("loss at 500", "2.118565", "2.117619"),
            each("loss at 600", "2.051535", "2.050917"),
            each("loss at 700", "1.988466", "1.987152"),
            each("loss at 800", "2.006591", "2.005458"),
            each("loss at 900", "1.951473", "1.950105"),
        ],
        ours: |cifar| numbers(cifar.losses.iter().step_by(100).map(LossPoint::loss)),
    },
    Group {
        name: "CIFAR-10 validation accuracy",
        numbers: &[
            both("epoch 0", "0.115"),
            both("epoch 1", "0.189"),
            both("epoch 2", "0.225"),
            each("epoch 3", "0.246", "0.248"),
            each("epoch 4", "0.288", "0.289"),
            both("at the end", "0.287"),
        ],
        ours: |cifar| {
            let at_the_end = cifar.outcome.val_accuracy.unwrap_or(f64::NAN);
            numbers(cifar.outcome.curve.iter().map(|point| point.val_accuracy).chain([at_the_end]))
        },
    },
];

fn numbers(values: impl IntoIterator<Item = f64>) -> Vec<Value> {
    values.into_iter().map(Value::Number).collect()
}

impl<R> Group<R> {
    /// Each number of the group: ours in `results` beside the published one.
    pub fn lines(&self, results: &R, penalty_gradient: PenaltyGradient) -> Vec<Line> {
        let ours = (self.ours)(results);
        let line = |(at, number): (usize, &Number)| {
            let published = match penalty_gradient {
                PenaltyGradient::Derived => number.derived,
                PenaltyGradient::Notebook => number.notebook,
            };
            // A run that diverged has fewer numbers than the notebook.
            let ours = ours.get(at).unwrap_or(&Value::Number(f64::NAN));
            let printed = Printed::of(published);
            Line {
                group: self.name,
                number: number.name,
                ours: printed.write(ours),
                published,
                difference: printed.difference(ours),
                ok: printed.is_met_by(ours),
                derived: Some(number.derived).filter(|&derived| derived != published),
            }
        };
        self.numbers.iter().enumerate().map(line).collect()
    }
}

/// A number as the notebook printed it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Printed<'a> {
    /// So many digits after the point.
    Decimals(&'a str, usize),
    /// So many digits after the point of the mantissa, then an exponent.
    Exponent(&'a str, usize),
    /// All the digits of a double.
    All(&'a str),
    /// Only an upper bound.
    Below(&'a str),
    /// As numpy prints a shape.
    Shape(&'a str),
}

impl<'a> Printed<'a> {
    fn of(text: &'a str) -> Self {
        let decimals = |text: &str| text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        if text.starts_with('(') {
            Self::Shape(text)
        } else if let Some(bound) = text.strip_prefix("< ") {
            Self::Below(bound)
        } else if let Some((mantissa, _)) = text.split_once('e') {
            Self::Exponent(text, decimals(mantissa))
        } else if decimals(text) >= ALL_DECIMALS {
            Self::All(text)
        } else {
            Self::Decimals(text, decimals(text))
        }
    }

    /// The number, or the bound.
    fn number(self) -> Option<f64> {
        match self {
            Self::Decimals(text, _) | Self::Exponent(text, _) | Self::All(text) | Self::Below(text) => {
                text.parse().ok()
            }
            Self::Shape(_) => None,
        }
    }

    fn is_met_by(self, ours: &Value) -> bool {
        match (self, ours) {
            (Self::Decimals(text, decimals), Value::Number(ours)) => format!("{ours:.decimals$}") == text,
            (Self::Exponent(text, decimals), Value::Number(ours)) => format!("{ours:.decimals$e}") == text,
            (Self::All(_), Value::Number(ours)) => {
                self.number().is_some_and(|number| (ours - number).abs() <= RELATIVE_TOLERANCE * number.abs())
            }
            (Self::Below(_), Value::Number(ours)) => self.number().is_some_and(|bound| *ours < bound),
            (Self::Shape(text), ours @ Value::Shape(_)) => self.write(ours) == text,
            _ => false,
        }
    }

    fn difference(self, ours: &Value) -> Option<f64> {
        match (self, ours) {
            (Self::Below(_), _) | (_, Value::Shape(_)) => None,
            (_, Value::Number(ours)) => self.number().map(|number| (ours - number).abs()),
        }
    }

    /// Ours with two digits more than were printed.
    fn write(self, ours: &Value) -> String {
        match (self, ours) {
            (_, Value::Shape(sizes)) if sizes.len() == 1 => format!("({},)", sizes[0]),
            (_, Value::Shape(sizes)) => {
                format!("({})", sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
            }
            (Self::Decimals(_, decimals), Value::Number(ours)) => format!("{ours:.*}", decimals + 2),
            (Self::Exponent(_, decimals), Value::Number(ours)) => format!("{ours:.*e}", decimals + 2),
            (Self::Below(_), Value::Number(ours)) => format!("{ours:.2e}"),
            (_, Value::Number(ours)) => ours.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(printed: &str, ours: f64) -> bool {
        Printed::of(printed).is_met_by(&Value::Number(ours))
    }

    #[test]
    fn a_number_is_met_when_it_rounds_to_the_printed_digits() {
        assert!(ok("2.302550", 2.302_550_4) && ok("2.302550", 2.302_549_6));
        assert!(!ok("2.302550", 2.302_550_6) && !ok("2.302550", 2.302_549_4));
        assert!(ok("0.115", 0.115) && !ok("0.115", 0.116));
        assert!(ok("3.3e-1", 0.334) && !ok("3.3e-1", 0.336) && !ok("3.3e-1", 0.0334));
    }

    #[test]
    fn a_number_with_all_its_digits_is_met_within_the_stated_tolerance() {
        let printed = "0.017149607938732093";
        assert!(ok(printed, 0.017_149_607_938_732_023));
        assert!(!ok(printed, 0.017_149_607_939));
    }

    #[test]
    fn a_bound_is_met_below_it_and_nothing_is_met_by_no_number() {
        assert!(ok("< 1e-8", 3.6e-9) && !ok("< 1e-8", 1e-8));
        for printed in ["< 1e-8", "2.302550", "3.3e-1", "0.017149607938732093", "(1000,)"] {
            assert!(!ok(printed, f64::NAN), "{printed}");
        }
    }

    #[test]
    fn shapes_are_written_as_numpy_writes_them() {
        let met = |printed, sizes: &[usize]| Printed::of(printed).is_met_by(&Value::Shape(sizes.to_vec()));
        assert!(met("(49000, 3072)", &[49_000, 3072]) && met("(1000,)", &[1000]));
        assert!(!met("(49000, 3072)", &[50_000, 3072]) && !met("(1000,)", &[1000, 1]));
    }
}
