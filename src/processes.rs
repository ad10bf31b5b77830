//! Further processes of this program, for more workers than one OpenBLAS has room for: each has a library of its own.
//!
//! Orders go to a process's stdin, events come from its stdout, both as JSON, one a line. The process that gives the orders keeps the
//! other end of stdin open for as long as it lives: a process whose orders end has lost it, and ends at once.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::blas;
use crate::error::{Complaint, Error, Result};

/// The command that makes this program take orders.
pub const COMMAND: &str = "process";
/// The exit code of a process that lost the one which gave its orders.
const LOST: i32 = 75;

/// How many workers each process has, this one alone if there is one number: no OpenBLAS is called by more threads than it has
/// [room for](blas::most_callers), and the parts are equal but for one worker.
pub fn parts(workers: usize) -> Vec<usize> {
    divide(workers, blas::most_callers())
}

fn divide(workers: usize, most: usize) -> Vec<usize> {
    let count = workers.div_ceil(most).max(1);
    (0..count).map(|part| workers / count + usize::from(part < workers % count)).collect()
}

/// A further process of this program. Killed when dropped, if it has not ended.
#[derive(Debug)]
pub struct Process {
    child: Child,
    orders: Mutex<ChildStdin>,
}

impl Process {
    /// Starts `program` to do `task`; returns it with its events. It dies with the thread that starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start<E: DeserializeOwned>(program: &Path, task: &str) -> Result<(Self, Reports<E>)> {
        let mut command = Command::new(program);
        // One thread for OpenBLAS from the beginning: those that it would start have nothing to do.
        command.args([COMMAND, task]).env("OPENBLAS_NUM_THREADS", "1");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(Error::io("start it", program))?;
        let (Some(orders), Some(events)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both were asked for");
        };
        let events = Reports { lines: BufReader::new(events), of: std::marker::PhantomData };
        Ok((Self { child, orders: Mutex::new(orders) }, events))
    }

    /// Gives an order. To one that has died it is lost; that is seen at its [end](Self::end).
    pub fn order(&self, order: &impl Serialize) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        drop(write_line(&mut *orders, order));
    }

    /// Asks it to leave off, with checkpoints.
    pub fn stop(&self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM); // one that has ended needs no signal
        }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It did not end by itself, or not well.
    pub fn end(mut self) -> Result<()> {
        let status = self.child.wait().map_err(Error::io("wait for it", "a further process"))?;
        if status.success() { Ok(()) } else { Err(died(self.child.id(), status)) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already, it is only taken off the system's list.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn died(pid: u32, status: ExitStatus) -> Error {
    let remedy = "run the same command again: it continues; if memory was short, take fewer --workers";
    Error::Content(Complaint::new(format!("process {pid}"), "that it trains to the end", status.to_string(), remedy))
}

/// What a process reports, as it comes, until it ends.
#[derive(Debug)]
pub struct Reports<E> {
    lines: BufReader<ChildStdout>,
    of: std::marker::PhantomData<E>,
}

impl<E: DeserializeOwned> Iterator for Reports<E> {
    type Item = E;

    /// The next event; none once the process has ended or writes something else.
    fn next(&mut self) -> Option<E> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(1..) => serde_json::from_str(&line).ok(),
            _ => None,
        }
    }
}

/// In a further process: the orders, as they come. When there can be no more, the process ends.
///
/// # Errors
/// No thread can be started to listen.
pub fn orders<O: DeserializeOwned + Send + 'static>() -> Result<Receiver<O>> {
    // Where the system has this, a process that gave orders and was killed takes this one with it.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let (sender, receiver) = mpsc::channel();
    let listen = move || {
        for line in io::stdin().lock().lines() {
            let Some(order) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { break };
            if sender.send(order).is_err() {
                return; // nobody needs orders any more
            }
        }
        std::process::exit(LOST);
    };
    let thread = thread::Builder::new().name("orders".to_owned()).spawn(listen);
    thread.map(|_| receiver).map_err(Error::io("start a thread", "a further process"))
}

/// In a further process: reports an event.
pub fn report(event: &impl Serialize) {
    // Where nobody reads any more, the orders have ended too.
    drop(write_line(&mut io::stdout().lock(), event));
}

fn write_line(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_process_has_more_workers_than_its_library_has_room_for() {
        assert_eq!(divide(1, 64), [1]);
        assert_eq!(divide(64, 64), [64]);
        assert_eq!(divide(65, 64), [33, 32]);
        assert_eq!(divide(190, 64), [64, 63, 63]);
        assert_eq!(divide(3, 1), [1; 3]);
        for workers in 1..=4096 {
            let parts = divide(workers, 64);
            assert_eq!(parts.iter().sum::<usize>(), workers);
            assert!(parts.iter().all(|part| (1..=64).contains(part)), "{workers}: {parts:?}");
        }
    }
}
