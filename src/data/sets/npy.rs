//! Arrays of the user's own, as `numpy.save` writes them.
//!
//! A file is the magic `\x93NUMPY`, two bytes of version, the header's length, the header (a Python dictionary with `descr`,
//! `fortran_order` and `shape`, filled up with spaces), and the numbers.
//! Source: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::fmt;

use byteorder::{ByteOrder, LittleEndian};

use super::Shape;
use crate::data::images::{Label, MOST_CLASSES, Values};

/// Files of the training rows, of rows for validation, of rows for testing: each its numbers and its labels.
pub const FILES: [[&str; 2]; 3] =
    [["train_x.npy", "train_y.npy"], ["val_x.npy", "val_y.npy"], ["test_x.npy", "test_y.npy"]];

const MAGIC: &[u8] = b"\x93NUMPY";
/// Numbers begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// What the head of a file tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type of its numbers, such as `<f4`; none of a structured one.
    pub descr: Option<String>,
    /// Whether the first index varies fastest.
    pub fortran_order: bool,
    /// The size of each dimension.
    pub shape: Vec<usize>,
    /// Where the numbers begin.
    pub offset: usize,
}

/// What is wrong with a file: a place in it, what was expected, what was found, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Such as `row 3`; none of the file as a whole.
    pub place: Option<String>,
    /// What would have been right.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// What to do.
    pub remedy: &'static str,
}

impl Fault {
    fn new(expected: impl Into<String>, found: impl Into<String>, remedy: &'static str) -> Self {
        Self { place: None, expected: expected.into(), found: found.into(), remedy }
    }
}

/// What the rows of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Of an image; of a row of D numbers, a pixel of D channels.
    pub shape: Shape,
    /// Whether rows are images.
    pub is_image: bool,
    /// Whether their numbers are bytes.
    pub is_bytes: bool,
}

/// As numpy would write its shape, with N rows.
impl fmt::Display for Form {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_bytes { "uint8" } else { "float32" };
        let Shape { rows, columns, channels } = self.shape;
        match self.is_image {
            true => write!(formatter, "{kind} of shape (N, {rows}, {columns}, {channels})"),
            false => write!(formatter, "{kind} of shape (N, {channels})"),
        }
    }
}

