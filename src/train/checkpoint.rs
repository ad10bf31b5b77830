//! Where cohorts stand in the middle of training, in files: two generations of each, so that a whole one is there whatever dies while
//! the other is written.
//!
//! A file is a line, a header and the numbers. The line has the lengths and checksums of both, so that a header can be read without the
//! numbers. The header (JSON) holds what made the checkpoint and, of each member, its trial, its scalars and its result so far; the numbers
//! (safetensors) are the tensors of each member k, as `k.name`. A checkpoint names its trials, so any process that has some of them to
//! train can resume these, in whatever cohort they once began.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::observer::{MemberState, State};
use super::outcome::SoFar;
use crate::error::{Error, Result};
use crate::files::{self, Disk};
use crate::model::Trial;
use crate::real::INTEGER_KERNEL;
use crate::tensors::{Parts, Tensor};
use crate::version;

const EXTENSION: &str = "checkpoint";
/// What a file begins with.
const MAGIC: &str = "mlpgrid checkpoint 2";
/// The first line is shorter than this.
const LONGEST_LINE: u64 = 300;

/// What made a checkpoint: training goes on to the bit only where this is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Version of the mathematics.
    pub results_version: u32,
    /// The BLAS kernel.
    pub kernel: String,
    /// Fingerprint of the data.
    pub data_fingerprint: String,
}

impl Made {
    /// By this program.
    pub fn with(kernel: &str, data_fingerprint: &str) -> Self {
        Self {
            results_version: version::RESULTS_VERSION,
            kernel: kernel.to_owned(),
            data_fingerprint: data_fingerprint.to_owned(),
        }
    }
}

impl Made {
    /// Whether training resumes to the bit from what `other` made: by the same, or in integers, with which kernels agree.
    fn reads(&self, other: &Self) -> bool {
        let kernel = if other.kernel == INTEGER_KERNEL { INTEGER_KERNEL } else { &self.kernel };
        *other == Self { kernel: kernel.to_owned(), ..self.clone() }
    }
}

/// All of a checkpoint but the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    made: Made,
    iteration: usize,
    members: Vec<Member>,
}

/// All of a member but its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Member {
    trial: String,
    scalars: BTreeMap<String, f64>,
    so_far: SoFar,
}

/// The two files of a cohort.
#[derive(Clone, Debug)]
pub struct Slots {
    folder: PathBuf,
    name: String,
    next: usize,
}

impl Slots {
    /// For the cohort of these trials, in `folder`.
    pub fn new(folder: &Path, trials: &[&Trial]) -> Self {
        let mut hash = Sha256::new();
        trials.iter().for_each(|trial| hash.update(&trial.id));
        let name = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { folder: folder.to_owned(), name, next: 0 }
    }

    fn path(&self, slot: usize) -> PathBuf {
        self.folder.join(format!("{}-{slot}.{EXTENSION}", self.name))
    }

    /// Writes a state into the file of the generation before the last.
    ///
    /// # Errors
    /// It cannot be written; the generations that are there stay.
    pub fn write(&mut self, disk: &dyn Disk, made: &Made, trials: &[&Trial], state: &State) -> Result<()> {
        let (head, numbers) = encode(made, trials, state);
        files::replace_on(disk, &self.path(self.next), &[head.as_bytes(), &numbers])?;
        self.next = 1 - self.next;
        Ok(())
    }

    /// Removes both: the trials are recorded.
    pub fn remove(&self) {
        for slot in 0..2 {
            let _ = fs::remove_file(self.path(slot)); // one that stays is removed when the sweep is run again
        }
    }
}

/// Writes where a trial stands at a cut into a file of its own, in `folder`.
///
/// # Errors
/// It cannot be written.
pub fn keep(disk: &dyn Disk, folder: &Path, made: &Made, trials: &[&Trial], state: &State) -> Result<()> {
    let names: Vec<&str> = state.members.iter().map(|member| trials[member.trial].id.as_str()).collect();
    let (head, numbers) = encode(made, trials, state);
    let path = folder.join(format!("{}-at-{}.{EXTENSION}", names.join("-"), state.iteration));
    files::replace_on(disk, &path, &[head.as_bytes(), &numbers])
}

