//! Bringing the rows of a minibatch together: the gather into the caller's buffer, with what is changed at random on the way.

use multiversion::multiversion;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2};

use super::augment::{Augment, View};
use super::images::Label;
use super::prepare::{Applied, Source};
use super::sets::Shape;
use crate::blas::matrix::Matrix;
use crate::random::dropout::{Dropped, Uniforms};
use crate::random::{self, Purpose};
use crate::real::Real;

/// What is changed at random in the rows of minibatches: functions of the seed and the iteration, the same for all trials of a cohort.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The images' shape.
    pub shape: Shape,
    /// What is changed in images.
    pub images: ImageChanges,
    /// The share of inputs that are set to zero.
    pub input_dropout: f64,
    /// Keys the streams.
    pub seed: u64,
    /// Keys the streams.
    pub iteration: usize,
}

/// How images are changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ImageChanges {
    /// Each in another way, drawn for it.
    Drawn(Augment),
    /// All in the same way.
    Fixed(View),
}

impl Changes {
    /// Writes an image with its change, image after image of a minibatch; none where images stay as they are.
    pub fn of_images(&self) -> Option<impl FnMut(&[u8], &mut [u8])> {
        if self.images == ImageChanges::Drawn(Augment::default()) {
            return None;
        }
        let (shape, images) = (self.shape, self.images);
        let mut stream = random::stream(self.seed, Purpose::Augmentation, self.iteration as u64);
        Some(move |from: &[u8], to: &mut [u8]| {
            let view = match &images {
                ImageChanges::Drawn(augment) => augment.draw(shape, &mut stream),
                ImageChanges::Fixed(view) => *view,
            };
            view.apply(shape, from, to);
        })
    }
}

/// The rows that a product reads, and their labels.
pub trait Batch<T>: Send {
    /// Room for `rows` rows of `inputs` numbers.
    fn new(rows: usize, inputs: usize) -> Self;

    /// Gathers row `rows[i]` of `from` as row i, with its label, and with `changes` if there are any.
    ///
    /// # Panics
    /// There are more rows than room, a row number is not below `from.len()`, or rows have another number of inputs.
    fn gather(&mut self, from: &Source<'_, T>, rows: impl ExactSizeIterator<Item = usize>, changes: Option<&Changes>);

    /// y as last gathered.
    fn labels(&self) -> &[Label];
}

/// A buffer of B rows of real numbers: X (B, D), and the labels y (B).
#[derive(Debug)]
pub struct Minibatch<T> {
    /// (room for rows, D).
    buffer: Matrix<T>,
    labels: Vec<Label>,
    rows: usize,
    /// An image with its changes, as bytes.
    image: Vec<u8>,
    /// Images before they are projected, (room for rows, their inputs).
    unprojected: Option<Matrix<T>>,
    uniforms: Uniforms,
}

impl<T: Real> Minibatch<T> {
    /// A minibatch that is there already: X (B, D) and y (B).
    ///
    /// # Panics
    /// They differ in rows.
    pub fn of(x: Array2<T>, labels: Vec<Label>) -> Self {
        assert_eq!(x.nrows(), labels.len(), "one label a row");
        let mut batch = Self::new(x.nrows(), x.ncols());
        batch.buffer.view_mut().assign(&x);
        Self { rows: labels.len(), labels, ..batch }
    }

    /// X (B, D) as last gathered.
    pub fn x(&self) -> ArrayView2<'_, T> {
        self.buffer.top(self.rows)
    }

    /// Everything that the buffer has room for: X, and below it whatever was there before. Products read all of it, so that they have the
    /// same shape, and so the same bits, for the last rows of a split.
    pub fn buffer(&self) -> ArrayView2<'_, T> {
        self.buffer.view()
    }
}

impl<T: Real> Batch<T> for Minibatch<T> {
    fn new(rows: usize, inputs: usize) -> Self {
        Self {
            buffer: Matrix::zeros(rows, inputs),
            labels: vec![0; rows],
            rows: 0,
            image: vec![],
            unprojected: None,
            uniforms: Uniforms::default(),
        }
    }

