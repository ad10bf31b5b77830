//! `mlpgrid eval`: the accuracy of a saved model.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::setup::{DataDirectory, initialise_blas, require_test_rows, split};
use super::terminal::{log, percent, print_json, warn};
use crate::data::augment::View;
use crate::data::dataset::Splits;
use crate::data::images::Rows;
use crate::data::{DataConfig, Dataset, Files, Split};
use crate::error::{Error, Result};
use crate::files;
use crate::limits;
use crate::model::Trial;
use crate::model::ensemble::Ensemble;
use crate::model::saved::{Provenance, SavedModel};
use crate::model::two_layer_net::largest;
use crate::numbers;
use crate::sweep::best;
use crate::sweep::journal::{Results, better_first};
use crate::sweep::layout::{BEST_MODEL, MODEL, SWEEP_FILE};
use crate::sweep::search::Search;
use crate::sweep::space::Resolved;
use crate::train::{Outcome, Status, engine};

/// Flags of `eval`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model file, or a directory that `train` or `sweep` wrote
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    data: DataDirectory,
    /// Measure on all training rows that the model was trained with, too
    #[arg(long)]
    train: bool,
    /// Measure on the test split too
    #[arg(long)]
    test: bool,
    /// Validation rows, none of which the model was trained on [default: as the model was trained with]
    #[arg(long, value_name = "ROWS", value_parser = numbers::parse_whole::<usize>)]
    val: Option<usize>,
    /// Measure on data other than those that the model was trained with; without this flag they are refused
    #[arg(long, conflicts_with = "train")]
    other_data: bool,
    /// Average the probabilities of the N best models of a sweep with --keep-models, as validation ranks them
    #[arg(long, value_name = "N")]
    ensemble: Option<usize>,
    /// Write the ensemble to a file that `eval` reads
    #[arg(long, value_name = "FILE", requires = "ensemble")]
    out: Option<PathBuf>,
    /// Average the probabilities of each image and its mirror image
    #[arg(long)]
    mirror: bool,
    /// Average the probabilities of each image in place and shifted by so many pixels in the eight directions
    #[arg(long, value_name = "PIXELS")]
    shift: Option<u16>,
}

/// What `eval` prints.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    trial: String,
    status: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    other_data: bool,
    /// Views of each image whose probabilities are averaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    views: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    train_accuracy: Option<f64>,
    val_accuracy: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_accuracy: Option<f64>,
    /// Of an ensemble: its members, the best of validation first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<Member>,
    data_fingerprint: String,
}

/// One model of an ensemble.
#[derive(Debug, Serialize)]
struct Member {
    trial: String,
    val_accuracy: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_accuracy: Option<f64>,
}

/// Measures the model, in the precision that it was trained in, and prints one JSON object.
///
/// # Errors
/// The model or the data cannot be read, or do not fit each other, or rows that the model was trained on would count as validation
/// rows.
pub fn run(arguments: &Arguments) -> Result<u8> {
    initialise_blas()?;
    let (path, ensemble) = match arguments.ensemble {
        Some(count) => (arguments.model.clone(), best_of_sweep(&arguments.model, count)?),
        None => {
            let path = model_file(&arguments.model)?;
            // Its bytes, and its numbers in the order of training.
            limits::foresee("the model", path.metadata().map_or(0, |metadata| 3 * metadata.len()))?;
            let ensemble = Ensemble::read(&path)?;
            (path, ensemble)
        }
    };
    let report = measure(arguments, &path, &ensemble)?;
    if let Some(out) = &arguments.out {
        ensemble.write(out)?;
        log(&format!("eval: the ensemble is {}", out.display()));
    }
    let line = |what: &str, val: f64, test: Option<f64>, train: Option<f64>| {
        let also = |name: &str, accuracy: Option<f64>| {
            accuracy.map_or(String::new(), |accuracy| format!(", {name} accuracy {}", percent(accuracy)))
        };
        log(&format!(
            "eval: {what}: validation accuracy {}{}{}",
            percent(val),
            also("test", test),
            also("training", train)
        ));
    };
    for (rank, member) in report.members.iter().enumerate() {
        line(&format!("member {} ({})", rank + 1, member.trial), member.val_accuracy, member.test_accuracy, None);
    }
    line(&path.display().to_string(), report.val_accuracy, report.test_accuracy, report.train_accuracy);
    if let [best, ..] = &report.members[..] {
        let gain = |ensemble: f64, member: f64| format!("{:+.2} points", 100.0 * (ensemble - member));
        let of_test = report.test_accuracy.zip(best.test_accuracy);
        log(&format!(
            "eval: the ensemble of {} is {} of validation above its best member{}",
            report.members.len(),
            gain(report.val_accuracy, best.val_accuracy),
            of_test.map_or(String::new(), |(test, best)| format!(", {} of test", gain(test, best)))
        ));
    }
    print_json(&report)?;
    Ok(0)
}

