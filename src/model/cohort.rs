//! Many networks side by side: trials that see the same minibatches train in lockstep over one wide first-layer matrix.
//!
//! Shape letters as in [`two_layer_net`](super::two_layer_net), with K members. All first-layer weights stand in one matrix V, a
//! row a hidden unit, so everything is transposed and a member's units can stand anywhere:
//!
//! ```text
//! one forward    Zᵀ = V·Xᵀ             (places, D)·(D, B)
//! per member     bias, ReLU, second layer, softmax, gradients, update    (small; see `head` and `optimizer`)
//! one backward   V += Δᵀ·X             (places, B)·(B, D), straight into the weights
//! ```
//!
//! Two identities make it exact and cheap.
//!
//! *No gradient buffer.* SGD adds −η·dW1 = −η·Xᵀ·dZ to the weights, so each member's rows of dZᵀ are scaled by its own −η and the
//! product accumulates into the weights.
//!
//! *No decay pass.* The L2 penalty multiplies W1 by (1 − 2ηλ) before that. Member k's weights are held as W1_k = σ_k·V_k;
//! the decay multiplies the scalar σ_k, and Δ_k is divided by it (see [`Factors`]). Before σ_k gets small it is folded back into V_k.
//!
//! A member's results do not depend on its neighbours, to the bit: rows of a product do not mix, each unit stands in a place of the
//! lane that it has alone ([`Lanes`]), and what is per member is computed by itself.

use ndarray::ArrayViewMut2;

use super::head::{Head, UnitRows};
use super::optimizer::{Factors, Method, blend, squares};
use super::softmax::softmax_loss;
use super::tally::Tally;
use super::two_layer_net::TwoLayerNet;
pub use super::wide::Weights;
use super::wide::layers::Layers;
use super::wide::{Rows, Wide};
use crate::blas::lanes::Lanes;
use crate::data::images::Label;
use crate::data::minibatch::Batch;
use crate::random::Purpose;
use crate::random::dropout::{Dropped, Uniforms};
use crate::real::Real;
use crate::tensors::Parts;

/// What a member does in one iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// The iteration, from 0: which update it is.
    pub iteration: usize,
    /// η of the update.
    pub rate: f64,
    /// The seed of what is dropped: the same for all members.
    pub seed: u64,
    /// The loss without its penalty, before the update: written by [`Cohort::iterate`].
    pub data_loss: f64,
}

/// One network of a cohort: all but its first-layer weights, which stand in the wide matrix.
#[derive(Clone, Debug)]
struct Member<T> {
    factors: Factors,
    head: Head<T>,
    /// What the rule keeps beside the head.
    slots: Vec<Head<T>>,
    /// The average of the head's weights.
    average: Option<Head<T>>,
    /// Of the head, in this iteration.
    gradient: Head<T>,
}

/// The weights of K networks that train in lockstep.
#[derive(Debug)]
pub struct Cohort<W: Wide> {
    wide: W,
    members: Vec<Member<W::Real>>,
    /// The rows of V of each member.
    rows: Vec<Rows>,
    lanes: Lanes,
}

/// A worker's private buffers, allocated once for a cohort.
#[derive(Clone, Debug)]
pub struct Scratch<T> {
    /// Zᵀ, then Aᵀ, then Δᵀ: (places, B).
    wide: Vec<T>,
    /// Sᵀ, then dSᵀ, of one member, and a row more: (C + 1, B).
    work: Vec<T>,
    /// B.
    rows: usize,
    /// What dropout draws by.
    uniforms: Uniforms,
}

impl<W: Wide> Cohort<W> {
    /// Puts networks side by side, each unit in its lane.
    ///
    /// # Panics
    /// There is none, or they differ in inputs or layout.
    pub fn new(networks: Vec<(TwoLayerNet<W::Real>, Method)>, lanes: Lanes) -> Self {
        let inputs = networks[0].0.w1.nrows();
        let units = networks.iter().map(|(network, method)| (network.b1.len(), *method));
        let (mut layers, rows) = Self::empty(&lanes, inputs, units);
        let member = |((network, method), rows): ((TwoLayerNet<W::Real>, Method), &Rows)| {
            let TwoLayerNet { w1, b1, w2, b2 } = network;
            assert_eq!(w1.nrows(), inputs, "networks of a cohort have the same inputs");
            for (unit, &place) in w1.columns().into_iter().zip(&rows.places) {
                layers.set(place, &mut unit.iter().copied());
            }
            Member::new(method, Factors::default(), Head { b1, w2, b2 })
        };
        let members = networks.into_iter().zip(&rows).map(member).collect();
        Self { wide: W::new(layers, &lanes), members, rows, lanes }
    }

