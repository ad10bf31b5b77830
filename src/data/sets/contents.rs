//! What is known of the contents of the official files: whether files are those that everybody else's results are from.
//!
//! The files of CIFAR-10 are known by their SHA-256. Those of CIFAR-100 are not: nobody here has had them in hand, and a digest
//! copied from elsewhere could condemn the right file. The home page states that every class has as many images as any other,
//! 500 for training and 100 for testing, and files that are damaged or mixed up do not. Source:
//! <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::fmt::Write as _;

use super::Format;
use crate::data::images::Label;

/// How to know files of the right size by their contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// By name and SHA-256, in lower-case hexadecimal digits.
    Digests(Vec<(&'static str, String)>),
    /// Every label is there as often as any other.
    Balanced,
}

impl Contents {
    /// Those of the official files.
    pub fn official(format: Format) -> Self {
        match format.digests {
            [] => Self::Balanced,
            digests => Self::Digests(digests.iter().map(|&(name, digest)| (name, digest.to_owned())).collect()),
        }
    }

    /// What was expected in the file `name`, whose SHA-256 and labels are these, and what was found; `None` where nothing is wrong.
    pub fn fault(&self, name: &str, digest: &[u8], labels: &[Label], classes: usize) -> Option<(String, String)> {
        match self {
            Self::Digests(known) => {
                let (found, of) = (hex(digest), |name: &str| known.iter().find(|(other, _)| *other == name));
                let (_, expected) = of(name).filter(|(_, expected)| *expected != found)?;
                let found = match known.iter().find(|(_, digest)| *digest == found) {
                    Some((other, _)) => format!("those of {other}"),
                    None => format!("others (SHA-256 {})", short(&found)),
                };
                Some((format!("the official contents (SHA-256 {})", short(expected)), found))
            }
            Self::Balanced => {
                let mut counts = vec![0; classes];
                labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
                let expected = labels.len() / classes;
                let (label, count) = counts.into_iter().enumerate().find(|&(_, count)| count != expected)?;
                Some((format!("{expected} images of each label"), format!("{count} of label {label}")))
            }
        }
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

/// Enough of a digest to recognise it.
fn short(digest: &str) -> String {
    format!("{}…", digest.chars().take(16).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str) -> Vec<u8> {
        let (_, text) = Format::Cifar10.digests.iter().find(|(other, _)| *other == name).expect("a known file");
        (0..32).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("two digits")).collect()
    }

    #[test]
    fn a_file_of_cifar_10_is_known_by_its_digest_and_another_ones_contents_by_theirs() {
        let contents = Contents::official(Format::Cifar10);
        for name in Format::Cifar10.files() {
            assert_eq!(contents.fault(name, &digest(name), &[], 10), None);
        }
        let (expected, found) =
            contents.fault("data_batch_1.bin", &digest("data_batch_3.bin"), &[], 10).expect("a fault");
        assert_eq!(expected, "the official contents (SHA-256 cee916563c9f80d8…)");
        assert_eq!(found, "those of data_batch_3.bin");
        let (_, found) = contents.fault("test_batch.bin", &[0xab; 32], &[], 10).expect("a fault");
        assert_eq!(found, "others (SHA-256 abababababababab…)");
    }

    #[test]
    fn a_file_of_cifar_100_has_every_label_as_often_as_any_other() {
        let contents = Contents::official(Format::Cifar100Coarse);
        let labels: Vec<Label> = (0..20).chain(0..20).collect();
        assert_eq!(contents.fault("train.bin", &[], &labels, 20), None);
        let (expected, found) = contents.fault("train.bin", &[], &[0; 40], 20).expect("a fault");
        assert_eq!((expected.as_str(), found.as_str()), ("2 images of each label", "40 of label 0"));
    }
}
