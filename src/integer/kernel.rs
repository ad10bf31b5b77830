//! The innermost loops, one for each kind of CPU: tiles of sums of products. All give the same integers.
//!
//! Rows and columns are words of four bytes. A word of a row is multiplied with a word of a column, and the products are added to the
//! sum of that row and column in 32 bits:
//!
//! | form | a word of a row | a word of a column | instruction |
//! |---|---|---|---|
//! | words | two i16 | two pixels in u16 | `vpmaddwd`, SSE2 and AVX2: two products, exact |
//! | bytes | four i8 | four pixels in u8 | `vpdpbusd`, VNNI: four products and the sum |
//!
//! `vpmaddubsw`, which would multiply bytes on AVX2, saturates, so it is of no use here.

#![allow(unsafe_code)] // vector instructions, and the addresses that they read and write

use std::sync::LazyLock;

use crate::error::{Error, Result};

/// How numbers stand in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Two numbers of 16 bits a word.
    Words,
    /// Four numbers of 8 bits a word.
    Bytes,
}

impl Form {
    /// Numbers in a word.
    pub fn numbers(self) -> usize {
        match self {
            Self::Words => 2,
            Self::Bytes => 4,
        }
    }
}

/// Adds the products of R rows and V vectors of columns to `sums`, or writes them there where `adds` is false: for each row r and column
/// c, Σ_step row[r][step]·column[step][c].
///
/// # Safety
/// The CPU has the kernel's features, and R rows and V vectors are as [`Kernel::tile`] has checked them.
type Tile = unsafe fn(TileOf<'_>);

/// The widest tile of any kernel, in rows and vectors.
const MOST_ROWS: usize = 8;
const MOST_VECTORS: usize = 3;

/// Tiles of all sizes for one kind of CPU.
#[derive(Debug)]
pub struct Kernel {
    /// Its name in `info` and in the environment variable.
    pub name: &'static str,
    /// How it reads numbers.
    pub form: Form,
    /// Columns of a vector.
    pub lanes: usize,
    /// Rows of a tile at most.
    pub rows: usize,
    /// Vectors of a tile at most.
    pub vectors: usize,
    /// Whether this CPU has what it needs.
    is_there: fn() -> bool,
    /// By rows − 1 and vectors − 1.
    tiles: [[Option<Tile>; MOST_VECTORS]; MOST_ROWS],
}

/// Rows and columns of one tile, and where its sums go.
#[derive(Debug)]
pub struct TileOf<'a> {
    /// From the first word of the first row on.
    pub rows: &'a [u32],
    /// Number of rows.
    pub count: usize,
    /// Words from a row to the next.
    pub row_stride: usize,
    /// From the first word of the first column on: (steps, vectors, lanes).
    pub columns: &'a [u32],
    /// Number of vectors.
    pub vectors: usize,
    /// Words that are multiplied.
    pub steps: usize,
    /// From the first sum on.
    pub sums: &'a mut [i32],
    /// From a row of sums to the next.
    pub sum_stride: usize,
    /// Whether products are added to the sums that are there.
    pub adds: bool,
}

impl Kernel {
    /// Computes a tile.
    ///
    /// # Panics
    /// A slice is shorter than the numbers demand, or the tile is larger than the kernel's.
    pub fn tile(&self, of: TileOf<'_>) {
        let TileOf { rows, count, row_stride, columns, vectors, steps, ref sums, sum_stride, .. } = of;
        let width = vectors * self.lanes;
        let tile = self.tiles[count - 1][vectors - 1].expect("the kernel has tiles of this size");
        assert!(rows.len() >= (count - 1) * row_stride + steps, "rows are there");
        assert!(columns.len() >= steps * width, "columns are there");
        assert!(sums.len() >= (count - 1) * sum_stride + width, "sums are there");
        // SAFETY: a kernel is handed out only where the CPU has its features (`all`, `chosen`); the assertions are its bounds. That sums
        // stay within 32 bits is the caller's arithmetic (`product`); where they did not, they would wrap, which is no undefined behaviour.
        unsafe { tile(of) };
    }
}

/// Has numbers brought near, without waiting for them.
#[inline(always)]
pub fn prefetch(numbers: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in numbers.chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that a program sees, and SSE is there on every x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = numbers;
}

