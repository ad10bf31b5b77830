//! Where cohorts stand in the middle of training, in files: two generations of each, so that a whole one is there whatever dies while
//! the other is written.
//!
//! A file is a line with the checksum of what follows, then safetensors: `k.V` (H, D), `k.b1` (H), `k.W2` (H, C), `k.b2` (C) of each
//! member k, and as metadata everything else. A checkpoint names its trials, so any process whose shard has some of them missing
//! can go on with those, in whatever cohort they once began.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use byteorder::{ByteOrder, LittleEndian};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::layout::CHECKPOINTS;
use super::shard::Shard;
use super::space::Trial;
use crate::error::{Error, Result};
use crate::files::{self, Disk};
use crate::model::TwoLayerNet;
use crate::model::cohort::{PenaltyGradient, Start};
use crate::real::{Precision, Real};
use crate::train::{MemberState, SoFar, State};
use crate::version;

const EXTENSION: &str = "checkpoint";
/// What a file begins with; the checksum follows.
const MAGIC: &str = "mlpgrid checkpoint 1 ";
/// Letters of the checksum, SHA-256.
const CHECKSUM_LETTERS: usize = 64;
/// The key of the metadata.
const KEY: &str = "mlpgrid";

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

/// All of a checkpoint but the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    made: Made,
    precision: Precision,
    iteration: usize,
    members: Vec<Member>,
}

/// All of a member but its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Member {
    trial: String,
    scale: f64,
    l2: f64,
    learning_rate: f64,
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
    /// For the cohort of these trials, trained by the process that has `shard`.
    pub fn new(directory: &Path, shard: Shard, trials: &[&Trial]) -> Self {
        let mut hash = Sha256::new();
        trials.iter().for_each(|trial| hash.update(&trial.id));
        let name = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { folder: folder(directory, shard), name, next: 0 }
    }

    fn path(&self, slot: usize) -> PathBuf {
        self.folder.join(format!("{}-{slot}.{EXTENSION}", self.name))
    }

    /// Writes a state into the file of the generation before the last.
    ///
    /// # Errors
    /// It cannot be written; the generations that are there stay.
    pub fn write<T: Real>(&mut self, disk: &dyn Disk, made: &Made, trials: &[&Trial], state: &State<T>) -> Result<()> {
        let content = encode(made, trials, state);
        let head = format!("{MAGIC}{}\n", checksum(&content));
        files::replace_on(disk, &self.path(self.next), &[head.as_bytes(), &content])?;
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

/// Where the checkpoints of a shard are.
pub fn folder(directory: &Path, shard: Shard) -> PathBuf {
    directory.join(CHECKPOINTS).join(shard.file_name())
}

/// Makes the folder of a shard's checkpoints, and removes what a dead process left half-written there.
///
/// # Errors
/// It cannot be created.
pub fn prepare(directory: &Path, shard: Shard) -> Result<()> {
    let folder = folder(directory, shard);
    files::create_output_directory(&folder)?;
    files::remove_leftovers(&folder, Duration::ZERO); // the shard is locked
    Ok(())
}

/// Removes the folder of a shard's checkpoints, where nothing is in it any more.
pub fn remove_folder(directory: &Path, shard: Shard) {
    let _ = fs::remove_dir(folder(directory, shard)).and_then(|()| fs::remove_dir(directory.join(CHECKPOINTS)));
}

/// A checkpoint that training can go on from.
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
    /// Reads the headers of all checkpoints of the sweep in `directory`, whatever process wrote them.
    ///
    /// # Errors
    /// A folder cannot be listed.
    pub fn find(directory: &Path) -> Result<Self> {
        let mut checkpoints = Self::default();
        let folder = directory.join(CHECKPOINTS);
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for shard in entries.filter(|path| path.is_dir()) {
            for path in files::with_extension(&shard, EXTENSION)? {
                match read(&path) {
                    Ok((header, _)) => checkpoints.found.push((path, header)),
                    Err(found) => checkpoints.damage.push(format!(
                        "{}: expected a whole checkpoint, found {found}; training goes on from the one before it",
                        path.display()
                    )),
                }
            }
        }
        checkpoints.found.sort_by(|a, b| b.1.iteration.cmp(&a.1.iteration).then_with(|| a.0.cmp(&b.0)));
        Ok(checkpoints)
    }

    /// The latest state of each of the `missing` trials that has one: those of one checkpoint go on together.
    pub fn resumable<'a>(&self, made: &Made, missing: &[&'a Trial]) -> Vec<Resumable<'a>> {
        let mut left: HashMap<&str, &'a Trial> = missing.iter().map(|&trial| (trial.id.as_str(), trial)).collect();
        let usable = self.found.iter().filter(|(_, header)| header.made == *made);
        let of = |(path, header): &(PathBuf, Header)| {
            let trials: Vec<_> =
                header.members.iter().filter_map(|member| left.remove(member.trial.as_str())).collect();
            (!trials.is_empty()).then(|| Resumable { path: path.clone(), iteration: header.iteration, trials })
        };
        usable.filter_map(of).collect()
    }

    /// One line where `missing` trials have a checkpoint that training cannot go on from to the bit, such as one of another BLAS
    /// kernel.
    pub fn tell_unusable(&self, made: &Made, missing: &[&Trial]) -> Option<String> {
        let usable: HashSet<&str> =
            self.resumable(made, missing).iter().flat_map(|from| &from.trials).map(|trial| trial.id.as_str()).collect();
        let left: HashSet<&str> =
            missing.iter().map(|trial| trial.id.as_str()).filter(|trial| !usable.contains(trial)).collect();
        let is_left = |member: &Member| left.contains(member.trial.as_str());
        let (path, header) = self.found.iter().find(|(_, header)| header.members.iter().any(is_left))?;
        let found = match &header.made {
            other if other.kernel != made.kernel => format!("those of {}", other.kernel),
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

    /// Removes the checkpoints all of whose trials are recorded.
    pub fn remove_recorded(&self, is_recorded: &dyn Fn(&str) -> bool) {
        let is_over = |(_, header): &&(PathBuf, Header)| header.members.iter().all(|member| is_recorded(&member.trial));
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

    /// The state, with its members numbered as `trials` are.
    ///
    /// # Errors
    /// The file is no longer what it was when it was found.
    pub fn load<T: Real>(&self) -> Result<State<T>> {
        let refuse = |found: String| {
            Error::content(&self.path, "the checkpoint that was there", found, "run the same command again")
        };
        let (header, bytes) = read(&self.path).map_err(refuse)?;
        decode(&header, &bytes, &self.trials).map_err(refuse)
    }
}

/// A matrix that becomes bytes when they are written: a checkpoint should not take several times the memory of the weights.
struct Rows<'a, T> {
    shape: Vec<usize>,
    rows: ArrayView2<'a, T>,
}

impl<T: Real> View for Rows<'_, T> {
    fn dtype(&self) -> Dtype {
        T::DTYPE
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = Vec::with_capacity(self.data_len());
        self.rows.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.rows.len() * size_of::<T>()
    }
}

