//! Random changes to the images of minibatches, on bytes: drawn, then applied.
//!
//! What is drawn for an image is a [`View`], all of it integers, so applying it is the same on every machine. The stream is keyed by the
//! seed and the iteration: trials of a cohort see the same images, and resuming replays nothing. Where a change asks for pixels from
//! outside of the image, those at its edge are repeated.

use rand::RngExt;

use super::sets::Shape;
use crate::random::ChaCha8Rng;

/// One, in the fixed-point numbers of a view.
const ONE: i32 = 1 << 16;
/// What a cut-out square is filled with: the grey in the middle.
const FILL: u8 = 128;

/// How images are changed; zeros leave them alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augment {
    /// The share of images that are mirrored, left to right.
    pub mirror: f64,
    /// The largest shift in pixels, up, down, left and right.
    pub shift: usize,
    /// The largest share of the side that is cropped; the rest is scaled to the size of the image.
    pub crop: f64,
    /// The largest rotation in degrees, in both directions.
    pub rotate: f64,
    /// The side of a square in pixels that is filled with grey; its centre is anywhere in the image.
    pub cutout: usize,
    /// The largest change of brightness, as a share of white.
    pub brightness: f64,
    /// The largest change of contrast around the grey in the middle: a factor from 1 − c to 1 + c.
    pub contrast: f64,
}

/// The changes to one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    mirror: bool,
    /// Where the pixel at (0, 0) comes from, in pixels.
    shift: (i32, i32),
    /// The matrix from places in the changed image to places in the image, both seen from their middles, with its offset: rows (row,
    /// column, offset), in fixed point; none where places only shift.
    map: Option<[[i32; 3]; 2]>,
    /// First row, first column, row and column behind the last of a square.
    square: Option<[usize; 4]>,
    /// A factor in fixed point, and what is added.
    tone: Option<(i32, i32)>,
}

impl Augment {
    /// Whether images stay as they are.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Draws the changes to an image. How many draws that takes depends on the settings alone.
    pub fn draw(&self, shape: Shape, stream: &mut ChaCha8Rng) -> View {
        let mut view = View::plain();
        if self.mirror > 0.0 {
            view.mirror = f64::from(stream.random_range(0..ONE)) < self.mirror * f64::from(ONE);
        }
        if self.shift > 0 {
            let most = self.shift as i32;
            view.shift = (stream.random_range(-most..=most), stream.random_range(-most..=most));
        }
        let mut between = |most: f64| f64::from(stream.random_range(-ONE..=ONE)) / f64::from(ONE) * most;
        if self.crop > 0.0 || self.rotate > 0.0 {
            let scale = if self.crop > 0.0 { 1.0 - between(self.crop).abs() } else { 1.0 };
            // A smaller part of the image lies anywhere in it.
            let room = |side: usize| (1.0 - scale) * side as f64 / 2.0;
            let offset = match self.crop > 0.0 {
                true => [between(room(shape.rows)), between(room(shape.columns))],
                false => [0.0; 2],
            };
            // `libm`, whose bits are the same on every machine.
            let angle = if self.rotate > 0.0 { between(self.rotate).to_radians() } else { 0.0 };
            let (sine, cosine) = (scale * libm::sin(angle), scale * libm::cos(angle));
            let fixed = |value: f64| (value * f64::from(ONE)).round() as i32;
            view.map = Some([[cosine, sine, offset[0]].map(fixed), [-sine, cosine, offset[1]].map(fixed)]);
        }
        if self.brightness > 0.0 || self.contrast > 0.0 {
            let added = if self.brightness > 0.0 { (between(self.brightness) * 255.0).round() as i32 } else { 0 };
            let factor = if self.contrast > 0.0 { 1.0 + between(self.contrast) } else { 1.0 };
            view.tone = Some(((factor * f64::from(ONE)).round() as i32, added));
        }
        if self.cutout > 0 {
            let (row, column) = (stream.random_range(0..shape.rows), stream.random_range(0..shape.columns));
            let (before, behind) = (self.cutout / 2, self.cutout - self.cutout / 2);
            let (top, left) = (row.saturating_sub(before), column.saturating_sub(before));
            view.square = Some([top, left, (row + behind).min(shape.rows), (column + behind).min(shape.columns)]);
        }
        view
    }
}