/// A tile in portable Rust.
///
/// # Safety
/// As [`Tile`]; it needs no features.
unsafe fn portable<const R: usize, const V: usize>(of: TileOf<'_>) {
    const LANES: usize = 8;
    let TileOf { row_stride, steps, sum_stride, adds, .. } = of;
    let (rows, columns, sums) = (of.rows.as_ptr(), of.columns.as_ptr(), of.sums.as_mut_ptr());
    let mut of_tile = [[[0_i32; LANES]; V]; R];
    for step in 0..steps {
        for v in 0..V {
            // SAFETY: step < steps, and v·LANES + LANES ≤ V·LANES.
            let column: [u32; LANES] = unsafe { columns.add((step * V + v) * LANES).cast::<[u32; LANES]>().read() };
            for (r, of_row) in of_tile.iter_mut().enumerate() {
                // SAFETY: r < R, step < steps.
                let word = unsafe { *rows.add(r * row_stride + step) };
                let (low, high) = (i32::from(word as u16 as i16), i32::from((word >> 16) as u16 as i16));
                for (sum, column) in of_row[v].iter_mut().zip(column) {
                    *sum += low * (column & 0xffff) as i32 + high * (column >> 16) as i32;
                }
            }
        }
    }
    for (r, of_row) in of_tile.iter().enumerate() {
        for (c, sum) in of_row.iter().flatten().enumerate() {
            // SAFETY: r < R, c < V·LANES.
            let place = unsafe { &mut *sums.add(r * sum_stride + c) };
            *place = if adds { *place + sum } else { *sum };
        }
    }
}

