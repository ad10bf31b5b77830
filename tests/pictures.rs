//! Pictures: what is drawn, and what `train` and `replay` leave.

mod common;

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use common::{Place, Run, real_cifar, text};
use mlpgrid::data::sets::cifar::SHAPE;
use mlpgrid::real::Real;
use mlpgrid::report::chart::{Axis, COLOURS};
use mlpgrid::report::picture::Picture;
use mlpgrid::report::{plots, weights};
use mlpgrid::tensors::Tensor;
use mlpgrid::train::{EpochPoint, LossPoint};
use tempfile::TempDir;

const SMALL: &str = "--hidden 5 --batch-size 20 --iterations 25 --learning-rate 1e-4";

/// A PNG file as another program opens it.
fn open(path: &Path) -> Picture {
    let decoder = png::Decoder::new(BufReader::new(File::open(path).expect("the picture is there")));
    let mut reader = decoder.read_info().expect("a PNG file");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a whole picture");
    assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    Picture { width: info.width as usize, height: info.height as usize, pixels }
}

fn pixel(picture: &Picture, row: usize, column: usize) -> [u8; 3] {
    let at = (row * picture.width + column) * 3;
    [picture.pixels[at], picture.pixels[at + 1], picture.pixels[at + 2]]
}

fn shows(picture: &Picture, colour: [u8; 3]) -> bool {
    picture.pixels.chunks(3).any(|pixel| pixel == colour)
}

/// Units 0 and 1 of five: weights from −1 to 3, with red 3 at row 0, column 1 and blue 2 at row 31, column 31; all the same.
fn known_weights<T: Real>() -> Vec<T> {
    let mut w1 = vec![T::from_f64(-1.0); 3072 * 5];
    w1[3 * 5] = T::from_f64(3.0);
    w1[((31 * 32 + 31) * 3 + 2) * 5] = T::from_f64(2.0);
    w1
}

fn known_weights_give_known_pixels<T: Real>() {
    let place = TempDir::new().expect("a temporary folder");
    let path = place.path().join("weights.png");
    weights::grid(&Tensor::new(&[3072, 5], known_weights::<T>()), SHAPE).write(&path).expect("the picture is written");
    let picture = open(&path);
    // Five units: three in a row, two rows; 32 pixels three times as large, with 3 white ones around.
    assert_eq!((picture.width, picture.height), (3 * 99 + 3, 2 * 99 + 3));
    assert_eq!(pixel(&picture, 2, 2), [255; 3], "padding");
    assert_eq!(pixel(&picture, 3, 5), [0; 3], "row 0, column 0");
    for (row, column) in [(3, 6), (5, 8)] {
        assert_eq!(pixel(&picture, row, column), [255, 0, 0], "row 0, column 1");
    }
    assert_eq!(pixel(&picture, 3, 9), [0; 3], "row 0, column 2");
    assert_eq!(pixel(&picture, 98, 98), [0, 0, 191], "row 31, column 31: three quarters of the range");
    assert_eq!(pixel(&picture, 50, 150), [128; 3], "a constant unit is grey");
    assert_eq!(pixel(&picture, 150, 250), [255; 3], "there is no sixth unit");
}

#[test]
fn known_weights_give_known_pixels_in_both_precisions() {
    known_weights_give_known_pixels::<f32>();
    known_weights_give_known_pixels::<f64>();
}

#[test]
fn a_weight_that_is_no_number_is_grey_and_spoils_no_other() {
    let mut w1 = known_weights::<f32>();
    w1[0] = f32::NAN;
    w1[5] = f32::INFINITY;
    let picture = weights::grid(&Tensor::new(&[3072, 5], w1), SHAPE);
    assert_eq!(pixel(&picture, 3, 3), [128, 128, 0]);
    assert_eq!(pixel(&picture, 3, 6), [255, 0, 0]);
}

#[test]
fn squares_shrink_to_their_mean() {
    let mut picture = Picture::white(4, 2);
    picture.set(0, 0, [0, 55, 255]);
    picture.set(1, 1, [0, 55, 255]);
    let shrunk = picture.shrunk(2);
    assert_eq!((shrunk.width, shrunk.height), (2, 1));
    assert_eq!(shrunk.pixels, [128, 155, 255, 255, 255, 255]);
}