impl Header {
    /// Reads the head of a file.
    ///
    /// # Errors
    /// It is none; what was found.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let no_header = || "a damaged header".to_owned();
        let rest = bytes.strip_prefix(MAGIC).ok_or("another format")?;
        let (length, start): (usize, usize) = match rest {
            [1, _, low, high, ..] => (usize::from(u16::from_le_bytes([*low, *high])), 10),
            [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 12),
            [version, ..] => return Err(format!("version {version} of the format")),
            [] => return Err(no_header()),
        };
        let text = bytes.get(start..start.saturating_add(length)).ok_or_else(no_header)?;
        let text = std::str::from_utf8(text).map_err(|_| no_header())?;
        // The values of a dictionary that only numpy writes, found by their keys.
        let value = |key: &str| text.split_once(&format!("'{key}':")).map(|(_, value)| value.trim_start());
        let descr = value("descr").ok_or_else(no_header)?;
        let descr = descr.strip_prefix('\'').and_then(|text| text.split_once('\'')).map(|(descr, _)| descr.to_owned());
        let fortran_order = value("fortran_order").ok_or_else(no_header)?.starts_with("True");
        let shape = value("shape").and_then(|value| value.strip_prefix('(')?.split_once(')'));
        let sizes = shape.ok_or_else(no_header)?.0.split(',').map(str::trim).filter(|size| !size.is_empty());
        let shape = sizes.map(|size| size.parse().map_err(|_| no_header())).collect::<Result<_, _>>()?;
        Ok(Self { descr, fortran_order, shape, offset: start + length })
    }

    /// The head of a file of numbers of a type, such as `<f4`, in the order of C.
    pub fn bytes(descr: &str, shape: &[usize]) -> Vec<u8> {
        let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
        let sizes = if shape.len() == 1 { sizes.trim_end() } else { sizes.trim_end_matches(", ") };
        let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes}), }}");
        let start = MAGIC.len() + 4;
        let end = (start + text.len() + 1).next_multiple_of(ALIGNMENT);
        text.extend(std::iter::repeat_n(' ', end - start - text.len() - 1));
        text.push('\n');
        let length = u16::try_from(text.len()).expect("a header is short").to_le_bytes();
        [MAGIC, &[1, 0], &length, text.as_bytes()].concat()
    }

    /// The numbers of a file of this head, each of `size` bytes.
    fn numbers<'a>(&self, bytes: &'a [u8], size: usize) -> Result<&'a [u8], Fault> {
        let count = self.shape.iter().try_fold(size, |count, &size| count.checked_mul(size));
        let expected = count.and_then(|count| count.checked_add(self.offset));
        match expected {
            Some(expected) if expected == bytes.len() => Ok(&bytes[self.offset..]),
            _ => {
                let expected = expected.map_or("fewer".to_owned(), |expected| expected.to_string());
                let expected = format!("{expected} bytes, as its header has");
                Err(Fault::new(expected, format!("{} bytes", bytes.len()), "write it with numpy.save"))
            }
        }
    }

    /// Type and shape in the words of numpy.
    fn text(&self) -> String {
        let name = match self.descr.as_deref() {
            None => "a structured type",
            Some("|u1") => "uint8",
            Some("|i1") => "int8",
            Some("|b1") => "bool",
            Some("<f2") => "float16",
            Some("<f4") => "float32",
            Some("<f8") => "float64",
            Some("|O") => "Python objects",
            Some(other) => other,
        };
        let order = if self.fortran_order && self.shape.len() > 1 { ", in Fortran order" } else { "" };
        format!("{name} of shape {}{order}", tuple(&self.shape))
    }
}

