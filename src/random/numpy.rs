//! numpy's legacy `RandomState`, number for number: what `np.random.seed`, `rand`, `randn`, `choice` and `shuffle` draw.
//!
//! Published notebooks print what came out of this stream, so whoever replays one needs it to the last bit:
//!
//! - The generator is MT19937, seeded by its reference `init_genrand`.
//! - A double takes two of its 32-bit numbers: the upper 27 bits of the first and the upper 26 of the second, as a fraction of
//!   2^53.
//! - A normal number comes from Marsaglia's polar method, which makes two at a time from a point (x1, x2) of the unit disc. The one
//!   of x2 is returned; the one of x1 is kept and is the next normal number, whatever else is drawn in between. Only a new seed
//!   drops it.
//! - A whole number below n takes one 32-bit number at a time, cut to as many bits as n − 1 has, until one is at most n − 1. Where
//!   n is 1 nothing is drawn.
//!
//! Source: numpy's documentation of `RandomState` (its streams are frozen), and G. Marsaglia, T. A. Bray, "A convenient method for
//! generating normal variables" (1964).

use std::fmt;

use rand_mt::Mt;

/// The largest seed that numpy takes as one number.
pub const LARGEST_SEED: u64 = u32::MAX as u64;

/// A stream of `np.random.RandomState`.
#[derive(Clone)]
pub struct RandomState {
    generator: Mt,
    /// The second normal number of the last pair, where it was not asked for yet.
    kept_normal: Option<f64>,
}

impl RandomState {
    /// `np.random.RandomState(seed)`.
    pub fn new(seed: u32) -> Self {
        Self { generator: Mt::new(seed), kept_normal: None }
    }

    /// `np.random.seed(seed)`: the stream begins anew, and a kept normal number is dropped.
    pub fn seed(&mut self, seed: u32) {
        *self = Self::new(seed);
    }

    /// One number of `rand()`: uniform in [0, 1).
    pub fn rand(&mut self) -> f64 {
        let upper = f64::from(self.generator.next_u32() >> 5);
        let lower = f64::from(self.generator.next_u32() >> 6);
        (upper * (1_u64 << 26) as f64 + lower) / (1_u64 << 53) as f64
    }

    /// One number of `randn()`: standard normal.
    pub fn randn(&mut self) -> f64 {
        if let Some(kept) = self.kept_normal.take() {
            return kept;
        }
        loop {
            let x1 = 2.0 * self.rand() - 1.0;
            let x2 = 2.0 * self.rand() - 1.0;
            let square = x1 * x1 + x2 * x2;
            if square < 1.0 && square != 0.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                self.kept_normal = Some(factor * x1);
                return factor * x2;
            }
        }
    }

    /// One number of `choice(n, size)`, which draws with replacement: uniform in 0 … n − 1.
    ///
    /// # Panics
    /// `n` is 0.
    pub fn choice(&mut self, n: u32) -> u32 {
        let largest = n.checked_sub(1).expect("there is something to choose from");
        if largest == 0 {
            return 0;
        }
        let mask = u32::MAX >> largest.leading_zeros();
        loop {
            let number = self.generator.next_u32() & mask;
            if number <= largest {
                return number;
            }
        }
    }

    /// `shuffle(items)`: from the last item to the second, each changes places with one that is not behind it.
    pub fn shuffle<I>(&mut self, items: &mut [I]) {
        for at in (1..items.len()).rev() {
            let one_of = u32::try_from(at + 1).expect("a data set has fewer than 2^32 rows");
            items.swap(at, self.choice(one_of) as usize);
        }
    }
}

impl fmt::Debug for RandomState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RandomState").field("kept_normal", &self.kept_normal).finish_non_exhaustive()
    }
}