/// Makes a folder for checkpoints, and removes what a dead process left half-written there. Nobody else writes into it.
///
/// # Errors
/// It cannot be created.
pub fn prepare(folder: &Path) -> Result<()> {
    files::create_output_directory(folder)?;
    files::remove_leftovers(folder, Duration::ZERO);
    Ok(())
}

/// Removes a folder of checkpoints, and the one that it is in, where nothing is in them any more.
pub fn remove_folder(folder: &Path) {
    let _ = fs::remove_dir(folder).and_then(|()| folder.parent().map_or(Ok(()), fs::remove_dir));
}

/// A checkpoint that training can resume from.
#[derive(Clone, Debug, PartialEq)]
pub struct Resumable<'a> {
    path: PathBuf,
    /// Iterations done.
    pub iteration: usize,
    /// The trials that it is for.
    pub trials: Vec<&'a Trial>,
}

/// What checkpoints there are.
#[derive(Debug, Default)]
pub struct Checkpoints {
    found: Vec<(PathBuf, Header)>,
    /// One line for each that is damaged.
    pub damage: Vec<String>,
}

impl Checkpoints {
    /// Reads the headers of all checkpoints in the folders in `root`, whatever process wrote them.
    ///
    /// # Errors
    /// A folder cannot be listed.
    pub fn find(root: &Path) -> Result<Self> {
        let mut checkpoints = Self::default();
        let folders = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        for folder in folders.filter(|path| path.is_dir()) {
            for path in files::with_extension(&folder, EXTENSION)? {
                match read_head(&path) {
                    Ok((_, header, _)) => checkpoints.found.push((path, header)),
                    Err(found) => checkpoints.is_damaged(&path, &found),
                }
            }
        }
        checkpoints.found.sort_by(|a, b| b.1.iteration.cmp(&a.1.iteration).then_with(|| a.0.cmp(&b.0)));
        Ok(checkpoints)
    }

    /// As [`Checkpoints::find`], but reads the numbers too: those that are found can be resumed from.
    ///
    /// # Errors
    /// A folder cannot be listed.
    pub fn find_whole(root: &Path) -> Result<Self> {
        let mut checkpoints = Self::find(root)?;
        for (path, header) in std::mem::take(&mut checkpoints.found) {
            match read(&path) {
                Ok(_) => checkpoints.found.push((path, header)),
                Err(found) => checkpoints.is_damaged(&path, &found),
            }
        }
        Ok(checkpoints)
    }

    fn is_damaged(&mut self, path: &Path, found: &str) {
        self.damage.push(format!(
            "{}: expected a whole checkpoint, found {found}; its trials resume from the one before it, or begin anew",
            path.display()
        ));
    }

