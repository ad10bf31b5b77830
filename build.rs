//! Records what this build was made of (git revision, compiler) and makes sure that OpenBLAS can be linked,
//! before the linker fails with a message of its own.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    record_git_revision();
    record_rustc_version();
    probe_openblas();
}

/// The first line that a command prints, if it succeeds.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().unwrap_or("").trim().to_owned())
}

/// `MLPGRID_GIT`: the short revision, with `-dirty` where tracked files differ from it; `unknown` outside git.
fn record_git_revision() {
    let git = |arguments: &[&str]| first_line(Command::new("git").args(arguments));
    let revision = match git(&["rev-parse", "--short=12", "HEAD"]) {
        Some(revision) => {
            let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|line| !line.is_empty());
            if dirty { format!("{revision}-dirty") } else { revision }
        }
        None => "unknown".to_owned(),
    };
    println!("cargo::rustc-env=MLPGRID_GIT={revision}");
    // Committing changes HEAD or what it points to; editing changes the sources.
    if let Some(folder) = git(&["rev-parse", "--git-dir"]) {
        for file in ["HEAD", "index", "refs/heads"] {
            println!("cargo::rerun-if-changed={folder}/{file}");
        }
    }
    println!("cargo::rerun-if-changed=src");
}

/// `MLPGRID_RUSTC`: what `rustc --version` prints.
fn record_rustc_version() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = first_line(Command::new(rustc).arg("--version")).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=MLPGRID_RUSTC={version}");
}

/// Links a program of three lines with OpenBLAS, and prints what to install where that fails.
fn probe_openblas() {
    println!("cargo::rerun-if-env-changed=LIBRARY_PATH");
    let Some(folder) = env::var_os("OUT_DIR").map(PathBuf::from) else { return };
    let (source, program) = (folder.join("probe.c"), folder.join("probe"));
    let text = "char *openblas_get_config(void);\nint main(void) { return openblas_get_config() == 0; }\n";
    if fs::write(&source, text).is_err() {
        return;
    }
    let mut compiler = Command::new(env::var("CC").unwrap_or_else(|_| "cc".to_owned()));
    compiler.arg(&source).arg("-o").arg(&program);
    if let Some(prefix) = first_line(Command::new("brew").args(["--prefix", "openblas"])) {
        compiler.arg(format!("-L{prefix}/lib"));
    }
    match compiler.arg("-lopenblas").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => {}
        Ok(_) => println!(
            "cargo::error=OpenBLAS was not found by the linker. Install it: Debian/Ubuntu `apt-get install libopenblas-dev pkg-config`, \
             Fedora `dnf install openblas-devel pkgconf`, Arch `pacman -S openblas pkgconf`, macOS `brew install openblas pkgconf`; \
             or run ./scripts/quickstart, which does"
        ),
        Err(error) => println!(
            "cargo::error=no C compiler was found to link with ({error}). Install one: Debian/Ubuntu `apt-get install build-essential`, \
             Fedora `dnf install gcc`, Arch `pacman -S gcc`, macOS `xcode-select --install`; or run ./scripts/quickstart, which does"
        ),
    }
}
