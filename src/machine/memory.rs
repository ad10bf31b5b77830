//! Memory: what there is, and what limits leave.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::control_groups;

/// Bytes of memory that this process can still get: what the machine has free, and what its control groups leave it. `None` where the
/// system does not report it.
pub fn available_memory_bytes() -> Option<u64> {
    let free = bytes_in(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    Some(control_groups("memory").iter().filter_map(|folder| left_in_group(folder)).fold(free, u64::min))
}

/// What a control group leaves, of version 2 or 1. Files that are only kept in memory until something else wants it do not count as used.
fn left_in_group(folder: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let (limit, used, cached) = match number("memory.max") {
        Some(limit) => (limit, number("memory.current")?, "inactive_file "),
        None => (number("memory.limit_in_bytes")?, number("memory.usage_in_bytes")?, "total_inactive_file "),
    };
    let statistics = read("memory.stat").unwrap_or_default();
    let cached = statistics.lines().find_map(|line| line.strip_prefix(cached)?.trim().parse().ok());
    Some(limit.saturating_sub(used.saturating_sub(cached.unwrap_or(0))))
}

/// The most memory that this process has had, in bytes; `None` where the system does not report it.
pub fn peak_rss_bytes() -> Option<u64> {
    bytes_in(&own_status(), "VmHWM:")
}

/// Address space that this process has mapped, whether there is memory behind it or not; `None` where the system does not report it.
pub fn address_space_bytes() -> Option<u64> {
    bytes_in(&own_status(), "VmSize:")
}

/// What a limit leaves of address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSpace {
    /// Bytes that can still be mapped.
    pub left_bytes: u64,
    /// The limit, in bytes.
    pub limit_bytes: u64,
    /// What sets it: `ulimit -v`.
    pub name: &'static str,
}

/// What the narrowest limit leaves this process of address space: on all of it, on data, or on what the machine promises to all
/// processes. `None` where there is no limit.
pub fn address_space() -> Option<AddressSpace> {
    let status = own_status();
    let own = |resource, used, name| {
        let limit_bytes = getrlimit(resource).current?;
        Some(AddressSpace { left_bytes: limit_bytes.saturating_sub(bytes_in(&status, used)?), limit_bytes, name })
    };
    let (all, data) = (own(Resource::As, "VmSize:", "ulimit -v"), own(Resource::Data, "VmData:", "ulimit -d"));
    let limits = [all, data, left_to_promise_here()];
    limits.into_iter().flatten().min_by_key(|space| space.left_bytes)
}

fn left_to_promise_here() -> Option<AddressSpace> {
    let read = |path| fs::read_to_string(path).ok();
    left_to_promise(&read("/proc/sys/vm/overcommit_memory")?, &read("/proc/meminfo")?)
}

/// What a machine leaves that promises no more memory than it has.
fn left_to_promise(policy: &str, meminfo: &str) -> Option<AddressSpace> {
    let limit_bytes = bytes_in(meminfo, "CommitLimit:").filter(|_| policy.trim() == "2")?;
    let left_bytes = limit_bytes.saturating_sub(bytes_in(meminfo, "Committed_AS:")?);
    Some(AddressSpace { left_bytes, limit_bytes, name: "vm.overcommit_memory=2 with a CommitLimit of" })
}

fn own_status() -> String {
    fs::read_to_string("/proc/self/status").unwrap_or_default()
}

/// Bytes of a line such as `VmHWM:   1234 kB`.
fn bytes_in(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_promises_no_more_than_it_has_leaves_the_rest_of_it() {
        let meminfo = "MemTotal: 9000 kB\nCommitLimit:    4000 kB\nCommitted_AS:   1500 kB\n";
        assert_eq!(left_to_promise("2\n", meminfo).unwrap().left_bytes, 2500 * 1024);
        assert_eq!(left_to_promise("2\n", &meminfo.replace("1500", "4500")).unwrap().left_bytes, 0);
        assert_eq!(left_to_promise("0\n", meminfo), None);
    }

    #[test]
    fn what_this_process_takes_is_reported() {
        assert!(peak_rss_bytes().unwrap() > 1 << 20 && address_space_bytes() > peak_rss_bytes());
        assert!(available_memory_bytes().unwrap() > 0);
    }
}
