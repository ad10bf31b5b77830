//! Products of integers: every kernel gives the same, and so does every CPU.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Place, Run, skipped, text};
use mlpgrid::blas::lanes::{Lanes, Shape};
use mlpgrid::data::byte_batch::ByteBatch;
use mlpgrid::data::images::Rows;
use mlpgrid::data::minibatch::{Batch, Minibatch};
use mlpgrid::data::prepare::{Fitted, Source};
use mlpgrid::integer::columns::Columns;
use mlpgrid::integer::kernel::{self, Kernel};
use mlpgrid::integer::product::{Sums, are_long, product};
use mlpgrid::integer::rounding::Rounded;
use mlpgrid::integer::{Int8, Int16, Width};
use mlpgrid::model::TwoLayerNet;
use mlpgrid::model::cohort::{Cohort, Step, Weights};
use mlpgrid::model::optimizer::Method;
use mlpgrid::model::wide::Wide;
use mlpgrid::model::wide::blas::Blas;
use mlpgrid::model::wide::integer::Integer;
use mlpgrid::random::{self, Purpose};
use proptest::prelude::*;

/// Rows as they are rounded, in plain arithmetic.
fn rounded(row: &[f32], limit: f32) -> Vec<i64> {
    let most = row.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let inverse = if most < 1e-30 { 0.0 } else { limit / most };
    row.iter().map(|x| (x * inverse).round_ties_even() as i64).collect()
}

/// The sums of a kernel, (rows, columns), of columns that are images or inputs of `pixels` (count, inputs).
fn sums<P: Width>(
    kernel: &'static Kernel,
    rows: &[Vec<f32>],
    pixels: &[u8],
    inputs: usize,
    of_inputs: bool,
) -> Vec<i64> {
    let (stride, images) = (inputs.next_multiple_of(4), pixels.len() / inputs);
    let mut padded = vec![0; images * stride];
    for (to, from) in padded.chunks_exact_mut(stride).zip(pixels.chunks_exact(inputs)) {
        to[..inputs].copy_from_slice(from);
    }
    let mut columns = Columns::new(kernel);
    match of_inputs {
        true => columns.of_inputs(&padded, images, inputs, stride),
        false => columns.of_images(&padded, images, inputs, stride),
    }
    let mut integers = Rounded::<P>::zeros(kernel, rows.len(), rows[0].len());
    let mean = vec![1.0; inputs];
    for (number, row) in rows.iter().enumerate() {
        match of_inputs {
            true => integers.rows_mut().set_deltas(number, row),
            false => integers.rows_mut().set_weights(number, row, None, &mean),
        }
    }
    let stride = columns.padded();
    let (mut short, mut long) = (vec![7; 2 * rows.len() * stride], vec![7.0; rows.len() * stride]);
    let integers = integers.rows_mut();
    let count = columns.count();
    product(kernel, &integers, &columns, (0, count), &mut Sums { short: &mut short, long: &mut long, stride });
    let is_long = are_long::<P>(kernel, integers.steps);
    let sum = |at: usize| if is_long { long[at] as i64 } else { i64::from(short[at]) };
    (0..rows.len()).flat_map(|row| (0..count).map(move |column| row * stride + column)).map(sum).collect()
}

