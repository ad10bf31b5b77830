//! All that knows OpenBLAS: what was linked, which kernels it chose, how many threads it uses.
//!
//! OpenBLAS picks its kernels for the CPU when it loads. `OPENBLAS_CORETYPE` in the environment overrides that, which
//! can halve the speed without a word; [`Blas::warning`] is that word. Each worker calls BLAS from its own thread, so
//! BLAS itself must use one: [`initialise`] sets that and reads it back.

#![allow(unsafe_code)] // the only calls into C

pub mod eigen;
pub mod lanes;
pub mod matrix;

use std::ffi::{CStr, c_char, c_int};
use std::hint::black_box;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::{env, fs};

use ndarray::Array2;
use serde::Serialize;

use crate::error::{Complaint, Error, Result};
use crate::machine::address_space_bytes;

/// The variable in the environment that chooses OpenBLAS's kernels.
pub const CORETYPE: &str = "OPENBLAS_CORETYPE";

unsafe extern "C" {
    fn openblas_set_num_threads(threads: c_int);
    fn openblas_get_num_threads() -> c_int;
    fn openblas_get_parallel() -> c_int;
    fn openblas_get_corename() -> *mut c_char;
    fn openblas_get_config() -> *mut c_char;
}

/// How OpenBLAS was built to use threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Threading {
    /// No threads of its own.
    Sequential,
    /// Its own pool of POSIX threads.
    Pthreads,
    /// OpenMP: the number of threads belongs to each calling thread.
    OpenMp,
}

/// The OpenBLAS that this process runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Blas {
    /// `0.3.21`
    pub version: String,
    /// The kernel in use, such as `SkylakeX`, `Haswell` or `Zen`.
    pub kernel: String,
    /// Build options, as OpenBLAS prints them.
    pub config: String,
    /// The threading model.
    pub threading: Threading,
    /// Threads that one call uses, as read back.
    pub threads: usize,
    /// Threads of one process that may call it at the same time: see [`most_callers`].
    pub most_callers: usize,
    /// One line where the kernel is a lesser one than the CPU could run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// Sets one BLAS thread, reads it back, and returns what was linked. Call it before the first product.
///
/// # Errors
/// OpenBLAS keeps using several threads, which would make workers fight for cores and change the bits.
pub fn initialise() -> Result<Blas> {
    set_one_thread();
    let blas = describe();
    if blas.threads != 1 {
        let remedy =
            "set OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1 in the environment, or link a pthreads build of OpenBLAS";
        let found = format!("{} threads", blas.threads);
        return Err(Error::Content(Complaint::new("OpenBLAS", "one thread a worker", found, remedy)));
    }
    Ok(blas)
}

/// One BLAS thread for calls from this thread. An OpenMP build keeps that number for each thread, so every worker calls this.
pub fn set_one_thread() {
    // SAFETY: takes a number, touches only OpenBLAS's own state.
    unsafe { openblas_set_num_threads(1) }
}

/// The most address space that OpenBLAS takes for a buffer, in 64-bit builds for x86 and ARM.
pub const MOST_BUFFER_BYTES: u64 = 32 << 22;

static BUFFER_BYTES: OnceLock<u64> = OnceLock::new();

/// Address space that OpenBLAS takes for each product that runs at the same time as others, and keeps for later ones: seen at the first
/// product of the process, which this makes. Where there is no such space, OpenBLAS tries for ever or ends the process, so see to it first
/// that [`MOST_BUFFER_BYTES`] are there.
pub fn buffer_bytes() -> u64 {
    *BUFFER_BYTES.get_or_init(|| {
        let before = address_space_bytes();
        let square = Array2::<f32>::ones((256, 256)); // large enough for the common way through OpenBLAS
        black_box(square.dot(&square));
        let taken = before.zip(address_space_bytes()).map_or(0, |(before, after)| after.saturating_sub(before));
        // A buffer that was there already shows nothing, and what other threads took meanwhile shows too much.
        if (MOST_BUFFER_BYTES / 16..=MOST_BUFFER_BYTES).contains(&taken) { taken } else { MOST_BUFFER_BYTES }
    })
}

