//! What this program is: version, revision, compiler.

/// The package's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Short git revision of the build, with `-dirty` where the tree differed from it; `unknown` outside git.
pub const GIT_REVISION: &str = env!("MLPGRID_GIT");
/// The compiler.
pub const RUSTC: &str = env!("MLPGRID_RUSTC");
/// Version of the mathematics: raised whenever the same configuration would give other numbers. It is part of a
/// trial's identity, so results of two versions never mix.
pub const RESULTS_VERSION: u32 = 1;

/// `0.1.0 (a1b2c3d4e5f6)`, as it stands in every record.
pub fn program() -> String {
    format!("{VERSION} ({GIT_REVISION})")
}
