//! What the first layer looks for: the weights of every hidden unit as a small image.

use super::picture::Picture;
use crate::data::sets::Shape;
use crate::tensors::Tensor;

/// White pixels around every image, after enlargement.
const PADDING: usize = 3;
/// A constant image has no range to scale; it is of this grey.
const GREY: u8 = 128;

/// W1 (D, H) as a grid of H images of `shape`, row by row, ⌈√H⌉ in a row. Each is scaled by itself: its smallest weight
/// is 0, its largest 255. Every pixel is enlarged to a square.
///
/// # Panics
/// The rows of W1 are not the pixels and channels of such an image, there are no units, or a pixel has other than 3 channels.
pub fn grid(w1: &Tensor, shape: Shape) -> Picture {
    let units = w1.shape().last().copied().unwrap_or_default();
    enlarged(w1, shape, enlargement(units))
}

/// As [`grid`], every pixel a square of `times` pixels.
///
/// # Panics
/// As [`grid`].
pub fn enlarged(w1: &Tensor, shape: Shape, times: usize) -> Picture {
    let &[rows, units] = w1.shape() else { panic!("W1 is a matrix") };
    assert_eq!(rows, shape.inputs(), "a row of W1 for every pixel and channel");
    assert_eq!(shape.channels, 3, "pixels are red, green and blue");
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
                let at = (row / times * shape.columns + column / times) * 3;
                picture.set(top + row, left + column, [image[at], image[at + 1], image[at + 2]]);
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