#[test]
fn axes_have_their_ticks_at_round_numbers() {
    let names = |axis: &Axis| axis.ticks.iter().map(|(_, name)| name.clone()).collect::<Vec<_>>().join(" ");
    assert_eq!(names(&Axis::between("", 0.0, 1000.0)), "0 200 400 600 800 1000");
    assert_eq!(names(&Axis::counting("", 1.5)), "0 1");
    assert_eq!(names(&Axis::around("", [2.31, 1.42].into_iter())), "1.4 1.6 1.8 2.0 2.2 2.4");
    let around = Axis::around("", [-0.12, 0.21].into_iter());
    assert_eq!(names(&around), "-0.15 -0.10 -0.05 0.00 0.05 0.10 0.15 0.20 0.25");
    assert_eq!(names(&Axis::of_logarithms("", [0.3, 4.9].into_iter())), "1 10 100 1000 10000 100000");
    for axis in [Axis::around("", std::iter::empty()), Axis::around("", [7.0].into_iter())] {
        assert!(axis.range.start < axis.range.end && !axis.ticks.is_empty(), "{axis:?}");
    }
}

/// So many losses, and an epoch every 10 iterations.
fn training(iterations: usize, loss: fn(usize) -> f64) -> (Vec<LossPoint>, Vec<EpochPoint>) {
    let losses = (0..iterations).map(|iteration| LossPoint {
        iteration,
        data_loss: loss(iteration),
        penalty: 0.0,
        learning_rate: 1.0,
    });
    let epoch = |epoch: usize| EpochPoint {
        epoch,
        iteration: 10 * epoch,
        loss: loss(10 * epoch),
        learning_rate: 1.0,
        train_accuracy: 0.5,
        val_accuracy: 0.25,
        val_loss: None,
    };
    (losses.collect(), (0..iterations.div_ceil(10)).map(epoch).collect())
}

#[test]
fn a_history_is_drawn_whatever_its_length_and_height() {
    let falling = |iteration| 2.3 / (1.0 + iteration as f64);
    for (iterations, loss) in [
        (0, falling as fn(usize) -> f64),
        (1, falling),
        (2, |_| 2.3),
        (700, |_| 0.0),
        (15, |iteration| 10_f64.powi(20 * iteration as i32)),
        (100_000, falling),
    ] {
        let (losses, epochs) = training(iterations, loss);
        let picture = plots::history("a headline", &losses, &epochs);
        assert_eq!((picture.width, picture.height), (1000, 850));
        assert!(COLOURS[..2].iter().all(|&colour| shows(&picture, colour)), "{iterations} iterations");
    }
}

#[test]
fn train_leaves_its_pictures_and_the_same_training_the_same_bytes() {
    let place = Place::new();
    let train = |name: &str, precision: &str| {
        let out = place.path(name);
        let flags: Vec<&str> = SMALL.split(' ').chain(["--precision", precision, "--out"]).collect();
        place.train(&[&flags[..], &[&text(&out)]].concat()).json(0);
        ["history.png", "weights.png"].map(|picture| {
            open(&out.join(picture));
            fs::read(out.join(picture)).unwrap()
        })
    };
    let first = train("a", "f32");
    assert_eq!(first, train("b", "f32"));
    train("c", "f64");
    let (history, weights) = (open(&place.path("a/history.png")), open(&place.path("a/weights.png")));
    assert_eq!((history.width, history.height), (1000, 850));
    assert_eq!((weights.width, weights.height), (3 * 99 + 3, 2 * 99 + 3));
    assert!(COLOURS[..2].iter().all(|&colour| shows(&history, colour)));
}

#[test]
fn a_training_that_diverged_leaves_its_history_up_to_there() {
    let place = Place::new();
    let flags = "--hidden 8 --batch-size 20 --iterations 200 --learning-rate 1e6 --out";
    let out = text(&place.path("out"));
    place.train(&flags.split(' ').chain([&out[..]]).collect::<Vec<_>>()).json(3);
    assert!(shows(&open(&place.path("out/history.png")), COLOURS[0]));
    assert!(!place.path("out/weights.png").exists());
}

#[test]
fn replay_without_data_draws_the_toy_networks_loss() {
    let place = Place::new();
    let out = text(&place.path("out"));
    let run = Run::of(["replay", "--data", &text(&place.path("nowhere")), "--out", &out]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let picture = open(&place.path("out/toy-loss.png"));
    assert_eq!((picture.width, picture.height), (1000, 450));
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 1);
}

#[test]
fn replay_on_the_real_images_draws_all_of_the_notebooks_pictures() {
    let Some(cifar) = real_cifar() else { return };
    let place = Place::new();
    let run = Run::of(["replay", "--data", &text(&cifar), "--out", &text(&place.path("out"))]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let [toy, history, weights] = ["toy-loss", "history", "weights"].map(|name| {
        let picture = open(&place.path(&format!("out/{name}.png")));
        (picture.width, picture.height)
    });
    // 50 hidden units: 8 in a row, 7 rows.
    assert_eq!((toy, history, weights), ((1000, 450), (1000, 850), (8 * 99 + 3, 7 * 99 + 3)));
}