    fn gather(&mut self, from: &Source<'_, T>, rows: impl ExactSizeIterator<Item = usize>, changes: Option<&Changes>) {
        self.rows = rows.len();
        let room = self.buffer.rows();
        assert!(self.rows <= room, "{} rows do not fit a buffer of {room}", self.rows);
        match *from {
            Source::Numbers { x, labels } => {
                assert_eq!(x.ncols(), self.buffer.columns(), "rows have as many numbers as the buffer");
                for (place, row) in rows.enumerate() {
                    self.labels[place] = labels[row];
                    let source = x.row(row).to_slice().expect("rows are contiguous");
                    self.buffer.row_mut(place).copy_from_slice(source);
                }
            }
            Source::Bytes { values, labels, by } => {
                let mut image = std::mem::take(&mut self.image);
                let change = changes.and_then(Changes::of_images);
                if change.is_some() {
                    image.resize(by.mean.len(), 0);
                }
                self.prepare(values, labels, by, rows, &mut image, change);
                self.image = image;
            }
            Source::Floats { values, labels, by } => {
                self.prepare(values, labels, by, rows, &mut [], None::<fn(&[f32], &mut [f32])>);
            }
        }
        let dropped = changes.and_then(|changes| Some((changes, Dropped::of(changes.input_dropout)?)));
        if let Some((changes, dropped)) = dropped {
            let columns = self.buffer.columns();
            self.uniforms.draw(changes.seed, Purpose::InputDropout, changes.iteration, self.rows, columns);
            for row in 0..self.rows {
                dropped.apply(self.buffer.row_mut(row), self.uniforms.row(row));
            }
        }
    }

    fn labels(&self) -> &[Label] {
        &self.labels[..self.rows]
    }
}

impl<T: Real> Minibatch<T> {
    /// Gathers rows of `values`, each changed by `change` into `image` if there is a change, and prepared.
    fn prepare<N: Raw>(
        &mut self,
        values: &[N],
        labels: &[Label],
        Applied { mean, factor, projection }: Applied<'_, T>,
        rows: impl Iterator<Item = usize>,
        image: &mut [N],
        mut change: Option<impl FnMut(&[N], &mut [N])>,
    ) {
        let inputs = mean.len();
        let outputs = projection.map_or(inputs, |matrix| matrix.nrows());
        assert_eq!(outputs, self.buffer.columns(), "rows have as many numbers as the buffer");
        let room = self.buffer.rows();
        let target = match projection {
            None => &mut self.buffer,
            Some(_) => self.unprojected.get_or_insert_with(|| Matrix::zeros(room, inputs)),
        };
        let source = |row: usize| &values[row * inputs..(row + 1) * inputs];
        let mut rows = rows.peekable();
        for (place, label) in self.labels.iter_mut().enumerate() {
            let Some(row) = rows.next() else { break };
            if let Some(&next) = rows.peek() {
                // Rows come from anywhere in memory: the next one is on its way while this one is decoded.
                let lines = source(next).iter().step_by(CACHE_LINE / size_of::<N>());
                std::hint::black_box(lines.fold(0, |sum: u32, &value| sum ^ value.bits()));
            }
            *label = labels[row];
            let row = match &mut change {
                None => source(row),
                Some(change) => {
                    change(source(row), image);
                    &*image
                }
            };
            match factor {
                None => decode(target.row_mut(place), row, mean),
                Some(factor) => decode_scaled(target.row_mut(place), row, mean, factor),
            }
        }
        if let (Some(projection), Some(unprojected)) = (projection, &self.unprojected) {
            let mut x = self.buffer.view_mut();
            general_mat_mul(T::one(), &unprojected.view(), &projection.t(), T::zero(), &mut x);
        }
    }
}

/// Bytes of a line of the caches.
const CACHE_LINE: usize = 64;

/// A number as it is in memory before it is prepared.
trait Raw: Copy {
    fn number<T: Real>(self) -> T;
    fn bits(self) -> u32;
}

impl Raw for u8 {
    #[inline(always)]
    fn number<T: Real>(self) -> T {
        T::from_byte(self)
    }

    #[inline(always)]
    fn bits(self) -> u32 {
        self.into()
    }
}

impl Raw for f32 {
    #[inline(always)]
    fn number<T: Real>(self) -> T {
        T::from_f64(self.into())
    }

