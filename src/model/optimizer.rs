//! The update rules, all that there is to know of each.
//!
//! A rule is a name with constants. What changes from update to update is handed in: the rate, which comes from the
//! [schedule](super::schedule), and the member's [`Factors`] and slots, which are its state. Its numbers are computed in f64, once a
//! member and update, by [`Method::scalars`]; [`Rule::apply`] is the rule as papers write it. For the wide first layer the rule's
//! [`Layout`] names a [`Target`]: the matrix into which the backward product accumulates.
//!
//! With g = c·dW + 2λW, where c ≤ 1 clips the gradient of the data loss (W decays apart from g where the table has a factor before it):
//!
//! ```text
//! sgd        W ← (1 − 2ηλ) W − η c dW
//! momentum   u ← μu + g                W ← W − ηu
//! nesterov   u ← μu + g                W ← W − η(g + μu)
//! adam       m ← β₁m + (1 − β₁)g       v ← β₂v + (1 − β₂)g²      W ← W − η m̂ / (√v̂ + ε)
//! adamw      the same with g = c·dW    W ← (1 − 2ηλ) W − η m̂ / (√v̂ + ε)
//!            m̂ = m / (1 − β₁ᵗ)         v̂ = v / (1 − β₂ᵗ)         update t counts from 1
//! ```
//!
//! Sources: I. Sutskever et al., "On the importance of initialization and momentum in deep learning" (2013); D. P. Kingma and J. Ba,
//! "Adam" (2015); I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization" (2019). The forms are those of PyTorch, whose
//! `weight_decay` is 2λ.

use clap::ValueEnum;
use multiversion::multiversion;
use serde::{Deserialize, Serialize};

use crate::real::Real;
use crate::tensors::Parts;

/// The update rules by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Stochastic gradient descent
    #[default]
    Sgd,
    /// With momentum
    Momentum,
    /// With Nesterov's momentum
    Nesterov,
    /// Adam, L2 in the gradient
    Adam,
    /// Adam with decoupled weight decay: the loss has no penalty
    Adamw,
}

impl Optimizer {
    /// Its name in files and flags. Identities of trials are hashes of it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Momentum => "momentum",
            Self::Nesterov => "nesterov",
            Self::Adam => "adam",
            Self::Adamw => "adamw",
        }
    }
}

/// An update rule.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rule {
    /// Stochastic gradient descent.
    #[default]
    Sgd,
    /// Gradient descent with momentum.
    Momentum {
        /// μ.
        momentum: f64,
        /// Whether the step looks ahead along the new velocity.
        nesterov: bool,
    },
    /// Adam.
    Adam {
        /// β₁.
        beta1: f64,
        /// β₂.
        beta2: f64,
        /// ε.
        epsilon: f64,
        /// Whether weights decay apart from the gradient.
        decoupled: bool,
    },
}

/// How a network is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Method {
    /// The update rule.
    pub rule: Rule,
    /// λ.
    pub l2: f64,
    /// The largest norm of the gradient of the data loss, over all parameters; 0: any.
    pub clip_norm: f64,
    /// The largest norm of a hidden unit's first-layer weights; 0: any.
    pub max_norm: f64,
    /// The decay of the average of the weights; 0: there is none.
    pub average: f64,
    /// The share of hidden units that an image does not see in training.
    pub dropout: f64,
    /// The share of a label that is spread over all classes.
    pub label_smoothing: f64,
}

/// What the members of a cohort hold beside their weights: the same for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layout {
    /// The update rule.
    pub optimizer: Optimizer,
    /// Whether gradients are clipped.
    pub clips: bool,
    /// Whether weights are averaged.
    pub averages: bool,
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

impl Layout {
    /// Matrices of state like V that a member has beside it.
    pub fn slots(self) -> usize {
        match self.optimizer {
            Optimizer::Sgd => 0,
            Optimizer::Momentum | Optimizer::Nesterov => 1,
            Optimizer::Adam | Optimizer::Adamw => 2,
        }
    }

