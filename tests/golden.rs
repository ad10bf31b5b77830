//! Every text that people read first, as it stands: the help of every command, and thirty error messages.
//!
//! With `MLPGRID_WRITE_GOLDEN=1` the texts in `tests/golden` are written anew; the difference is then a matter for the review.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use common::{Place, Run, mlpgrid, text};

/// Compares `found` with the text of that name.
fn hold(name: &str, found: &str) {
    let path = Path::new("tests/golden").join(name);
    if std::env::var_os("MLPGRID_WRITE_GOLDEN").is_some() {
        fs::write(&path, found).expect("the text is written");
    }
    let expected = fs::read_to_string(&path).expect("the text is there");
    for (line, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(
            expected,
            found,
            "{}: line {}; if it is meant, run with MLPGRID_WRITE_GOLDEN=1",
            path.display(),
            line + 1
        );
    }
    assert_eq!(expected.lines().count(), found.lines().count(), "{}", path.display());
}

#[test]
fn help_is_as_it_was_reviewed() {
    let mut all = String::new();
    let help = |arguments: &[&str]| {
        let run =
            Run::finish(mlpgrid().args(arguments).arg("--help").env("COLUMNS", "100").output().expect("it starts"));
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        run.stdout
    };
    let main = help(&[]);
    let commands = main.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands = commands
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help");
    let commands: Vec<&str> = commands.collect();
    assert!(commands.len() >= 10, "{commands:?}");
    let _ = write!(all, "$ mlpgrid --help\n{main}");
    for command in commands {
        let _ = write!(all, "\n$ mlpgrid {command} --help\n{}", help(&[command]));
    }
    hold("help.txt", &all);
}

#[test]
fn error_messages_are_as_they_were_reviewed() {
    let place = Place::new();
    let data = text(&place.data());
    let file = |name: &str, content: &str| place.file(name, content);
    file("not.safetensors", "no model");
    file("empty.toml", "");
    file("unknown.toml", "[fixed]\nhiden = 50\n");
    file("twice.toml", "[fixed]\nhidden = 5\n[grid]\nhidden = [5, 6]\n");
    file("range.toml", "[fixed]\nbatch_size = 10\n[grid]\nlearning_rate = [1e-4, -1.0]\n");
    file("type.toml", "[grid]\nhidden = [5, \"many\"]\n");
    file("list.toml", "[grid]\nhidden = []\n");
    file("table.toml", "[gird]\nhidden = [5]\n");
    file("broken.toml", "[grid\nhidden = [5]\n");
    file("data.toml", "[data]\ntrain = 100000\n[grid]\nseed = [1]\n");
    file("good.toml", "[fixed]\nhidden = 3\niterations = 5\nbatch_size = 10\n[grid]\nseed = [1, 2]\n");
    file("other.toml", "[fixed]\nhidden = 4\niterations = 5\nbatch_size = 10\n[grid]\nseed = [1, 2]\n");
    fs::create_dir(place.path("nothing")).expect("a folder");
    fs::create_dir(place.path("short")).expect("a folder");
    fs::create_dir(place.path("halves")).expect("a folder");
    file("halves/train_x.npy", "no array");
    for name in [
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
        "test_batch.bin",
    ] {
        file(&format!("short/{name}"), "short");
    }
    let spec = text(&place.path("good.toml"));
    place.sweep(&spec, "out", &[]).json(0);
    place
        .train(&["--hidden", "3", "--iterations", "5", "--batch-size", "10", "--out", &text(&place.path("one"))])
        .json(0);

    let commands = "\
train --data nowhere
train --data nothing
train --data short
train --data DATA --hidden 0
train --data DATA --hidden many
train --data DATA --learning-rate -1
train --data DATA --learning-rate 1e400
train --data DATA --batch-size 1000
train --data DATA --val 0
train --data DATA --train 100000
train --data DATA --precision f16
train --data DATA --batch-size 10 --out out
train --data DATA --iterations 1000000000000
trian --data DATA
train --data DATA --lr 1e-3
sweep --data DATA
sweep missing.toml --data DATA --out new
sweep empty.toml --data DATA --out new
sweep unknown.toml --data DATA --out new
sweep twice.toml --data DATA --out new
sweep range.toml --data DATA --out new
sweep type.toml --data DATA --out new
sweep list.toml --data DATA --out new
sweep table.toml --data DATA --out new
sweep broken.toml --data DATA --out new
sweep data.toml --data DATA --out new
sweep good.toml --data DATA --out one
sweep other.toml --data DATA --out out
sweep good.toml --data DATA --out new --shard 3/2
sweep good.toml --data DATA --out new --workers 0
sweep good.toml --data DATA --out new --set hidden
sweep good.toml --data DATA --out new --checkpoint-every 0
status nothing
report nothing
eval nothing --data DATA
eval not.safetensors --data DATA
eval out --data DATA --val 200
train --dataset npy --data nothing
train --dataset npy --data halves
train --dataset npy --data DATA
export nothing --format npz --out new.npz
export out --format numpy --out new.npz
export one --format optuna --out new.log
synth --dir new --rows-per-file 1
bench --batch-size 0
fetch --dataset mnist";
    let folder = text(place.path("x").parent().expect("a folder"));
    let mut all = String::new();
    for command in commands.lines() {
        let arguments = command.split(' ').map(|word| if word == "DATA" { data.as_str() } else { word });
        let run = Run::finish(mlpgrid().args(arguments).current_dir(&folder).output().expect("it starts"));
        assert!(run.code.is_some_and(|code| code == 1 || code == 2), "{command}: {run:?}");
        assert_eq!(run.stdout, "", "{command}");
        let stderr = run.stderr.replace(&folder, "PLACE");
        let _ = write!(all, "$ mlpgrid {command}\n{stderr}exit code {}\n\n", run.code.expect("a code"));
    }
    hold("errors.txt", &all);
}
