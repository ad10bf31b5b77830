//! The one check before any training: every range, and what must fit the data or each other.

use super::{CheckedHyperparameters, Hyperparameters};
use crate::data::fold::Fold;
use crate::data::images::Ground;
use crate::data::prepare::Preparation;
use crate::error::{Error, Result};
use crate::integer::MOST_TERMS;
use crate::model::optimizer::Optimizer;
use crate::model::schedule::ScheduleName;
use crate::model::two_layer_net::Init;
use crate::random::{Generator, numpy};

/// Which numbers a hyperparameter may be.
#[derive(Clone, Copy)]
enum Range {
    Above0,
    AtLeast0,
    /// 0 ≤ x < 1.
    Share,
    /// 0 ≤ x ≤ 1.
    WholeShare,
    /// 0 ≤ x ≤ 180.
    Angle,
}

impl Range {
    fn holds(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Self::Above0 => value > 0.0,
                Self::AtLeast0 => value >= 0.0,
                Self::Share => (0.0..1.0).contains(&value),
                Self::WholeShare => (0.0..=1.0).contains(&value),
                Self::Angle => (0.0..=180.0).contains(&value),
            }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Above0 => "a finite number above 0",
            Self::AtLeast0 => "a finite number, 0 or more",
            Self::Share => "a number from 0 to below 1",
            Self::WholeShare => "a number from 0 to 1",
            Self::Angle => "a number from 0 to 180",
        }
    }
}

const CHOOSE: &str = "choose one in that range";

fn refuse<T>(name: &str, expected: impl Into<String>, found: impl ToString, remedy: &str) -> Result<T> {
    Err(Error::usage(format!("`{name}`"), expected, found.to_string(), remedy))
}

