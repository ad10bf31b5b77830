//! One process a shard: a lock that also holds where the directory is NFS, and that a dead process loses.
//!
//! A lock is a file `locks/SHARD.N`; of several for a shard the highest N, its *generation*, counts. Taking the lock is creating
//! the next generation under a name that does not exist yet, with `link`, which one process alone can do, on NFS too. Nobody ever
//! takes a lock by removing a file, so a slow process cannot remove another's. Releasing it is marking it as released.
//!
//! The holder renews its file every few seconds. Whether it is alive is seen at its process where that is of this machine and
//! not hidden from this person; elsewhere, by watching whether the file changes: no two clocks are compared. A holder that was stopped
//! for so long that another process took over notices when it next renews, and stops; its records and those of the other are equal anyhow.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
use serde::{Deserialize, Serialize};

use super::layout::LOCKS;
use super::shard::Shard;
use crate::error::{Complaint, Error, Result};
use crate::files::{self, RealDisk, sync_directory};
use crate::limits;
use crate::machine::{Seen, boot_and_namespace, host, process, unix_seconds};

/// A lock of another machine that was not renewed for so long is a dead process's, unless somebody asks for more patience.
pub const DEAD_AFTER: Duration = Duration::from_secs(45);

/// A process, distinguished from any other on any machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    host: String,
    pid: u32,
    /// The start of the machine and the process namespace: process numbers mean something only within both.
    machine: String,
    /// When the process started, in the system's ticks: process numbers are used again.
    started: u64,
}

impl Process {
    fn this() -> Self {
        let pid = std::process::id();
        let started = if let Seen::Alive { started } = process(pid) { started } else { 0 };
        Self { host: host(), pid, machine: boot_and_namespace(), started }
    }

    /// Whether it lives, where that can be seen from here: not on another machine, nor where `/proc` hides it.
    fn is_alive(&self) -> Option<bool> {
        let here = boot_and_namespace();
        if here.is_empty() || self.machine != here || self.host != host() || self.started == 0 {
            return None;
        }
        match process(self.pid) {
            Seen::Alive { started } => Some(started == self.started),
            Seen::Dead => Some(false),
            Seen::Hidden => None,
        }
    }
}

/// How far the holder of a lock is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Advance {
    /// Trials that it has recorded.
    pub trials_done: usize,
    /// Trials that it has to train in all.
    pub trials: usize,
    /// Seconds that it expects to need still.
    pub seconds_left: Option<f64>,
}

/// What stands in a lock's file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Content {
    process: Process,
    since_unix_seconds: u64,
    released: bool,
    /// Counts the renewals.
    beat: u64,
    advance: Advance,
}

/// Who holds, or held, a shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// The shard.
    pub shard: Shard,
    /// Where it runs.
    pub host: String,
    /// Process number there.
    pub pid: u32,
    /// Since when, seconds since 1970.
    pub since_unix_seconds: u64,
    /// How far it is.
    pub advance: Advance,
    /// Whether it lives.
    pub is_running: bool,
}

/// A lock's file.
#[derive(Clone, Debug)]
struct Entry {
    shard: Shard,
    generation: u64,
    path: PathBuf,
    content: Content,
    modified: SystemTime,
}

impl Entry {
    /// Whether its holder lives: seen at the process, or at the age of the file.
    fn is_running(&self, takeover_after: Duration, clock: &Clock<'_>) -> bool {
        let is_alive =
            || self.content.process.is_alive().unwrap_or_else(|| clock.since(self.modified) < takeover_after);
        !self.content.released && is_alive()
    }
}

/// The clock that the locks of a folder are dated by. On NFS that is the server's, and this machine's may be far from it.
struct Clock<'a> {
    folder: &'a Path,
    now: OnceCell<SystemTime>,
}

impl<'a> Clock<'a> {
    fn of(folder: &'a Path) -> Self {
        Self { folder, now: OnceCell::new() }
    }

    /// The time between `modified` and now. A date in the future, which a clock left that has been put back since, is as far away as one in
    /// the past: it does not make a lock look fresh.
    fn since(&self, modified: SystemTime) -> Duration {
        let of_new_file = || tempfile::tempfile_in(self.folder)?.metadata()?.modified();
        // Where nothing can be written, this machine's clock is the next best.
        let now = self.now.get_or_init(|| of_new_file().unwrap_or_else(|_| SystemTime::now()));
        now.duration_since(modified).unwrap_or_else(|ahead| ahead.duration())
    }
}

/// The lock file of the highest generation of every shard. A file that cannot be read as a lock is one that is being written.
fn entries(directory: &Path) -> Result<Vec<Entry>> {
    let folder = directory.join(LOCKS);
    let listed = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        other => other.map_err(Error::io("list the directory", &folder))?,
    };
    let mut entries: Vec<Entry> = listed.flatten().filter_map(|entry| read(&entry.path())).collect();
    entries.sort_by_key(|entry| (entry.shard, std::cmp::Reverse(entry.generation)));
    entries.dedup_by_key(|entry| entry.shard);
    Ok(entries)
}

