//! What goes to stderr: plain lines with their time, JSON events, silence, colours; and `status --watch`.

mod common;

use common::{Place, Run, text};
use serde_json::{Value, json};

const SPEC: &str =
    "[fixed]\nhidden = 5\nbatch_size = 10\niterations = 40\n[grid]\nlearning_rate = [1e-4, 1e-3]\nseed = [1, 2]\n";

fn sweep(more: &[&str], environment: &[(&str, &str)]) -> Run {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    Run::finish(place.sweep_command(&spec, "out", more).envs(environment.iter().copied()).output().expect("it starts"))
}

#[test]
fn with_json_every_line_of_stderr_is_an_event_and_stdout_keeps_the_result() {
    for run in [sweep(&["--progress", "json"], &[]), sweep(&[], &[("MLPGRID_PROGRESS", "json")])] {
        assert_eq!(run.json(0)["complete"], 4);
        let events: Vec<Value> = run
            .stderr
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect();
        assert!(events.iter().all(|event| event["v"] == 1 && event["time"].is_string() && event["event"].is_string()));
        let of = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
        let start = of("start")[0];
        assert_eq!((&start["trials"], &start["to_train"], &start["shard"]), (&json!(4), &json!(4), &json!("1/1")));
        let trials = of("trial");
        assert_eq!(trials.len(), 4);
        assert!(trials.iter().all(|trial| trial["status"] == "complete" && trial["hyperparameters"]["hidden"] == 5));
        let best: f64 = trials.iter().map(|trial| trial["val_accuracy"].as_f64().unwrap()).fold(0.0, f64::max);
        assert_eq!(of("best").last().unwrap()["val_accuracy"], json!(best));
        assert_eq!(of("end")[0]["exit_code"], 0);
    }
    let wrong = Run::of(["status", "nowhere", "--progress", "json"]);
    let event: Value = serde_json::from_str(wrong.stderr.trim_end()).expect("one event");
    assert_eq!((wrong.code, &event["event"]), (Some(1), &json!("error")));
}

#[test]
fn quiet_leaves_the_result_warnings_and_errors() {
    let run = sweep(&["--quiet"], &[]);
    assert_eq!(run.json(0)["complete"], 4);
    let others: Vec<&str> = run.stderr.lines().filter(|line| !line.starts_with("warning: ")).collect();
    assert_eq!(others, [] as [&str; 0]);
    Run::of(["status", "nowhere", "--quiet"]).refused(1, &["nowhere"]);
}

#[test]
fn colours_come_only_where_they_are_asked_for_or_a_terminal_is() {
    let plain = Run::of(["status", "nowhere"]);
    assert!(plain.stderr.starts_with("error: ") && !plain.stderr.contains('\x1b'));
    let coloured = Run::of(["status", "nowhere", "--color", "always"]);
    assert!(coloured.stderr.starts_with("\x1b[31merror:\x1b[0m "), "{coloured:?}");
}

#[test]
fn status_watches_until_nothing_is_missing() {
    let place = Place::new();
    let spec = place.file("s.toml", SPEC);
    place.sweep(&spec, "out", &[]).json(0);
    let run = Run::of(["status", &text(&place.path("out")), "--watch", "0.1"]);
    assert_eq!(run.code, Some(0));
    assert!(run.stdout.contains("complete  4\n") && run.stdout.contains("missing   0\n"), "{run:?}");
    assert!(!run.stdout.contains('\x1b'), "no terminal is here");
    let json = Run::of(["status", &text(&place.path("out")), "--watch", "0.1", "--json"]).json(0);
    assert_eq!(json["complete"], 4);
}
