//! Signals: those that ask a process to stop set a flag that training looks at between two iterations.
//!
//! They are the ones by which people, schedulers and wrappers end a job and leave it time for a checkpoint:
//!
//! | signal | sent by |
//! |---|---|
//! | TERM | `kill`, `timeout`, Slurm, PBS, Kubernetes, HTCondor, Docker; LSF ten seconds after INT |
//! | INT, QUIT | Ctrl-C and Ctrl-\\; LSF; grid pilots |
//! | HUP | a terminal or connection that closes |
//! | USR1, USR2 | Slurm's `--signal`, Grid Engine's `-notify` and soft run time, LSF's run limit, OAR |
//! | XCPU | the kernel at the soft limit of CPU time (`ulimit -St`, Grid Engine's `s_cpu`, LSF's CPU limit) |
//! | ALRM | a wrapper that sets an alarm and starts the program |

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};
use signal_hook::flag;

use crate::error::{Complaint, Error, Result};
use crate::machine::available_cores;

/// The signals that ask to stop.
const STOPPING: [i32; 8] = [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGALRM];
/// How a process ends at the second INT: as an interrupted one, whose command can be run again.
const STOPPED_AT_ONCE: i32 = 75;
/// Seconds of CPU time that every core has from XCPU to the end, and the most of the limit that they may take.
const SECONDS_TO_STOP: u64 = 5;
const SHARE_TO_STOP: u64 = 10;

/// From now on these signals set the flag; a second INT ends the process at once. HUP stays ignored where the process was started
/// to ignore it, which is what `nohup` is for.
///
/// # Errors
/// The system refuses.
pub fn listen() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let listened = STOPPING.into_iter().filter(|&signal| signal != SIGHUP || !is_ignored(signal));
    let attempt = || -> io::Result<()> {
        for signal in listened {
            if signal == SIGINT {
                // In this order: at the first INT the condition does not hold yet.
                let interrupted = Arc::new(AtomicBool::new(false));
                flag::register_conditional_shutdown(signal, STOPPED_AT_ONCE, Arc::clone(&interrupted))?;
                flag::register(signal, interrupted)?;
            }
            flag::register(signal, Arc::clone(&stop))?;
        }
        Ok(())
    };
    attempt().map_err(|error| {
        Error::Content(Complaint::new("signals", "to be notified of them", error.to_string(), "please report it"))
    })?;
    be_warned_of_cpu_limit();
    Ok(stop)
}

/// A file that may not grow (`ulimit -f`) is from now on an error of the write, not a reason to be killed without a word.
pub fn survive_file_size_limit() {
    let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))); // otherwise it is as it was
}

/// The kernel sends XCPU at the soft limit of CPU time and kills at the hard one. `ulimit -t` sets both to the same number, so that there
/// is no time for a checkpoint: then the soft one is lowered.
fn be_warned_of_cpu_limit() {
    let Rlimit { current: soft, maximum: hard } = getrlimit(Resource::Cpu);
    let Some(hard) = hard else { return };
    let notice = (SECONDS_TO_STOP * available_cores() as u64).min(hard / SHARE_TO_STOP);
    let latest = hard.saturating_sub(notice.max(1));
    if soft.is_none_or(|soft| soft > latest) {
        // Where it cannot be lowered, the last periodic checkpoint is what remains.
        let _ = setrlimit(Resource::Cpu, Rlimit { current: Some(latest), maximum: Some(hard) });
    }
}

/// Whether a signal is ignored; where the system does not report it, it is not.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}
