//! Which rows of a product are summed in the same order: what makes a trial's bits independent of its cohort.
//!
//! A kernel of OpenBLAS works through the rows of C = A·B in groups, and may sum the rows of a group in different orders: the same
//! row of A then gives other last bits at another place. The order depends on the place only modulo a small period (1 for most
//! kernels; 12, in two halves of 6, for the AVX2 kernels of Haswell and Zen). So places fall into *lanes*: a hidden unit that
//! always stands in a place of the same lane gives the same bits in any product, with any neighbours.
//!
//! The lanes are measured, not assumed: a product whose rows of A are all equal shows them directly. Where no short period
//! exists, there are no lanes, and trials can only train alone.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use ndarray::Array2;
use ndarray::linalg::general_mat_mul;
use rand::RngExt;

use crate::random::{self, Purpose};
use crate::real::Real;

/// Rows of the measured products: a multiple of every period that is looked for, and several of the longest.
const ROWS: usize = 240;
/// The longest period that is looked for.
const LONGEST_PERIOD: usize = 48;
/// A matrix of one row is both row-major and column-major, and which of the two BLAS is called with can show in the bits: products always have
/// some rows.
const LEAST_ROWS: usize = 8;
/// Products of up to this many multiply-adds can take another path through OpenBLAS ("small matrix"), which sums in another
/// order: a product is padded to more.
const SMALL_PRODUCT: usize = 1_100_000;
/// Minibatches of more rows are measured with this many.
const MOST_BATCH_ROWS: usize = 2048;

/// The lanes of the rows of a product: place p is in lane `pattern[p % pattern.len()]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lanes {
    pattern: Vec<usize>,
    /// The number of rows is a multiple of this.
    multiple: usize,
    /// Fewer rows than this take the path of small products.
    least_rows: usize,
    /// Whether this is known of products of any number of rows.
    is_measured: bool,
}

/// The shapes of the products that a hidden unit takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// B: rows of a minibatch.
    pub batch_rows: usize,
    /// Rows of a minibatch at evaluation.
    pub evaluation_rows: usize,
    /// D.
    pub inputs: usize,
}

impl Lanes {
    /// The lanes of the kernel in use, for f32 or f64 and these shapes: measured once a process, in milliseconds. `None` where
    /// places have no short period.
    pub fn measured<T: Real>(shape: Shape) -> Option<Self> {
        type Known = Mutex<HashMap<(TypeId, Shape), Option<Lanes>>>;
        static KNOWN: LazyLock<Known> = LazyLock::new(Mutex::default);
        // A panic while measuring leaves the table as it was.
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry((TypeId::of::<T>(), shape)).or_insert_with(|| measure::<T>(shape)).clone()
    }

    /// One lane for every place, of products of any size: for networks that train alone.
    pub fn alone() -> Self {
        Self { pattern: vec![0], multiple: 1, least_rows: LEAST_ROWS, is_measured: false }
    }

    /// One lane for every place, of products of any size, with nothing left empty: where every row is summed alike.
    pub fn any() -> Self {
        Self { pattern: vec![0], multiple: 1, least_rows: 0, is_measured: true }
    }

    /// How the rows of a product may be split: into parts that begin at multiples of the first number and have at least the second one of
    /// rows, a multiple of the first too. None where it may not be split.
    pub fn parts(&self) -> Option<(usize, usize)> {
        self.is_measured.then_some((self.multiple, self.least_rows.next_multiple_of(self.multiple)))
    }

    /// Length of the period.
    pub fn period(&self) -> usize {
        self.pattern.len()
    }

    /// The place of every unit of every trial, given the trials' numbers of units; and the number of places in all, of which
    /// some stay empty. A unit's lane depends on its own number alone.
    pub fn places(&self, units: &[usize]) -> (Vec<Vec<usize>>, usize) {
        let period = self.period();
        let order = self.alternating();
        // The places of each lane within a period, and how many of the lane are taken.
        let lanes = self.pattern.iter().max().map_or(0, |&last| last + 1);
        let offsets: Vec<Vec<usize>> =
            (0..lanes).map(|lane| (0..period).filter(|&p| self.pattern[p] == lane).collect()).collect();
        let mut taken = vec![0; lanes];
        let mut place = |unit: usize| {
            let lane = order[unit % period];
            let (of_lane, next) = (&offsets[lane], taken[lane]);
            taken[lane] += 1;
            next / of_lane.len() * period + of_lane[next % of_lane.len()]
        };
        let places: Vec<Vec<usize>> = units.iter().map(|&units| (0..units).map(&mut place).collect()).collect();
        let used = places.iter().flatten().max().map_or(0, |&last| last + 1);
        (places, used.max(self.least_rows).next_multiple_of(self.multiple))
    }

    /// The lanes of a period, each spread evenly over it, so that few units fill all lanes alike.
    fn alternating(&self) -> Vec<usize> {
        let count = |lane: usize| self.pattern.iter().filter(|&&other| other == lane).count();
        let mut seen = HashMap::<usize, usize>::new();
        let mut order: Vec<(usize, usize)> = Vec::with_capacity(self.period());
        for &lane in &self.pattern {
            let nth = seen.entry(lane).or_default();
            order.push((*nth * self.period() / count(lane), lane));
            *nth += 1;
        }
        order.sort_unstable();
        order.into_iter().map(|(_, lane)| lane).collect()
    }
}

/// The bits of every row of forward and backward products whose rows are all equal.
struct Probe<T> {
    x: Array2<T>,
    evaluation: Array2<T>,
    unit: Vec<T>,
    delta: Vec<T>,
}