fn every_kernel_is_exact<P: Width>(rows: &[Vec<f32>], pixels: &[u8], inputs: usize, of_inputs: bool) {
    let images = pixels.len() / inputs;
    let integers: Vec<Vec<i64>> = rows.iter().map(|row| rounded(row, P::LIMIT)).collect();
    let pixel = |image: usize, input: usize| i64::from(pixels[image * inputs + input]);
    let sum = |row: &Vec<i64>, column: usize| -> i64 {
        match of_inputs {
            true => row.iter().enumerate().map(|(image, q)| q * pixel(image, column)).sum(),
            false => row.iter().enumerate().map(|(input, q)| q * pixel(column, input)).sum(),
        }
    };
    let columns = if of_inputs { inputs } else { images };
    let exact: Vec<i64> = integers.iter().flat_map(|row| (0..columns).map(move |column| sum(row, column))).collect();
    for kernel in kernel::all() {
        let found = sums::<P>(kernel, rows, pixels, inputs, of_inputs);
        assert!(found == exact, "{} in {} bits", kernel.name, P::BITS);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn every_kernel_gives_the_sums_of_plain_arithmetic(
        (rows, images, inputs) in (1_usize..20, 1_usize..70, 1_usize..330),
        seed in any::<u64>(), of_inputs in any::<bool>(), extreme in any::<bool>(),
    ) {
        let mut stream = random::stream(seed, Purpose::Init, 0);
        let mut normal = || random::Normals::normal(&mut stream) as f32;
        // The largest numbers have the largest sums; a row of zeros has none.
        let number = |x: f32| if extreme { 1.0_f32.copysign(x) } else { x };
        let length = if of_inputs { images } else { inputs };
        let rows: Vec<Vec<f32>> = (0..rows)
            .map(|row| (0..length).map(|_| if row % 5 == 3 { 0.0 } else { number(normal()) }).collect())
            .collect();
        let pixels: Vec<u8> =
            (0..images * inputs).map(|_| if extreme { 255 } else { (normal() * 60.0 + 120.0) as u8 }).collect();
        every_kernel_is_exact::<Int8>(&rows, &pixels, inputs, of_inputs);
        every_kernel_is_exact::<Int16>(&rows, &pixels, inputs, of_inputs);
    }
}

#[test]
fn the_largest_sums_of_cifar_10_are_exact() {
    for sign in [1.0, -1.0] {
        every_kernel_is_exact::<Int8>(&[vec![sign; 3072]], &[255; 3072], 3072, false);
        every_kernel_is_exact::<Int16>(&[vec![sign; 3072]], &[255; 3072], 3072, false);
        every_kernel_is_exact::<Int16>(&[vec![sign; 1000]], &[255; 8000], 8, true);
    }
}

/// W1 after an iteration in some arithmetic, from equal weights on equal images.
fn first_layer_after_an_iteration<W: Wide>(network: &TwoLayerNet<W::Real>, source: &Source<'_, W::Real>) -> Vec<f64> {
    let inputs = network.w1.nrows();
    let lanes = W::lanes(Shape { batch_rows: 40, evaluation_rows: 40, inputs }).unwrap_or_else(Lanes::alone);
    let mut cohort = Cohort::<W>::new(vec![(network.clone(), Method::descent(0.1))], lanes);
    let (mut batch, mut scratch) = (W::Batch::new(40, inputs), cohort.scratch(40));
    batch.gather(source, 0..40, None);
    cohort.iterate(&batch, &mut scratch, &mut [Step { rate: 1e-2, ..Step::default() }]);
    let trained = cohort.network(0, Weights::Raw);
    trained.w1.iter().zip(&network.w1).map(|(after, before)| mlpgrid::real::Real::as_f64(*after - *before)).collect()
}

#[test]
fn an_update_in_integers_is_that_of_f32_to_their_digits() {
    mlpgrid::blas::initialise().expect("OpenBLAS takes one thread");
    let inputs = 300;
    let mut stream = random::stream(3, Purpose::Init, 0);
    let network = TwoLayerNet::<f32>::random(inputs, 20, 10, [1e-2; 2], &mut stream);
    let mut normal = || random::Normals::normal(&mut stream);
    let pixels: Vec<u8> = (0..40 * inputs).map(|_| (normal() * 50.0 + 120.0) as u8).collect();
    let labels: Vec<u16> = (0..40).map(|image| image % 10).collect();
    let rows = Rows::of_bytes(&pixels, &labels);
    let prepared = Fitted::of_mean(vec![119.3; inputs]).prepared::<f32>();
    let source = prepared.source(rows);
    let f32 = first_layer_after_an_iteration::<Blas<f32>>(&network, &source);
    let distance = |other: Vec<f64>| {
        let norm = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>().sqrt();
        norm(&mut f32.iter().zip(&other).map(|(a, b)| a - b)) / norm(&mut f32.iter().copied())
    };
    let int16 = distance(first_layer_after_an_iteration::<Integer<Int16>>(&network, &source));
    let int8 = distance(first_layer_after_an_iteration::<Integer<Int8>>(&network, &source));
    assert!(int16 < 3e-4, "{int16}");
    // Scores within a hundredth of zero pass ReLU in one network and not in the other, with a hundredth of the gradient's squared norm.
    assert!(int8 < 0.15, "{int8}");
    assert!(int8 > int16, "fewer bits are fewer digits");
    // The types of the two kinds of minibatches, which this test is about.
    let _: (Option<Minibatch<f32>>, Option<ByteBatch>) = (None, None);
}

/// A grid with all that integers can be trained with.
const SPEC: &str = "[fixed]\nhidden = 13\nbatch_size = 30\niterations = 60\noptimizer = \"momentum\"\nmirror = 0.5\nshift = 2\n\
    input_dropout = 0.1\npreparation = \"pixel\"\nclip_norm = 5\naverage = 0.9\nlabel_smoothing = 0.1\n\
    [grid]\nprecision = [\"int8\", \"int16\"]\nlearning_rate = [1e-3, 1e-2, 1e6]\nseed = [1, 2]\n";

fn with_kernel(place: &Place, spec: &str, out: &str, kernel: &str) -> Run {
    let mut command = place.sweep_command(spec, out, &["--workers", "2"]);
    Run::finish(command.env(kernel::VARIABLE, kernel).output().expect("the program starts"))
}

#[test]
fn every_kernel_of_this_cpu_gives_the_same_leaderboard_and_model() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    let mut expected = None;
    for kernel in kernel::all() {
        let report = with_kernel(&place, &spec, kernel.name, kernel.name).json(0);
        assert_eq!(report["diverged"], 4, "a rate of a million");
        let found = place.fruits(kernel.name);
        assert_eq!(*expected.get_or_insert_with(|| found.clone()), found, "{}", kernel.name);
        let lines = std::fs::read_to_string(place.path(&format!("{}/results/0.jsonl", kernel.name)));
        assert!(lines.unwrap_or_default().lines().all(|line| line.contains("\"kernel\":\"integer\"")));
    }
    with_kernel(&place, &spec, "none", "vax")
        .refused(2, &["MLPGRID_INTEGER_KERNEL: expected a kernel of this CPU", "portable", "found vax"]);
}