/// Whether the first product has been made, whose buffer serves later ones.
pub fn has_a_buffer() -> bool {
    BUFFER_BYTES.get().is_some()
}

/// Ends the process without what OpenBLAS does at an exit: it waits for its own threads, and one that found no address space when the
/// library was loaded looks for some for ever.
pub fn exit(code: u8) -> ! {
    drop(io::stdout().flush());
    // SAFETY: does not return, and nothing is left to be written.
    unsafe { libc::_exit(c_int::from(code)) }
}

/// What is linked, without changing anything.
pub fn describe() -> Blas {
    // SAFETY: both return numbers and take nothing.
    let (parallel, threads) = unsafe { (openblas_get_parallel(), openblas_get_num_threads()) };
    // SAFETY: both return static strings of OpenBLAS.
    let (kernel, config) = unsafe { (text(openblas_get_corename()), text(openblas_get_config())) };
    let version = config.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let environment = |key: &str| env::var(key).ok().filter(|value| !value.is_empty());
    Blas {
        version: version.unwrap_or("unknown").to_owned(),
        threading: match parallel {
            0 => Threading::Sequential,
            2 => Threading::OpenMp,
            _ => Threading::Pthreads,
        },
        threads: usize::try_from(threads).unwrap_or(0),
        most_callers: callers(&config),
        warning: kernel_warning(&kernel, widest_vectors(), environment(CORETYPE).as_deref()),
        kernel,
        config,
    }
}

/// Threads of one process that may call OpenBLAS at the same time. Each call takes one of a fixed number of buffers, at most
/// twice the threads that the library was built for, and the library's own threads, one fewer than those, hold one each. With more
/// callers it crashes, or computes something else. A build without threads promises nothing for calls at the same time.
/// Source: OpenBLAS, `NUM_BUFFERS` in `common.h`, and its FAQ.
pub fn most_callers() -> usize {
    // SAFETY: returns a static string of OpenBLAS.
    callers(&unsafe { text(openblas_get_config()) })
}

/// The threads that an OpenBLAS of this configuration was built for.
fn callers(config: &str) -> usize {
    let built_for = config.split_whitespace().find_map(|word| word.strip_prefix("MAX_THREADS=")?.parse().ok());
    built_for.unwrap_or(1).max(1)
}

/// # Safety
/// `pointer` is null or a C string that lives as long as the program.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return "unknown".to_owned();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().trim().to_owned()
}

/// Vector instructions, from narrow to wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Vectors {
    Sse,
    Avx,
    Avx2,
    Avx512,
}

impl Vectors {
    fn name(self) -> &'static str {
        match self {
            Self::Sse => "SSE",
            Self::Avx => "AVX",
            Self::Avx2 => "AVX2",
            Self::Avx512 => "AVX-512",
        }
    }
}

/// The widest vectors that this CPU runs at full speed and OpenBLAS has kernels for; `None` where that is not known (not x86-64).
fn widest_vectors() -> Option<Vectors> {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        Some(if has_avx512() && !halves_avx512(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()) {
            Vectors::Avx512
        } else if has!("avx2") && has!("fma") {
            Vectors::Avx2
        } else if has!("avx") {
            Vectors::Avx
        } else {
            Vectors::Sse
        })
    }
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// Whether this CPU runs OpenBLAS's AVX-512 kernels.
#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl")
}

/// Whether a CPU, by `/proc/cpuinfo`, computes with 512 bits in two halves, so that AVX2 kernels lose nothing: Zen 4 of
/// AMD (family 25). Measured on it, they are up to 4 % faster in wide cohorts and 7 % slower in narrow ones.
fn halves_avx512(cpuinfo: &str) -> bool {
    let value = |name| cpuinfo.lines().find_map(|line| Some(line.strip_prefix(name)?.split_once(':')?.1.trim()));
    value("vendor_id") == Some("AuthenticAMD") && value("cpu family") == Some("25")
}