    /// The cohort of members as [`Cohort::state`] gave them, to the bit.
    ///
    /// # Errors
    /// Something is missing in one of them, or has another shape or precision.
    ///
    /// # Panics
    /// There is none, or they differ in layout.
    pub fn resume(members: &[(&Parts, Method)], inputs: usize, lanes: Lanes) -> Result<Self, String> {
        let heads: Vec<Head<W::Real>> =
            members.iter().map(|(parts, _)| Head::load(parts, "")).collect::<Result<_, _>>()?;
        let units = heads.iter().zip(members).map(|(head, (_, method))| (head.b1.len(), *method));
        let (mut layers, rows) = Self::empty(&lanes, inputs, units);
        let mut resumed = Vec::with_capacity(members.len());
        for ((head, rows), &(parts, method)) in heads.into_iter().zip(&rows).zip(members) {
            layers.load(&rows.places, parts)?;
            let mut member = Member::new(method, Factors::load(parts)?, head);
            for (slot, head) in member.slots.iter_mut().enumerate() {
                *head = Head::load(parts, &prefix_of_slot(slot))?;
            }
            if let Some(average) = &mut member.average {
                *average = Head::load(parts, AVERAGE)?;
            }
            resumed.push(member);
        }
        Ok(Self { wide: W::new(layers, &lanes), members: resumed, rows, lanes })
    }

    /// Layers of zeros, and the rows in them of members with so many units.
    fn empty(
        lanes: &Lanes,
        inputs: usize,
        members: impl Iterator<Item = (usize, Method)>,
    ) -> (Layers<W::Real>, Vec<Rows>) {
        let (units, methods): (Vec<usize>, Vec<Method>) = members.unzip();
        let layout = methods[0].layout();
        assert!(methods.iter().all(|method| method.layout() == layout), "one layout a cohort");
        let (places, count) = lanes.places(&units);
        let rows = places.into_iter().zip(methods).map(|(places, method)| Rows {
            places,
            method,
            scalars: method.scalars(0, 0.0, Factors::default()),
            head_squares: 0.0,
        });
        (Layers::zeros(count, inputs, layout), rows.collect())
    }

    /// K.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Buffers for minibatches of `rows` rows.
    pub fn scratch(&self, rows: usize) -> Scratch<W::Real> {
        let classes = self.members.first().map_or(0, |member| member.head.classes());
        let zeros = |count| vec![num_traits::Zero::zero(); count];
        Scratch {
            wide: zeros(self.wide.layers().places() * rows),
            work: zeros((classes + 1) * rows),
            rows,
            uniforms: Uniforms::default(),
        }
    }

    /// One iteration of every member on `batch`: forward, loss, gradients, update; `steps[k]` has member k's rate, and gets its loss.
    ///
    /// # Panics
    /// There is not one step a member, or `scratch` is for another number of rows.
    pub fn iterate(&mut self, batch: &W::Batch, scratch: &mut Scratch<W::Real>, steps: &mut [Step]) {
        self.forward(batch, scratch);
        self.middle(batch.labels(), scratch, steps);
        self.backward(batch, scratch);
    }

    /// The first wide product: Zᵀ = V·Xᵀ into the scratch.
    pub fn forward(&mut self, batch: &W::Batch, scratch: &mut Scratch<W::Real>) {
        let z = &mut scratch.wide[..self.wide.layers().places() * scratch.rows];
        self.wide.forward(batch, z);
    }

    /// All between the two wide products, member by member: takes the gradients of the heads, and leaves Δᵀ in place of Zᵀ.
    ///
    /// # Panics
    /// As [`Cohort::iterate`].
    pub fn middle(&mut self, labels: &[Label], scratch: &mut Scratch<W::Real>, steps: &mut [Step]) {
        assert_eq!(steps.len(), self.members.len(), "one step a member");
        let drops = |rows: &&Rows| rows.method.dropout > 0.0;
        let units = self.rows.iter().filter(drops).map(|rows| rows.places.len()).max();
        if let (Some(units), Some(step)) = (units, steps.first()) {
            scratch.uniforms.draw(step.seed, Purpose::Dropout, step.iteration, units, scratch.rows);
        }
        for ((member, rows), step) in self.members.iter_mut().zip(&mut self.rows).zip(steps) {
            step.data_loss = member.differentiate(rows, &mut self.wide, labels, scratch, *step);
        }
    }