    /// Where the backward product accumulates.
    pub fn target(self) -> Target {
        match self.optimizer {
            Optimizer::Sgd if !self.clips => Target::Weights,
            Optimizer::Momentum if !self.clips => Target::Slot(0),
            _ => Target::Gradient,
        }
    }

    /// All matrices like V that a cohort holds: weights, slots, gradient, average.
    pub fn matrices(self) -> usize {
        1 + self.slots() + usize::from(self.target() == Target::Gradient) + usize::from(self.averages)
    }
}

/// σ is folded into the weights when it falls below this: far above where f32 loses digits, rare enough to cost nothing.
const SMALLEST_FACTOR: f64 = 1e-3;

/// What the matrices of a member are held divided by.
///
/// L2 multiplies W1 by (1 − 2ηλ) before each update of plain descent. W1 is held as σ·V, and the decay multiplies the scalar σ: no pass
/// over the weights. Source: L. Bottou, "Stochastic Gradient Descent Tricks" (2012), section 5.1. Other rules pass over the weights
/// anyhow; their σ stays 1.
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
    /// What L2 multiplies weights by, where it is not in the gradient: 1 − 2ηλ.
    pub decay: f64,
    /// What of the weights L2 adds to the gradient: 2λ or nothing.
    pub penalty: f64,
    /// What clipping multiplies the gradient by.
    pub clip: f64,
    /// 1 / (1 − β₁ᵗ).
    pub first_correction: f64,
    /// 1 / √(1 − β₂ᵗ).
    pub second_correction: f64,
    /// What the average of the weights is multiplied by; the new weights get the rest.
    pub average: f64,
}

impl Scalars {
    /// Of biases, which have no penalty.
    pub fn of_biases(self) -> Self {
        Self { decay: 1.0, penalty: 0.0, ..self }
    }
}

impl Method {
    /// Plain descent with a penalty λ.
    pub fn descent(l2: f64) -> Self {
        Self { l2, ..Self::default() }
    }

    /// What its members hold.
    pub fn layout(&self) -> Layout {
        let optimizer = match self.rule {
            Rule::Sgd => Optimizer::Sgd,
            Rule::Momentum { nesterov: false, .. } => Optimizer::Momentum,
            Rule::Momentum { nesterov: true, .. } => Optimizer::Nesterov,
            Rule::Adam { decoupled: false, .. } => Optimizer::Adam,
            Rule::Adam { decoupled: true, .. } => Optimizer::Adamw,
        };
        Layout { optimizer, clips: self.clip_norm > 0.0, averages: self.average > 0.0 }
    }

    /// λ in the loss: decoupled decay is no part of it.
    pub fn penalty(&self) -> f64 {
        if matches!(self.rule, Rule::Adam { decoupled: true, .. }) { 0.0 } else { self.l2 }
    }

    /// The numbers of update `update`, from 0, at rate η.
    ///
    /// The average begins as the average of few: its decay is at most (1 + t) / (10 + t).
    pub fn scalars(&self, update: usize, rate: f64, before: Factors) -> Scalars {
        let decay = 1.0 - 2.0 * rate * self.l2;
        let t = update as f64;
        let plain = Scalars {
            factors: before,
            fold: None,
            delta: 1.0,
            rate,
            decay: 1.0,
            penalty: 0.0,
            clip: 1.0,
            first_correction: 1.0,
            second_correction: 1.0,
            average: self.average.min((1.0 + t) / (10.0 + t)),
        };
        match self.rule {
            Rule::Sgd if self.layout().clips => Scalars { decay, ..plain },
            Rule::Sgd => {
                let sigma = before.weights * decay;
                let fold = (sigma < SMALLEST_FACTOR).then_some(sigma);
                let factors = Factors { weights: if fold.is_some() { 1.0 } else { sigma } };
                Scalars { factors, fold, delta: -rate / factors.weights, decay, ..plain }
            }
            Rule::Momentum { .. } => Scalars { penalty: 2.0 * self.l2, ..plain },
            Rule::Adam { beta1, beta2, decoupled, .. } => {
                let (decay, penalty) = if decoupled { (decay, 0.0) } else { (1.0, 2.0 * self.l2) };
                // `libm`, whose bits are the same on every machine.
                let first_correction = 1.0 / (1.0 - libm::pow(beta1, t + 1.0));
                let second_correction = 1.0 / (1.0 - libm::pow(beta2, t + 1.0)).sqrt();
                Scalars { decay, penalty, first_correction, second_correction, ..plain }
            }
        }
    }
}

