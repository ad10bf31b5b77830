//! What the first layer looks for: the weights of every hidden unit as a small image.

use super::picture::Picture;
use crate::data::sets::Shape;
use crate::tensors::Tensor;

/// Images of more rows or columns are not enlarged.
const LARGE: usize = 64;
/// White pixels around every image, after enlargement.
const PADDING: usize = 3;
/// A constant image has no range to scale; it is of this grey.
const GREY: u8 = 128;

/// Pixels of a picture at most, before enlargement: what still opens.
const MOST_PIXELS: usize = 50_000_000;

/// Whether so many images of this shape can be drawn: grey ones, and those of red, green and blue.
pub fn can_draw(shape: Shape, units: usize) -> bool {
    matches!(shape.channels, 1 | 3) && units.saturating_mul(shape.rows * shape.columns) <= MOST_PIXELS
}

/// W1 (D, H) as a grid of H images of `shape`, row by row, ⌈√H⌉ in a row. Each is scaled by itself: its smallest weight
/// is 0, its largest 255. Every pixel is enlarged to a square.
///
/// # Panics
/// The rows of W1 are not the pixels and channels of such an image, there are no units, or they [cannot be drawn](can_draw).
pub fn grid(w1: &Tensor, shape: Shape) -> Picture {
    let units = w1.shape().last().copied().unwrap_or_default();
    let times = if shape.rows.max(shape.columns) > LARGE { 1 } else { enlargement(units) };
    enlarged(w1, shape, times)
}

/// As [`grid`], every pixel a square of `times` pixels.
///
/// # Panics
/// As [`grid`].
pub fn enlarged(w1: &Tensor, shape: Shape, times: usize) -> Picture {
    let &[rows, units] = w1.shape() else { panic!("W1 is a matrix") };
    assert_eq!(rows, shape.inputs(), "a row of W1 for every pixel and channel");
    assert!(can_draw(shape, units), "pixels are grey, or red, green and blue");
    let numbers = w1.to_f64();
    let columns = (1..).find(|columns| columns * columns >= units).expect("some square is as large");
    let (height, width) = (shape.rows * times, shape.columns * times);
    let (down, across) = (height + PADDING, width + PADDING);
    let mut picture = Picture::white(columns * across + PADDING, units.div_ceil(columns) * down + PADDING);
    for unit in 0..units {
        let weights: Vec<f64> = numbers.iter().skip(unit).step_by(units).copied().collect();
        let (top, left) = (PADDING + unit / columns * down, PADDING + unit % columns * across);
        let image = bytes(&weights);
        for row in 0..height {
            for column in 0..width {
                let at = (row / times * shape.columns + column / times) * shape.channels;
                let colour = [0, 1, 2].map(|channel| image[at + channel % shape.channels]);
                picture.set(top + row, left + column, colour);
            }
        }
    }
    picture
}

/// How many times as large an image is drawn: few are drawn large, thousands still make a picture that opens.
fn enlargement(units: usize) -> usize {
    match units {
        0..=144 => 3,
        145..=1024 => 2,
        _ => 1,
    }
}

/// A unit's weights, (row, column, channel), over their range from smallest to largest.
fn bytes(weights: &[f64]) -> Vec<u8> {
    let finite = || weights.iter().copied().filter(|weight| weight.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let scaled = |&weight: &f64| match weight {
        weight if weight.is_finite() && low < high => ((weight - low) / (high - low) * 255.0).round() as u8,
        _ => GREY,
    };
    weights.iter().map(scaled).collect()
}