/// The best models of a sweep, as many as were asked for.
fn best_of_sweep(directory: &Path, count: usize) -> Result<Ensemble> {
    let space = Resolved::read(&directory.join(SWEEP_FILE))?;
    let trials = space.trials()?;
    let mut results = Results::read(directory)?;
    Search::new(&space, &trials)?.settle(&trials, &mut results);
    let mut ranked: Vec<(&Trial, &Outcome)> = trials
        .iter()
        .filter_map(|trial| Some((trial, &results.records.get(&trial.id)?.outcome)))
        .filter(|(_, outcome)| outcome.status == Status::Complete)
        .collect();
    ranked.sort_by(|a, b| better_first(a.1, b.1));
    if !(1..=ranked.len()).contains(&count) {
        let expected = format!("1 to {}, the complete trials of {}", ranked.len(), directory.display());
        return Err(Error::usage("--ensemble", expected, count.to_string(), "ask for a number in that range"));
    }
    let read = |(trial, _): &(&Trial, _)| {
        let path = best::kept(directory, &trial.id);
        if !path.exists() {
            let remedy = "run the sweep again with --keep-models: it trains the models that are missing";
            return Err(Error::content(&path, "the model of a trial", "no such file", remedy));
        }
        SavedModel::read(&path)
    };
    Ok(Ensemble { members: ranked[..count].iter().map(read).collect::<Result<_>>()? })
}

/// The views of an image whose probabilities are averaged.
fn views(arguments: &Arguments) -> Vec<View> {
    let sides = if arguments.mirror { &[false, true][..] } else { &[false] };
    let far = i32::from(arguments.shift.unwrap_or(0));
    let places = if far > 0 { vec![0, -far, far] } else { vec![0] };
    let places = places.iter().flat_map(|&down| places.iter().map(move |&right| (down, right)));
    places.flat_map(|(down, right)| sides.iter().map(move |&mirror| View::moved(mirror, down, right))).collect()
}