impl Rule {
    /// One update of parameters that are held as they are, given the gradient of the data loss.
    ///
    /// # Panics
    /// There is not one gradient for each parameter, or not as many slots as the rule has.
    pub fn apply<T: Real>(self, scalars: &Scalars, parameters: &mut [T], slots: &mut [&mut [T]], gradient: &[T]) {
        assert_eq!(parameters.len(), gradient.len(), "one gradient for each parameter");
        let number = T::from_f64;
        let (rate, penalty, clip) = (number(scalars.rate), number(scalars.penalty), number(scalars.clip));
        match (self, slots) {
            (Self::Sgd, []) => {
                let (decay, rate) = (number(scalars.decay), number(scalars.rate * scalars.clip));
                for (parameter, &gradient) in parameters.iter_mut().zip(gradient) {
                    *parameter = *parameter * decay - rate * gradient;
                }
            }
            (Self::Momentum { momentum, nesterov: true }, [velocity]) => {
                look_ahead(parameters, velocity, gradient, [rate, number(momentum), penalty, clip]);
            }
            (Self::Momentum { nesterov: false, .. }, [velocity]) => {
                for (velocity, &gradient) in velocity.iter_mut().zip(gradient) {
                    *velocity += clip * gradient;
                }
                self.advance(scalars, parameters, velocity);
            }
            (Self::Adam { beta1, beta2, epsilon, .. }, [first, second]) => {
                let constants = Adam {
                    decay: number(scalars.decay),
                    penalty,
                    clip,
                    beta1: number(beta1),
                    rest1: number(1.0 - beta1),
                    beta2: number(beta2),
                    rest2: number(1.0 - beta2),
                    step: number(scalars.rate * scalars.first_correction),
                    root: number(scalars.second_correction),
                    epsilon: number(epsilon),
                };
                adapt(parameters, first, second, gradient, &constants);
            }
            (rule, slots) => unreachable!("{rule:?} has not {} slots", slots.len()),
        }
    }

    /// The update of a rule whose gradient is in its slot already ([`Target::Slot`]): momentum, which is held as μu, so that the
    /// backward product accumulates the next gradient onto it.
    ///
    /// # Panics
    /// It is another rule.
    pub fn advance<T: Real>(self, scalars: &Scalars, parameters: &mut [T], slot: &mut [T]) {
        let Self::Momentum { momentum, nesterov: false } = self else { unreachable!("{self:?} has no such slot") };
        descend(parameters, slot, [scalars.rate, momentum, scalars.penalty].map(T::from_f64));
    }
}

