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

use super::head::{Head, UnitRows, softmax_loss};
use super::optimizer::{Factors, Method, Scalars, blend, clip_factor, squares};
use super::tally::Tally;
use super::two_layer_net::TwoLayerNet;
use super::wide::Wide;
use crate::blas::lanes::Lanes;
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
    method: Method,
    /// The row of V for each hidden unit.
    places: Vec<usize>,
    factors: Factors,
    head: Head<T>,
    /// What the rule keeps beside the head.
    slots: Vec<Head<T>>,
    /// The average of the head's weights.
    average: Option<Head<T>>,
    /// Of the head, in this iteration.
    gradient: Head<T>,
    /// The numbers of this iteration's update.
    scalars: Option<Scalars>,
}

/// The weights of K networks that train in lockstep.
#[derive(Debug)]
pub struct Cohort<W: Wide> {
    wide: W,
    members: Vec<Member<W::Real>>,
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
        let (mut wide, places) =
            Self::empty(&lanes, inputs, networks.iter().map(|(network, method)| (network.b1.len(), *method)));
        let member = |((network, method), places): ((TwoLayerNet<W::Real>, Method), Vec<usize>)| {
            let TwoLayerNet { w1, b1, w2, b2 } = network;
            assert_eq!(w1.nrows(), inputs, "networks of a cohort have the same inputs");
            for (unit, &place) in w1.columns().into_iter().zip(&places) {
                wide.set(place, &mut unit.iter().copied());
            }
            Member::new(method, places, Factors::default(), Head { b1, w2, b2 })
        };
        let members = networks.into_iter().zip(places).map(member).collect();
        Self { wide, members, lanes }
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
        let (mut wide, places) = Self::empty(&lanes, inputs, units);
        let mut resumed = Vec::with_capacity(members.len());
        for ((head, places), &(parts, method)) in heads.into_iter().zip(places).zip(members) {
            wide.load(&places, parts)?;
            let mut member = Member::new(method, places, Factors::load(parts)?, head);
            for (slot, head) in member.slots.iter_mut().enumerate() {
                *head = Head::load(parts, &prefix_of_slot(slot))?;
            }
            if let Some(average) = &mut member.average {
                *average = Head::load(parts, AVERAGE)?;
            }
            resumed.push(member);
        }
        Ok(Self { wide, members: resumed, lanes })
    }

    /// A wide matrix of zeros, and the places in it of members with so many units.
    fn empty(lanes: &Lanes, inputs: usize, members: impl Iterator<Item = (usize, Method)>) -> (W, Vec<Vec<usize>>) {
        let (units, methods): (Vec<usize>, Vec<Method>) = members.unzip();
        let layout = methods[0].layout();
        assert!(methods.iter().all(|method| method.layout() == layout), "one layout a cohort");
        let (places, rows) = lanes.places(&units);
        (W::zeros(rows, inputs, layout), places)
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
            wide: zeros(self.wide.places() * rows),
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
    pub fn forward(&self, batch: &W::Batch, scratch: &mut Scratch<W::Real>) {
        self.wide.forward(batch, &mut scratch.wide[..self.wide.places() * scratch.rows]);
    }

    /// All between the two wide products, member by member: takes the gradients of the heads, and leaves Δᵀ in place of Zᵀ.
    ///
    /// # Panics
    /// As [`Cohort::iterate`].
    pub fn middle(&mut self, labels: &[u8], scratch: &mut Scratch<W::Real>, steps: &mut [Step]) {
        assert_eq!(steps.len(), self.members.len(), "one step a member");
        let drops = |member: &&Member<W::Real>| member.method.dropout > 0.0;
        let units = self.members.iter().filter(drops).map(|member| member.places.len()).max();
        if let (Some(units), Some(step)) = (units, steps.first()) {
            scratch.uniforms.draw(step.seed, Purpose::Dropout, step.iteration, units, scratch.rows);
        }
        for (member, step) in self.members.iter_mut().zip(steps) {
            step.data_loss = member.differentiate(&mut self.wide, labels, scratch, *step);
        }
    }

    /// The second wide product, V += Δᵀ·X where the rule has its updates so, and the rule's steps.
    pub fn backward(&mut self, batch: &W::Batch, scratch: &Scratch<W::Real>) {
        self.wide.backward(&scratch.wide[..self.wide.places() * scratch.rows], batch);
        for member in &mut self.members {
            let Some(mut scalars) = member.scalars.take() else { continue };
            let Member { method, places, gradient, .. } = &*member;
            if method.clip_norm > 0.0 {
                let of_head: f64 = gradient.parameters().into_iter().map(squares).sum();
                scalars.clip = clip_factor(method.clip_norm, self.wide.gradient_squares(places) + of_head);
            }
            self.wide.step(places, method, &scalars);
            member.descend(&scalars);
        }
    }

    /// Calls `take` with k and the scores Sᵀ (C, B) of `batch`, for each member k: those of the average of its weights where that is asked
    /// for and there is one.
    ///
    /// # Panics
    /// `scratch` is for another number of rows.
    pub fn scores(
        &self,
        batch: &W::Batch,
        weights: Weights,
        scratch: &mut Scratch<W::Real>,
        mut take: impl FnMut(usize, &[W::Real]),
    ) {
        let is_averaged = weights == Weights::Averaged && self.averages();
        if is_averaged {
            self.wide.forward_average(batch, &mut scratch.wide[..self.wide.places() * scratch.rows]);
        } else {
            self.forward(batch, scratch);
        }
        for (k, member) in self.members.iter().enumerate() {
            let Scratch { wide, work, rows, .. } = scratch;
            let (head, scale) = match &member.average {
                Some(average) if is_averaged => (average, 1.0),
                _ => (&member.head, member.factors.weights),
            };
            let scores = &mut work[..head.classes() * *rows];
            let mut units = UnitRows { wide, columns: *rows, places: &member.places };
            head.scores(&mut units, W::Real::from_f64(scale), None, scores);
            take(k, scores);
        }
    }

    /// Adds how member k does on the rows of `batch` to `tallies[k]`.
    ///
    /// # Panics
    /// There is not one tally a member, or `scratch` is for another number of rows.
    pub fn tally(&self, batch: &W::Batch, weights: Weights, scratch: &mut Scratch<W::Real>, tallies: &mut [Tally]) {
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
        let Member { method, places, factors, head, .. } = &self.members[member];
        let l2 = method.penalty();
        if l2 == 0.0 {
            return 0.0;
        }
        let second: f64 = head.w2.iter().map(|weight| weight.as_f64() * weight.as_f64()).sum();
        l2 * (factors.weights * factors.weights * self.wide.squares(places) + second)
    }

    /// Drops the members for which `stays` is false, and closes the gaps that they leave in the wide matrix.
    pub fn retain(&mut self, stays: impl Fn(usize) -> bool) {
        let mut number = 0;
        self.members.retain(|_| {
            number += 1;
            stays(number - 1)
        });
        let units: Vec<usize> = self.members.iter().map(|member| member.places.len()).collect();
        let (places, rows) = self.lanes.places(&units);
        let mut moves = Vec::with_capacity(units.iter().sum());
        for (member, places) in self.members.iter_mut().zip(places) {
            moves.extend(member.places.iter().copied().zip(places.iter().copied()));
            member.places = places;
        }
        self.wide.relocate(&moves, rows);
    }

    /// Member k as a network of its own, with the average of its weights where that is asked for and there is one.
    pub fn network(&self, member: usize, weights: Weights) -> TwoLayerNet<W::Real> {
        let Member { places, factors, head, average, .. } = &self.members[member];
        let (w1, Head { b1, w2, b2 }) = match average {
            Some(average) if weights == Weights::Averaged => (self.wide.average_layer(places), average),
            _ => (self.wide.first_layer(places, factors.weights), head),
        };
        TwoLayerNet { w1, b1: b1.clone(), w2: w2.clone(), b2: b2.clone() }
    }

    /// Member k as it stands: what [`Cohort::resume`] makes it again from.
    pub fn state(&self, member: usize) -> Parts {
        let Member { places, factors, head, slots, average, .. } = &self.members[member];
        let mut parts = Parts::default();
        self.wide.save(places, &mut parts);
        factors.save(&mut parts);
        head.save(&mut parts, "");
        slots.iter().enumerate().for_each(|(slot, head)| head.save(&mut parts, &prefix_of_slot(slot)));
        average.iter().for_each(|average| average.save(&mut parts, AVERAGE));
        parts
    }
}