fn measure(arguments: &Arguments, path: &Path, ensemble: &Ensemble) -> Result<Report> {
    let first = &ensemble.members[0];
    let (data, other_data) = load(arguments, path, &first.provenance)?;
    for member in &ensemble.members {
        let (inputs, classes) = (member.fitted.inputs(), member.classes());
        if (inputs, classes) != (data.inputs(), data.classes()) {
            let expected =
                format!("a model of {} inputs and {} classes, as the data have", data.inputs(), data.classes());
            let found = format!("one of {inputs} inputs and {classes} classes");
            return Err(Error::content(
                path,
                expected,
                found,
                "give another model, or the data that it was trained on",
            ));
        }
        if member.provenance.data_fingerprint != first.provenance.data_fingerprint {
            let found = "members that were trained on others";
            return Err(Error::content(path, "members of the same data and splits", found, "write the ensemble again"));
        }
    }
    let fold = |model: &SavedModel| model.provenance.hyperparameters.fold();
    if ensemble.members.iter().any(|member| fold(member) != fold(first)) {
        let (expected, found) = ("members that were validated on the same fold", "members of several folds");
        let remedy = "no row is one that none of them was trained on; make ensembles of a sweep without folds";
        return Err(Error::content(path, expected, found, remedy));
    }
    if arguments.test {
        require_test_rows(&data)?;
    }
    let views = views(arguments);
    if views.len() > 1 && data.image().is_none() {
        let flag = if arguments.mirror { "--mirror" } else { "--shift" };
        let found = "rows of numbers";
        return Err(Error::usage(flag, "images, which have other views", found, format!("leave {flag} out")));
    }
    let is_plain = ensemble.members.len() == 1 && views.len() == 1;
    let splits = [(Split::Train, arguments.train), (Split::Val, true), (Split::Test, arguments.test)];
    let mut of_ensemble = [None; 3];
    let mut of_members = vec![[None; 3]; ensemble.members.len()];
    for (split, (which, _)) in splits.into_iter().enumerate().filter(|(_, (_, is_asked_for))| *is_asked_for) {
        let rows = data.rows(which);
        let wrong = |found| Error::content(path, "a whole model", found, "give another model");
        let settings = |model: &SavedModel| {
            let hyperparameters = &model.provenance.hyperparameters;
            (engine(hyperparameters.precision), hyperparameters.batch_size)
        };
        if is_plain {
            let (engine, batch_size) = settings(first);
            let accuracy = engine.accuracy(&first.network, &first.fitted, batch_size, rows).map_err(wrong)?;
            of_ensemble[split] = Some(accuracy);
            continue;
        }
        let mut sum = vec![0.0; rows.len() * data.classes()];
        for (member, accuracies) in ensemble.members.iter().zip(&mut of_members) {
            let (engine, batch_size) = settings(member);
            let mut of_member = vec![0.0; sum.len()];
            for &view in &views {
                let view = (data.shape(), view);
                let found = engine.probabilities(&member.network, &member.fitted, batch_size, rows, view);
                of_member.iter_mut().zip(found.map_err(wrong)?).for_each(|(sum, probability)| *sum += probability);
            }
            accuracies[split] = Some(accuracy(&of_member, rows));
            sum.iter_mut().zip(of_member).for_each(|(sum, probability)| *sum += probability);
        }
        of_ensemble[split] = Some(accuracy(&sum, rows));
    }
    let [train_accuracy, val_accuracy, test_accuracy] = of_ensemble;
    let member = |(model, [_, val, test]): (&SavedModel, [Option<f64>; 3])| Member {
        trial: model.provenance.trial.clone(),
        val_accuracy: val.unwrap_or(0.0),
        test_accuracy: test,
    };
    let members = ensemble.members.iter().zip(of_members).map(member);
    Ok(Report {
        model: path.display().to_string(),
        trial: first.provenance.trial.clone(),
        status: "complete",
        other_data,
        views: (views.len() > 1).then_some(views.len()),
        train_accuracy,
        val_accuracy: val_accuracy.unwrap_or(0.0),
        test_accuracy,
        members: if ensemble.members.len() > 1 { members.collect() } else { vec![] },
        data_fingerprint: data.fingerprint.clone(),
    })
}

/// The share of rows whose largest number is that of their label; `numbers` are (rows, C).
fn accuracy(numbers: &[f64], rows: Rows<'_>) -> f64 {
    let classes = numbers.len() / rows.len();
    let predictions = numbers.chunks_exact(classes).map(|row| largest(row.iter().copied()));
    let correct = predictions.zip(rows.labels).filter(|(predicted, label)| *predicted == usize::from(**label)).count();
    correct as f64 / rows.len() as f64
}