    /// The second wide product, V += Δᵀ·X where the rule has its updates so, and the rule's steps.
    pub fn backward(&mut self, batch: &W::Batch, scratch: &Scratch<W::Real>) {
        let deltas = &scratch.wide[..self.wide.layers().places() * scratch.rows];
        self.wide.update(deltas, batch, &mut self.rows);
        self.members.iter_mut().zip(&self.rows).for_each(|(member, rows)| member.descend(rows));
    }

    /// Calls `take` with k and the scores Sᵀ (C, B) of `batch`, for each member k: those of the average of its weights where that is asked
    /// for and there is one.
    ///
    /// # Panics
    /// `scratch` is for another number of rows.
    pub fn scores(
        &mut self,
        batch: &W::Batch,
        weights: Weights,
        scratch: &mut Scratch<W::Real>,
        mut take: impl FnMut(usize, &[W::Real]),
    ) {
        let is_averaged = weights == Weights::Averaged && self.averages();
        let weights = if is_averaged { Weights::Averaged } else { Weights::Raw };
        let z = &mut scratch.wide[..self.wide.layers().places() * scratch.rows];
        self.wide.evaluate(batch, weights, z);
        for (k, (member, of_member)) in self.members.iter().zip(&self.rows).enumerate() {
            let Scratch { wide, work, rows, .. } = scratch;
            let (head, scale) = match &member.average {
                Some(average) if is_averaged => (average, 1.0),
                _ => (&member.head, member.factors.weights),
            };
            let scores = &mut work[..head.classes() * *rows];
            let mut units = UnitRows { wide: wide_view(wide, *rows), places: &of_member.places };
            head.scores(&mut units, W::Real::from_f64(scale), None, scores);
            take(k, scores);
        }
    }

    /// Adds how member k does on the rows of `batch` to `tallies[k]`.
    ///
    /// # Panics
    /// There is not one tally a member, or `scratch` is for another number of rows.
    pub fn tally(&mut self, batch: &W::Batch, weights: Weights, scratch: &mut Scratch<W::Real>, tallies: &mut [Tally]) {
        assert_eq!(tallies.len(), self.members.len(), "one tally a member");
        let rows = scratch.rows;
        self.scores(batch, weights, scratch, |k, scores| tallies[k].add(scores, rows, batch.labels()));
    }

    /// Whether the members' weights are averaged.
    pub fn averages(&self) -> bool {
        self.members.iter().any(|member| member.average.is_some())
    }

    /// λ(‖W1‖² + ‖W2‖²) of member k, as far as it is a part of the loss: one pass over its weights.
    pub fn penalty(&self, member: usize) -> f64 {
        let (Member { factors, head, .. }, Rows { method, places, .. }) = (&self.members[member], &self.rows[member]);
        let l2 = method.penalty();
        if l2 == 0.0 {
            return 0.0;
        }
        let second: f64 = head.w2.iter().map(|weight| weight.as_f64() * weight.as_f64()).sum();
        l2 * (factors.weights * factors.weights * self.wide.layers().squares(places) + second)
    }

    /// Drops the members for which `stays` is false, and closes the gaps that they leave in the wide matrix.
    pub fn retain(&mut self, stays: impl Fn(usize) -> bool) {
        let mut number = 0;
        let mut stays = |()| {
            number += 1;
            stays(number - 1)
        };
        let (members, rows) = (std::mem::take(&mut self.members), std::mem::take(&mut self.rows));
        (self.members, self.rows) = members.into_iter().zip(rows).filter(|_| stays(())).unzip();
        let units: Vec<usize> = self.rows.iter().map(|rows| rows.places.len()).collect();
        let (places, count) = self.lanes.places(&units);
        let mut moves = Vec::with_capacity(units.iter().sum());
        for (rows, places) in self.rows.iter_mut().zip(places) {
            moves.extend(rows.places.iter().copied().zip(places.iter().copied()));
            rows.places = places;
        }
        self.wide.layers_mut().relocate(&moves, count);
    }

    /// Member k as a network of its own, with the average of its weights where that is asked for and there is one.
    pub fn network(&self, member: usize, weights: Weights) -> TwoLayerNet<W::Real> {
        let Member { factors, head, average, .. } = &self.members[member];
        let (layers, places) = (self.wide.layers(), &self.rows[member].places);
        let (w1, Head { b1, w2, b2 }) = match average {
            Some(average) if weights == Weights::Averaged => (layers.average_layer(places), average),
            _ => (layers.first_layer(places, factors.weights), head),
        };
        TwoLayerNet { w1, b1: b1.clone(), w2: w2.clone(), b2: b2.clone() }
    }

