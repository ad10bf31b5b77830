//! The update rules, all that there is to know of each.
//!
//! A rule is a name with constants. What changes from update to update is handed in: the rate, which comes from the
//! [schedule](super::schedule), and the member's [`Factors`] and slots, which are its state. Its numbers are computed in f64, once a
//! member and update, by [`Rule::scalars`]; [`Rule::apply`] is the rule as papers write it, for parameters of which there are few. For the
//! wide first layer the rule names a [`Target`]: the matrix into which the backward product accumulates.

use crate::real::Real;
use crate::tensors::Parts;

/// How a network is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Method {
    /// The update rule, the same kind for all members of a cohort.
    pub rule: Rule,
    /// λ.
    pub l2: f64,
}

/// σ is folded into the weights when it falls below this: far above where f32 loses digits, rare enough to cost nothing.
const SMALLEST_FACTOR: f64 = 1e-3;

/// An update rule.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rule {
    /// Stochastic gradient descent: W ← W − η(dW + 2λW).
    #[default]
    Sgd,
}

/// Where the backward product of the first layer accumulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Straight into the weights: the update is the product.
    Weights,
    /// Into a matrix of state, from which the rule takes its step.
    Slot(usize),
    /// Into a matrix of its own, zero before: the rule needs the gradient itself.
    Gradient,
}

/// What the matrices of a member are held divided by.
///
/// L2 multiplies W1 by (1 − 2ηλ) before each update. W1 is held as σ·V, and the decay multiplies the scalar σ: no pass over the
/// weights. Source: L. Bottou, "Stochastic Gradient Descent Tricks" (2012), section 5.1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factors {
    /// σ.
    pub weights: f64,
}

impl Default for Factors {
    fn default() -> Self {
        Self { weights: 1.0 }
    }
}

impl Factors {
    /// Writes them.
    pub fn save(&self, into: &mut Parts) {
        into.scalars.insert("scale".to_owned(), self.weights);
    }

    /// Reads them.
    ///
    /// # Errors
    /// One is missing.
    pub fn load(from: &Parts) -> Result<Self, String> {
        Ok(Self { weights: from.scalar("scale")? })
    }
}

/// One update of one member, in numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scalars {
    /// The factors after the update.
    pub factors: Factors,
    /// What V is multiplied by before the update, where σ got small, zero or negative.
    pub fold: Option<f64>,
    /// What dZ is multiplied by, so that the backward product accumulates the right amount into its target.
    pub delta: f64,
    /// η.
    pub rate: f64,
    /// What L2 multiplies weights by: 1 − 2ηλ.
    pub decay: f64,
}

impl Scalars {
    /// Of biases, which have no penalty.
    pub fn of_biases(self) -> Self {
        Self { decay: 1.0, ..self }
    }
}

impl Rule {
    /// Matrices of state like V that a member has beside it.
    pub fn slots(self) -> usize {
        match self {
            Self::Sgd => 0,
        }
    }

    /// Where the backward product accumulates.
    pub fn target(self) -> Target {
        match self {
            Self::Sgd => Target::Weights,
        }
    }

    /// The numbers of update `_update`, from 0, of a member at rate η with penalty λ.
    pub fn scalars(self, _update: usize, rate: f64, l2: f64, before: Factors) -> Scalars {
        match self {
            Self::Sgd => {
                let decay = 1.0 - 2.0 * rate * l2;
                let sigma = before.weights * decay;
                let fold = (sigma < SMALLEST_FACTOR).then_some(sigma);
                let factors = Factors { weights: if fold.is_some() { 1.0 } else { sigma } };
                Scalars { factors, fold, delta: -rate / factors.weights, rate, decay }
            }
        }
    }

    /// One update of parameters that are held as they are, given their gradient without penalty.
    ///
    /// # Panics
    /// There is not one gradient for each parameter, or not as many slots as the rule has.
    pub fn apply<T: Real>(self, scalars: &Scalars, parameters: &mut [T], slots: &mut [&mut [T]], gradient: &[T]) {
        assert_eq!((parameters.len(), slots.len()), (gradient.len(), self.slots()), "the shapes fit");
        let (rate, decay) = (T::from_f64(scalars.rate), T::from_f64(scalars.decay));
        match self {
            Self::Sgd => {
                for (parameter, &gradient) in parameters.iter_mut().zip(gradient) {
                    *parameter = *parameter * decay - rate * gradient;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descent_with_a_penalty_is_what_its_formula_says() {
        let (rate, l2, weight, gradient) = (0.1, 0.25, 3.0_f64, 0.7);
        let scalars = Rule::Sgd.scalars(0, rate, l2, Factors::default());
        let mut parameters = [weight];
        Rule::Sgd.apply(&scalars, &mut parameters, &mut [], &[gradient]);
        assert!((parameters[0] - (weight - rate * (gradient + 2.0 * l2 * weight))).abs() < 1e-15);
        Rule::Sgd.apply(&scalars.of_biases(), &mut parameters, &mut [], &[0.0]);
        assert!(
            (parameters[0] - (weight - rate * (gradient + 2.0 * l2 * weight))).abs() < 1e-15,
            "no penalty on biases"
        );
    }

    #[test]
    fn a_small_or_negative_factor_is_folded_into_the_weights() {
        for (rate, l2, before) in [(0.1, 0.25, 1.0), (0.1, 4.99, 0.5), (0.1, 5.0, 1.0), (0.1, 60.0, 1.0)] {
            let scalars = Rule::Sgd.scalars(7, rate, l2, Factors { weights: before });
            let sigma = before * (1.0 - 2.0 * rate * l2);
            assert_eq!(scalars.fold, (sigma < 1e-3).then_some(sigma));
            // σ·(V + δ·XᵀdZ) descends by η, whether σ was folded or not.
            assert!((scalars.factors.weights * scalars.delta + rate).abs() < 1e-15);
        }
    }
}