impl View {
    /// The image as it is.
    pub const fn plain() -> Self {
        Self { mirror: false, shift: (0, 0), map: None, square: None, tone: None }
    }

    /// The image mirrored or not, its pixels so many rows further down and columns further right.
    pub const fn moved(mirror: bool, down: i32, right: i32) -> Self {
        Self { mirror, shift: (-down, -right), ..Self::plain() }
    }

    /// Writes the image `from` with these changes `to` another place.
    ///
    /// # Panics
    /// One of them is no image of this shape.
    pub fn apply(&self, shape: Shape, from: &[u8], to: &mut [u8]) {
        assert_eq!((from.len(), to.len()), (shape.inputs(), shape.inputs()), "both are images of this shape");
        match self.map {
            None => self.copy(shape, from, to),
            Some(map) => self.sample(shape, map, from, to),
        }
        if let Some((factor, added)) = self.tone {
            let tone = |byte: u8| {
                let centred = (i32::from(byte) - 128) * factor;
                ((centred + ONE / 2) >> 16) + 128 + added
            };
            to.iter_mut().for_each(|byte| *byte = tone(*byte).clamp(0, 255) as u8);
        }
        if let Some([top, left, bottom, right]) = self.square {
            for row in top..bottom {
                let start = (row * shape.columns + left) * shape.channels;
                to[start..start + (right - left) * shape.channels].fill(FILL);
            }
        }
    }

    /// Shifted and mirrored: whole runs of pixels are copied, or reversed.
    fn copy(&self, shape: Shape, from: &[u8], to: &mut [u8]) {
        // The size of a pixel is known to the compiler where it is a usual one: reversing is several times as fast.
        match (self.mirror, shape.channels) {
            (true, 1) => self.reverse::<1>(shape, from, to),
            (true, 3) => self.reverse::<3>(shape, from, to),
            _ => self.copy_runs(shape, from, to),
        }
    }

    /// Shifted and mirrored, of pixels of C channels.
    fn reverse<const C: usize>(&self, Shape { rows, columns, .. }: Shape, from: &[u8], to: &mut [u8]) {
        let (down, right) = self.shift;
        let ((from, _), (to, _)) = (from.as_chunks::<C>(), to.as_chunks_mut::<C>());
        // Column c comes from column `columns` - 1 - c + `right`, which is inside from `begin` up to `end`.
        let begin = right.clamp(0, columns as i32) as usize;
        let end = (columns as i32 + right).clamp(begin as i32, columns as i32) as usize;
        for (row, target) in to.chunks_exact_mut(columns).enumerate() {
            let row = (row as i32 + down).clamp(0, rows as i32 - 1) as usize;
            let source = &from[row * columns..][..columns];
            target[..begin].fill(source[columns - 1]);
            target[end..].fill(source[0]);
            if begin < end {
                let first = (columns as i32 + right) as usize - end;
                let source = &source[first..][..end - begin];
                target[begin..end].iter_mut().zip(source.iter().rev()).for_each(|(to, from)| *to = *from);
            }
        }
    }

    /// Shifted and mirrored, of pixels of any number of channels.
    fn copy_runs(&self, Shape { rows, columns, channels }: Shape, from: &[u8], to: &mut [u8]) {
        let (down, right) = self.shift;
        let clamp = |at: i32, count: usize| at.clamp(0, count as i32 - 1) as usize;
        let pitch = columns * channels;
        for (row, target) in to.chunks_exact_mut(pitch).enumerate() {
            let source = &from[clamp(row as i32 + down, rows) * pitch..][..pitch];
            if self.mirror {
                for (column, pixel) in target.chunks_exact_mut(channels).enumerate() {
                    let mirrored = clamp(columns as i32 - 1 - column as i32 + right, columns);
                    pixel.copy_from_slice(&source[mirrored * channels..][..channels]);
                }
                continue;
            }
            // The run that is inside, and its edges to the left and to the right.
            let begin = (-right).clamp(0, columns as i32) as usize;
            let end = (columns as i32 - right).clamp(begin as i32, columns as i32) as usize;
            if begin < end {
                let first = (begin as i32 + right) as usize;
                target[begin * channels..end * channels]
                    .copy_from_slice(&source[first * channels..][..(end - begin) * channels]);
            }
            for column in (0..begin).chain(end..columns) {
                let nearest = clamp(column as i32 + right, columns);
                target[column * channels..][..channels].copy_from_slice(&source[nearest * channels..][..channels]);
            }
        }
    }