    /// The latest state of each of the `missing` trials that has one before it has done what is wanted of it, so many iterations: those of one
    /// checkpoint together.
    pub fn resumable<'a>(&self, made: &Made, missing: &[(&'a Trial, usize)]) -> Vec<Resumable<'a>> {
        let mut left: HashMap<&str, (&'a Trial, usize)> =
            missing.iter().map(|&(trial, until)| (trial.id.as_str(), (trial, until))).collect();
        let usable = self.found.iter().filter(|(_, header)| made.reads(&header.made));
        let of = |(path, header): &(PathBuf, Header)| {
            let mut take = |member: &Member| {
                let id = member.trial.as_str();
                let (trial, _) = *left.get(id).filter(|(_, until)| header.iteration < *until)?;
                left.remove(id);
                Some(trial)
            };
            let trials: Vec<_> = header.members.iter().filter_map(&mut take).collect();
            (!trials.is_empty()).then(|| Resumable { path: path.clone(), iteration: header.iteration, trials })
        };
        usable.filter_map(of).collect()
    }

    /// A warning where `missing` trials have a checkpoint that training cannot resume from to the bit, such as one of another BLAS
    /// kernel.
    pub fn unusable_warning(&self, made: &Made, missing: &[(&Trial, usize)]) -> Option<String> {
        let usable: HashSet<&str> =
            self.resumable(made, missing).iter().flat_map(|from| &from.trials).map(|trial| trial.id.as_str()).collect();
        let left: HashSet<&str> =
            missing.iter().map(|(trial, _)| trial.id.as_str()).filter(|trial| !usable.contains(trial)).collect();
        let is_left = |member: &Member| left.contains(member.trial.as_str());
        let is_unusable = |header: &Header| !made.reads(&header.made) && header.members.iter().any(is_left);
        let (path, header) = self.found.iter().find(|(_, header)| is_unusable(header))?;
        let found = match &header.made {
            other if other.kernel != made.kernel && other.kernel != INTEGER_KERNEL => {
                format!("those of {}", other.kernel)
            }
            other if other.results_version != made.results_version => {
                format!("results version {}", other.results_version)
            }
            _ => "other data".to_owned(),
        };
        Some(format!(
            "{}: expected a checkpoint of {} kernels, found {found}; its trials begin anew, for a result must not depend on where it was interrupted",
            path.display(),
            made.kernel
        ))
    }

    /// The trials of all checkpoints.
    pub fn trials(&self) -> HashSet<&str> {
        self.found.iter().flat_map(|(_, header)| &header.members).map(|member| member.trial.as_str()).collect()
    }

    /// Every trial that has one, with the iterations done and its result so far, by its latest.
    pub fn latest(&self) -> Vec<(&str, usize, &SoFar)> {
        let mut seen = HashSet::new();
        // They are sorted, the latest first.
        let members =
            self.found.iter().flat_map(|(_, header)| header.members.iter().map(|member| (header.iteration, member)));
        let new = members.filter(|(_, member)| seen.insert(member.trial.as_str()));
        new.map(|(iteration, member)| (member.trial.as_str(), iteration, &member.so_far)).collect()
    }

    /// Removes the checkpoints all of whose trials are over: nothing more is to be done of them than so many iterations.
    pub fn remove_recorded(&self, is_over: &dyn Fn(&str) -> bool) {
        let is_over = |(_, header): &&(PathBuf, Header)| header.members.iter().all(|member| is_over(&member.trial));
        for (path, _) in self.found.iter().filter(is_over) {
            let _ = fs::remove_file(path); // it takes room, no more
        }
    }
}

