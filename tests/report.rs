//! `mlpgrid report`: the files that it writes, and the page, opened in a browser.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::browser::{self, Browser};
use common::made_up::{self, accuracy, record};
use common::{Place, Run, mlpgrid, text, wait_until};
use mlpgrid::sweep::space::Trial;
use serde_json::{Value, json};
use tempfile::TempDir;

const SMALL: &str = "hidden = [20, 50, 100]\nlearning_rate = [3e-4, 1e-3, 1e-2]\nl2 = [0.01, 0.25]\nseed = [1, 2, 3]";

/// A made-up sweep in a folder of its own.
struct Made {
    folder: TempDir,
    name: &'static str,
    trials: Vec<Trial>,
}

impl Made {
    fn of(name: &'static str, grid: &str, epochs: usize, missing: usize) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let trials = made_up::sweep(&folder.path().join(name), grid, epochs, missing);
        Self { folder, name, trials }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    /// Runs `report` on it, which must succeed.
    fn report(&self, more: &[&str]) -> Run {
        let run = Run::of([&["report", &text(&self.path())], more].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
        run
    }

    fn page(&self) -> String {
        fs::read_to_string(self.path().join("report.html")).expect("the page is there")
    }
}

/// The mean over seeds of the configuration whose trials are `chosen`; a guess where one diverged.
fn worth(trials: &[Trial], chosen: &dyn Fn(&Trial) -> bool) -> f64 {
    let of: Vec<f64> =
        trials.iter().filter(|trial| chosen(trial)).map(|trial| accuracy(trial).unwrap_or(0.1)).collect();
    of.iter().sum::<f64>() / of.len() as f64
}

#[test]
fn equal_directories_give_equal_pages_which_hold_nothing_but_themselves() {
    let made = Made::of("tune", SMALL, 5, 0);
    made.report(&[]);
    let page = made.page();
    let elsewhere = TempDir::new().unwrap();
    let copy = elsewhere.path().join("tune");
    fs::create_dir_all(&copy).unwrap();
    for file in ["sweep.toml", "results"] {
        let copied = std::process::Command::new("cp").arg("-r").args([&made.path().join(file), &copy]).status();
        assert!(copied.unwrap().success());
    }
    assert_eq!(Run::of(["report", &text(&copy)]).code, Some(0));
    assert!(page == fs::read_to_string(copy.join("report.html")).unwrap(), "equal directories, equal bytes");
    assert!(page.contains("default-src 'none'; img-src data:; style-src 'sha256-"));
    for foreign in ["http://", "https://", " src=\"/", "@import", "url(", " style=\"", "<link rel=\"stylesheet\""] {
        let found = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(foreign), "{foreign}");
    }
}

#[test]
fn the_first_sentence_counts_trials_and_names_the_best_with_its_interval() {
    let made = Made::of("tune", SMALL, 5, 10);
    made.report(&[]);
    let page = made.page();
    assert!(page.contains("49 of 54 trials, 18 configurations with 3 seeds: "), "counts");
    assert!(page.contains(" 5 missing."));
    let best: Value = serde_json::from_slice(&fs::read(made.path().join("summary.json")).unwrap()).unwrap();
    let mean = best["best"]["mean_val_accuracy"].as_f64().unwrap();
    assert!(page.contains(&format!("Best validation accuracy: {:.2} ± ", 100.0 * mean)), "{mean}");
    assert!(page.contains("cannot be distinguished from it with 95 % confidence (compared seed by seed)"));
}

#[test]
fn the_files_beside_the_page_have_the_same_numbers_in_a_form_for_programs() {
    let made = Made::of("tune", SMALL, 5, 0);
    made.report(&[]);
    let rows = |name: &str| -> Vec<std::collections::HashMap<String, String>> {
        let mut csv = csv::Reader::from_path(made.path().join(name)).unwrap();
        csv.deserialize().map(|row| row.unwrap()).collect()
    };
    let curves = rows("curves.csv");
    assert_eq!(curves.len(), 54 * 5, "a row a point");
    let (trial, first) = (&made.trials[0], &curves[1]);
    assert_eq!(
        (first["trial"].as_str(), first["step"].as_str(), first["epoch"].as_str()),
        (trial.id.as_str(), "245", "1")
    );
    assert_eq!((first["hidden"].as_str(), first["seed"].as_str(), first["l2"].as_str()), ("20", "1", "0.01"));
    let point = &record(trial, 0, 5, &accuracy).outcome.curve[1];
    assert_eq!(
        (first["val_accuracy"].parse(), first["val_loss"].parse()),
        (Ok(point.val_accuracy), Ok(point.val_loss.unwrap()))
    );

    let configurations = rows("configurations.csv");
    assert_eq!(configurations.len(), 18);
    for row in configurations.iter().filter(|row| row["diverged"] == "0") {
        let same = |trial: &Trial| {
            let it = &trial.hyperparameters;
            [it.hidden as f64, it.learning_rate, it.l2]
                == [&row["hidden"], &row["learning_rate"], &row["l2"]]
                    .map(|text| text.parse::<f64>().expect("a number"))
        };
        let mean: f64 = row["mean_val_accuracy"].parse().unwrap();
        assert!((mean - worth(&made.trials, &same)).abs() < 1e-12, "{row:?}");
    }
    let summary: Value = serde_json::from_slice(&fs::read(made.path().join("summary.json")).unwrap()).unwrap();
    assert_eq!(
        (&summary["version"], &summary["trials"], &summary["configurations"]),
        (&json!(1), &json!(54), &json!(18))
    );
    assert_eq!(
        summary["best"]["mean_val_accuracy"],
        json!(configurations[0]["mean_val_accuracy"].parse::<f64>().unwrap())
    );
    let shares = summary["importance"]["single"].as_array().unwrap();
    let rate = shares.iter().find(|share| share["hyperparameter"] == "learning_rate").unwrap();
    assert!(rate["share"].as_f64().unwrap() > 0.8 && rate["low"].as_f64().is_some(), "{rate}");
}

#[test]
fn tables_for_papers_go_to_stdout_and_figures_into_their_directory() {
    let made = Made::of("tune", SMALL, 5, 0);
    let markdown = made.report(&["--markdown", "--top", "3"]).stdout;
    let lines: Vec<&str> = markdown.lines().collect();
    assert_eq!((lines[0], lines.len()), ("| rank | hidden | learning_rate | l2 | validation accuracy, % | n |", 5));
    assert!(lines[2].starts_with("| 1 | ") && lines[2].contains(" ± "), "{}", lines[2]);
    let latex = made.report(&["--latex", "--top", "3"]).stdout;
    assert!(
        latex.starts_with("\\begin{tabular}{rrrrrr}\n\\toprule\nrank & hidden & learning\\_rate & l2 & "),
        "{latex}"
    );
    assert!(latex.contains(" \\pm ") && latex.ends_with("\\bottomrule\n\\end{tabular}\n"));

    let figures = made.folder.path().join("figures");
    let run = made.report(&["--figures", &text(&figures), "--width", "300", "--font-size", "8"]);
    run.json(0);
    for name in [
        "importance",
        "slice-hidden",
        "parallel",
        "pair-hidden-learning_rate",
        "curves-accuracy",
        "curves-loss",
        "time-done",
    ] {
        let svg = fs::read_to_string(figures.join(format!("{name}.svg"))).unwrap();
        assert!(svg.starts_with("<?xml") && svg.contains(".c0{fill:rgb(0,114,178)}"), "{name} brings its colours");
        assert!(svg.contains("width=\"300\"") || name.starts_with("pair"), "{name} is as wide as it was asked for");
        let png = fs::read(figures.join(format!("{name}.png"))).unwrap();
        let reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        assert!(reader.info().width == 900 || name.starts_with("pair"), "three pixels a point");
    }
    Run::of(["report", &text(&made.path()), "--figures", "x", "--width", "1"])
        .refused(2, &["--width", "200 to 4000 points"]);
}

#[test]
fn a_watched_report_is_written_until_nothing_is_missing_and_the_page_reloads_meanwhile() {
    let made = Made::of("tune", SMALL, 5, 10);
    let mut command = mlpgrid();
    command.args(["report", &text(&made.path()), "--watch", "0.2"]);
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let page = made.path().join("report.html");
    let reloads = || fs::read_to_string(&page).is_ok_and(|page| page.contains("http-equiv=\"refresh\" content=\"1\""));
    wait_until("a page that reloads", reloads);
    let missing = made.trials.iter().enumerate().filter(|(place, _)| place % 10 == 9);
    let records: Vec<_> = missing.map(|(place, trial)| record(trial, place, 5, &accuracy)).collect();
    made_up::write(&made.path(), &records);
    let run = Run::finish(child.wait_with_output().unwrap());
    assert_eq!(run.json(0)["missing"], 0);
    assert!(!reloads() && made.page().contains("54 of 54 trials"));
}

/// What a page shows of what a test knows, after each of a person's moves.
fn explore(page: &mut Browser, path: &Path) {
    page.open(path, "");
    let rows = "document.querySelectorAll('#rows tr[data-group]').length";
    let first = |page: &mut Browser| page.texts("#rows tr[data-group]:not(.space) td:nth-child(2)");
    // Sorting: by l2, largest first, then by rank again.
    let heads = page.texts("#rows th");
    let column = |name: &str| {
        heads.iter().position(|head| head.trim_end_matches([' ', '▴', '▾']) == name).expect("a column") + 1
    };
    page.click(&format!("#rows th:nth-child({}) button", column("l2")));
    let l2 = page.texts(&format!("#rows tr[data-group] td:nth-child({})", column("l2")));
    let number = |text: &String| text.parse::<f64>().expect("a number");
    assert!(l2.windows(2).all(|pair| number(&pair[0]) <= number(&pair[1])), "{l2:?}");
    page.click(&format!("#rows th:nth-child({}) button", column("l2")));
    let down = page.texts(&format!("#rows tr[data-group] td:nth-child({})", column("l2")));
    assert!(down[0] != l2[0], "the other way round");
    page.click("#rows th:nth-child(1) button");
    let whole = first(page);

    // Filtering.
    page.enter("#filter", "hidden>=50 l2<0.1");
    assert_eq!(page.text("#shown"), "6 of 18");
    assert_eq!(page.value(rows), json!(6));
    let hidden = page.texts(&format!("#rows tr[data-group] td:nth-child({})", column("hidden")));
    assert!(hidden.iter().all(|value| value != "20"), "{hidden:?}");
    assert_eq!(page.value("document.querySelectorAll('.overlay path').length > 4"), json!(true), "slices follow");
    let cells = page.texts("#pair td.none");
    assert!(!cells.is_empty(), "the heat map follows");
    page.enter("#filter", "hiden>=50");
    assert_eq!(page.text("#shown"), "no hyperparameter is called “hiden”");
    page.enter("#filter", "");
    assert_eq!(page.text("#shown"), "18 of 18");

    // Brushing: over the upper two of three values of the first axis.
    page.drag("#lines", (62.0 / 1190.0, 0.3), (62.0 / 1190.0, 0.6));
    let left: usize =
        page.text("#shown").split(' ').next().and_then(|count| count.parse().ok()).expect("a number of rows");
    assert!(left == 6 || left == 12, "{left}");
    let address = page.value("location.hash").as_str().expect("text").to_owned();
    assert!(address.contains("brushes"), "{address}");
    let shown = first(page);
    // The address keeps the view, also in another window.
    page.open(path, &address);
    assert_eq!(first(page), shown);
    page.click("#reset");
    assert_eq!(first(page), whole);
    // The same from the keyboard.
    page.value("document.querySelector('#brushes').open = true");
    page.click("#brush-fields input[data-axis='1'][data-value='0']");
    assert_eq!(page.text("#shown"), "12 of 18", "one of three rates is off");
    page.click("#reset");
    // A value of a slice.
    page.click(".area[data-axis='2'][data-value='1']");
    assert_eq!(page.text("#shown"), "9 of 18");
    page.click(".area[data-axis='2'][data-value='1']");

    // Pinned rows are in the address and stand out.
    page.click("#rows tr[data-group='2']");
    assert_eq!(page.value("document.querySelectorAll('#rows tr.pinned').length"), json!(1));
    assert!(page.texts("#cloud-legend li").iter().any(|line| line.starts_with("pinned: rank 3")));
    page.click("#unpin");

    // Copying: what is on the clipboard is what stands there.
    page.click("[data-copy='copy-train']");
    let copied = "document.documentElement.dataset.copied";
    let command = page.text("#copy-train");
    assert_eq!(page.value(copied), json!(command));
    page.enter("#filter", "hidden=100");
    page.click("#copy-csv");
    let csv = page.value(copied).as_str().expect("text").to_owned();
    assert_eq!(csv.lines().count(), 7, "{csv}");
    assert!(csv.starts_with(
        "rank,mean_val_accuracy,sd_val_accuracy,n,low,high,hidden,learning_rate,l2,diverged,seconds,trial\n"
    ));
    page.click("#copy-markdown");
    assert!(page.value(copied).as_str().expect("text").starts_with("| rank | accuracy, % |"));
    page.enter("#filter", "");

    // Themes.
    let paper = "getComputedStyle(document.body).backgroundColor";
    let themes: Vec<Value> = (0..3)
        .map(|_| {
            page.click("#theme");
            page.value(paper)
        })
        .collect();
    assert!(themes[0] != themes[1], "light and dark differ: {themes:?}");
    // A phone: nothing is wider than the screen.
    page.screen(Some((390, 844)));
    assert_eq!(page.value("document.documentElement.scrollWidth <= innerWidth"), json!(true));
    page.screen(None);
}

#[test]
fn in_a_browser_sorting_filtering_brushing_addresses_and_copying_do_what_they_should() {
    let Some(program) = browser::program() else { return };
    let made = Made::of("tune", SMALL, 5, 0);
    made.report(&[]);
    let mut page = Browser::start(&program);
    explore(&mut page, &made.path().join("report.html"));
    assert_eq!(page.complaints, [] as [String; 0]);
}

#[test]
fn a_trained_sweep_has_a_page_with_its_network_and_what_it_confuses() {
    let place = Place::with_rows(200);
    let spec = place.file(
        "s.toml",
        "[fixed]\nhidden = 10\nbatch_size = 20\niterations = 60\n[grid]\nlearning_rate = [1e-4, 1e-3]\nl2 = [0.0, 0.1]\nseed = [1, 2]\n",
    );
    place.sweep(&spec, "out", &[]).json(0);
    let out = place.path("out");
    Run::of(["report", &text(&out), "--data", &text(&place.data())]).json(0);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(
        page.contains("Confusion matrix")
            && page.contains("data:image/png;base64,")
            && page.contains("Surest and wrong")
    );
    let Some(program) = browser::program() else { return };
    let mut browser = Browser::start(&program);
    browser.open(&out.join("report.html"), "");
    assert_eq!(browser.text("#shown"), "4 of 4");
    let images =
        "[...document.images].every((image) => image.complete && image.naturalWidth > 0) && document.images.length";
    assert_eq!(browser.value(images), json!(13), "the first layer and twelve images");
    assert_eq!(browser.complaints, [] as [String; 0]);
}

#[test]
fn what_a_sweep_brings_along_stays_text() {
    const BAD: &str = "<img src=x onerror=\"document.title='run'\">'</script><b>😀";
    let made = Made::of("x", SMALL, 3, 5);
    let bad = made.folder.path().join("<img src=x onerror=\"document.title='run'\">'<b>😀");
    fs::rename(made.path(), &bad).unwrap();
    let environment = json!({ "host": BAD, "command": ["mlpgrid", BAD], "blas": { "version": BAD } });
    fs::write(bad.join("environment.json"), environment.to_string()).unwrap();
    let failed = &made.trials[4];
    let mut lost = record(failed, 4, 3, &accuracy);
    (lost.outcome, lost.error, lost.host) = (mlpgrid::train::Outcome::failed(), Some(BAD.to_owned()), BAD.to_owned());
    made_up::write(&bad, &[lost]);
    assert_eq!(Run::of(["report", &text(&bad)]).code, Some(3), "a trial failed");
    let html = fs::read_to_string(bad.join("report.html")).unwrap();
    assert!(!html.contains("<img src=x") && !html.contains("<b>😀"));
    let Some(program) = browser::program() else { return };
    let mut page = Browser::start(&program);
    page.open(&bad.join("report.html"), "");
    assert_eq!(page.text("h1"), "<img src=x onerror=\"document.title='run'\">'<b>😀");
    assert!(page.texts("#failures td").iter().any(|cell| cell == BAD), "the error is shown as it is");
    assert!(page.texts("#environment td").iter().any(|cell| cell == BAD));
    assert_eq!(page.value("document.querySelectorAll('img, b').length"), json!(0));
    assert_ne!(page.value("document.title"), json!("run"));
    assert_eq!(page.complaints, [] as [String; 0]);
}

#[test]
fn ten_thousand_trials_over_nine_axes_are_a_page_that_a_browser_shows_whole() {
    let Some(program) = browser::program() else { return };
    let grid = "hidden = [20, 50, 100, 200]\nlearning_rate = [1e-4, 3e-4, 1e-3, 5e-3]\nl2 = [0, 0.1, 0.5]\ndropout = [0, 0.2, 0.4]\n\
                batch_size = [50, 100, 200]\nlabel_smoothing = [0, 0.1, 0.2]\nmirror = [0, 0.5]\nshift = [0, 2]\nlearning_rate_decay = [0.9, 1]";
    let made = Made::of("large", grid, 20, 0);
    assert_eq!(made.trials.len(), 10_368);
    made.report(&[]);
    let bytes = fs::metadata(made.path().join("report.html")).unwrap().len();
    assert!(bytes < 10_000_000, "{bytes} bytes");
    let mut page = Browser::start(&program);
    page.open(&made.path().join("report.html"), "");
    page.wait("document.documentElement.dataset.linesMs !== undefined");
    let first = page.value("performance.getEntriesByName('first-contentful-paint')[0].startTime");
    let whole = page.value("document.documentElement.dataset.linesMs");
    page.drag("#lines", (62.0 / 1190.0, 0.3), (62.0 / 1190.0, 0.45));
    let brush = page.value("document.documentElement.dataset.filterMs");
    page.wait("document.documentElement.dataset.linesMs !== undefined");
    std::thread::sleep(Duration::from_millis(300));
    let redrawn = page.value("document.documentElement.dataset.linesMs");
    eprintln!(
        "{} trials: {bytes} bytes, first paint {first} ms, all lines after {whole} ms; a brush answers in {brush} ms, its lines are drawn after \
         {redrawn} ms",
        made.trials.len()
    );
    assert_ne!(page.text("#shown"), "10,368 of 10,368");
    // Rows are made as they come into sight.
    page.click("#reset");
    page.value("document.querySelector('#rows').scrollTop = 29 * 10000");
    page.settle();
    assert!(page.texts("#rows tr[data-group] td:first-child").contains(&"10000".to_owned()));
    assert_eq!(page.value("document.querySelectorAll('#rows tr').length < 100"), json!(true));
    assert_eq!(page.complaints, [] as [String; 0]);
}

/// The blocks of docs/results.md in this language.
fn blocks(language: &str) -> Vec<&'static str> {
    const PAGE: &str = include_str!("../docs/results.md");
    let mark = format!("```{language}\n");
    let blocks = PAGE.split(&mark[..]).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

#[test]
fn what_docs_results_shows_works() {
    let place = Place::new();
    made_up::sweep(&place.path("runs/tune"), SMALL, 5, 0);
    assert_eq!(Run::of(["report", &text(&place.path("runs/tune"))]).code, Some(0));
    let python = blocks("python");
    assert_eq!(python.len(), 3);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = std::process::Command::new(here.join("scripts/python-env"))
        .arg(here.join("tests/python/frames.txt"))
        .output()
        .unwrap();
    if !made.status.success() {
        common::skipped(&format!("docs/results.md: {}", String::from_utf8_lossy(&made.stderr).trim()));
    }
    for (library, block) in ["pandas", "polars", "duckdb"].into_iter().zip(python) {
        assert!(block.contains(&format!("import {library}")));
        if made.status.success() {
            let python = String::from_utf8_lossy(&made.stdout).trim().to_owned();
            let run =
                std::process::Command::new(python).args(["-c", block]).current_dir(place.path("")).output().unwrap();
            assert!(run.status.success(), "{library}: {}", String::from_utf8_lossy(&run.stderr));
        }
    }
    for line in blocks("sh").into_iter().flat_map(str::lines) {
        let words = line.strip_prefix("mlpgrid ").expect("a command").split(' ');
        let run = Run::finish(mlpgrid().args(words).current_dir(place.path("")).output().unwrap());
        assert_eq!(run.code, Some(0), "{line}: {run:?}");
    }
    assert!(place.path("figures/importance.svg").exists());
}
