//! What trials begin with: weights and minibatches drawn for their seed.

use super::task::Task;
use crate::data::sampler::Sampler;
use crate::data::{Dataset, Split};
use crate::model::{CheckedHyperparameters, Hyperparameters, TwoLayerNet};
use crate::random::numpy::RandomState;
use crate::random::{self, Generator, Normals, Purpose};
use crate::real::Real;

/// The first network of each task, of `inputs` inputs, and the stream of minibatches, that their hyperparameters and seeds give.
///
/// # Panics
/// There are no tasks.
pub fn draw<T: Real>(data: &Dataset, inputs: usize, tasks: &[Task<'_>]) -> (Vec<TwoLayerNet<T>>, Sampler) {
    let shared = tasks[0].hyperparameters;
    let rows = data.rows(Split::Train).len();
    match shared.random {
        Generator::ChaCha8 => {
            let draw = |h: &_| first_network(data, inputs, h, &mut random::stream(shared.seed, Purpose::Init, 0));
            (first_networks(tasks, draw), Sampler::new(shared.seed, shared.sampling, rows))
        }
        Generator::Numpy => {
            // One stream draws a network and then the minibatches. Trials of a cohort have networks of one shape, so
            // their streams stand at the same place when the weights are drawn.
            let first = RandomState::new(u32::try_from(shared.seed).expect("checked: numpy takes the seed"));
            let mut state = first.clone();
            let draw = |h: &_| {
                state = first.clone();
                first_network(data, inputs, h, &mut state)
            };
            let networks = first_networks(tasks, draw);
            (networks, Sampler::from_numpy(state, shared.sampling, rows))
        }
    }
}

/// The networks that trials of one seed start from. Those of one shape and scale start from the same weights, so these are drawn
/// once: normals are slow, some 20 ns each from numpy's stream.
fn first_networks<T: Clone>(
    tasks: &[Task<'_>],
    mut draw: impl FnMut(&CheckedHyperparameters) -> TwoLayerNet<T>,
) -> Vec<TwoLayerNet<T>> {
    // What the weights are drawn by, beside what all trials of a cohort have in common. Without `..`: a new hyperparameter is asked about.
    let drawn_by = |h: &CheckedHyperparameters| {
        let Hyperparameters {
            hidden,
            learning_rate: _,
            learning_rate_decay: _,
            l2: _,
            batch_size: _,
            iterations: _,
            weight_scale,
            sampling: _,
            precision: _,
            random: _,
            seed: _,
            optimizer: _,
            momentum: _,
            beta1: _,
            beta2: _,
            epsilon: _,
            clip_norm: _,
            schedule: _,
            warmup: _,
            learning_rate_floor: _,
            decay_epochs: _,
            dropout: _,
            input_dropout: _,
            label_smoothing: _,
            average: _,
            max_norm: _,
            init,
            preparation: _,
            components: _,
            whitening_epsilon: _,
            mirror: _,
            shift: _,
            crop: _,
            rotate: _,
            cutout: _,
            brightness: _,
            contrast: _,
            patience: _,
            folds: _,
            fold: _,
        } = **h;
        (hidden, weight_scale, init)
    };
    let mut networks: Vec<TwoLayerNet<T>> = Vec::with_capacity(tasks.len());
    for (at, task) in tasks.iter().enumerate() {
        let h = task.hyperparameters;
        let same = tasks[..at].iter().position(|other| drawn_by(other.hyperparameters) == drawn_by(h));
        networks.push(same.map_or_else(|| draw(h), |same| networks[same].clone()));
    }
    networks
}

/// The network that a trial starts from: drawn for its seed and shape alone.
fn first_network<T: Real>(
    data: &Dataset,
    inputs: usize,
    h: &CheckedHyperparameters,
    stream: &mut impl Normals,
) -> TwoLayerNet<T> {
    let scales = h.init.scales(inputs, h.hidden, data.classes(), h.weight_scale);
    TwoLayerNet::random(inputs, h.hidden, data.classes(), scales, stream)
}