impl<'a> Resumable<'a> {
    /// The checkpoint at `path`, of so many iterations, for some of its trials.
    pub fn new(path: &Path, iteration: usize, trials: Vec<&'a Trial>) -> Self {
        Self { path: path.to_owned(), iteration, trials }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state, with its members numbered as `cohort` is, which has its trials.
    ///
    /// # Errors
    /// The file is no longer what it was when it was found.
    pub fn load(&self, cohort: &[&Trial]) -> Result<State> {
        let position = |id: &str| {
            let trial = self.trials.iter().find(|trial| trial.id == id)?;
            cohort.iter().position(|other| other.id == trial.id)
        };
        let state = read(&self.path).and_then(|(header, numbers)| decode(header, &numbers, &position));
        state.map_err(|found| self.refused(found))
    }

    /// The error where its state is not what its trials can resume from.
    pub fn refused(&self, found: String) -> Error {
        Error::content(&self.path, "the checkpoint that was there", found, "run the same command again")
    }
}

/// The line and header of a checkpoint as text, and its numbers.
fn encode(made: &Made, trials: &[&Trial], state: &State) -> (String, Vec<u8>) {
    let member = |MemberState { trial, parts, so_far }: &MemberState| Member {
        trial: trials[*trial].id.clone(),
        scalars: parts.scalars.clone(),
        so_far: so_far.clone(),
    };
    let members = state.members.iter().map(member).collect();
    let header = Header { made: made.clone(), iteration: state.iteration, members };
    let header = serde_json::to_string(&header).expect("plain fields become JSON");
    let name = |k: usize| move |(name, tensor)| (format!("{k}.{name}"), tensor);
    let tensors = state.members.iter().enumerate().flat_map(|(k, member)| member.parts.tensors.iter().map(name(k)));
    let numbers = safetensors::serialize(tensors, None).expect("valid tensors serialize");
    let line = Line {
        header_bytes: header.len(),
        header_checksum: checksum(header.as_bytes()),
        numbers_bytes: numbers.len(),
        numbers_checksum: checksum(&numbers),
    };
    (format!("{}{header}", line.text()), numbers)
}

fn checksum(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first line of a file.
struct Line {
    header_bytes: usize,
    header_checksum: String,
    numbers_bytes: usize,
    numbers_checksum: String,
}

impl Line {
    fn text(&self) -> String {
        let Self { header_bytes, header_checksum, numbers_bytes, numbers_checksum } = self;
        format!("{MAGIC} {header_bytes} {header_checksum} {numbers_bytes} {numbers_checksum}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix(MAGIC)?.strip_suffix('\n')?.split_whitespace();
        Some(Self {
            header_bytes: words.next()?.parse().ok()?,
            header_checksum: words.next()?.to_owned(),
            numbers_bytes: words.next()?.parse().ok()?,
            numbers_checksum: words.next()?.to_owned(),
        })
    }
}

/// Line and header of a file, and the rest of it to be read; what is wrong with it otherwise.
fn read_head(path: &Path) -> std::result::Result<(Line, Header, BufReader<File>), String> {
    let file = files::open_regular(path).map_err(|error| error.to_string())?;
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let mut file = BufReader::new(file);
    let mut line = Vec::new();
    file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
    let length = line.len() as u64;
    let line = String::from_utf8(line).ok().and_then(|line| Line::parse(&line));
    let line = line.ok_or("another format, or one of an earlier program")?;
    let expected = length.saturating_add(line.header_bytes as u64).saturating_add(line.numbers_bytes as u64);
    if size != expected {
        return Err(format!("{size} bytes of {expected}"));
    }
    let mut header = vec![0; line.header_bytes];
    file.read_exact(&mut header).map_err(|error| error.to_string())?;
    if checksum(&header) != line.header_checksum {
        return Err("a header whose checksum does not fit".to_owned());
    }
    let header = serde_json::from_slice(&header).map_err(|error| error.to_string())?;
    Ok((line, header, file))
}

/// The header and the numbers of a file; what is wrong with it otherwise.
fn read(path: &Path) -> std::result::Result<(Header, Vec<u8>), String> {
    let (line, header, mut rest) = read_head(path)?;
    let mut numbers = Vec::with_capacity(line.numbers_bytes);
    rest.read_to_end(&mut numbers).map_err(|error| error.to_string())?;
    if checksum(&numbers) != line.numbers_checksum {
        return Err("a checksum that does not fit".to_owned());
    }
    Ok((header, numbers))
}

fn decode(
    header: Header,
    numbers: &[u8],
    position: &dyn Fn(&str) -> Option<usize>,
) -> std::result::Result<State, String> {
    let tensors = SafeTensors::deserialize(numbers).map_err(|error| error.to_string())?;
    let mut of_members: Vec<BTreeMap<String, Tensor>> = header.members.iter().map(|_| BTreeMap::new()).collect();
    for (name, view) in tensors.tensors() {
        let (k, own) = name.split_once('.').ok_or_else(|| format!("a tensor `{name}`"))?;
        let of_member = k.parse().ok().and_then(|k: usize| of_members.get_mut(k));
        let tensor = Tensor::of_view(&view).map_err(|dtype| format!("`{name}` of type {dtype:?}"))?;
        of_member.ok_or_else(|| format!("a tensor `{name}`"))?.insert(own.to_owned(), tensor);
    }
    let state = |(Member { trial, scalars, so_far }, tensors)| {
        Some(MemberState { trial: position(&trial)?, parts: Parts { scalars, tensors }, so_far })
    };
    let members = header.members.into_iter().zip(of_members).filter_map(state).collect();
    Ok(State { iteration: header.iteration, members })
}