/// u = slot + 2λW; W −= ηu; slot = μu.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn descend<T: Real>(parameters: &mut [T], slot: &mut [T], [rate, momentum, penalty]: [T; 3]) {
    for (parameter, slot) in parameters.iter_mut().zip(slot) {
        let velocity = *slot + penalty * *parameter;
        *parameter -= rate * velocity;
        *slot = momentum * velocity;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn look_ahead<T: Real>(
    parameters: &mut [T],
    velocity: &mut [T],
    gradient: &[T],
    [rate, momentum, penalty, clip]: [T; 4],
) {
    for ((parameter, velocity), &gradient) in parameters.iter_mut().zip(velocity).zip(gradient) {
        let gradient = clip * gradient + penalty * *parameter;
        *velocity = momentum * *velocity + gradient;
        *parameter -= rate * (gradient + momentum * *velocity);
    }
}

/// The numbers of an update of Adam.
struct Adam<T> {
    decay: T,
    penalty: T,
    clip: T,
    beta1: T,
    rest1: T,
    beta2: T,
    rest2: T,
    step: T,
    root: T,
    epsilon: T,
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn adapt<T: Real>(parameters: &mut [T], first: &mut [T], second: &mut [T], gradient: &[T], by: &Adam<T>) {
    let slots = first.iter_mut().zip(second);
    for ((parameter, (first, second)), &gradient) in parameters.iter_mut().zip(slots).zip(gradient) {
        let gradient = by.clip * gradient + by.penalty * *parameter;
        *first = by.beta1 * *first + by.rest1 * gradient;
        *second = by.beta2 * *second + by.rest2 * gradient * gradient;
        *parameter = *parameter * by.decay - by.step * *first / (second.sqrt() * by.root + by.epsilon);
    }
}

/// average ← d·average + (1 − d)·`scale`·W.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub fn blend<T: Real>(average: &mut [T], parameters: &[T], decay: f64, scale: f64) {
    let (decay, rest) = (T::from_f64(decay), T::from_f64((1.0 - decay) * scale));
    for (average, &parameter) in average.iter_mut().zip(parameters) {
        *average = decay * *average + rest * parameter;
    }
}

/// ‖W‖², summed in f64 in eight partial sums.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub fn squares<T: Real>(parameters: &[T]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let (blocks, rest) = parameters.as_chunks::<8>();
    for block in blocks {
        for (sum, value) in sums.iter_mut().zip(block) {
            *sum += value.as_f64() * value.as_f64();
        }
    }
    for (sum, value) in sums.iter_mut().zip(rest) {
        *sum += value.as_f64() * value.as_f64();
    }
    sums.iter().sum()
}

/// What clipping multiplies a gradient of this squared norm by, as PyTorch does.
pub fn clip_factor(clip_norm: f64, squares: f64) -> f64 {
    let factor = clip_norm / (squares.sqrt() + 1e-6);
    if factor < 1.0 { factor } else { 1.0 }
}

/// What `max_norm` multiplies a unit's weights of this squared norm by; none where they may stay.
pub fn norm_factor(max_norm: f64, squares: f64) -> Option<f64> {
    (max_norm > 0.0 && squares > max_norm * max_norm).then(|| max_norm / squares.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(rule: Rule, l2: f64) -> Method {
        Method { rule, l2, ..Method::default() }
    }

    #[test]
    fn descent_with_a_penalty_is_what_its_formula_says() {
        let (rate, l2, weight, gradient) = (0.1, 0.25, 3.0_f64, 0.7);
        let scalars = method(Rule::Sgd, l2).scalars(0, rate, Factors::default());
        let mut parameters = [weight];
        Rule::Sgd.apply(&scalars, &mut parameters, &mut [], &[gradient]);
        let expected = weight - rate * (gradient + 2.0 * l2 * weight);
        assert!((parameters[0] - expected).abs() < 1e-15);
        Rule::Sgd.apply(&scalars.of_biases(), &mut parameters, &mut [], &[0.0]);
        assert!((parameters[0] - expected).abs() < 1e-15, "no penalty on biases");
    }

    #[test]
    fn a_small_or_negative_factor_is_folded_into_the_weights() {
        for (rate, l2, before) in [(0.1, 0.25, 1.0), (0.1, 4.99, 0.5), (0.1, 5.0, 1.0), (0.1, 60.0, 1.0)] {
            let scalars = method(Rule::Sgd, l2).scalars(7, rate, Factors { weights: before });
            let sigma = before * (1.0 - 2.0 * rate * l2);
            assert_eq!(scalars.fold, (sigma < 1e-3).then_some(sigma));
            // σ·(V + δ·XᵀdZ) descends by η, whether σ was folded or not.
            assert!((scalars.factors.weights * scalars.delta + rate).abs() < 1e-15);
        }
    }

    #[test]
    fn clipping_shortens_long_gradients_only() {
        assert_eq!(clip_factor(1.0, 0.25), 1.0);
        assert!((clip_factor(1.0, 4.0) - 0.5).abs() < 1e-6);
        assert_eq!(clip_factor(1.0, f64::NAN), 1.0, "what diverged stays visible");
        assert_eq!(norm_factor(2.0, 16.0), Some(0.5));
        assert_eq!((norm_factor(2.0, 4.0), norm_factor(0.0, 16.0)), (None, None));
    }
}
