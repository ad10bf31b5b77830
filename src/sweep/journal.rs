//! Results that survive kill -9: one append-only file for each writing process, one checked and synced line a trial.
//!
//! A line is a JSON object whose last member is a checksum of everything before it. A process never appends to a file that
//! another one began, so a line that a dying process left half-written can only be a file's last; it is reported, not
//! counted, and its trial is trained again.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;
use crate::model::Hyperparameters;
use crate::train::{Outcome, Status};
use crate::version;

/// A trial's line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The trial's identity.
    pub trial: String,
    /// Its result.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// Its configuration.
    #[serde(flatten)]
    pub hyperparameters: Hyperparameters,
    /// Its share of the time that its cohort took.
    pub train_seconds: f64,
    /// When it ended, seconds since 1970.
    pub ended_unix_seconds: u64,
    /// Where it ran.
    pub host: String,
    /// Version and revision of the program.
    pub program: String,
    /// Version of the mathematics.
    pub results_version: u32,
    /// The BLAS kernel.
    pub kernel: String,
    /// Fingerprint of the data.
    pub data_fingerprint: String,
}

/// What stands before the checksum of a line.
const CHECKSUM: &str = ",\"checksum\":\"";

impl Record {
    /// The record as a line with its checksum and newline.
    fn to_line(&self) -> String {
        let json = serde_json::to_string(self).expect("plain fields become JSON");
        let body = json.strip_suffix('}').unwrap_or(&json);
        format!("{body}{CHECKSUM}{:08x}\"}}\n", crc32fast::hash(body.as_bytes()))
    }

    /// Reads a line without its newline; says what is wrong with it.
    fn from_line(line: &str) -> std::result::Result<Self, String> {
        let (body, rest) = line.rsplit_once(CHECKSUM).ok_or("no checksum")?;
        let expected = format!("{:08x}\"}}", crc32fast::hash(body.as_bytes()));
        if rest != expected {
            return Err("a checksum that does not fit".to_owned());
        }
        let record: Self = serde_json::from_str(&format!("{body}}}")).map_err(|error| error.to_string())?;
        match record.results_version {
            version::RESULTS_VERSION => Ok(record),
            other => Err(format!("results version {other}, this program has {}", version::RESULTS_VERSION)),
        }
    }
}

/// All that a sweep's directory records, and what was wrong in it.
#[derive(Debug, Default)]
pub struct Results {
    /// The latest record of each trial.
    pub records: HashMap<String, Record>,
    /// One line for each damaged record.
    pub damage: Vec<String>,
}

impl Results {
    /// Reads every results file under `directory`; a directory without any has no results.
    ///
    /// # Errors
    /// A file cannot be read. Damage inside one is no error: it is reported and its trials count as not trained.
    pub fn read(directory: &Path) -> Result<Self> {
        let folder = directory.join("results");
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            other => other.map_err(Error::io("list the directory", &folder))?,
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
        let mut paths = paths.map_err(Error::io("list the directory", &folder))?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        paths.sort();
        let mut results = Self::default();
        for path in paths {
            let bytes = fs::read(&path).map_err(Error::io("read the results", &path))?;
            results.add_file(&path, &String::from_utf8_lossy(&bytes));
        }
        Ok(results)
    }

    fn add_file(&mut self, path: &Path, text: &str) {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let read = |line: &&str| line.strip_suffix('\n').map_or(Err("half a line".to_owned()), Record::from_line);
        let records: Vec<_> = lines.par_iter().map(read).collect();
        for (number, record) in records.into_iter().enumerate() {
            match record {
                Ok(record) => self.add(record),
                Err(found) => self.damage.push(format!(
                    "{}:{}: expected a whole record, found {found}; its trial counts as not trained",
                    path.display(),
                    number + 1
                )),
            }
        }
    }

    /// Keeps the later of two records of one trial; which file is read first does not matter.
    fn add(&mut self, record: Record) {
        let later = |old: &Record| old.ended_unix_seconds <= record.ended_unix_seconds;
        if self.records.get(&record.trial).is_none_or(later) {
            self.records.insert(record.trial.clone(), record);
        }
    }
}