/// A tile by intrinsics: `$dot` adds the products of a row's word, in all lanes, with a vector of columns to a vector of sums.
#[cfg(target_arch = "x86_64")]
macro_rules! tile {
    ($name:ident, $features:literal, $lanes:literal, $zero:ident, $load:ident, $store:ident, $add:ident, $broadcast:ident, $dot:expr) => {
        /// # Safety
        /// As [`Tile`].
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name<const R: usize, const V: usize>(of: TileOf<'_>) {
            let TileOf { row_stride, steps, sum_stride, adds, .. } = of;
            let (rows, columns, sums) = (of.rows.as_ptr(), of.columns.as_ptr(), of.sums.as_mut_ptr());
            // SAFETY: every address below is one of those that the caller vouches for.
            unsafe {
                let mut of_tile = [[$zero(); V]; R];
                macro_rules! step {
                    ($step:expr) => {
                        let mut of_columns = [$zero(); V];
                        for (v, vector) in of_columns.iter_mut().enumerate() {
                            *vector = $load(columns.add(($step * V + v) * $lanes).cast());
                        }
                        for (r, of_row) in of_tile.iter_mut().enumerate() {
                            let word = $broadcast((*rows.add(r * row_stride + $step)).cast_signed());
                            for (sum, vector) in of_row.iter_mut().zip(of_columns) {
                                *sum = $dot(*sum, vector, word);
                            }
                        }
                    };
                }
                // Two steps a turn: a CPU starts six instructions a cycle, and those that count a loop are not to be among them.
                for turn in 0..steps / 2 {
                    step!(2 * turn);
                    step!(2 * turn + 1);
                }
                if !steps.is_multiple_of(2) {
                    step!(steps - 1);
                }
                for (r, of_row) in of_tile.iter().enumerate() {
                    for (v, &sum) in of_row.iter().enumerate() {
                        let place = sums.add(r * sum_stride + v * $lanes);
                        let sum = if adds { $add($load(place.cast()), sum) } else { sum };
                        $store(place.cast(), sum);
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::TileOf;

    tile!(
        sse2,
        "sse2",
        4,
        _mm_setzero_si128,
        _mm_loadu_si128,
        _mm_storeu_si128,
        _mm_add_epi32,
        _mm_set1_epi32,
        |sum, column, row| _mm_add_epi32(sum, _mm_madd_epi16(column, row))
    );
    tile!(
        avx2,
        "avx2",
        8,
        _mm256_setzero_si256,
        _mm256_loadu_si256,
        _mm256_storeu_si256,
        _mm256_add_epi32,
        _mm256_set1_epi32,
        |sum, column, row| _mm256_add_epi32(sum, _mm256_madd_epi16(column, row))
    );
    tile!(
        avx_vnni,
        "avx2,avxvnni",
        8,
        _mm256_setzero_si256,
        _mm256_loadu_si256,
        _mm256_storeu_si256,
        _mm256_add_epi32,
        _mm256_set1_epi32,
        |sum, column, row| _mm256_dpbusd_avx_epi32(sum, column, row)
    );
    tile!(
        avx512_vnni,
        "avx512f,avx512bw,avx512vnni",
        16,
        _mm512_setzero_si512,
        _mm512_loadu_si512,
        _mm512_storeu_si512,
        _mm512_add_epi32,
        _mm512_set1_epi32,
        |sum, column, row| _mm512_dpbusd_epi32(sum, column, row)
    );
}

/// The table of a kernel's tiles: of 1 to 3 vectors for each number of rows.
macro_rules! tiles {
    ($tile:path, [$($rows:literal)*], $vectors:tt) => {{
        let mut tiles: [[Option<Tile>; MOST_VECTORS]; MOST_ROWS] = [[None; MOST_VECTORS]; MOST_ROWS];
        $(tiles[$rows - 1] = tiles!(@row $tile, $rows, $vectors);)*
        tiles
    }};
    (@row $tile:path, $rows:literal, 2) => {{
        use $tile as tile;
        [Some(tile::<$rows, 1> as Tile), Some(tile::<$rows, 2>), None]
    }};
    (@row $tile:path, $rows:literal, 3) => {{
        use $tile as tile;
        [Some(tile::<$rows, 1> as Tile), Some(tile::<$rows, 2>), Some(tile::<$rows, 3>)]
    }};
}

/// All kernels of this architecture, the fastest first. Tiles fill the registers: 16 vectors, of which two are columns, one a row and
/// one products on the way; 32 with AVX-512.
static KERNELS: LazyLock<Vec<Kernel>> = LazyLock::new(|| {
    vec![
        #[cfg(target_arch = "x86_64")]
        Kernel {
            name: "avx512vnni",
            form: Form::Bytes,
            lanes: 16,
            rows: 8,
            vectors: 3,
            is_there: || {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vnni")
            },
            tiles: tiles!(x86::avx512_vnni, [1 2 3 4 5 6 7 8], 3),
        },
        #[cfg(target_arch = "x86_64")]
        Kernel {
            name: "avxvnni",
            form: Form::Bytes,
            lanes: 8,
            rows: 6,
            vectors: 2,
            is_there: || is_x86_feature_detected!("avx2") && is_x86_feature_detected!("avxvnni"),
            tiles: tiles!(x86::avx_vnni, [1 2 3 4 5 6], 2),
        },
        #[cfg(target_arch = "x86_64")]
        Kernel {
            name: "avx2",
            form: Form::Words,
            lanes: 8,
            rows: 6,
            vectors: 2,
            is_there: || is_x86_feature_detected!("avx2"),
            tiles: tiles!(x86::avx2, [1 2 3 4 5 6], 2),
        },
        #[cfg(target_arch = "x86_64")]
        Kernel {
            name: "sse2",
            form: Form::Words,
            lanes: 4,
            rows: 6,
            vectors: 2,
            is_there: || is_x86_feature_detected!("sse2"),
            tiles: tiles!(x86::sse2, [1 2 3 4 5 6], 2),
        },
        Kernel {
            name: "portable",
            form: Form::Words,
            lanes: 8,
            rows: 4,
            vectors: 2,
            is_there: || true,
            tiles: tiles!(self::portable, [1 2 3 4], 2),
        },
    ]
});

/// The environment variable that names the kernel to take.
pub const VARIABLE: &str = "MLPGRID_INTEGER_KERNEL";

/// The kernels that this CPU has, the fastest first.
pub fn all() -> impl Iterator<Item = &'static Kernel> {
    KERNELS.iter().filter(|kernel| (kernel.is_there)())
}

/// The kernel that the environment asks for, else the fastest. It shows in no result.
///
/// # Errors
/// There is none of that name for this CPU.
pub fn asked_for() -> Result<&'static Kernel> {
    let Some(name) = std::env::var_os(VARIABLE) else { return Ok(all().next().expect("the portable one")) };
    all().find(|kernel| *kernel.name == *name).ok_or_else(|| {
        let names: Vec<&str> = all().map(|kernel| kernel.name).collect();
        let found = name.to_string_lossy().into_owned();
        Error::usage(
            VARIABLE,
            format!("a kernel of this CPU: {}", names.join(", ")),
            found,
            "choose one of these, or unset it",
        )
    })
}

/// As [`asked_for`], once a process; where the environment asks for one that is not there, the fastest.
pub fn chosen() -> &'static Kernel {
    static CHOSEN: LazyLock<&'static Kernel> =
        LazyLock::new(|| asked_for().unwrap_or_else(|_| all().next().expect("the portable one")));
    *CHOSEN
}
