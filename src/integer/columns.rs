//! Pixels in the order in which kernels read them.
//!
//! A kernel works on blocks of up to `kernel.vectors` vectors of columns. Within a block, columns stand as (steps, vectors, lanes) words;
//! blocks follow each other, the last one narrower. Columns behind the last are zeros.

use multiversion::multiversion;

use super::kernel::{Form, Kernel};

/// Words that begin on a cache line.
#[derive(Debug, Default)]
pub struct Words {
    words: Vec<u32>,
    start: usize,
}

impl Words {
    const LINE: usize = 16;

    /// Makes room for `count` words, whose values are whatever was there before.
    pub fn reserve(&mut self, count: usize) {
        if self.words.len() < count + Self::LINE {
            self.words.resize(count + Self::LINE, 0);
            // Where that is not known, the words are only slower.
            self.start = Some(self.words.as_ptr().align_offset(64)).filter(|&start| start <= Self::LINE).unwrap_or(0);
        }
    }

    /// All of them.
    pub fn get(&self) -> &[u32] {
        &self.words[self.start..]
    }

    /// All of them, to be written to.
    pub fn get_mut(&mut self) -> &mut [u32] {
        &mut self.words[self.start..]
    }
}

/// Columns of bytes for a product.
#[derive(Debug)]
pub struct Columns {
    kernel: &'static Kernel,
    words: Words,
    count: usize,
    steps: usize,
}

/// A block of columns.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// The first column.
    pub first: usize,
    /// Vectors of columns.
    pub vectors: usize,
    /// (steps, vectors, lanes).
    pub words: &'a [u32],
}

impl Columns {
    /// None yet.
    pub fn new(kernel: &'static Kernel) -> Self {
        Self { kernel, words: Words::default(), count: 0, steps: 0 }
    }

    /// Number of columns.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Number of columns with those that fill the last vector.
    pub fn padded(&self) -> usize {
        self.count.next_multiple_of(self.kernel.lanes)
    }

    /// Words of a column.
    pub fn steps(&self) -> usize {
        self.steps
    }

    fn resize(&mut self, count: usize, steps: usize) {
        (self.count, self.steps) = (count, steps);
        let words = self.padded() * steps;
        self.words.reserve(words);
    }

    /// Columns of a whole block.
    fn block_columns(&self) -> usize {
        self.kernel.vectors * self.kernel.lanes
    }

    /// The blocks that hold columns `from` (a multiple of a block's) to below `to`.
    pub fn blocks(&self, from: usize, to: usize) -> impl Iterator<Item = Block<'_>> {
        let (lanes, whole) = (self.kernel.lanes, self.block_columns());
        debug_assert!(from.is_multiple_of(whole), "a range begins with a block");
        let padded = self.padded();
        (from..to.min(padded)).step_by(whole).map(move |first| {
            let columns = whole.min(padded - first);
            let words = &self.words.get()[first * self.steps..][..columns * self.steps];
            Block { first, vectors: columns / lanes, words }
        })
    }

    /// A column for each of `count` images of `inputs` pixels, for products that sum over inputs. Image i begins at i·`stride` of `pixels`,
    /// and is followed by zeros up to a multiple of four.
    pub fn of_images(&mut self, pixels: &[u8], count: usize, inputs: usize, stride: usize) {
        let form = self.kernel.form;
        let numbers = form.numbers();
        self.resize(count, inputs.next_multiple_of(4) / numbers);
        let (lanes, whole, padded, steps) = (self.kernel.lanes, self.block_columns(), self.padded(), self.steps);
        for first in (0..padded).step_by(whole) {
            let columns = whole.min(padded - first);
            let block = &mut self.words.get_mut()[first * steps..][..columns * steps];
            // A vector of images at a time, of which each gives four pixels.
            for vector in (0..columns).step_by(lanes) {
                let images: [&[u8]; 16] = std::array::from_fn(|lane| {
                    let image = first + vector + lane;
                    if lane < lanes && image < count { &pixels[image * stride..][..stride] } else { &[] }
                });
                match form {
                    Form::Bytes => {
                        pack_images::<4>(&mut block[vector..], columns, &images[..lanes], inputs.div_ceil(4))
                    }
                    Form::Words => {
                        pack_images::<2>(&mut block[vector..], columns, &images[..lanes], inputs.div_ceil(4))
                    }
                }
            }
        }
    }

    /// A column for each of `inputs` pixels, for products that sum over `count` images.
    pub fn of_inputs(&mut self, pixels: &[u8], count: usize, inputs: usize, stride: usize) {
        let form = self.kernel.form;
        let numbers = form.numbers();
        self.resize(inputs, count.div_ceil(numbers));
        let (whole, padded, steps) = (self.block_columns(), self.padded(), self.steps);
        for step in 0..steps {
            let images: [&[u8]; 4] = std::array::from_fn(|number| {
                let image = step * numbers + number;
                if number < numbers && image < count { &pixels[image * stride..][..inputs] } else { &[] }
            });
            for first in (0..padded).step_by(whole) {
                let columns = whole.min(padded - first);
                let words = &mut self.words.get_mut()[first * steps + step * columns..][..columns];
                let used = columns.min(inputs - first);
                let images = images.map(|image| image.get(first..first + used).unwrap_or(&[]));
                match form {
                    Form::Bytes => pack_inputs::<8>(&mut words[..used], images),
                    Form::Words => pack_inputs::<16>(&mut words[..used], images),
                }
                words[used..].fill(0);
            }
        }
    }
}

/// Words of four pixels, or two words of two, of some images: word g of image i goes to (g·4/N + half)·`row` + i.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn pack_images<const N: usize>(words: &mut [u32], row: usize, images: &[&[u8]], groups: usize) {
    for (lane, image) in images.iter().enumerate() {
        let (image, _) = image.as_chunks::<4>();
        let pixels = |group: usize| image.get(group).map_or(0, |pixels| u32::from_le_bytes(*pixels));
        for group in 0..groups {
            let pixels = pixels(group);
            if N == 4 {
                words[group * row + lane] = pixels;
            } else {
                let spread = |pair: u32| (pair & 0xff) | (pair & 0xff00) << 8;
                words[2 * group * row + lane] = spread(pixels);
                words[(2 * group + 1) * row + lane] = spread(pixels >> 16);
            }
        }
    }
}

/// Words of a pixel of several images, `SHIFT` bits apart. An image that is not there is zeros.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn pack_inputs<const SHIFT: u32>(words: &mut [u32], images: [&[u8]; 4]) {
    words.fill(0);
    for (number, image) in images.iter().enumerate() {
        for (word, &pixel) in words.iter_mut().zip(*image) {
            *word |= u32::from(pixel) << (SHIFT * number as u32 % 32);
        }
    }
}
