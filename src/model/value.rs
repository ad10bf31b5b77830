//! Values of hyperparameters: of which kind they are, and how they are written.

use std::fmt;

use clap::ValueEnum;

use super::optimizer::Optimizer;
use super::schedule::ScheduleName;
use super::two_layer_net::Init;
use crate::data::prepare::Preparation;
use crate::data::sampler::Sampling;
use crate::numbers;
use crate::random::Generator;
use crate::real::Precision;

/// A value, as files and hashes hold it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Whole(u64),
    /// Any finite number.
    Number(f64),
    /// One of several words.
    Word(&'static str),
}

impl From<Value> for serde_json::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Whole(number) => number.into(),
            Value::Number(number) => number.into(),
            Value::Word(word) => word.into(),
        }
    }
}

impl Value {
    /// Without quotes, as a cell of a table.
    pub fn plain(self) -> String {
        match self {
            Self::Word(word) => word.to_owned(),
            number => number.to_string(),
        }
    }
}

/// As JSON and TOML write it. Identities are hashes of this text.
impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(formatter),
            Self::Number(number) => formatter.write_str(&numbers::text(*number)),
            Self::Word(word) => write!(formatter, "\"{word}\""),
        }
    }
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Whole,
    /// Any finite number.
    Number,
    /// One of these words.
    Word(Vec<&'static str>),
    /// Any text.
    Text,
}

/// In the words of TOML.
impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => formatter.write_str(numbers::WHOLE),
            Self::Number => formatter.write_str("a number"),
            Self::Text => formatter.write_str("a string"),
            Self::Word(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                match quoted.split_last() {
                    Some((last, [])) => formatter.write_str(last),
                    Some((last, others)) => write!(formatter, "{} or {last}", others.join(", ")),
                    None => Ok(()),
                }
            }
        }
    }
}

/// A type that hyperparameters have.
pub(super) trait Parameter {
    /// What its values must be.
    fn kind(&self) -> Kind;

    /// This one.
    fn value(&self) -> Value;

    /// Takes another one. Returns whether it is of this type.
    fn set(&mut self, value: Value) -> bool;
}

macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl Parameter for $type {
            fn kind(&self) -> Kind {
                Kind::Whole
            }

            fn value(&self) -> Value {
                Value::Whole(*self as u64)
            }

            fn set(&mut self, value: Value) -> bool {
                let Value::Whole(number) = value else { return false };
                <$type>::try_from(number).map(|number| *self = number).is_ok()
            }
        }
    )*};
}

whole_number!(usize, u64);

impl Parameter for f64 {
    fn kind(&self) -> Kind {
        Kind::Number
    }

    fn value(&self) -> Value {
        Value::Number(*self)
    }

    fn set(&mut self, value: Value) -> bool {
        let Value::Number(number) = value else { return false };
        *self = number;
        true
    }
}

macro_rules! one_of_several_words {
    ($($type:ty),*) => {$(
        impl Parameter for $type {
            fn kind(&self) -> Kind {
                Kind::Word(Self::value_variants().iter().map(|word| word.key()).collect())
            }

            fn value(&self) -> Value {
                Value::Word(self.key())
            }

            fn set(&mut self, value: Value) -> bool {
                let of_value = |word: &&Self| value == Value::Word(word.key());
                Self::value_variants().iter().find(of_value).map(|word| *self = *word).is_some()
            }
        }
    )*};
}

one_of_several_words!(Sampling, Precision, Generator, Optimizer, ScheduleName, Init, Preparation);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DatasetName;

    /// One spelling of a word in hashes, in files that serde writes, and on the command line.
    fn every_word_has_one_spelling<T: ValueEnum + serde::Serialize>(key: fn(&T) -> &'static str) {
        for word in T::value_variants() {
            assert_eq!(serde_json::to_value(word).unwrap(), key(word));
            assert_eq!(word.to_possible_value().unwrap().get_name(), key(word));
        }
    }

    #[test]
    fn every_word_has_one_spelling_everywhere() {
        every_word_has_one_spelling::<Sampling>(|word| word.key());
        every_word_has_one_spelling::<Precision>(|word| word.key());
        every_word_has_one_spelling::<Generator>(|word| word.key());
        every_word_has_one_spelling::<Optimizer>(|word| word.key());
        every_word_has_one_spelling::<ScheduleName>(|word| word.key());
        every_word_has_one_spelling::<Init>(|word| word.key());
        every_word_has_one_spelling::<Preparation>(|word| word.key());
        every_word_has_one_spelling::<DatasetName>(|word| word.key());
    }

    #[test]
    fn kinds_are_named_in_the_words_of_toml() {
        assert_eq!(0_usize.kind().to_string(), "a whole number, 0 or more");
        assert_eq!(0_f64.kind().to_string(), "a number");
        assert_eq!(Sampling::Shuffle.kind().to_string(), "\"replacement\" or \"shuffle\"");
        assert_eq!(Kind::Word(vec!["a", "b", "c"]).to_string(), "\"a\", \"b\" or \"c\"");
    }
}