impl<T: Real> Probe<T> {
    fn new(shape: Shape) -> Self {
        let mut stream = random::stream(0, Purpose::Lanes, 0);
        let mut draw = || T::from_f64(stream.random_range(-1.0..1.0));
        let rows = shape.batch_rows.min(MOST_BATCH_ROWS);
        let mut matrix = |rows| Array2::from_shape_simple_fn((rows, shape.inputs), &mut draw);
        let (x, evaluation) = (matrix(rows), matrix(shape.evaluation_rows));
        let unit = (0..shape.inputs).map(|_| draw()).collect();
        Self { x, evaluation, unit, delta: (0..rows).map(|_| draw()).collect() }
    }

    /// For each of `rows` places, everything that stands there after the products.
    fn results(&self, rows: usize) -> Vec<Vec<u64>> {
        let equal = |row: &[T]| Array2::from_shape_fn((rows, row.len()), |(_, column)| row[column]);
        let (units, deltas) = (equal(&self.unit), equal(&self.delta));
        let forward = |x: &Array2<T>| {
            let mut z = Array2::zeros((rows, x.nrows()));
            general_mat_mul(T::one(), &units, &x.t(), T::zero(), &mut z);
            z
        };
        let mut backward = units.clone();
        general_mat_mul(T::one(), &deltas, &self.x, T::one(), &mut backward);
        let products = [forward(&self.x), forward(&self.evaluation), backward];
        let bits = |product: &Array2<T>, row: usize| {
            product.row(row).iter().map(|value| value.as_f64().to_bits()).collect::<Vec<_>>()
        };
        (0..rows).map(|row| products.iter().flat_map(|product| bits(product, row)).collect()).collect()
    }
}

fn measure<T: Real>(shape: Shape) -> Option<Lanes> {
    super::set_one_thread(); // several threads would split the rows among them
    let probe = Probe::<T>::new(shape);
    let rows = probe.results(ROWS);
    let candidates = || (1..=LONGEST_PERIOD).filter(|length| ROWS.is_multiple_of(*length));
    let repeats = |period: usize| (period..ROWS).all(|place| rows[place] == rows[place - period]);
    let period = candidates().find(|&period| repeats(period))?;
    // Products of other sizes must have the same lanes with the same bits, from the smallest on, or from those that take the path of
    // large products on. A kernel treats what is left over after its last whole group in another way, so the number of rows must
    // be a multiple of the group.
    let same = |count: usize| probe.results(count).iter().enumerate().all(|(place, row)| *row == rows[place % period]);
    let large = SMALL_PRODUCT / (shape.inputs * shape.batch_rows.min(shape.evaluation_rows)).max(1) + 1;
    let multiples = candidates().filter(|multiple| multiple.is_multiple_of(period));
    let (multiple, least_rows) = multiples
        .flat_map(|multiple| [LEAST_ROWS, large].map(|least| (multiple, least)))
        .find(|&(multiple, least)| {
            let [least, large] = [least, large].map(|rows| rows.next_multiple_of(multiple));
            [least, least + multiple, large, large + multiple, ROWS + multiple, ROWS + 5 * multiple]
                .into_iter()
                .all(same)
        })?;
    let lane = |place: usize| (0..place).find(|&earlier| rows[earlier] == rows[place]).unwrap_or(place);
    let first: Vec<usize> = (0..period).map(lane).collect();
    let mut distinct = first.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let pattern = first.iter().map(|lane| distinct.partition_point(|other| other < lane)).collect();
    Some(Lanes { pattern, multiple, least_rows, is_measured: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TWO_LANES: [usize; 12] = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1];

    #[test]
    fn the_kernel_in_use_has_lanes() {
        let shape = Shape { batch_rows: 20, evaluation_rows: 50, inputs: 300 };
        assert!(Lanes::measured::<f32>(shape).is_some() && Lanes::measured::<f64>(shape).is_some());
    }

    #[test]
    fn two_lanes_fill_alike() {
        let lanes = Lanes { pattern: TWO_LANES.to_vec(), multiple: 12, least_rows: 0, is_measured: true };
        let (places, rows) = lanes.places(&[50; 8]);
        assert_eq!(rows, 408, "400 units in 34 periods");
        assert_eq!(places[0][..4], [0, 6, 1, 7]);
    }

    proptest! {
        #[test]
        fn every_unit_has_a_place_of_its_own_in_the_lane_that_it_has_alone(
            units in prop::collection::vec(1_usize..70, 1..20), pattern in prop::collection::vec(0_usize..3, 1..13), least_rows in 0_usize..100,
        ) {
            // Lanes are numbered without gaps.
            let mut distinct = pattern.clone();
            distinct.sort_unstable();
            distinct.dedup();
            let pattern: Vec<usize> = pattern.iter().map(|lane| distinct.binary_search(lane).unwrap()).collect();
            let lanes = Lanes { pattern: pattern.clone(), multiple: 2 * pattern.len(), least_rows, is_measured: true };
            let (places, rows) = lanes.places(&units);
            prop_assert!(rows >= least_rows && rows % pattern.len() == 0);
            let mut all: Vec<usize> = places.iter().flatten().copied().collect();
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(all.len(), units.iter().sum::<usize>());
            prop_assert!(all.last().is_none_or(|&last| last < rows));
            for (places, &units) in places.iter().zip(&units) {
                let alone = &lanes.places(&[units]).0[0];
                let lane = |place: &usize| pattern[place % pattern.len()];
                prop_assert!(places.iter().map(lane).eq(alone.iter().map(lane)));
            }
        }
    }
}
