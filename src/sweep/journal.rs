//! Results that survive kill -9: one append-only file for each writing process, one checked and synced line a trial.
//!
//! A line is a JSON object whose last member is a checksum of everything before it. A process never appends to a file that
//! another one began, so a line that a dying process left half-written can only be a file's last. The next process that holds the
//! shard cuts it off, warns, and its trial is trained again. Files are numbered: of two records of a trial, the one in the file of
//! the higher number counts, and in one file the later.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::layout::RESULTS;
use super::shard::Shard;
use super::space::Trial;
use crate::error::{Error, Result};
use crate::files::{self, Disk};
use crate::machine::host;
use crate::model::Hyperparameters;
use crate::real::INTEGER_KERNEL;
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

const EXTENSION: &str = "jsonl";
/// What stands before the checksum of a line.
const CHECKSUM: &str = ",\"checksum\":\"";

impl Record {
    /// The record as a line with its checksum and newline.
    fn to_line(&self) -> String {
        let json = serde_json::to_string(self).expect("plain fields become JSON");
        let body = json.strip_suffix('}').unwrap_or(&json);
        format!("{body}{CHECKSUM}{:08x}\"}}\n", crc32fast::hash(body.as_bytes()))
    }

    /// Reads a line without its newline; or what is wrong with it.
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
    /// How far each file was read.
    files: BTreeMap<PathBuf, Progress>,
    /// The file that the record of each trial is from.
    file_of: HashMap<String, Arc<PathBuf>>,
    /// One line for each damaged record.
    damage: Vec<String>,
}

/// How far a file was read.
#[derive(Debug, Default)]
struct Progress {
    /// To the end of the last whole line.
    bytes: u64,
    lines: usize,
    /// Where it ends in half a record: of a process that died, or that is writing it.
    torn: Option<String>,
}

impl Results {
    /// Reads every results file under `directory`; a directory without any has no results.
    ///
    /// # Errors
    /// A file cannot be read. Damage inside one is no error: it is reported and its trials count as not trained.
    pub fn read(directory: &Path) -> Result<Self> {
        let mut results = Self::default();
        results.refresh(directory)?;
        Ok(results)
    }

    /// Reads what was recorded since. Returns whether there was anything.
    ///
    /// # Errors
    /// As [`Results::read`].
    pub fn refresh(&mut self, directory: &Path) -> Result<bool> {
        let mut is_news = false;
        for path in files::with_extension(&directory.join(RESULTS), EXTENSION)? {
            let mut progress = self.files.remove(&path).unwrap_or_default();
            let read = || {
                let mut file = File::open(&path)?;
                file.seek(SeekFrom::Start(progress.bytes))?;
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).map(|_| bytes)
            };
            let bytes = read().map_err(Error::io("read the results", &path))?;
            is_news |= self.add(&path, &mut progress, &String::from_utf8_lossy(&bytes));
            let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            progress.bytes += whole as u64;
            self.files.insert(path, progress);
        }
        Ok(is_news)
    }

    /// Adds the lines that follow in a file. Returns whether there is a whole one.
    fn add(&mut self, path: &Path, progress: &mut Progress, text: &str) -> bool {
        let file = Arc::new(path.to_owned());
        let damage = |number: usize, found: &str| {
            let path = path.display();
            format!("{path}:{number}: expected a whole record, found {found}; its trial counts as not trained")
        };
        let (whole, torn) = text.rsplit_once('\n').map_or((None, text), |(whole, torn)| (Some(whole), torn));
        let lines: Vec<&str> = whole.into_iter().flat_map(|whole| whole.split('\n')).collect();
        let records: Vec<_> = lines.par_iter().map(|line| Record::from_line(line)).collect();
        for (record, number) in records.into_iter().zip(progress.lines + 1..) {
            match record {
                // Of two records of a trial, the one in the later file counts, and in one file the later; but a stopped trial is never
                // preferred to one that got further, whoever recorded it.
                Ok(record) if self.counts(&record, &file) => {
                    self.file_of.insert(record.trial.clone(), Arc::clone(&file));
                    self.records.insert(record.trial.clone(), record);
                }
                Ok(_) => {}
                Err(found) => self.damage.push(damage(number, &found)),
            }
        }
        progress.lines += lines.len();
        progress.torn = (!torn.is_empty()).then(|| damage(progress.lines + 1, "half a line"));
        !lines.is_empty()
    }

    /// Whether a record counts more than the one of its trial that is there.
    fn counts(&self, record: &Record, file: &Arc<PathBuf>) -> bool {
        let Some(before) = self.records.get(&record.trial) else { return true };
        let is_later = self.file_of.get(&record.trial).is_none_or(|from| from <= file);
        let reached = |record: &Record| match record.outcome.status {
            Status::Stopped => Some(record.outcome.iterations_done),
            Status::Complete | Status::Diverged => Some(usize::MAX),
            Status::Failed => None, // says nothing of how far the trial gets
        };
        match (reached(record), reached(before)) {
            (Some(now), Some(before)) if now != before => now > before,
            _ => is_later,
        }
    }

    /// The complete trial that validation ranks first, of those among `trials` that have a record.
    pub fn best<'a, 'b>(&'b self, trials: impl IntoIterator<Item = &'a Trial>) -> Option<(&'a Trial, &'b Record)> {
        let recorded = trials.into_iter().filter_map(|trial| Some((trial, self.records.get(&trial.id)?)));
        let complete = recorded.filter(|(_, record)| record.outcome.status == Status::Complete);
        complete.min_by(|a, b| better_first(&a.1.outcome, &b.1.outcome))
    }

    /// How many of the recorded ones among trials with these identities were computed with each kernel.
    pub fn kernels<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, usize> {
        let mut kernels = BTreeMap::new();
        for record in ids.into_iter().filter_map(|id| self.records.get(id)) {
            *kernels.entry(record.kernel.clone()).or_default() += 1;
        }
        kernels
    }

    /// A warning for each damaged record. Where others are writing, half a record is no damage.
    pub fn damage_warnings(&self, others_write: bool) -> impl Iterator<Item = &String> {
        let torn = self.files.values().filter_map(|file| file.torn.as_ref());
        self.damage.iter().chain(torn.filter(move |_| !others_write))
    }
}