impl Hyperparameters {
    /// The one check before any training: every range, and what must fit the training rows of the data; a number stands for so many images.
    ///
    /// # Errors
    /// A value is out of its range, or would have no effect; the error names the hyperparameter.
    pub fn check(mut self, ground: impl Into<Ground>) -> Result<CheckedHyperparameters> {
        let ground = ground.into();
        use Range::{Above0, Angle, AtLeast0, Share, WholeShare};
        // Without `..`: a new hyperparameter is checked here, or listed as one that needs no check.
        let Self {
            hidden,
            learning_rate,
            learning_rate_decay,
            l2,
            batch_size,
            iterations,
            weight_scale,
            sampling: _,
            precision,
            random,
            seed,
            optimizer: _,
            momentum,
            beta1,
            beta2,
            epsilon,
            clip_norm,
            schedule: _,
            warmup,
            learning_rate_floor,
            decay_epochs,
            dropout,
            input_dropout,
            label_smoothing,
            average,
            max_norm,
            init,
            preparation,
            components,
            whitening_epsilon,
            mirror,
            shift,
            crop,
            rotate,
            cutout,
            brightness,
            contrast,
            patience: _,
            folds,
            fold,
        } = &mut self;
        for (name, value, least, most) in [
            ("hidden", &*hidden, 1, 1_000_000),
            ("batch_size", batch_size, 1, 10_000_000),
            ("iterations", iterations, 1, 1_000_000_000),
            ("warmup", warmup, 0, 1_000_000_000),
            ("decay_epochs", decay_epochs, 1, 1_000_000_000),
            ("shift", shift, 0, 1000),
            ("cutout", cutout, 0, 1000),
        ] {
            if !(least..=most).contains(value) {
                return refuse(name, format!("a whole number from {least} to {most}"), value, CHOOSE);
            }
        }
        for (name, value, range) in [
            ("learning_rate", learning_rate, Above0),
            ("learning_rate_decay", learning_rate_decay, Above0),
            ("l2", l2, AtLeast0),
            ("weight_scale", weight_scale, AtLeast0),
            ("momentum", momentum, Share),
            ("beta1", beta1, Share),
            ("beta2", beta2, Share),
            ("epsilon", epsilon, Above0),
            ("clip_norm", clip_norm, AtLeast0),
            ("learning_rate_floor", learning_rate_floor, WholeShare),
            ("dropout", dropout, Share),
            ("input_dropout", input_dropout, Share),
            ("label_smoothing", label_smoothing, Share),
            ("average", average, Share),
            ("max_norm", max_norm, AtLeast0),
            ("components", components, Above0),
            ("whitening_epsilon", whitening_epsilon, AtLeast0),
            ("mirror", mirror, WholeShare),
            ("crop", crop, Share),
            ("rotate", rotate, Angle),
            ("brightness", brightness, WholeShare),
            ("contrast", contrast, WholeShare),
        ] {
            *value += 0.0; // -0 is 0
            if !range.holds(*value) {
                return refuse(name, range.text(), *value, CHOOSE);
            }
        }
        let all = ground.rows.saturating_add(ground.validation_rows);
        if *folds == 1 || *folds > all {
            let expected = format!("a whole number from 2 to {all}, all training and validation rows, or 0");
            return refuse("folds", expected, *folds, CHOOSE);
        }
        if *folds > 0 && !(1..=*folds).contains(fold) {
            return refuse("fold", format!("a whole number from 1 to {folds}, the number of folds"), *fold, CHOOSE);
        }
        let part = (*folds > 0).then(|| Fold { index: *fold - 1, count: *folds });
        let train_rows = ground.train_rows(part);
        if *batch_size > train_rows {
            let expected = format!("at most {train_rows} rows, all of the training split");
            return refuse("batch_size", expected, *batch_size, "choose a smaller batch, or train on more rows");
        }
        if *random == Generator::Numpy && *seed > numpy::LARGEST_SEED {
            let expected = format!("a whole number from 0 to {}, as numpy takes", numpy::LARGEST_SEED);
            return refuse("seed", expected, *seed, "choose one in that range, or another `random`");
        }
        if precision.is_integer() && preparation.projects() {
            let expected = format!("a preparation that leaves pixels as bytes, with precision {}", precision.key());
            return refuse("preparation", expected, preparation.key(), "take mean, channel or pixel, or precision f32");
        }
        if precision.is_integer() && !ground.has_bytes {
            let expected = format!("f32 or f64 for rows of floats: {} multiplies bytes", precision.key());
            return refuse("precision", expected, precision.key(), "choose one of these, or save the rows as bytes");
        }
        if precision.is_integer() && ground.inputs > MOST_TERMS {
            let expected = format!("f32 or f64 for rows of more than {MOST_TERMS} numbers, whose sums leave 32 bits");
            return refuse("precision", expected, precision.key(), "choose one of these");
        }
        if precision.is_integer() && *batch_size > MOST_TERMS {
            let expected = format!("at most {MOST_TERMS} with precision {}, whose sums have 32 bits", precision.key());
            return refuse("batch_size", expected, *batch_size, "choose a smaller batch, or precision f32");
        }
        if *components >= 1.0 && components.fract() != 0.0 {
            let expected = "a whole number of components, or a share of variance below 1";
            return refuse("components", expected, *components, "choose one of these");
        }
        if *random == Generator::Numpy && *init != Init::Scale {
            let remedy = "take init scale with random numpy, which replays the notebook, or random chacha8";
            return refuse("init", "\"scale\"", init.key(), remedy);
        }
        self.refuse_what_has_no_effect()?;
        if !ground.has_images {
            self.refuse_what_needs_images()?;
        }
        Ok(CheckedHyperparameters(self))
    }

    /// Changes to images, where rows are none.
    fn refuse_what_needs_images(&self) -> Result<()> {
        let Self { mirror, crop, rotate, brightness, contrast, .. } = *self;
        let numbers = [
            ("mirror", mirror),
            ("crop", crop),
            ("rotate", rotate),
            ("brightness", brightness),
            ("contrast", contrast),
            ("shift", self.shift as f64),
            ("cutout", self.cutout as f64),
        ];
        match numbers.into_iter().find(|&(_, value)| value != 0.0) {
            Some((name, value)) => {
                let remedy = format!("leave `{name}` out, or save images as uint8 of shape (N, H, W, C)");
                refuse(name, "0, as these data are rows of numbers and no images", value, &remedy)
            }
            None => Ok(()),
        }
    }