fn qemu() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join("qemu-x86_64")).find(|path| path.is_file())
}

#[test]
fn other_cpus_give_the_same_leaderboard_and_model() {
    let Some(qemu) = qemu().filter(|_| cfg!(target_arch = "x86_64")) else {
        skipped("other CPUs are emulated by qemu-x86_64, which is not installed");
        return;
    };
    let place = Place::new();
    // Emulated CPUs are slow.
    let few = SPEC.replace("iterations = 60", "iterations = 5").replace("seed = [1, 2]", "seed = [1]");
    let spec = place.file("s.toml", &few);
    place.sweep(&spec, "native", &["--workers", "2"]).json(0);
    for cpu in ["Nehalem", "Haswell", "max"] {
        let out = place.path(cpu);
        let program = Path::new(env!("CARGO_BIN_EXE_mlpgrid"));
        let output = Command::new(&qemu)
            .args(["-cpu", cpu])
            .arg(program)
            .args(["sweep", &spec, "--data", &text(&place.data()), "--out", &text(&out), "--workers", "1"])
            .env_remove("OPENBLAS_CORETYPE")
            .output()
            .expect("qemu starts");
        assert!(output.status.success(), "{cpu}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(place.fruits(cpu), place.fruits("native"), "{cpu}");
    }
}

#[test]
fn what_integers_cannot_do_is_one_line() {
    let place = Place::new();
    for preparation in ["pca", "pca-whiten", "zca"] {
        place.train(&["--precision", "int8", "--batch-size", "20", "--preparation", preparation]).refused(
            2,
            &[
                "`preparation`: expected a preparation that leaves pixels as bytes",
                "found",
                preparation,
                "precision f32",
            ],
        );
    }
    let out = text(&place.path("out"));
    let trained = place
        .train(&["--precision", "int8", "--hidden", "9", "--batch-size", "20", "--iterations", "30", "--out", &out])
        .json(0);
    let measured = Run::of(["eval", &out, "--data", &text(&place.data())]).json(0);
    assert_eq!(measured["val_accuracy"], trained["val_accuracy"], "evaluated as in training");
}