/// Cuts off the half-written last lines that dead processes left in the files of `shard`, and returns a line about each. Only
/// the process that holds the shard may do this; the holder of the whole sweep mends all files.
///
/// # Errors
/// A file cannot be read or mended.
pub fn repair(directory: &Path, shard: Shard) -> Result<Vec<String>> {
    let mut repaired = Vec::new();
    for path in files::with_extension(&directory.join(RESULTS), EXTENSION)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if shard != Shard::WHOLE && !name.contains(&format!("-{}-", shard.file_name())) {
            continue;
        }
        let bytes = fs::read(&path).map_err(Error::io("read the results", &path))?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if whole == bytes.len() {
            continue;
        }
        let cut = || -> io::Result<()> {
            let file = OpenOptions::new().write(true).open(&path)?;
            file.set_len(whole as u64)?;
            file.sync_all()
        };
        cut().map_err(Error::io("cut off a half-written record", &path))?;
        let line = bytes.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let length = bytes.len() - whole;
        repaired.push(format!(
            "{}:{line}: cut off half a record ({length} bytes) that a process left when it died; its trial is trained again",
            path.display()
        ));
    }
    Ok(repaired)
}

/// The file that this process appends its records to.
pub struct Journal<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    file: File,
    /// A write failed: the file may end in half a record, which anything appended would make unreadable, and be lost with it.
    is_broken: bool,
}

impl<'a> Journal<'a> {
    /// Begins a new file under `directory/results`.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(disk: &'a dyn Disk, directory: &Path, shard: Shard) -> Result<Self> {
        let folder = directory.join(RESULTS);
        fs::create_dir_all(&folder).map_err(Error::io("create the directory", &folder))?;
        let number = |path: &PathBuf| path.file_name()?.to_str()?.split_once('-')?.0.parse::<u64>().ok();
        let last = files::with_extension(&folder, EXTENSION)?.iter().filter_map(number).max().unwrap_or(0);
        let (shard, host, pid) = (shard.file_name(), host(), std::process::id());
        let path = folder.join(format!("{:06}-{shard}-{host}-{pid}.{EXTENSION}", last + 1));
        let file =
            OpenOptions::new().create_new(true).append(true).open(&path).map_err(Error::io("create it", &path))?;
        disk.sync_directory(&folder).map_err(Error::io("sync the directory", &folder))?;
        Ok(Self { disk, path, file, is_broken: false })
    }

    /// Appends records; when this returns, they are on the disk.
    ///
    /// # Errors
    /// They could not be written whole or not be synced. After that nothing more is appended to this file.
    pub fn append(&mut self, records: &[Record]) -> Result<()> {
        let Self { disk, path, file, is_broken } = self;
        if *is_broken {
            let found = "a record before it that could not be written";
            return Err(Error::content(path, "to append a result", found, "run the same command again: it continues"));
        }
        *is_broken = true;
        let lines: String = records.iter().map(Record::to_line).collect();
        disk.append(file, path, lines.as_bytes()).map_err(Error::io("append a result", &*path))?;
        disk.sync(file, path).map_err(Error::io("sync a result", &*path))?;
        *is_broken = false;
        Ok(())
    }
}