/// The safetensors of a checkpoint.
fn encode<T: Real>(made: &Made, trials: &[&Trial], state: &State<T>) -> Vec<u8> {
    let mut tensors = Vec::new();
    let mut members = Vec::new();
    for (k, MemberState { trial, start, so_far }) in state.members.iter().enumerate() {
        let TwoLayerNet { w1, b1, w2, b2 } = &start.network;
        tensors.extend([
            (format!("{k}.V"), Rows { shape: vec![b1.len(), w1.nrows()], rows: w1.t() }),
            (format!("{k}.b1"), Rows { shape: vec![b1.len()], rows: b1.view().insert_axis(Axis(0)) }),
            (format!("{k}.W2"), Rows { shape: w2.shape().to_vec(), rows: w2.view() }),
            (format!("{k}.b2"), Rows { shape: vec![b2.len()], rows: b2.view().insert_axis(Axis(0)) }),
        ]);
        members.push(Member {
            trial: trials[*trial].id.clone(),
            scale: start.scale,
            l2: start.l2,
            learning_rate: start.learning_rate,
            so_far: so_far.clone(),
        });
    }
    let header = Header { made: made.clone(), precision: T::PRECISION, iteration: state.iteration, members };
    let metadata = HashMap::from([(KEY.to_owned(), serde_json::to_string(&header).expect("plain fields become JSON"))]);
    safetensors::serialize(tensors, Some(metadata)).expect("valid tensors serialize")
}

fn checksum(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The header and the safetensors of a file; what is wrong with it otherwise.
fn read(path: &Path) -> std::result::Result<(Header, Vec<u8>), String> {
    let mut bytes = fs::read(path).map_err(|error| error.to_string())?;
    let start = MAGIC.len() + CHECKSUM_LETTERS + 1;
    if bytes.len() < start || !bytes.starts_with(MAGIC.as_bytes()) {
        return Err("another format".to_owned());
    }
    let content = bytes.split_off(start);
    if bytes[MAGIC.len()..start - 1] != *checksum(&content).as_bytes() {
        return Err("a checksum that does not fit".to_owned());
    }
    let metadata = SafeTensors::read_metadata(&content).map_err(|error| error.to_string())?.1;
    let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY)).ok_or("no header")?;
    let header = serde_json::from_str(header).map_err(|error| error.to_string())?;
    Ok((header, content))
}

fn decode<T: Real>(header: &Header, content: &[u8], trials: &[&Trial]) -> std::result::Result<State<T>, String> {
    if header.precision != T::PRECISION {
        return Err(format!("numbers of {:?}", header.precision));
    }
    let tensors = SafeTensors::deserialize(content).map_err(|error| error.to_string())?;
    let tensor = |name: String| -> std::result::Result<(Vec<usize>, Vec<T>), String> {
        let view = tensors.tensor(&name).map_err(|error| error.to_string())?;
        let number = |bytes: &[u8]| match T::PRECISION {
            Precision::F32 => T::from_f64(f64::from(LittleEndian::read_f32(bytes))),
            Precision::F64 => T::from_f64(LittleEndian::read_f64(bytes)),
        };
        Ok((view.shape().to_vec(), view.data().chunks_exact(size_of::<T>()).map(number).collect()))
    };
    let matrix = |name: String| -> std::result::Result<Array2<T>, String> {
        let (shape, values) = tensor(name)?;
        let [rows, columns] = shape[..] else { return Err("a matrix of another shape".to_owned()) };
        Array2::from_shape_vec((rows, columns), values).map_err(|error| error.to_string())
    };
    let mut members = Vec::new();
    for (k, member) in header.members.iter().enumerate() {
        let Some(trial) = trials.iter().position(|trial| trial.id == member.trial) else { continue };
        let network = TwoLayerNet {
            w1: matrix(format!("{k}.V"))?.reversed_axes(),
            b1: Array1::from_vec(tensor(format!("{k}.b1"))?.1),
            w2: matrix(format!("{k}.W2"))?,
            b2: Array1::from_vec(tensor(format!("{k}.b2"))?.1),
        };
        let Member { scale, l2, learning_rate, .. } = *member;
        let start = Start { network, scale, l2, learning_rate, penalty_gradient: PenaltyGradient::Derived };
        members.push(MemberState { trial, start, so_far: member.so_far.clone() });
    }
    Ok(State { iteration: header.iteration, members })
}