    /// Any linear map of places: four neighbouring pixels are mixed.
    fn sample(&self, Shape { rows, columns, channels }: Shape, map: [[i32; 3]; 2], from: &[u8], to: &mut [u8]) {
        let fixed = i64::from(ONE);
        // Twice the distance from the middle is a whole number.
        let middle = [(rows as i64 - 1) * fixed / 2, (columns as i64 - 1) * fixed / 2];
        let [of_row, of_column] = map.map(|row| row.map(i64::from));
        for (at, pixel) in to.chunks_exact_mut(channels).enumerate() {
            let down = (at / columns) as i64 * fixed - middle[0];
            let right = (at % columns) as i64 * fixed - middle[1];
            let right = if self.mirror { -right } else { right };
            let place = |[along_rows, along_columns, offset]: [i64; 3], middle: i64, shift: i32, count: usize| {
                let place =
                    ((along_rows * down + along_columns * right) >> 16) + offset + middle + i64::from(shift) * fixed;
                place.clamp(0, (count as i64 - 1) * fixed)
            };
            let row = place(of_row, middle[0], self.shift.0, rows);
            // In the second row of the matrix, too, the first number is that of rows.
            let column = place(of_column, middle[1], self.shift.1, columns);
            let (top, left) = ((row >> 16) as usize, (column >> 16) as usize);
            let (below, beside) = ((top + 1).min(rows - 1), (left + 1).min(columns - 1));
            let (v, h) = ((row & (fixed - 1)) >> 8, (column & (fixed - 1)) >> 8);
            for (channel, byte) in pixel.iter_mut().enumerate() {
                let of = |row: usize, column: usize| i64::from(from[(row * columns + column) * channels + channel]);
                let upper = of(top, left) * (256 - h) + of(top, beside) * h;
                let lower = of(below, left) * (256 - h) + of(below, beside) * h;
                *byte = ((upper * (256 - v) + lower * v + (1 << 15)) >> 16) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{self, Purpose};
    use proptest::prelude::*;

    const SHAPE: Shape = Shape { rows: 4, columns: 5, channels: 3 };

    fn image(shape: Shape) -> Vec<u8> {
        (0..shape.inputs() as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    fn applied(view: View, shape: Shape, from: &[u8]) -> Vec<u8> {
        let mut to = vec![0; from.len()];
        view.apply(shape, from, &mut to);
        to
    }

    fn stream(seed: u64) -> ChaCha8Rng {
        random::stream(seed, Purpose::Augmentation, 0)
    }

    #[test]
    fn shifts_and_mirrors_move_pixels_and_repeat_the_edge() {
        let from = image(SHAPE);
        let at = |image: &[u8], row: i32, column: i32| {
            let (row, column) = (row.clamp(0, 3) as usize, column.clamp(0, 4) as usize);
            [0, 1, 2].map(|channel| image[(row * 5 + column) * 3 + channel])
        };
        assert_eq!(applied(View::plain(), SHAPE, &from), from);
        for (down, right) in [(1, 2), (-2, -1), (0, 7), (-9, 0)] {
            for mirror in [false, true] {
                let to = applied(View::moved(mirror, down, right), SHAPE, &from);
                for (row, column) in (0..4).flat_map(|row| (0..5).map(move |column| (row, column))) {
                    let side = if mirror { 4 - column } else { column };
                    assert_eq!(at(&to, row, column), at(&from, row - down, side - right), "{mirror} {down} {right}");
                }
            }
        }
        let mirror = |image: &[u8]| applied(View::moved(true, 0, 0), SHAPE, image);
        assert_eq!(mirror(&mirror(&from)), from);
    }

    #[test]
    fn mirrored_pixels_of_any_number_of_channels_come_from_the_other_side() {
        for (channels, columns) in (1..=4).flat_map(|channels| (1..=6).map(move |columns| (channels, columns))) {
            let shape = Shape { rows: 3, columns, channels };
            let from = image(shape);
            for right in -8..=8 {
                let to = applied(View::moved(true, 1, right), shape, &from);
                for (at, pixel) in to.chunks_exact(channels).enumerate() {
                    let row = (at / columns).saturating_sub(1);
                    let side = (columns as i32 - 1 - (at % columns) as i32 - right).clamp(0, columns as i32 - 1);
                    let source = (row * columns + side as usize) * channels;
                    assert_eq!(pixel, &from[source..source + channels], "{shape:?} {right}");
                }
            }
        }
    }

    #[test]
    fn a_map_that_only_shifts_and_mirrors_is_the_copy() {
        let from = image(SHAPE);
        for (mirror, down, right) in [(false, 1, -2), (true, -1, 1)] {
            let copied = View::moved(mirror, down, right);
            let sampled = View { map: Some([[ONE, 0, 0], [0, ONE, 0]]), ..copied };
            assert_eq!(applied(sampled, SHAPE, &from), applied(copied, SHAPE, &from));
        }
    }

    #[test]
    fn a_quarter_turn_turns_and_a_crop_of_one_colour_is_that_colour() {
        let square = Shape { rows: 4, columns: 4, channels: 1 };
        let from = image(square);
        let turned = applied(View { map: Some([[0, ONE, 0], [-ONE, 0, 0]]), ..View::plain() }, square, &from);
        let turned_again = applied(View { map: Some([[0, -ONE, 0], [ONE, 0, 0]]), ..View::plain() }, square, &turned);
        assert_eq!(turned_again, from);
        assert_eq!(turned[0], from[3], "the upper right corner comes to the upper left");
        let augment = Augment { crop: 0.5, rotate: 30.0, ..Augment::default() };
        let view = augment.draw(square, &mut stream(1));
        assert_eq!(applied(view, square, &[77; 16]), [77; 16]);
    }

    #[test]
    fn tones_saturate_and_squares_are_clipped() {
        let tone = |factor: i32, added: i32| View { tone: Some((factor, added)), ..View::plain() };
        let row = Shape { rows: 1, columns: 3, channels: 1 };
        assert_eq!(applied(tone(ONE, 60), row, &[0, 128, 250]), [60, 188, 255]);
        assert_eq!(applied(tone(2 * ONE, 0), row, &[0, 100, 140]), [0, 72, 152]);
        let augment = Augment { cutout: 3, ..Augment::default() };
        for seed in 0..50 {
            let to = applied(augment.draw(SHAPE, &mut stream(seed)), SHAPE, &[1; 60]);
            let filled = to.iter().filter(|&&byte| byte == FILL).count() / 3;
            assert!([4, 6, 9].contains(&filled), "{filled} pixels of a square of 3");
        }
    }

    #[test]
    fn the_draws_of_an_image_do_not_depend_on_their_values() {
        let all = Augment { mirror: 0.5, shift: 3, crop: 0.2, rotate: 10.0, cutout: 2, brightness: 0.2, contrast: 0.2 };
        let rest = |seed: u64, augment: Augment| {
            let mut stream = stream(seed);
            let view = augment.draw(SHAPE, &mut stream);
            (view, stream.random::<u64>())
        };
        assert_eq!(rest(3, all), rest(3, all));
        assert_ne!(rest(3, all).0, rest(4, all).0);
        assert_eq!(rest(3, all).1, rest(3, Augment { mirror: 1.0, crop: 0.9, ..all }).1);
    }

    proptest! {
        #[test]
        fn any_changes_of_any_shape_are_an_image(
            (rows, columns, channels) in (1_usize..40, 1_usize..40, 1_usize..5), seed: u64, mirror in 0.0..=1.0, shift in 0_usize..50,
            crop in 0.0..1.0, rotate in 0.0..=180.0, cutout in 0_usize..50, brightness in 0.0..=1.0, contrast in 0.0..=1.0,
        ) {
            let shape = Shape { rows, columns, channels };
            let augment = Augment { mirror, shift, crop, rotate, cutout, brightness, contrast };
            let view = augment.draw(shape, &mut stream(seed));
            let from = vec![200; shape.inputs()];
            let plain = View { tone: None, square: None, ..view };
            prop_assert_eq!(applied(plain, shape, &from), from.clone());
            prop_assert_eq!(applied(view, shape, &from).len(), from.len());
        }
    }
}