/// Of kernels with their numbers of trials those of BLAS, where there are several: their results differ in the last bits.
pub fn several_of_blas(kernels: &BTreeMap<String, usize>) -> Option<Vec<(&str, usize)>> {
    let of_blas = kernels.iter().filter(|(kernel, _)| *kernel != INTEGER_KERNEL);
    let of_blas: Vec<_> = of_blas.map(|(kernel, trials)| (kernel.as_str(), *trials)).collect();
    (of_blas.len() > 1).then_some(of_blas)
}

/// The order of a leaderboard: complete trials by validation accuracy, then by final loss; then those that a search dropped, the last first;
/// then diverged ones, then failed ones. Equals stay in the order of the sweep.
pub fn better_first(a: &Outcome, b: &Outcome) -> std::cmp::Ordering {
    let accuracy = |outcome: &Outcome| outcome.val_accuracy.unwrap_or(-1.0);
    let loss = |outcome: &Outcome| outcome.final_loss.unwrap_or(f64::INFINITY);
    let later = |outcome: &Outcome| outcome.diverged_at.unwrap_or(0);
    let rung = |outcome: &Outcome| outcome.rung.unwrap_or(0);
    a.status
        .cmp(&b.status)
        .then(rung(b).cmp(&rung(a)))
        .then(accuracy(b).total_cmp(&accuracy(a)))
        .then(loss(a).total_cmp(&loss(b)))
        .then(later(b).cmp(&later(a)))
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
    fn what_is_recorded_since_is_read_and_nothing_twice() {
        let directory = tempfile::tempdir().unwrap();
        let journal = || Journal::create(&files::RealDisk, directory.path(), Shard::WHOLE).unwrap();
        let (mut first, mut second) = (journal(), journal());
        first.append(&[record("a")]).unwrap();
        let mut results = Results::read(directory.path()).unwrap();
        assert!(!results.refresh(directory.path()).unwrap(), "nothing is new");
        let with_error = |error: &str| Record { error: Some(error.to_owned()), ..record("b") };
        second.append(&[with_error("later file")]).unwrap();
        assert!(results.refresh(directory.path()).unwrap());
        // Written later, but in the earlier file.
        first.append(&[with_error("earlier file"), record("c")]).unwrap();
        let mut file = OpenOptions::new().append(true).open(&first.path).unwrap();
        io::Write::write_all(&mut file, b"{\"trial\":\"d\"").unwrap();
        assert!(results.refresh(directory.path()).unwrap());
        assert_eq!(results.damage_warnings(false).count(), 1, "half a line");
        io::Write::write_all(&mut file, b"}\n").unwrap();
        assert!(results.refresh(directory.path()).unwrap());
        let damage: Vec<&String> = results.damage_warnings(true).collect();
        assert!(matches!(damage[..], [line] if line.contains(".jsonl:4: expected a whole record")), "{damage:?}");
        assert_eq!(results.records["b"].error.as_deref(), Some("later file"));
        let again = Results::read(directory.path()).unwrap();
        assert_eq!((results.records, results.files.len()), (again.records, 2));
    }

    #[test]
    fn what_is_appended_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(&files::RealDisk, directory.path(), Shard::WHOLE).unwrap();
        journal.append(&[record("a"), record("b")]).unwrap();
        let results = Results::read(directory.path()).unwrap();
        assert_eq!(results.records.len(), 2);
        assert_eq!(results.records["a"], record("a"));
        assert_eq!(results.damage_warnings(false).count(), 0);
    }

    #[test]
    fn a_torn_tail_and_a_damaged_line_are_reported_by_line_and_the_others_count() {
        let (a, b, c) = (record("a").to_line(), record("b").to_line(), record("c").to_line());
        let damaged = b.replace("0.5", "0.6");
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(RESULTS)).unwrap();
        fs::write(directory.path().join(RESULTS).join("r.jsonl"), format!("{a}{damaged}{c}{}", &a[..40])).unwrap();
        let results = Results::read(directory.path()).unwrap();
        assert_eq!(results.records.len(), 2);
        let warnings: Vec<&String> = results.damage_warnings(false).collect();
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("r.jsonl:2: ") && warnings[0].contains("checksum"));
        assert!(warnings[1].contains("r.jsonl:4: ") && warnings[1].contains("half a line"));
        assert_eq!(results.damage_warnings(true).count(), 1, "another process is writing the last line");
    }

    #[test]
    fn half_a_record_is_cut_off_by_the_holder_of_its_shard_and_by_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let shard = Shard { index: 1, count: 2 };
        let mut journal = Journal::create(&files::RealDisk, directory.path(), shard).unwrap();
        journal.append(&[record("a")]).unwrap();
        let whole = fs::read(&journal.path).unwrap();
        fs::write(&journal.path, [&whole[..], &whole[..40]].concat()).unwrap();
        assert_eq!(repair(directory.path(), Shard { index: 2, count: 2 }).unwrap(), [] as [String; 0]);
        let repaired = repair(directory.path(), shard).unwrap();
        assert!(repaired.len() == 1 && repaired[0].contains(".jsonl:2: ") && repaired[0].contains("40 bytes"));
        assert_eq!(fs::read(&journal.path).unwrap(), whole);
        assert_eq!(Results::read(directory.path()).unwrap().damage_warnings(false).count(), 0);
    }

    /// A disk on which every write is cut short.
    struct FullDisk;

    impl Disk for FullDisk {
        fn append(&self, file: &mut File, _path: &Path, bytes: &[u8]) -> io::Result<()> {
            io::Write::write_all(file, &bytes[..bytes.len() / 2])?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
    }

    #[test]
    fn nothing_is_appended_to_half_a_record() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(&FullDisk, directory.path(), Shard::WHOLE).unwrap();
        journal.append(&[record("a")]).unwrap_err();
        let half = fs::read(&journal.path).unwrap();
        journal.disk = &files::RealDisk; // there is room again
        let refused = journal.append(&[record("b")]).unwrap_err().to_string();
        assert!(refused.contains("a record before it that could not be written"), "{refused}");
        assert_eq!(fs::read(&journal.path).unwrap(), half);
    }

    #[test]
    fn of_two_records_of_a_trial_the_one_in_the_later_file_counts() {
        let directory = tempfile::tempdir().unwrap();
        for loss in [1.0, 2.0] {
            let mut journal = Journal::create(&files::RealDisk, directory.path(), Shard::WHOLE).unwrap();
            let mut record = record("a");
            record.outcome.final_loss = Some(loss);
            journal.append(&[record]).unwrap();
        }
        assert_eq!(Results::read(directory.path()).unwrap().records["a"].outcome.final_loss, Some(2.0));
    }

    #[test]
    fn a_stopped_trial_gives_way_to_one_that_got_further_whichever_file_is_the_later_one() {
        let directory = tempfile::tempdir().unwrap();
        let journal = || Journal::create(&files::RealDisk, directory.path(), Shard::WHOLE).unwrap();
        let with = |status, iterations_done| {
            let outcome = Outcome { status, iterations_done, ..Outcome::failed() };
            Record { outcome, ..record("a") }
        };
        let read = || {
            let outcome = Results::read(directory.path()).unwrap().records.remove("a").unwrap().outcome;
            (outcome.status, outcome.iterations_done)
        };
        journal().append(&[with(Status::Stopped, 37)]).unwrap();
        journal().append(&[with(Status::Stopped, 10)]).unwrap();
        assert_eq!(read(), (Status::Stopped, 37));
        journal().append(&[with(Status::Failed, 0)]).unwrap();
        assert_eq!(read(), (Status::Failed, 0));
        journal().append(&[with(Status::Stopped, 46)]).unwrap();
        assert_eq!(read(), (Status::Stopped, 46), "tried again");
        journal().append(&[with(Status::Complete, 60)]).unwrap();
        journal().append(&[with(Status::Stopped, 46)]).unwrap();
        assert_eq!(read(), (Status::Complete, 60));
    }

    #[test]
    fn a_record_of_another_results_version_is_refused_in_words() {
        let line = Record { results_version: 0, ..record("a") }.to_line();
        assert!(Record::from_line(line.trim_end()).unwrap_err().contains("results version 0"));
    }
}