    /// Member k as it stands: what [`Cohort::resume`] makes it again from.
    pub fn state(&self, member: usize) -> Parts {
        let Member { factors, head, slots, average, .. } = &self.members[member];
        let mut parts = Parts::default();
        self.wide.layers().save(&self.rows[member].places, &mut parts);
        factors.save(&mut parts);
        head.save(&mut parts, "");
        slots.iter().enumerate().for_each(|(slot, head)| head.save(&mut parts, &prefix_of_slot(slot)));
        average.iter().for_each(|average| average.save(&mut parts, AVERAGE));
        parts
    }
}

/// A wide buffer as (places, B).
fn wide_view<T>(wide: &mut [T], columns: usize) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape((wide.len() / columns, columns), wide).expect("whole rows")
}

/// What the names of a slot's parameters begin with in [`Parts`].
fn prefix_of_slot(slot: usize) -> String {
    format!("slot{slot}.")
}

/// What the names of the average's parameters begin with in [`Parts`].
const AVERAGE: &str = "average.";

impl<T: Real> Member<T> {
    fn new(method: Method, factors: Factors, head: Head<T>) -> Self {
        let zeros = || Head::zeros(head.b1.len(), head.classes());
        let layout = method.layout();
        let slots = (0..layout.slots()).map(|_| zeros()).collect();
        let average = layout.averages.then(|| head.clone());
        Self { gradient: zeros(), factors, head, slots, average }
    }

    /// All between the two wide products: returns the data loss, takes the head's gradient, and leaves Δᵀ in the member's rows of
    /// `scratch.wide`.
    fn differentiate<W: Wide<Real = T>>(
        &mut self,
        rows: &mut Rows,
        wide: &mut W,
        labels: &[Label],
        scratch: &mut Scratch<T>,
        step: Step,
    ) -> f64 {
        let before = T::from_f64(self.factors.weights);
        let Rows { places, method, .. } = &*rows;
        let scalars = method.scalars(step.iteration, step.rate, self.factors);
        scalars.fold.iter().for_each(|&fold| wide.layers_mut().multiply(places, fold));
        self.factors = scalars.factors;

        let (scores, d_activations) = scratch.work.split_at_mut(self.head.classes() * scratch.rows);
        let mut units = UnitRows { wide: wide_view(&mut scratch.wide, scratch.rows), places };
        let dropped = Dropped::of(method.dropout);
        let kept = dropped.map_or(T::one(), |dropped| dropped.factor);
        self.head.scores(&mut units, before, dropped.map(|dropped| (dropped, &scratch.uniforms)), scores);
        let loss = softmax_loss::<T, W::Functions>(scores, labels, method.label_smoothing);
        let factors = [T::from_f64(scalars.delta), kept];
        self.head.backward(&mut units, scores, factors, &mut self.gradient, d_activations);
        if method.clip_norm > 0.0 {
            rows.head_squares = self.gradient.parameters().into_iter().map(squares).sum();
        }
        rows.scalars = scalars;
        loss
    }

    /// The rule's update of the head, and that of its average.
    fn descend(&mut self, Rows { method, scalars, .. }: &Rows) {
        let (rule, of_biases) = (method.rule, scalars.of_biases());
        let scalars_of = [&of_biases, scalars, &of_biases];
        let (gradients, parameters) = (self.gradient.parameters(), self.head.parameters_mut());
        let parts = parameters.into_iter().zip(gradients).zip(scalars_of);
        match &mut self.slots[..] {
            [] => parts.for_each(|((part, gradient), scalars)| rule.apply(scalars, part, &mut [], gradient)),
            [slot] => parts.zip(slot.parameters_mut()).for_each(|(((part, gradient), scalars), slot)| {
                rule.apply(scalars, part, &mut [slot], gradient);
            }),
            [first, second] => {
                let slots = first.parameters_mut().into_iter().zip(second.parameters_mut());
                parts.zip(slots).for_each(|(((part, gradient), scalars), (first, second))| {
                    rule.apply(scalars, part, &mut [first, second], gradient);
                });
            }
            slots => unreachable!("no rule has {} slots", slots.len()),
        }
        if let Some(average) = &mut self.average {
            let parts = average.parameters_mut().into_iter().zip(self.head.parameters());
            parts.for_each(|(average, part)| blend(average, part, scalars.average, 1.0));
        }
    }
}