/// The data, split as the model's were as far as the flags do not ask for other rows, and whether they are other data than the model's.
fn load(arguments: &Arguments, path: &Path, provenance: &Provenance) -> Result<(Dataset, bool)> {
    let trained_on = &provenance.data;
    let files = arguments.data.read(trained_on.dataset)?;
    // The fingerprint stands for files and splits: with the splits that the model was trained with it must be the model's.
    let own = files.splits(trained_on).ok();
    let is_own = own.is_some_and(|own| files.fingerprint(own) == provenance.data_fingerprint);
    if !is_own {
        admit_other(arguments, path, provenance, &files)?;
    }
    // Where the model's splits do not fit these files, its training rows are not among them.
    let trained_rows = own.map_or(0, |own| own.train);
    let (recorded_train, recorded_val) = match own.filter(|_| is_own) {
        Some(Splits { train, val, .. }) => (Some(train), Some(val)),
        None => (trained_on.train, trained_on.val),
    };
    let val = arguments.val.or(recorded_val);
    if let Some(val) = val {
        refuse_trained_rows(val, trained_rows, files.training_images())?;
    }
    let fold = provenance.hyperparameters.fold().filter(|_| is_own);
    if let (Some(fold), Some(val)) = (fold, arguments.val) {
        let expected =
            format!("no number of rows: the model was validated on fold {} of {}", fold.index + 1, fold.count);
        return Err(Error::usage("--val", expected, val.to_string(), "leave out --val"));
    }
    // The training rows matter only where they are measured, or cut into folds: other numbers of them must not keep the rest from it.
    let train = recorded_train.filter(|_| arguments.train || fold.is_some());
    let config = DataConfig { val, train, test: None, fingerprint: None, ..trained_on.clone() };
    Ok((split(files, &config)?.fold(fold).into_owned(), !is_own))
}

/// Refuses data that are not those of the model, unless they are asked for; then it warns.
fn admit_other(arguments: &Arguments, path: &Path, provenance: &Provenance, files: &Files) -> Result<()> {
    let fingerprint = &provenance.data_fingerprint;
    let expected = format!("the data that {} was trained on (fingerprint {fingerprint})", path.display());
    let found = if files.is_synthetic { "synthetic images that are others" } else { "others" };
    let DataConfig { train, val, test, .. } = provenance.data;
    let found = match [train, val, test].contains(&None) {
        true => format!("{found}, or other splits, which the model does not record"),
        false => found.to_owned(),
    };
    if arguments.other_data {
        warn(&format!(
            "{}: these are not {expected}; whether some of these images are among its training rows is not known",
            files.directory.display()
        ));
        return Ok(());
    }
    let remedy = "give the model's data with --data, or measure it on these with --other-data";
    Err(Error::usage(files.directory.display(), expected, found, remedy))
}

/// Training rows are the first of the training images, validation rows the last: refuses so many of these that they meet.
fn refuse_trained_rows(val: usize, trained_rows: usize, images: usize) -> Result<()> {
    let others = images - trained_rows;
    if trained_rows == 0 || val <= others {
        return Ok(());
    }
    let expected = format!(
        "at most {others} validation rows (the model was trained on the first {trained_rows} of the {images} training images)"
    );
    let found = match val.checked_sub(images) {
        None | Some(0) => format!("{val}, {} of which it was trained on", val - others),
        Some(_) => val.to_string(),
    };
    Err(Error::usage("--val", expected, found, "ask for fewer rows, or leave out --val"))
}

/// The file itself, or the model in a directory of `train` or `sweep`.
pub(super) fn model_file(path: &Path) -> Result<PathBuf> {
    let file = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => model_in(path)?,
        Ok(_) => path.to_path_buf(),
        Err(error) => return Err(Error::io("read the model", path)(error)),
    };
    files::refuse_fifo(&file)?;
    Ok(file)
}

fn model_in(directory: &Path) -> Result<PathBuf> {
    for file in [MODEL, BEST_MODEL].map(|name| directory.join(name)) {
        match file.metadata() {
            Ok(_) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read the model", &file)(error)),
        }
    }
    let expected = format!("{MODEL} or {BEST_MODEL} in it");
    let remedy = "give a model file, or a directory that `train --out` or `sweep` wrote";
    Err(Error::content(directory, expected, "neither", remedy))
}
