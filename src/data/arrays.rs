//! The user's own arrays: the files of a directory, mapped, checked and held against each other.

use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::files::Files;
use super::folder::is_there;
use super::images::{Images, Label, MOST_CLASSES, Values};
use super::map;
use super::sets::DatasetName;
use super::sets::npy::{self, Fault, Form};
use crate::error::{Complaint, Error, Result};
use crate::files;

/// What to do about a file that is not there, or damaged.
const WRITE: &str = "write it with numpy.save";

/// A pair of files.
struct Pair {
    images: Images,
    form: Form,
    digests: [[u8; 32]; 2],
}

/// Reads the arrays in `directory`: those of the training rows, and those of validation and test rows where they are.
///
/// # Errors
/// A file is missing or unreadable, or is not as it must be by itself or beside the others.
pub(super) fn read(directory: &Path) -> Result<Files> {
    check(directory)?;
    let [training, others @ ..] = npy::FILES;
    let mut pairs = vec![training];
    for names in others {
        let paths = names.map(|name| directory.join(name));
        match (is_there(&paths[0])?, is_there(&paths[1])?) {
            (true, true) => pairs.push(names),
            (false, false) => {}
            (is_first, _) => {
                let [there, missing] = if is_first { [0, 1] } else { [1, 0] };
                let expected = format!("it beside {}: numbers and labels of the same rows", names[there]);
                let found = "no such file";
                return Err(Error::content(&paths[missing], expected, found, format!("{WRITE}, or take both away")));
            }
        }
    }
    let read: Vec<Result<Pair>> = pairs.par_iter().map(|names| read_pair(directory, *names)).collect();
    // Of several faulty files it is the same one every time.
    let mut read = pairs.into_iter().zip(read.into_iter().collect::<Result<Vec<_>>>()?).collect::<Vec<_>>();
    let classes = 1 + read[0].1.images.labels.iter().copied().max().map_or(0, usize::from);
    if classes < 2 {
        let path = directory.join(training[1]);
        return Err(Error::content(&path, "labels of two classes at least", "only 0", "number the classes from 0"));
    }
    let form = read[0].1.form;
    for ([x, y], pair) in &read[1..] {
        if pair.form != form {
            let (expected, found) = (format!("{form}, as {} is", training[0]), pair.form.to_string());
            return Err(Error::content(&directory.join(x), expected, found, "make all rows in the same way"));
        }
        if let Some(row) = pair.images.labels.iter().position(|&label| usize::from(label) >= classes) {
            let expected = format!("a label from 0 to {}, as {} has", classes - 1, training[1]);
            let found = pair.images.labels[row].to_string();
            let remedy = "number the classes in all files alike (numpy.unique(y, return_inverse=True))";
            let place = format!("{}: row {row}", directory.join(y).display());
            return Err(Error::Content(Complaint::new(place, expected, found, remedy)));
        }
    }
    let warning = warning(&read, directory);
    let digest = read.iter().fold(Sha256::new(), |hash, (names, pair)| {
        hash.chain_update(names.concat()).chain_update(pair.digests.concat())
    });
    let mut take = |names: [&str; 2]| {
        let at = read.iter().position(|(others, _)| *others == names)?;
        Some(read.remove(at).1.images)
    };
    let mut training = take(training).expect("it was read first");
    // Validation rows stand behind the training rows, as those do that are cut from them.
    let validation = take(others[0]);
    let own_validation = validation.as_ref().map(|rows| rows.labels.len());
    if let Some(validation) = validation {
        training.append(validation);
    }
    let test = take(others[1]).unwrap_or(Images {
        inputs: form.shape.inputs(),
        values: if form.is_bytes { Values::Bytes(vec![]) } else { Values::Floats(vec![]) },
        labels: vec![],
    });
    Ok(Files {
        training,
        own_validation,
        test,
        digest: digest.finalize().into(),
        dataset: DatasetName::Npy,
        shape: form.shape,
        has_images: form.is_image,
        classes,
        directory: directory.to_path_buf(),
        is_synthetic: false,
        warning,
    })
}

/// Makes sure that there is a directory with the training rows.
fn check(directory: &Path) -> Result<()> {
    let [x, _] = npy::FILES[0];
    let path = directory.join(x);
    if is_there(&path)? {
        return Ok(());
    }
    let found = match directory.metadata() {
        Ok(metadata) if metadata.is_dir() => "no such file",
        Ok(_) => "a file in place of the directory",
        Err(_) => "no such directory",
    };
    let remedy = "give the directory of your arrays with --data, or write them with numpy.save";
    Err(Error::content(&path, "the training rows, as numpy saves them", found, remedy))
}

fn read_pair(directory: &Path, [x, y]: [&str; 2]) -> Result<Pair> {
    let ((values, form), digest_of_x) = read_file(&directory.join(x), npy::rows)?;
    let inputs = form.shape.inputs();
    let rows = match &values {
        Values::Bytes(values) => values.len() / inputs,
        Values::Floats(values) => values.len() / inputs,
    };
    let (labels, digest_of_y): (Vec<Label>, _) =
        read_file(&directory.join(y), |bytes| npy::labels(bytes, rows, MOST_CLASSES))?;
    Ok(Pair { images: Images { inputs, values, labels }, form, digests: [digest_of_x, digest_of_y] })
}

/// Maps the file, lets `parse` have its bytes, and drops the map. Returns the file's SHA-256 too.
fn read_file<R>(path: &Path, parse: impl FnOnce(&[u8]) -> std::result::Result<R, Fault>) -> Result<(R, [u8; 32])> {
    let file = files::open_regular(path)?;
    map::read(&file, path, WRITE, |bytes| {
        let refuse = |Fault { place, expected, found, remedy }: Fault| {
            let place = place.map_or(String::new(), |place| format!(": {place}"));
            Error::Content(Complaint::new(format!("{}{place}", path.display()), expected, found, remedy))
        };
        Ok((parse(bytes).map_err(refuse)?, Sha256::digest(bytes).into()))
    })
}

/// Says so where rows are those of another split: then what a network learns from chooses it too.
fn warning(read: &[([&str; 2], Pair)], directory: &Path) -> Option<String> {
    let same = |at: usize| {
        let (names, pair) = &read[at];
        let (others, _) = read[..at].iter().find(|(_, earlier)| earlier.digests[0] == pair.digests[0])?;
        Some(format!("{} is the same as {}", names[0], others[0]))
    };
    let same: Vec<String> = (0..read.len()).filter_map(same).collect();
    let place = directory.display();
    (!same.is_empty()).then(|| format!("{place}: {}; give each split rows of its own", same.join(", ")))
}