    /// A value that the rest of the configuration makes meaningless is a mistake, and would make two trials of one.
    fn refuse_what_has_no_effect(&self) -> Result<()> {
        let has_momentum = matches!(self.optimizer, Optimizer::Momentum | Optimizer::Nesterov);
        let is_adam = matches!(self.optimizer, Optimizer::Adam | Optimizer::Adamw);
        let has_floor = matches!(self.schedule, ScheduleName::Cosine | ScheduleName::Linear);
        let is_pca = matches!(self.preparation, Preparation::Pca | Preparation::PcaWhiten);
        let whitens = matches!(self.preparation, Preparation::PcaWhiten | Preparation::Zca);
        let conditions = [
            ("momentum", has_momentum, "optimizer momentum or nesterov"),
            ("beta1", is_adam, "optimizer adam or adamw"),
            ("beta2", is_adam, "optimizer adam or adamw"),
            ("epsilon", is_adam, "optimizer adam or adamw"),
            ("learning_rate_floor", has_floor, "schedule cosine or linear"),
            ("decay_epochs", self.schedule == ScheduleName::Step, "schedule step"),
            ("fold", self.folds > 0, "folds"),
            ("components", is_pca, "preparation pca or pca-whiten"),
            ("whitening_epsilon", whitens, "preparation pca-whiten or zca"),
        ];
        for entry in self.entries().iter().filter(|entry| entry.value != entry.neutral) {
            let unmet = conditions.iter().find(|(name, is_met, _)| *name == entry.name && !is_met);
            if let Some((name, _, needed)) = unmet {
                let remedy = format!("set that too, or leave `{name}` out");
                return refuse(name, format!("{needed} beside it"), "another, with which it has no effect", &remedy);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_has_no_sign_once_it_is_checked() {
        let given = Hyperparameters { l2: -0.0, weight_scale: -0.0, ..Hyperparameters::default() };
        let checked = given.check(1000).unwrap();
        assert!(checked.l2.is_sign_positive() && checked.weight_scale.is_sign_positive());
    }

    #[test]
    fn each_bad_value_is_refused_by_name() {
        let refused = |change: fn(&mut Hyperparameters)| {
            let mut hyperparameters = Hyperparameters::default();
            change(&mut hyperparameters);
            hyperparameters.check(1000).expect_err("refused").to_string()
        };
        assert!(refused(|h| h.hidden = 0).starts_with("`hidden`: expected a whole number from 1"));
        assert!(refused(|h| h.batch_size = 0).starts_with("`batch_size`"));
        assert!(refused(|h| h.batch_size = 1001).contains("at most 1000 rows"));
        assert!(refused(|h| h.iterations = 0).starts_with("`iterations`"));
        assert!(refused(|h| h.learning_rate = f64::NAN).starts_with("`learning_rate`"));
        assert!(refused(|h| h.learning_rate = 0.0).contains("above 0, found 0"));
        assert!(refused(|h| h.learning_rate_decay = f64::INFINITY).contains("found inf"));
        assert!(refused(|h| h.l2 = -0.1).contains("found -0.1"));
        assert!(refused(|h| h.weight_scale = -1.0).starts_with("`weight_scale`"));
        let large = refused(|h| (h.random, h.seed) = (Generator::Numpy, 1 << 32));
        assert!(large.starts_with("`seed`: expected a whole number from 0 to 4294967295"), "{large}");
        assert!(refused(|h| h.dropout = 1.0).contains("from 0 to below 1, found 1"));
        assert!(
            refused(|h| h.momentum = 0.5).starts_with("`momentum`: expected optimizer momentum or nesterov beside it")
        );
        assert!(refused(|h| (h.optimizer, h.beta1) = (Optimizer::Momentum, 0.8)).starts_with("`beta1`"));
        assert!(refused(|h| h.decay_epochs = 3).contains("schedule step beside it"));
        assert!(refused(|h| (h.preparation, h.components) = (Preparation::Pca, 2.5)).starts_with("`components`"));
        let rows = Ground { has_images: false, ..Ground::from(1000) };
        assert!(Hyperparameters::default().check(rows).is_ok());
        let error = Hyperparameters { shift: 2, ..Hyperparameters::default() }.check(rows).expect_err("no images");
        assert!(error.to_string().starts_with("`shift`: expected 0, as these data are rows of numbers"), "{error}");
        assert!(refused(|h| (h.random, h.init) = (Generator::Numpy, Init::He)).starts_with("`init`"));
    }
}
