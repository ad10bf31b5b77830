//! CIFAR-10 and CIFAR-100: what is known of them, and how their records are decoded.
//!
//! A file is a run of records, a record one or two label bytes and 3072 pixel bytes: 1024 red, 1024 green, 1024 blue, each
//! plane row by row. The notebook's order is (row, column, channel), so decoding interleaves the planes once, and nothing
//! later has to. Source: <https://www.cs.toronto.edu/~kriz/cifar.html>.

use byteorder::ReadBytesExt;

use super::{Archive, BadRecord, Description, Shape};
use crate::data::images::{Images, Values};

/// The shape of every image of CIFAR.
pub const SHAPE: Shape = Shape { rows: 32, columns: 32, channels: 3 };
/// Bytes of one image, the D of every formula.
pub const PIXELS: usize = SHAPE.inputs();
const PLANE: usize = SHAPE.rows * SHAPE.columns;

/// CIFAR-10.
pub const CIFAR_10: Description = Description {
    key: "cifar10",
    fingerprint_key: "Cifar10",
    name: "CIFAR-10",
    shape: SHAPE,
    classes: 10,
    training_files: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test_file: "test_batch.bin",
    rows_per_training_file: 10_000,
    rows_of_test_file: 10_000,
    label_bytes: 1,
    label_byte: 0,
    archive: Archive {
        name: "cifar-10-binary.tar.gz",
        folder: "cifar-10-batches-bin",
        url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        bytes: 170_052_171,
        md5: "c32a1d4ab5d03f1284b67883e8d87530",
        other_versions: &[
            ("Python", ["cifar-10-batches-py", "cifar-10-python.tar.gz", "data_batch_1"]),
            ("Matlab", ["cifar-10-batches-mat", "cifar-10-matlab.tar.gz", "data_batch_1.mat"]),
        ],
    },
    digests: &[
        ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
        ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
        ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
        ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
        ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
        ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
    ],
    decode,
    fetch: "mlpgrid fetch",
};

/// CIFAR-100 with its fine labels. A record begins with the coarse label, then the fine one.
pub const CIFAR_100: Description = Description {
    key: "cifar100",
    fingerprint_key: "Cifar100",
    name: "CIFAR-100",
    shape: SHAPE,
    classes: 100,
    training_files: &["train.bin"],
    test_file: "test.bin",
    rows_per_training_file: 50_000,
    rows_of_test_file: 10_000,
    label_bytes: 2,
    label_byte: 1,
    archive: Archive {
        name: "cifar-100-binary.tar.gz",
        folder: "cifar-100-binary",
        url: "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        bytes: 168_513_733,
        md5: "03b5dce01913d631647c71ecec9e9cb8",
        other_versions: &[
            ("Python", ["cifar-100-python", "cifar-100-python.tar.gz", "train"]),
            ("Matlab", ["cifar-100-matlab", "cifar-100-matlab.tar.gz", "train.mat"]),
        ],
    },
    digests: &[],
    decode,
    fetch: "mlpgrid fetch --dataset cifar100",
};

/// CIFAR-100 with its coarse labels.
pub const CIFAR_100_COARSE: Description =
    Description { key: "cifar100-coarse", fingerprint_key: "Cifar100Coarse", classes: 20, label_byte: 0, ..CIFAR_100 };

/// Decodes whole records.
fn decode(bytes: &[u8], set: &Description) -> Result<Images, BadRecord> {
    let (record, rows) = (set.record_bytes(), bytes.len() / set.record_bytes());
    let (mut pixels, mut labels) = (vec![0; rows * PIXELS], Vec::with_capacity(rows));
    let places = bytes.chunks_exact(record).zip(pixels.chunks_exact_mut(PIXELS));
    for (number, (mut source, target)) in places.enumerate() {
        let mut label = 0;
        for at in 0..set.label_bytes {
            let byte = source.read_u8().map_err(|error| BadRecord { number, found: error.to_string() })?;
            if at == set.label_byte {
                label = byte;
            }
        }
        if usize::from(label) >= set.classes {
            return Err(BadRecord { number, found: label.to_string() });
        }
        labels.push(label.into());
        let (red, rest) = source.split_at(PLANE);
        let (green, blue) = rest.split_at(PLANE);
        for ((pixel, &r), (&g, &b)) in target.chunks_exact_mut(3).zip(red).zip(green.iter().zip(blue)) {
            pixel.copy_from_slice(&[r, g, b]);
        }
    }
    Ok(Images { inputs: PIXELS, values: Values::Bytes(pixels), labels })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records whose pixel bytes count up within a record, under the given label bytes.
    fn records(labels: &[&[u8]]) -> Vec<u8> {
        labels.iter().flat_map(|label| label.iter().copied().chain((0..PIXELS).map(|i| (i / 12) as u8))).collect()
    }

    #[test]
    fn planes_become_row_column_channel() {
        let images = decode(&records(&[&[3]]), &CIFAR_10).expect("decodes");
        assert_eq!(images.labels, [3]);
        let Values::Bytes(pixels) = images.values else { panic!("images are bytes") };
        let at = |row: usize, column: usize, channel: usize| pixels[(row * 32 + column) * 3 + channel];
        let byte = |channel: usize, row: usize, column: usize| ((channel * 1024 + row * 32 + column) / 12) as u8;
        for (row, column, channel) in [(0, 0, 0), (0, 0, 2), (0, 31, 1), (17, 5, 0), (31, 31, 2)] {
            assert_eq!(at(row, column, channel), byte(channel, row, column));
        }
    }

    #[test]
    fn cifar_100_takes_the_label_that_was_asked_for() {
        let bytes = records(&[&[19, 99], &[0, 7]]);
        assert_eq!(decode(&bytes, &CIFAR_100).expect("fine").labels, [99, 7]);
        assert_eq!(decode(&bytes, &CIFAR_100_COARSE).expect("coarse").labels, [19, 0]);
    }

    #[test]
    fn a_label_out_of_range_is_reported_with_its_record() {
        let bad = decode(&records(&[&[9], &[10]]), &CIFAR_10).expect_err("label 10");
        assert_eq!(bad, BadRecord { number: 1, found: "10".to_owned() });
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 50, ..Default::default() })]
        #[test]
        fn any_bytes_are_images_or_an_error(bytes in proptest::collection::vec(0_u8..25, 0..3 * 3074)) {
            for set in [&CIFAR_10, &CIFAR_100, &CIFAR_100_COARSE] {
                if let Ok(images) = decode(&bytes, set) {
                    proptest::prop_assert_eq!(images.labels.len(), bytes.len() / set.record_bytes());
                    proptest::prop_assert!(images.labels.iter().all(|&label| usize::from(label) < set.classes));
                }
            }
        }
    }
}