/// Every literal here was printed by numpy 2.4.6, `repr(float(…))` of what the test's name states.
#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: [u32; 4] = [0, 1, 231, 4_294_967_295];

    /// The same number up to the last two bits: a platform's logarithm may round its last bit the other way.
    fn same(ours: f64, numpys: f64) -> bool {
        (ours - numpys).abs() <= 4.0 * f64::EPSILON * numpys.abs()
    }

    #[test]
    fn uniform_numbers_are_numpys_to_the_bit() {
        let printed = [
            [0.5488135039273248, 0.7151893663724195, 0.6027633760716439, 0.5448831829968969],
            [0.417022004702574, 0.7203244934421581, 0.00011437481734488664, 0.30233257263183977],
            [0.78149404082882, 0.5842091160855433, 0.426710070189125, 0.3153446949154163],
            [0.0976320289940138, 0.9123828453026218, 0.78903530185164, 0.7800035981134678],
        ];
        for (seed, numbers) in SEEDS.into_iter().zip(printed) {
            let mut state = RandomState::new(seed);
            assert_eq!(numbers.map(|_| state.rand()), numbers, "seed {seed}");
        }
    }

    #[test]
    fn normal_numbers_are_numpys_and_the_kept_one_outlasts_other_draws() {
        // randn(5), then rand(), then randn(): the last is the second half of the third pair.
        let printed = [
            (
                [1.764052345967664, 0.4001572083672233, 0.9787379841057392, 2.240893199201458, 1.8675579901499675],
                0.4375872112626925,
                -0.977277879876411,
            ),
            (
                [1.6243453636632417, -0.6117564136500754, -0.5281717522634557, -1.0729686221561705, 0.8654076293246785],
                0.4191945144032948,
                -2.3015386968802827,
            ),
            (
                [
                    0.41794341085522313,
                    1.3971002787857785,
                    -1.7859043087115503,
                    -0.7088277337845966,
                    -0.0747253160682306,
                ],
                0.7083590712833941,
                -0.7750167689275921,
            ),
            (
                [0.6484086742306527, 0.6693235306338161, -1.0805437227474493, 0.2845010447986309, 0.11388773652167104],
                0.9845555560357949,
                0.8676218937929382,
            ),
        ];
        for (seed, (normals, uniform, kept)) in SEEDS.into_iter().zip(printed) {
            let mut state = RandomState::new(seed);
            for normal in normals {
                assert!(same(state.randn(), normal), "seed {seed}");
            }
            assert_eq!(state.rand(), uniform, "seed {seed}");
            assert!(same(state.randn(), kept), "seed {seed}");
        }
    }

    #[test]
    fn the_thousandth_normal_number_is_numpys_too() {
        // They take some 2,500 of the generator's numbers, which renews its state after every 624.
        let printed = [-0.35811407547985674, -0.18695501653274957, -0.6042324237756396, 0.8396779525796308];
        for (seed, last) in SEEDS.into_iter().zip(printed) {
            let mut state = RandomState::new(seed);
            let normals: Vec<f64> = (0..1000).map(|_| state.randn()).collect();
            assert!(same(normals[999], last), "seed {seed}");
        }
    }

    #[test]
    fn choices_among_five_are_numpys_and_leave_the_stream_where_numpy_leaves_it() {
        let printed = [
            ([4, 0, 3, 3, 3, 1, 3, 2, 4, 0, 0, 4], 0.16684751304849965),
            ([3, 4, 0, 1, 3, 0, 0, 1, 4, 4, 1, 2], 0.49376971426872995),
            ([0, 4, 1, 3, 2, 4, 2, 1, 2, 2, 4, 2], 0.7374847541628744),
            ([3, 2, 4, 4, 0, 2, 1, 0, 3, 2, 3, 3], 0.17824115914246053),
        ];
        for (seed, (first, next)) in SEEDS.into_iter().zip(printed) {
            let mut state = RandomState::new(seed);
            let drawn: Vec<u32> = (0..200).map(|_| state.choice(5)).collect();
            assert_eq!(drawn[..12], first, "seed {seed}");
            assert_eq!(state.rand(), next, "seed {seed}: after 200 choices");
        }
    }

    #[test]
    fn choices_among_49000_are_numpys_and_leave_the_stream_where_numpy_leaves_it() {
        let printed = [
            ([2732, 43567, 42613, 45891, 21243, 30403, 32103, 41993], 0.10286335869343821),
            ([33003, 12172, 5192, 32511, 43723, 7813, 21440, 32912], 0.8129949703859737),
            ([33968, 47764, 22985, 29382, 28162, 44372, 10090, 12066], 0.9519802959282367),
            ([27043, 16674, 44103, 14260, 20694, 506, 45529, 32544], 0.5454762879961295),
        ];
        for (seed, (first, next)) in SEEDS.into_iter().zip(printed) {
            let mut state = RandomState::new(seed);
            let drawn: Vec<u32> = (0..200).map(|_| state.choice(49_000)).collect();
            assert_eq!(drawn[..8], first, "seed {seed}");
            assert_eq!(state.rand(), next, "seed {seed}: after 200 choices");
        }
    }

    #[test]
    fn a_choice_among_one_draws_nothing_and_one_among_a_power_of_two_rejects_nothing() {
        let mut state = RandomState::new(0);
        assert_eq!([state.choice(1), state.choice(1), state.choice(1)], [0; 3]);
        assert_eq!(state.rand(), 0.5488135039273248, "as after no draw");
        let mut state = RandomState::new(1);
        assert_eq!([0; 3].map(|_| state.choice(65_536)), [62_501, 33_003, 12_172]);
        assert_eq!(state.rand(), 0.9325573593386588);
    }

    #[test]
    fn a_normal_number_is_kept_across_choices_and_dropped_by_a_seed() {
        let printed = [
            (1.764052345967664, 0.4001572083672233),
            (1.6243453636632417, -0.6117564136500754),
            (0.41794341085522313, 1.3971002787857785),
            (0.6484086742306527, 0.6693235306338161),
        ];
        for (seed, (first, second)) in SEEDS.into_iter().zip(printed) {
            let mut state = RandomState::new(seed);
            assert!(same(state.randn(), first), "seed {seed}");
            (0..200).for_each(|_| assert!(state.choice(49_000) < 49_000));
            assert!(same(state.randn(), second), "seed {seed}: kept across choices");
            state.randn();
            state.seed(seed);
            assert!(same(state.randn(), first), "seed {seed}: the stream begins anew");
        }
    }

    #[test]
    fn shuffles_are_numpys() {
        // shuffle of 0 … 9, and of the outcome once more, then rand().
        let printed = [
            ([2, 8, 4, 9, 1, 6, 7, 3, 0, 5], [9, 6, 8, 4, 5, 0, 2, 7, 3, 1], 0.8121687287754932),
            ([2, 9, 6, 4, 0, 3, 1, 7, 8, 5], [5, 3, 4, 2, 8, 0, 6, 9, 1, 7], 0.22957721372982554),
            ([6, 5, 8, 9, 2, 3, 1, 4, 0, 7], [3, 6, 1, 9, 7, 4, 2, 0, 8, 5], 0.07229971967735449),
            ([6, 9, 5, 1, 8, 0, 7, 4, 2, 3], [3, 6, 1, 8, 9, 0, 2, 4, 7, 5], 0.9335337533300324),
        ];
        for (seed, (once, twice, next)) in SEEDS.into_iter().zip(printed) {
            let mut state = RandomState::new(seed);
            let mut items: Vec<u32> = (0..10).collect();
            state.shuffle(&mut items);
            assert_eq!(items, once, "seed {seed}");
            state.shuffle(&mut items);
            assert_eq!(items, twice, "seed {seed}");
            assert_eq!(state.rand(), next, "seed {seed}");
        }
    }
}
