//! The machine: what `/proc` and `/sys` report of its name, cores, caches, memory and processes, and what they leave this one.

mod memory;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::process::{Pid, Resource, getrlimit, test_kill_process};

pub use self::memory::{AddressSpace, address_space, address_space_bytes, available_memory_bytes, peak_rss_bytes};

/// The name of this machine.
pub fn host() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// Seconds since 1970.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |duration| duration.as_secs())
}

/// The CPU's name, as the operating system reports it.
pub fn cpu_name() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    name.unwrap_or("unknown").to_owned()
}

/// Cores that affinity and control groups allow this process.
pub fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes of cache that a core can count on: its second level, and its share of the third.
pub fn cache_bytes_of_a_core() -> usize {
    let cache = |index: usize, file: &str| {
        fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{file}")).ok()
    };
    let bytes = |index| -> Option<usize> {
        cache(index, "size")?.trim().strip_suffix('K')?.parse::<usize>().ok().map(|kib| kib * 1024)
    };
    let share = bytes(3).zip(cache(3, "shared_cpu_list")).map_or(0, |(bytes, list)| bytes / cores_in(&list).max(1));
    bytes(2).unwrap_or(0) + share
}

/// The limits on the number of threads, as text; empty where the system sets none, or does not report them.
pub fn thread_limits() -> String {
    let of_user = getrlimit(Resource::Nproc).current.map(|limit| format!("ulimit -u {limit}"));
    let of_group = |folder: &PathBuf| fs::read_to_string(folder.join("pids.max")).ok()?.trim().parse::<u64>().ok();
    let of_groups = control_groups("pids").iter().filter_map(of_group).min().map(|limit| format!("pids.max {limit}"));
    of_user.into_iter().chain(of_groups).collect::<Vec<_>>().join(", ")
}

/// The folders of this process's control group and of those above it that know a controller, the innermost first.
fn control_groups(controller: &str) -> Vec<PathBuf> {
    let lines = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    // Version 2 is `0::/PATH`, version 1 `N:CONTROLLER,…:/PATH`.
    let folders = lines.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let root = match controllers {
            "" => PathBuf::from("/sys/fs/cgroup"),
            _ if controllers.split(',').any(|one| one == controller) => Path::new("/sys/fs/cgroup").join(controller),
            _ => return None,
        };
        // In a container the path is that of the machine outside, and may lead nowhere; its own group is the root then.
        let folder = root.join(path.trim_start_matches('/'));
        Some(folder.ancestors().take_while(|folder| folder.starts_with(&root)).map(PathBuf::from).collect::<Vec<_>>())
    });
    folders.flatten().collect()
}

/// How many cores a list such as `0-3,8` names.
fn cores_in(list: &str) -> usize {
    let count = |part: &str| match part.split_once('-') {
        Some((first, last)) => Some(last.parse::<usize>().ok()? - first.parse::<usize>().ok()? + 1),
        None => part.parse::<usize>().ok().map(|_| 1),
    };
    list.trim().split(',').filter_map(count).sum()
}

/// The start of this machine and the process namespace: process numbers mean something only within both. Empty where the system does
/// not report them.
pub fn boot_and_namespace() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    if boot.is_empty() { String::new() } else { format!("{} {}", boot.trim(), namespace.display()) }
}

/// What can be seen of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// There is none of that number, or it has ended and its parent has not noticed yet.
    Dead,
    /// It lives, and started then, in the system's ticks.
    Alive {
        /// Distinguishes it from a later process of the same number.
        started: u64,
    },
    /// There is one of that number, but `/proc` is mounted so that other people's processes are hidden (`hidepid`): it may be a later one.
    Hidden,
}

/// What can be seen of the process `pid` of this machine and process namespace.
pub fn process(pid: u32) -> Seen {
    if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) {
        return in_stat(&text).map_or(Seen::Dead, |started| Seen::Alive { started });
    }
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Seen::Dead };
    match test_kill_process(pid) {
        Err(Errno::SRCH) => Seen::Dead,
        _ => Seen::Hidden,
    }
}

/// When the process of a `/proc/PID/stat` started: field 22, counted after the name in parentheses. A zombie is dead.
fn in_stat(text: &str) -> Option<u64> {
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let is_dead = fields.next().is_none_or(|state| matches!(state, "Z" | "X"));
    fields.nth(18)?.parse().ok().filter(|_| !is_dead)
}

/// Whether all threads of this process but the first wait for something.
pub fn other_threads_wait() -> bool {
    let first = std::process::id().to_string();
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let mut others = tasks.filter(|task| task.file_name().to_str() != Some(&first));
    let waits = |text: String| text.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S'));
    others.all(|task| fs::read_to_string(task.path().join("stat")).map_or(true, waits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cores_is_counted() {
        assert_eq!([cores_in("0-3,8\n"), cores_in("0"), cores_in("")], [5, 1, 0]);
    }

    #[test]
    fn a_process_is_told_by_its_start_and_a_zombie_is_dead() {
        let after_name = "1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 1 1";
        assert_eq!(in_stat(&format!("1 (a) Z) S {after_name}")), Some(777));
        assert_eq!(in_stat(&format!("1 (a) Z {after_name}")), None);
        assert!(matches!(process(std::process::id()), Seen::Alive { .. }));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        while process(pid) != Seen::Dead {
            std::thread::yield_now(); // a zombie until somebody waits for it
        }
        child.wait().unwrap();
        assert_eq!(process(pid), Seen::Dead);
    }
}