fn read(path: &Path) -> Option<Entry> {
    let (shard, generation) = path.file_name()?.to_str()?.rsplit_once('.')?;
    let (shard, generation) = (Shard::from_file_name(shard)?, generation.parse().ok()?);
    let content = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).ok()?;
    Some(Entry { shard, generation, path: path.to_owned(), content, modified })
}

/// Who holds the shards of the sweep in `directory`, or held them when a process died.
///
/// # Errors
/// The directory cannot be listed.
pub fn holders(directory: &Path, takeover_after: Duration) -> Result<Vec<Holder>> {
    let folder = directory.join(LOCKS);
    let clock = Clock::of(&folder);
    let holder = |entry: Entry| Holder {
        shard: entry.shard,
        is_running: entry.is_running(takeover_after, &clock),
        host: entry.content.process.host,
        pid: entry.content.process.pid,
        since_unix_seconds: entry.content.since_unix_seconds,
        advance: entry.content.advance,
    };
    Ok(entries(directory)?.into_iter().filter(|entry| !entry.content.released).map(holder).collect())
}

/// A shard that this process holds; released when dropped.
#[derive(Debug)]
pub struct Lock {
    shard: Shard,
    folder: PathBuf,
    path: PathBuf,
    content: Mutex<Content>,
}

impl Lock {
    /// Takes the lock of `shard` in `directory`. Where its holder is of another machine and seems dead, watches its file for
    /// `takeover_after` first, and logs it.
    ///
    /// # Errors
    /// Another process holds it, or holds a part of another division of the sweep; `stop` was set while waiting; or the directory
    /// cannot be written.
    pub fn take(
        directory: &Path,
        shard: Shard,
        takeover_after: Duration,
        stop: &AtomicBool,
        log: &dyn Fn(&str),
    ) -> Result<Self> {
        let folder = directory.join(LOCKS);
        fs::create_dir_all(&folder).map_err(Error::io("create the directory", &folder))?;
        let refuse_foreign = |entries: &[Entry]| {
            let clock = Clock::of(&folder);
            let foreign = |entry: &&Entry| entry.shard.count != shard.count && entry.is_running(takeover_after, &clock);
            let expected = || format!("no process on a shard of another division than {shard}");
            entries.iter().find(foreign).map_or(Ok(()), |other| Err(refusal(other, expected())))
        };
        loop {
            let entries = entries(directory)?;
            refuse_foreign(&entries)?;
            let last = entries.into_iter().find(|entry| entry.shard == shard);
            if let Some(last) = last.as_ref().filter(|last| !last.content.released) {
                wait_for_death(last, takeover_after, stop, log)?;
            }
            let generation = last.as_ref().map_or(1, |last| last.generation + 1);
            if let Some(lock) = Self::create(&folder, shard, generation)? {
                if let Some(last) = last {
                    if !last.content.released {
                        log(&format!("took over shard {shard}: {} is gone", named(&last)));
                    }
                    let _ = fs::remove_file(last.path); // a lower generation counts for nothing
                }
                // Of two that began at the same moment on different divisions, each sees the other here at the latest.
                refuse_foreign(&self::entries(directory)?)?;
                return Ok(lock);
            }
            // Another process was faster: look again.
        }
    }

    /// Creates the file of a generation, if no other process does; it has its content from the first moment.
    fn create(folder: &Path, shard: Shard, generation: u64) -> Result<Option<Self>> {
        let content = Content {
            process: Process::this(),
            since_unix_seconds: unix_seconds(),
            released: false,
            beat: 0,
            advance: Advance::default(),
        };
        let path = folder.join(format!("{}.{generation}", shard.file_name()));
        let attempt = || -> io::Result<bool> {
            let mut beside = files::beside(folder)?;
            beside.write_all(&json(&content))?;
            beside.as_file().sync_all()?;
            match fs::hard_link(beside.path(), &path) {
                // On NFS the answer to a link that succeeded can be lost, and the second request finds it there.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if fs::metadata(beside.path())?.nlink() < 2 {
                        return Ok(false);
                    }
                }
                other => other?,
            }
            sync_directory(folder)?;
            Ok(true)
        };
        let is_mine = attempt().map_err(Error::io("create the lock", &path))?;
        if !is_mine {
            return Ok(None);
        }
        let lock = Self { shard, folder: folder.to_owned(), path, content: Mutex::new(content) };
        if lock.is_mine() {
            return Ok(Some(lock));
        }
        // This process listed the generations long ago, and what it created is not the highest any more.
        let _ = fs::remove_file(&lock.path);
        Ok(None)
    }

    /// Whether no other process has taken over.
    fn is_mine(&self) -> bool {
        let Some(directory) = self.folder.parent() else { return false };
        let highest = entries(directory).ok().and_then(|all| all.into_iter().find(|entry| entry.shard == self.shard));
        // Where the directory cannot be read just now, nothing has been seen to change.
        highest.is_none_or(|highest| highest.path == self.path)
    }

    /// Renews the lock. Returns whether it is still this process's.
    pub fn renew(&self, advance: Advance) -> bool {
        if !self.is_mine() {
            return false;
        }
        let Ok(mut content) = self.content.lock() else { return true };
        content.beat += 1;
        content.advance = advance;
        // On a full disk the new time of the file is a sign of life too.
        if files::replace_on(&RealDisk, &self.path, &[&json(&content)]).is_err() {
            let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW }; // by the clock of the file's system
            let times = Timestamps { last_access: now, last_modification: now };
            let _ = File::options().append(true).open(&self.path).map(|file| futimens(file, &times));
        }
        true
    }
}