/// The file that this process appends its records to.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Begins a new file under `directory/results`.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(directory: &Path) -> Result<Self> {
        let folder = directory.join("results");
        fs::create_dir_all(&folder).map_err(Error::io("create the directory", &folder))?;
        let name = format!("{}-{}-{}.jsonl", unix_seconds(), host(), std::process::id());
        let path = folder.join(name);
        let file =
            OpenOptions::new().create_new(true).append(true).open(&path).map_err(Error::io("create it", &path))?;
        files::sync_directory(&folder).map_err(Error::io("sync the directory", &folder))?;
        Ok(Self { path, file })
    }

    /// Appends records; when this returns, they are on the disk.
    ///
    /// # Errors
    /// They could not be written whole or not be synced.
    pub fn append(&mut self, records: &[Record]) -> Result<()> {
        let lines: String = records.iter().map(Record::to_line).collect();
        self.file.write_all(lines.as_bytes()).map_err(Error::io("append a result", &self.path))?;
        self.file.sync_data().map_err(Error::io("sync a result", &self.path))
    }
}

/// Seconds since 1970.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |duration| duration.as_secs())
}

/// The name of this machine.
pub fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// The order of a leaderboard: complete trials by validation accuracy, then by final loss; then diverged ones, then failed
/// ones. Equals stay in the order of the sweep.
pub fn better_first(a: &Outcome, b: &Outcome) -> std::cmp::Ordering {
    let accuracy = |outcome: &Outcome| outcome.val_accuracy.unwrap_or(-1.0);
    let loss = |outcome: &Outcome| outcome.final_loss.unwrap_or(f64::INFINITY);
    let later = |outcome: &Outcome| outcome.diverged_at.unwrap_or(0);
    a.status
        .cmp(&b.status)
        .then(accuracy(b).total_cmp(&accuracy(a)))
        .then(loss(a).total_cmp(&loss(b)))
        .then(later(b).cmp(&later(a)))
}

impl Outcome {
    /// A trial that the program failed at.
    pub fn failed() -> Self {
        Self {
            status: Status::Failed,
            val_accuracy: None,
            first_loss: None,
            final_loss: None,
            train_accuracy: None,
            iterations_done: 0,
            diverged_at: None,
            curve: vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(trial: &str) -> Record {
        Record {
            trial: trial.to_owned(),
            outcome: Outcome { val_accuracy: Some(0.5), final_loss: Some(1.25), ..Outcome::failed() },
            error: None,
            hyperparameters: Hyperparameters::default(),
            train_seconds: 0.5,
            ended_unix_seconds: 1,
            host: "host".to_owned(),
            program: version::program(),
            results_version: version::RESULTS_VERSION,
            kernel: "Zen".to_owned(),
            data_fingerprint: "0".to_owned(),
        }
    }

    #[test]
    fn what_is_appended_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(directory.path()).unwrap();
        journal.append(&[record("a"), record("b")]).unwrap();
        let results = Results::read(directory.path()).unwrap();
        assert_eq!(results.records.len(), 2);
        assert_eq!(results.records["a"], record("a"));
        assert!(results.damage.is_empty());
    }

    #[test]
    fn a_torn_tail_and_a_damaged_line_are_reported_by_line_and_the_others_count() {
        let (a, b, c) = (record("a").to_line(), record("b").to_line(), record("c").to_line());
        let damaged = b.replace("0.5", "0.6");
        let mut results = Results::default();
        results.add_file(Path::new("r.jsonl"), &format!("{a}{damaged}{c}{}", &a[..40]));
        assert_eq!(results.records.len(), 2);
        assert_eq!(results.damage.len(), 2);
        assert!(results.damage[0].starts_with("r.jsonl:2: ") && results.damage[0].contains("checksum"));
        assert!(results.damage[1].starts_with("r.jsonl:4: ") && results.damage[1].contains("half a line"));
    }

    #[test]
    fn a_record_of_another_results_version_is_refused_in_words() {
        let line = Record { results_version: 0, ..record("a") }.to_line();
        assert!(Record::from_line(line.trim_end()).unwrap_err().contains("results version 0"));
    }
}
