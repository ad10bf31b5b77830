//! Manual pages, completions and the citation: made from, or held against, what the program is.

mod common;

use std::fs;
use std::process::Command;

use common::{Place, Run, text};

#[test]
fn every_command_has_a_manual_page_with_its_flags() {
    let place = Place::new();
    let pages = text(&place.path("man1"));
    let run = Run::of(["man", "--out", &pages]);
    assert_eq!((run.code, run.stdout), (Some(0), format!("{pages}\n")));
    let page = |name: &str| fs::read_to_string(place.path("man1").join(name)).unwrap().replace("\\-", "-");
    let main = page("mlpgrid.1");
    for command in ["fetch", "train", "sweep", "report", "eval", "export", "bench"] {
        assert!(main.contains(&format!("mlpgrid-{command}(1)")), "{command} in {main}");
        assert!(page(&format!("mlpgrid-{command}.1")).contains(".SH OPTIONS"), "{command}");
    }
    assert!(page("mlpgrid-train.1").contains("--learning-rate-decay"));
    assert!(page("mlpgrid-train.1").contains("mlpgrid train"), "the usage names the program");
    assert!(!place.path("man1/mlpgrid-process.1").exists(), "what is hidden has no page");
}

#[test]
fn bash_completes_commands_and_flags() {
    let script = Run::of(["completions", "bash"]).stdout;
    let ask = "COMP_WORDS=(mlpgrid ex); COMP_CWORD=1; _mlpgrid mlpgrid ex mlpgrid; echo \"${COMPREPLY[*]}\"\n\
        COMP_WORDS=(mlpgrid export --fo); COMP_CWORD=2; _mlpgrid mlpgrid --fo export; echo \"${COMPREPLY[*]}\"";
    let output = Command::new("bash").args(["-c", &format!("{script}\n{ask}")]).output().expect("there is bash");
    let run = Run::finish(output);
    assert_eq!(run.stdout, "export\n--format\n", "{}", run.stderr);
}

#[test]
fn the_citation_names_this_version() {
    let citation = include_str!("../CITATION.cff");
    assert!(citation.contains(&format!("\nversion: {}\n", env!("CARGO_PKG_VERSION"))), "{citation}");
}