/// Sizes as Python writes them.
fn tuple(sizes: &[usize]) -> String {
    match sizes {
        [size] => format!("({size},)"),
        sizes => format!("({})", sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

fn damaged(found: String) -> Fault {
    Fault::new("an array that numpy.save wrote", found, "write it with numpy.save")
}

/// Reads the bytes of a file of rows.
///
/// # Errors
/// They are of another kind, are not as many as the header has, or hold a number that is not finite.
pub fn rows(bytes: &[u8]) -> Result<(Values, Form), Fault> {
    let header = Header::read(bytes).map_err(damaged)?;
    let expected = "uint8 images (N, H, W, C) or (N, H, W), uint8 rows (N, D), or float32 rows (N, D)";
    let refuse = |remedy| Err(Fault::new(expected, header.text(), remedy));
    let is_bytes = match header.descr.as_deref() {
        Some("|u1") => true,
        Some("<f4") => false,
        Some("<f2" | "<f8" | ">f4" | ">f8" | "|b1") => return refuse("save x.astype(\"float32\")"),
        _ => return refuse("save x.astype(\"uint8\") if its numbers are bytes, or x.astype(\"float32\")"),
    };
    let (shape, is_image) = match header.shape[..] {
        [_, channels] => (Shape { rows: 1, columns: 1, channels }, false),
        [_, _, _] | [_, _, _, _] if !is_bytes => return refuse("save x.reshape(len(x), -1), or bytes"),
        [_, 1 | 3 | 4, rows, columns] if rows > 1 && columns > 4 => {
            return refuse("if channels come first in it, save x.transpose(0, 2, 3, 1)");
        }
        [_, rows, columns] => (Shape { rows, columns, channels: 1 }, true),
        [_, rows, columns, channels] => (Shape { rows, columns, channels }, true),
        _ => return refuse("save x.reshape(len(x), -1)"),
    };
    if header.shape.contains(&0) {
        return refuse("save at least one row, of at least one number");
    }
    if header.fortran_order {
        return refuse("save numpy.ascontiguousarray(x)");
    }
    let numbers = header.numbers(bytes, if is_bytes { 1 } else { size_of::<f32>() })?;
    let form = Form { shape, is_image, is_bytes };
    if is_bytes {
        return Ok((Values::Bytes(numbers.to_vec()), form));
    }
    let values: Vec<f32> = numbers.chunks_exact(size_of::<f32>()).map(LittleEndian::read_f32).collect();
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let place = format!("row {}, number {}", at / shape.inputs(), at % shape.inputs());
        let remedy = "leave the row out, or replace the number (numpy.nan_to_num)";
        let fault = Fault::new("finite numbers", values[at].to_string(), remedy);
        return Err(Fault { place: Some(place), ..fault });
    }
    Ok((Values::Floats(values), form))
}

/// Reads the bytes of a file of labels, of which there must be as many as `rows`, each below `classes`.
///
/// # Errors
/// They are of another kind, or as many as there are no rows, or one is out of range.
pub fn labels(bytes: &[u8], rows: usize, classes: usize) -> Result<Vec<Label>, Fault> {
    const NUMBER: &str = "number the classes from 0, in all files alike (numpy.unique(y, return_inverse=True))";
    let header = Header::read(bytes).map_err(damaged)?;
    let expected = format!("whole numbers of shape ({rows},), a label for each row");
    let refuse = |remedy| Err(Fault::new(&expected, header.text(), remedy));
    type Read = fn(&[u8]) -> i128;
    let (size, read): (usize, Read) = match header.descr.as_deref() {
        Some("|u1") => (1, |bytes| bytes[0].into()),
        Some("|i1") => (1, |bytes| (bytes[0] as i8).into()),
        Some("<u2") => (2, |bytes| LittleEndian::read_u16(bytes).into()),
        Some("<i2") => (2, |bytes| LittleEndian::read_i16(bytes).into()),
        Some("<u4") => (4, |bytes| LittleEndian::read_u32(bytes).into()),
        Some("<i4") => (4, |bytes| LittleEndian::read_i32(bytes).into()),
        Some("<u8") => (8, |bytes| LittleEndian::read_u64(bytes).into()),
        Some("<i8") => (8, |bytes| LittleEndian::read_i64(bytes).into()),
        _ => return refuse("save y.astype(\"int64\")"),
    };
    match header.shape[..] {
        [count] if count == rows => {}
        [_] => return refuse("save rows and labels of the same examples"),
        [count, 1] if count == rows => return refuse("save y.ravel()"),
        _ => return refuse("save the number of each row's class"),
    }
    let numbers = header.numbers(bytes, size)?.chunks_exact(size).map(read).enumerate();
    let label = |(row, number): (usize, i128)| match Label::try_from(number) {
        Ok(label) if usize::from(label) < classes => Ok(label),
        _ => {
            let seen = if classes < MOST_CLASSES { ", as the training labels have" } else { "" };
            let expected = format!("a label from 0 to {}{seen}", classes - 1);
            Err(Fault { place: Some(format!("row {row}")), ..Fault::new(expected, number.to_string(), NUMBER) })
        }
    };
    numbers.map(label).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(descr: &str, shape: &[usize], numbers: &[u8]) -> Vec<u8> {
        [&Header::bytes(descr, shape), numbers].concat()
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        for shape in [&[][..], &[7], &[2, 3], &[10, 28, 28, 1]] {
            let bytes = Header::bytes("<f4", shape);
            assert_eq!(bytes.len() % ALIGNMENT, 0);
            let header = Header::read(&bytes).expect("a header");
            let expected = Header {
                descr: Some("<f4".to_owned()),
                fortran_order: false,
                shape: shape.to_vec(),
                offset: bytes.len(),
            };
            assert_eq!(header, expected);
        }
        let text = "{'descr': [('a', '<f4')], 'fortran_order': True, 'shape': (5,), }";
        let bytes = [MAGIC, &[2, 0], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        let header = Header::read(&bytes).expect("a header");
        assert_eq!((header.descr, header.fortran_order, header.shape), (None, true, vec![5]));
    }

    #[test]
    fn images_of_one_channel_rows_of_bytes_and_rows_of_floats_are_told_apart() {
        let form = |bytes: &[u8]| rows(bytes).expect("rows").1.to_string();
        assert_eq!(form(&array("|u1", &[1, 2, 3], &[0; 6])), "uint8 of shape (N, 2, 3, 1)");
        assert_eq!(form(&array("|u1", &[1, 2, 3, 1], &[0; 6])), "uint8 of shape (N, 2, 3, 1)");
        assert_eq!(form(&array("|u1", &[2, 3], &[0; 6])), "uint8 of shape (N, 3)");
        assert_eq!(form(&array("<f4", &[2, 3], &[0; 24])), "float32 of shape (N, 3)");
    }

    #[test]
    fn what_cannot_be_read_is_named_with_what_to_do() {
        let fault = |bytes: &[u8]| rows(bytes).expect_err("a fault");
        let of = |descr: &str, shape: &[usize]| {
            let fault = fault(&array(descr, shape, &[]));
            (fault.found, fault.remedy)
        };
        assert_eq!(of("<f8", &[2, 3]), ("float64 of shape (2, 3)".to_owned(), "save x.astype(\"float32\")"));
        assert_eq!(of("<f4", &[2, 4, 4, 3]).1, "save x.reshape(len(x), -1), or bytes");
        assert_eq!(of("|u1", &[2, 3, 32, 32]).1, "if channels come first in it, save x.transpose(0, 2, 3, 1)");
        assert_eq!(of("|u1", &[5]).0, "uint8 of shape (5,)");
        assert_eq!(of("|u1", &[0, 5]).1, "save at least one row, of at least one number");
        let text = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }";
        let fortran = [MAGIC, &[1, 0], &(text.len() as u16).to_le_bytes(), text.as_bytes(), &[0; 6]].concat();
        assert_eq!(fault(&fortran).found, "uint8 of shape (2, 3), in Fortran order");
        assert_eq!(fault(b"PK").found, "another format");
        assert_eq!(fault(&array("|u1", &[2, 3], &[0; 5])).found, "133 bytes");
        assert_eq!(fault(&array("|u1", &[usize::MAX, 3], &[0; 5])).expected, "fewer bytes, as its header has");
        let numbers: Vec<u8> = [1.0, 2.0, 3.0, f32::NAN].into_iter().flat_map(f32::to_le_bytes).collect();
        let nan = fault(&array("<f4", &[2, 2], &numbers));
        assert_eq!((nan.place.as_deref(), nan.found.as_str()), (Some("row 1, number 1"), "NaN"));
    }

    #[test]
    fn labels_of_any_whole_type_are_read_and_one_out_of_range_is_named() {
        let signed: Vec<u8> = [3_i64, 0, 65_535].into_iter().flat_map(i64::to_le_bytes).collect();
        assert_eq!(labels(&array("<i8", &[3], &signed), 3, MOST_CLASSES), Ok(vec![3, 0, 65_535]));
        assert_eq!(labels(&array("|u1", &[2], &[1, 255]), 2, MOST_CLASSES), Ok(vec![1, 255]));
        let fault = labels(&array("|i1", &[2], &[1, 255]), 2, MOST_CLASSES).expect_err("-1");
        assert_eq!((fault.place.as_deref(), fault.found.as_str()), (Some("row 1"), "-1"));
        let fault = labels(&array("|u1", &[2], &[1, 2]), 2, 2).expect_err("2");
        assert_eq!(fault.expected, "a label from 0 to 1, as the training labels have");
        assert_eq!(labels(&array("|u1", &[2, 1], &[1, 2]), 2, 9).expect_err("a column").remedy, "save y.ravel()");
        assert!(labels(&array("|u1", &[2], &[1, 2]), 3, 9).is_err());
        assert!(labels(&array("<f4", &[2], &[0; 8]), 2, 9).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_rows_or_a_fault(bytes in proptest::collection::vec(0_u8.., 0..300)) {
            let _ = rows(&[MAGIC, &bytes].concat());
            let _ = labels(&[MAGIC, &bytes].concat(), 2, 10);
            let _ = rows(&bytes);
        }
    }
}