/// The names, as `OPENBLAS_CORETYPE` takes them, of OpenBLAS's faster kernels that this CPU runs; none where they are not known.
pub fn kernels_of_this_cpu() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let kernels = [
            ("Sandybridge", has!("avx")),
            ("Haswell", has!("avx2") && has!("fma")),
            ("Zen", has!("avx2") && has!("fma")),
            ("SkylakeX", has_avx512()),
            ("Cooperlake", has_avx512() && has!("avx512bf16")),
        ];
        kernels.into_iter().filter_map(|(kernel, runs)| runs.then_some(kernel)).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    vec![]
}

/// The vectors that an OpenBLAS kernel uses, by its name; `None` for a name that is not known.
fn kernel_vectors(kernel: &str) -> Option<Vectors> {
    Some(match kernel.to_ascii_lowercase().as_str() {
        "skylakex" | "cooperlake" | "sapphirerapids" => Vectors::Avx512,
        "haswell" | "zen" => Vectors::Avx2,
        "sandybridge" | "bulldozer" | "piledriver" | "steamroller" | "excavator" => Vectors::Avx,
        "prescott" | "core2" | "penryn" | "dunnington" | "nehalem" | "atom" | "athlon" | "opteron" | "opteron_sse3"
        | "barcelona" | "bobcat" | "nano" | "katmai" | "coppermine" | "northwood" | "banias" | "generic" => {
            Vectors::Sse
        }
        _ => return None,
    })
}

/// One line where `kernel` uses narrower vectors than the CPU has, and why it was chosen.
fn kernel_warning(kernel: &str, widest: Option<Vectors>, coretype: Option<&str>) -> Option<String> {
    let (widest, used) = (widest?, kernel_vectors(kernel)?);
    let why = match coretype {
        Some(value) => format!("because {CORETYPE}={value} is set: unset it for full speed"),
        None => "because this OpenBLAS does not know the CPU: a newer OpenBLAS may".to_owned(),
    };
    (used < widest).then(|| {
        format!("OpenBLAS runs its {kernel} kernels ({}) though this CPU has {}, {why}", used.name(), widest.name())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_is_set_and_read_back() {
        assert_eq!(initialise().expect("OpenBLAS takes one thread").threads, 1);
    }

    #[test]
    fn the_room_for_callers_is_read_from_the_configuration() {
        assert_eq!(callers("OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH NO_AFFINITY Zen MAX_THREADS=64"), 64);
        assert_eq!(callers("OpenBLAS 0.3.21 DYNAMIC_ARCH Zen SINGLE_THREADED"), 1);
    }

    #[test]
    fn a_kernel_that_uses_all_the_cpu_has_gives_no_warning() {
        assert_eq!(kernel_warning("SkylakeX", Some(Vectors::Avx512), None), None);
        assert_eq!(kernel_warning("Zen", Some(Vectors::Avx2), Some("Zen")), None);
        assert_eq!(kernel_warning("NEOVERSEN1", None, Some("ARMV8")), None);
    }

    #[test]
    fn a_pinned_lesser_kernel_gives_one_line_that_names_the_variable() {
        let warning = kernel_warning("Haswell", Some(Vectors::Avx512), Some("Haswell")).expect("a warning");
        assert!(warning.contains("AVX-512") && warning.contains("OPENBLAS_CORETYPE=Haswell"), "{warning}");
        assert!(!warning.contains('\n'));
    }

    #[test]
    fn the_avx2_kernels_are_no_lesser_ones_where_avx_512_is_computed_in_halves() {
        let cpuinfo =
            |family: u8| format!("processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: {family}\nmodel\t\t: 17\n");
        assert!(halves_avx512(&cpuinfo(25)) && !halves_avx512(&cpuinfo(26)) && !halves_avx512(""));
        assert!(!halves_avx512(&cpuinfo(25).replace("AuthenticAMD", "GenuineIntel")));
    }

    #[test]
    fn an_old_library_on_a_new_cpu_gives_a_line_that_asks_for_a_newer_one() {
        let warning = kernel_warning("Nehalem", Some(Vectors::Avx2), None).expect("a warning");
        assert!(warning.contains("newer OpenBLAS"), "{warning}");
    }
}
