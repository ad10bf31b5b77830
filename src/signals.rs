//! Signals that ask a sweep to stop: TERM, INT, HUP, USR1 and USR2 set a flag that training looks at between two iterations.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::flag;

use crate::error::{Complaint, Error, Result};

/// How a process ends at the second INT: as an interrupted one, whose command can be run again.
const STOPPED_AT_ONCE: i32 = 75;

/// From now on these signals set the flag; a second INT ends the process at once. HUP stays ignored where the process was started
/// to ignore it, which is what `nohup` is for.
///
/// # Errors
/// The system refuses.
pub fn listen() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let listened = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2];
    let listened = listened.into_iter().filter(|&signal| signal != SIGHUP || !is_ignored(signal));
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
        // A file that may not grow is an error to report, not a reason to be killed.
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        Ok(())
    };
    attempt().map_err(|error| {
        Error::Content(Complaint::new("signals", "to be notified of them", error.to_string(), "please report it"))
    })?;
    Ok(stop)
}

/// Whether a signal is ignored; where the system does not tell, it is not.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}
