//! A trial, and the rule by which it is known again.
//!
//! A trial's **identity** is a hash of the version of the results, the fingerprint of the data, and its configuration: the
//! hyperparameters that are [written](super::hyperparameters::Entry::is_written), as one line of JSON. Records, checkpoints and models
//! meet their trials by it, so whatever made them is found by any later program, and equal configurations are one trial however they
//! were written down.

use sha2::{Digest, Sha256};

use super::hyperparameters::{CheckedHyperparameters, Entry};
use crate::version;

/// One configuration with one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its identity: 16 letters.
    pub id: String,
    /// Its configuration.
    pub hyperparameters: CheckedHyperparameters,
}

impl Trial {
    /// The trial of `hyperparameters` on data of this fingerprint.
    pub fn new(hyperparameters: CheckedHyperparameters, data_fingerprint: &str) -> Self {
        Self { id: identity(&hyperparameters.entries(), data_fingerprint), hyperparameters }
    }
}

/// A hash as 16 letters from k to z: no spreadsheet takes it for a number, and it cannot be confused with a git revision.
fn identity(configuration: &[Entry], data_fingerprint: &str) -> String {
    let written = configuration.iter().filter(|entry| entry.is_written());
    let pairs: Vec<String> = written.map(|Entry { name, value, .. }| format!("\"{name}\":{value}")).collect();
    let text = format!("{} {data_fingerprint} {{{}}}", version::RESULTS_VERSION, pairs.join(","));
    let digest = Sha256::digest(text);
    digest.iter().take(8).flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| char::from(b'k' + nibble)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Hyperparameters;
    use crate::model::hyperparameters::Written;
    use crate::model::value::Value;
    use crate::real::Precision;

    fn id(change: fn(&mut Hyperparameters)) -> String {
        let mut hyperparameters = Hyperparameters::neutral();
        change(&mut hyperparameters);
        Trial::new(hyperparameters.check(49_000).unwrap(), "2f60a366bbaf4699").id
    }

    /// As the first program printed them, with the official CIFAR-10 and the default split.
    #[test]
    fn identities_are_what_they_always_were() {
        assert_eq!(id(|_| ()), "ortmknsrkquvrlox");
        assert_eq!(id(|h| h.learning_rate = 2.5e-7), "mymwmvtokwymnlus");
        let third = id(|h| (h.seed, h.precision, h.iterations) = (u64::MAX, Precision::F64, 3));
        assert_eq!(third, "pruxvvruqtrwvnuz");
    }

    #[test]
    fn a_later_hyperparameter_leaves_the_identity_of_a_trial_that_does_not_use_it() {
        let known = Hyperparameters::neutral().entries();
        let with = |value| {
            let (value, neutral) = (Value::Number(value), Value::Number(0.0));
            let momentum = Entry { name: "momentum", value, neutral, written: Written::UnlessNeutral };
            identity(&[&known[..], &[momentum]].concat(), "data")
        };
        assert_eq!(with(0.0), identity(&known, "data"));
        assert_ne!(with(0.9), identity(&known, "data"));
        assert_ne!(with(0.9), with(0.5));
    }

    #[test]
    fn zero_is_one_trial_whatever_its_sign() {
        assert_eq!(id(|h| h.l2 = -0.0), id(|h| h.l2 = 0.0));
    }
}