/// Which weights of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Those that the update rule changes.
    Raw,
    /// The average of these, where the member keeps one.
    Averaged,
}

/// What the names of a slot's parameters begin with in [`Parts`].
fn prefix_of_slot(slot: usize) -> String {
    format!("slot{slot}.")
}

/// What the names of the average's parameters begin with in [`Parts`].
const AVERAGE: &str = "average.";

impl<T: Real> Member<T> {
    fn new(method: Method, places: Vec<usize>, factors: Factors, head: Head<T>) -> Self {
        let zeros = || Head::zeros(head.b1.len(), head.classes());
        let layout = method.layout();
        let slots = (0..layout.slots()).map(|_| zeros()).collect();
        let average = layout.averages.then(|| head.clone());
        Self { gradient: zeros(), method, places, factors, head, slots, average, scalars: None }
    }

    /// All between the two wide products: returns the data loss, takes the head's gradient, and leaves Δᵀ in the member's rows of
    /// `scratch.wide`.
    fn differentiate<W: Wide<Real = T>>(
        &mut self,
        wide: &mut W,
        labels: &[u8],
        scratch: &mut Scratch<T>,
        step: Step,
    ) -> f64 {
        let before = T::from_f64(self.factors.weights);
        let scalars = self.method.scalars(step.iteration, step.rate, self.factors);
        scalars.fold.iter().for_each(|&fold| wide.multiply(&self.places, fold));
        self.factors = scalars.factors;

        let (scores, d_activations) = scratch.work.split_at_mut(self.head.classes() * scratch.rows);
        let mut units = UnitRows { wide: &mut scratch.wide, columns: scratch.rows, places: &self.places };
        let dropped = Dropped::of(self.method.dropout);
        let kept = dropped.map_or(T::one(), |dropped| dropped.factor);
        self.head.scores(&mut units, before, dropped.map(|dropped| (dropped, &scratch.uniforms)), scores);
        let loss = softmax_loss(scores, labels, self.method.label_smoothing);
        let factors = [T::from_f64(scalars.delta), kept];
        self.head.backward(&mut units, scores, factors, &mut self.gradient, d_activations);
        self.scalars = Some(scalars);
        loss
    }

    /// The rule's update of the head, and that of its average.
    fn descend(&mut self, scalars: &Scalars) {
        let (rule, of_biases) = (self.method.rule, scalars.of_biases());
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