    #[inline(always)]
    fn bits(self) -> u32 {
        self.to_bits()
    }
}

/// A row, less the mean.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn decode<T: Real, N: Raw>(target: &mut [T], source: &[N], mean: &[T]) {
    for ((value, &number), &mean) in target.iter_mut().zip(source).zip(mean) {
        *value = number.number::<T>() - mean;
    }
}

/// A row, less the mean, times a factor for each.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn decode_scaled<T: Real, N: Raw>(target: &mut [T], source: &[N], mean: &[T], factor: &[T]) {
    for (((value, &number), &mean), &factor) in target.iter_mut().zip(source).zip(mean).zip(factor) {
        *value = (number.number::<T>() - mean) * factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gather_brings_rows_and_labels_and_subtracts_the_mean() {
        let (values, labels) = (&[1, 2, 3, 4, 5, 6][..], &[7, 8, 9][..]);
        let mut batch = Minibatch::<f32>::new(3, 2);
        let mean = &[0.5, 1.0][..];
        let by = Applied { mean, factor: None, projection: None };
        batch.gather(&Source::Bytes { values, labels, by }, [2, 0].into_iter(), None);
        assert_eq!(batch.x(), ndarray::array![[4.5, 5.0], [0.5, 1.0]]);
        assert_eq!(batch.labels(), [9, 7]);
        let by = Applied { factor: Some(&[2.0, 4.0]), ..by };
        let values = &[0.0, 0.25, 1.0, -1.0, 3.5, 1e6][..];
        batch.gather(&Source::Floats { values, labels: &[0, 65_535, 1], by }, [1, 2].into_iter(), None);
        assert_eq!(batch.x(), ndarray::array![[1.0, -8.0], [6.0, 4e6 - 4.0]]);
        assert_eq!(batch.labels(), [65_535, 1]);
    }

    #[test]
    fn changes_are_a_function_of_seed_and_iteration() {
        let shape = Shape { rows: 4, columns: 4, channels: 3 };
        let pixels: Vec<u8> = (0..480_u32).map(|at| (at * 31 % 251) as u8).collect();
        let augment = Augment { mirror: 0.5, shift: 2, ..Augment::default() };
        let mean = vec![100.0_f32; 48];
        let by = Applied { mean: &mean, factor: None, projection: None };
        let source = Source::Bytes { values: &pixels, labels: &[0; 10], by };
        let gathered = |seed, iteration, augment, input_dropout| {
            let mut batch = Minibatch::new(10, 48);
            let images = ImageChanges::Drawn(augment);
            let changes = Changes { shape, images, input_dropout, seed, iteration };
            batch.gather(&source, 0..10, Some(&changes));
            batch.x().to_owned()
        };
        let plain = gathered(1, 0, Augment::default(), 0.0);
        assert_eq!(plain[[3, 5]], f32::from(pixels[3 * 48 + 5]) - 100.0);
        assert_eq!(gathered(1, 7, augment, 0.0), gathered(1, 7, augment, 0.0));
        assert_ne!(gathered(1, 7, augment, 0.0), gathered(1, 8, augment, 0.0));
        assert_ne!(gathered(1, 7, augment, 0.0), gathered(2, 7, augment, 0.0));
        let dropped = gathered(1, 7, Augment::default(), 0.25);
        for (dropped, plain) in dropped.iter().zip(&plain) {
            assert!(*dropped == 0.0 || (dropped - plain / 0.75).abs() < 1e-3, "{dropped} of {plain}");
        }
    }

    #[test]
    fn projected_rows_are_the_product() {
        let projection = ndarray::array![[1.0, 0.0, 2.0], [0.0, -1.0, 0.0]];
        let (mean, mut batch) = ([1.0; 3], Minibatch::<f64>::new(2, 2));
        let by = Applied { mean: &mean, factor: None, projection: Some(projection.view()) };
        batch.gather(&Source::Bytes { values: &[1, 2, 3, 4, 5, 6], labels: &[0, 1], by }, [1, 0].into_iter(), None);
        assert_eq!(batch.x(), ndarray::array![[13.0, -4.0], [4.0, -1.0]]);
    }
}