/// The longest time between two renewals of a lock.
const RENEW_EVERY: Duration = Duration::from_secs(10);

impl Lock {
    /// Runs `work` and renews the lock beside it; `advance` reports how far that is. A process that lost its lock is asked to `stop`.
    ///
    /// # Errors
    /// As `work`; or no thread can be started to renew the lock, or the lock was lost.
    pub fn while_held(
        &self,
        takeover_after: Duration,
        stop: &AtomicBool,
        advance: &(dyn Fn() -> Advance + Sync),
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let (end, ended) = mpsc::channel::<()>();
        let lost = AtomicBool::new(false);
        let outcome = thread::scope(|scope| {
            let renew = || {
                let ended = ended; // moved here, so that it goes when this thread does
                // Renewed at once, so that others see what there is to do.
                while self.renew(advance()) {
                    if ended.recv_timeout(RENEW_EVERY.min(takeover_after / 4)) != Err(mpsc::RecvTimeoutError::Timeout) {
                        return;
                    }
                }
                lost.store(true, Ordering::Relaxed);
                stop.store(true, Ordering::Relaxed);
            };
            let renewing = thread::Builder::new().name("lock".to_owned()).spawn_scoped(scope, renew);
            let outcome = renewing.map_err(|error| limits::no_thread("to renew the lock", &error)).and_then(|_| work());
            drop(end);
            outcome
        });
        if lost.load(Ordering::Relaxed) {
            let found = "that another process took over, as if this one were dead";
            let complaint = Complaint::new("lock", "to hold it until the end", found, "let that process finish");
            return Err(Error::Content(complaint));
        }
        outcome
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.is_mine() {
            return;
        }
        let Ok(mut content) = self.content.lock() else { return };
        content.released = true;
        // Unreleased, it is found to be a dead process's.
        let _ = files::replace_on(&RealDisk, &self.path, &[&json(&content)]);
    }
}

fn json(content: &Content) -> Vec<u8> {
    serde_json::to_vec(content).expect("plain fields become JSON")
}

fn named(entry: &Entry) -> String {
    let since = humantime::format_rfc3339_seconds(
        SystemTime::UNIX_EPOCH + Duration::from_secs(entry.content.since_unix_seconds),
    );
    let Process { host, pid, .. } = &entry.content.process;
    format!("process {pid} on {host}, which has shard {} since {since}", entry.shard)
}

fn refusal(entry: &Entry, expected: String) -> Error {
    let remedy = "wait until it ends, or stop it; if that machine is gone, try again in a minute";
    Error::Content(Complaint::new(entry.path.display(), expected, named(entry), remedy))
}

/// Returns when the holder is dead.
fn wait_for_death(entry: &Entry, takeover_after: Duration, stop: &AtomicBool, log: &dyn Fn(&str)) -> Result<()> {
    let refusal = || refusal(entry, "no other process on this shard".to_owned());
    match entry.content.process.is_alive() {
        Some(true) => return Err(refusal()),
        Some(false) => return Ok(()),
        None => {}
    }
    log(&format!("watching for {} s whether {} still renews its lock", takeover_after.as_secs(), named(entry)));
    let started = Instant::now();
    while started.elapsed() < takeover_after {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        thread::sleep(Duration::from_millis(100).min(takeover_after));
        if read(&entry.path).is_some_and(|now| now.content != entry.content || now.modified != entry.modified) {
            let released = read(&entry.path).is_some_and(|now| now.content.released);
            return if released { Ok(()) } else { Err(refusal()) };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_millis(300);

    fn take(directory: &Path, shard: &str) -> Result<Lock> {
        take_after(AFTER, directory, shard)
    }

    fn take_after(takeover_after: Duration, directory: &Path, shard: &str) -> Result<Lock> {
        Lock::take(directory, shard.parse().expect("a shard"), takeover_after, &AtomicBool::new(false), &|_| ())
    }

    /// Makes the lock of shard 1/1 look as if another process held it.
    fn held_by(directory: &Path, change: impl FnOnce(&mut Process)) {
        drop(take(directory, "1/1").expect("nobody holds it"));
        let path = entries(directory).expect("listed")[0].path.clone();
        let mut content = read(&path).expect("a lock").content;
        content.released = false;
        change(&mut content.process);
        fs::write(&path, json(&content)).expect("written");
    }

    #[test]
    fn a_held_shard_is_refused_and_names_host_and_process_and_another_shard_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let first = take(directory.path(), "1/2").unwrap();
        let error = take(directory.path(), "1/2").unwrap_err().to_string();
        assert!(error.contains(&format!("process {} on {}", std::process::id(), host())), "{error}");
        assert!(take(directory.path(), "2/2").is_ok());
        assert!(take(directory.path(), "1/3").unwrap_err().to_string().contains("another division"));
        drop(first);
        assert!(take(directory.path(), "1/2").is_ok() && take(directory.path(), "1/3").is_ok());
    }

    #[test]
    fn the_lock_of_a_dead_process_is_taken_over_at_once() {
        let directory = tempfile::tempdir().unwrap();
        held_by(directory.path(), |process| process.started += 1); // the number is another process's by now
        let lock = take(directory.path(), "1/1").unwrap();
        assert!(lock.renew(Advance::default()));
        assert_eq!(holders(directory.path(), AFTER).unwrap().len(), 1);
    }

    #[test]
    fn the_lock_of_another_machine_is_taken_over_only_if_it_is_not_renewed() {
        let directory = tempfile::tempdir().unwrap();
        held_by(directory.path(), |process| process.machine = "another".to_owned());
        let path = entries(directory.path()).unwrap()[0].path.clone();
        let mut content = read(&path).unwrap().content;
        // Renewed until it was refused, with more patience than any machine is busy for: no thread has to be on time.
        let is_refused = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_refused.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(20));
                    content.beat += 1;
                    files::replace_on(&RealDisk, &path, &[&json(&content)]).unwrap();
                }
            });
            let taken = take_after(DEAD_AFTER, directory.path(), "1/1");
            is_refused.store(true, Ordering::Relaxed);
            assert!(taken.is_err(), "it was renewed");
        });
        let started = Instant::now();
        assert!(take(directory.path(), "1/1").is_ok());
        assert!(started.elapsed() >= AFTER);
    }

    #[test]
    fn a_lock_of_another_machine_that_is_dated_in_the_future_keeps_nobody_out() {
        let directory = tempfile::tempdir().unwrap();
        held_by(directory.path(), |process| process.machine = "another".to_owned());
        let path = entries(directory.path()).unwrap()[0].path.clone();
        let date = |date| File::options().append(true).open(&path).unwrap().set_modified(date).unwrap();
        date(SystemTime::now() + Duration::from_secs(3600));
        assert!(!holders(directory.path(), AFTER).unwrap()[0].is_running);
        assert!(take(directory.path(), "1/2").is_ok(), "its division is over");
        date(SystemTime::now());
        assert!(holders(directory.path(), Duration::from_secs(60)).unwrap()[0].is_running);
    }

    #[test]
    fn a_lock_that_does_not_say_when_its_process_started_is_judged_by_its_renewals() {
        let directory = tempfile::tempdir().unwrap();
        held_by(directory.path(), |process| process.started = 0);
        assert!(holders(directory.path(), Duration::from_secs(60)).unwrap()[0].is_running);
    }

    #[test]
    fn of_many_that_try_at_once_one_alone_takes_over() {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            held_by(directory.path(), |process| process.started += 1);
            let barrier = std::sync::Barrier::new(8);
            let attempt = || {
                barrier.wait();
                take(directory.path(), "1/1").ok()
            };
            let locks: Vec<Lock> = thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(attempt)).collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(locks.len(), 1);
            assert!(locks[0].is_mine());
        }
    }

    #[test]
    fn a_holder_that_lost_its_lock_notices_and_leaves_the_other_alone() {
        let directory = tempfile::tempdir().unwrap();
        let lost = take(directory.path(), "1/1").unwrap();
        let path = lost.path.clone();
        let mut content = read(&path).unwrap().content;
        content.process.started += 1; // as if it had been seen to be dead
        fs::write(&path, json(&content)).unwrap();
        let other = take(directory.path(), "1/1").unwrap();
        assert!(!lost.renew(Advance::default()));
        drop(lost);
        assert!(other.renew(Advance::default()));
    }
}
