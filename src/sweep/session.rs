//! The protocol of a sweep: whose the directory is, who trains it, what is recorded, what is trained next. It prints nothing.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::time::Duration;

use serde::Serialize;

use super::best;
use super::directory::{self, Claim, Standing};
use super::events::{Counting, Events};
use super::job::{Job, Leg};
use super::journal::{self, Results};
use super::layout::{CHECKPOINTS, RUNGS};
use super::lock::{self, Advance, Lock};
use super::runner;
use super::search::{Decision, Due, Search, Turn};
use super::site::Site;
use super::space::{Resolved, Trial};
use crate::data::fold::Fold;
use crate::data::prepare::Recipe;
use crate::error::{Error, Result};
use crate::files;
use crate::train::Status;
use crate::train::checkpoint::Checkpoints;

/// What is asked of a sweep.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads that train.
    pub workers: usize,
    /// Trials that ended so are trained again.
    pub retried: Vec<Status>,
    /// Whether the space may have more trials than the directory's.
    pub may_extend: bool,
    /// A lock of another machine that was not renewed for so long is a dead process's.
    pub takeover_after: Duration,
}

/// A sweep in its directory.
pub struct Session<'a> {
    site: Site<'a>,
    options: Options,
    events: &'a dyn Events,
    search: Search,
    trials: Vec<Trial>,
    results: Results,
    checkpoints: Checkpoints,
    /// The finalists with fresh seeds, once the search is over.
    confirming: Vec<Trial>,
    /// Results of other shards that this one waits for.
    waits_for: usize,
    /// None where it only looks.
    lock: Option<Lock>,
}

impl<'a> Session<'a> {
    /// Claims the directory for the space and the shard for this process; adds trials where that is asked for, mends what dead processes
    /// left, and reads what is recorded.
    ///
    /// # Errors
    /// The directory cannot be written or holds another sweep, or another process trains the shard, or any while trials are to be added.
    pub fn open(site: Site<'a>, space: &Resolved, options: Options, events: &'a dyn Events) -> Result<Self> {
        let (directory, shard, takeover_after) = (site.directory, site.shard, options.takeover_after);
        let trials = space.trials()?;
        Search::new(space, &trials)?; // a mistake in it is found before anything is written
        let Claim { trials, standing } = directory::claim(directory, space, trials, options.may_extend)?;
        let lock = Lock::take(directory, shard, takeover_after, site.stop, &|line| events.log(line))?;
        let is_other = |other: &lock::Holder| other.is_running && other.shard != shard;
        let is_alone = !lock::holders(directory, takeover_after)?.iter().any(is_other);
        if let Standing::Extends(added) = standing {
            if !is_alone {
                let expected = "no other process in this directory while the sweep is extended";
                let (found, remedy) = ("one that trains another shard", "wait until it ends");
                return Err(Error::usage(directory.display(), expected, found, remedy));
            }
            directory::extend(directory, space)?;
            events.log(&format!("{added} trials were added"));
        }
        files::remove_leftovers(directory, files::SURELY_DEAD);
        journal::repair(directory, shard)?.iter().for_each(|repaired| events.log(&format!("repaired: {repaired}")));
        let search = Search::new(space, &trials)?;
        let session = Self::of(site, options, events, (trials, search), Some(lock))?;
        session.results.damage_warnings(!is_alone).for_each(|warning| events.warn(warning));
        session.checkpoints.damage.iter().for_each(|warning| events.warn(warning));
        Ok(session)
    }

    /// As [`Session::open`], but takes and writes nothing: what would be trained can be [planned](Session::plan). A process that trains in
    /// the directory is no error, and is logged.
    ///
    /// # Errors
    /// As [`Session::open`], but for other processes.
    pub fn look(site: Site<'a>, space: &Resolved, options: Options, events: &'a dyn Events) -> Result<Self> {
        files::check_output_directory(site.directory)?;
        let Claim { trials, standing } = directory::check(site.directory, space, space.trials()?, options.may_extend)?;
        let is_extended = matches!(standing, Standing::Extends(_));
        for holder in lock::holders(site.directory, options.takeover_after)?.iter().filter(|holder| holder.is_running) {
            let is_in_the_way = holder.shard == site.shard || holder.shard.count != site.shard.count;
            if is_in_the_way || is_extended {
                events.log(&format!(
                    "process {} on {} trains shard {} here now: this sweep can begin when that has ended",
                    holder.pid, holder.host, holder.shard
                ));
            }
        }
        if let Standing::Extends(added) = standing {
            events.log(&format!("{added} trials would be added"));
        }
        let search = Search::new(space, &trials)?;
        Self::of(site, options, events, (trials, search), None)
    }

    fn of(
        site: Site<'a>,
        options: Options,
        events: &'a dyn Events,
        (trials, search): (Vec<Trial>, Search),
        lock: Option<Lock>,
    ) -> Result<Self> {
        let results = Results::read(site.directory)?;
        let checkpoints = Checkpoints::find_whole(&site.directory.join(CHECKPOINTS))?;
        Ok(Self { site, options, events, search, trials, results, checkpoints, confirming: vec![], waits_for: 0, lock })
    }

    /// The trials of the whole sweep, in the order by which equals are ranked.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// What is recorded, and the trials that it is about.
    pub fn results(&mut self) -> (&[Trial], &mut Results) {
        (&self.trials, &mut self.results)
    }

    /// The first that is to be trained, in its cohorts.
    pub fn plan(&self) -> Job<'_> {
        let Turn { mine, due, is_last, .. } =
            turn(&self.search, self.site, &self.trials, &self.results, &self.options.retried);
        let missing = match due {
            Due::Train(missing) => missing,
            Due::Wait { .. } | Due::Done => vec![],
        };
        let rivals = match is_last {
            true => rivals_among(&self.search.rivals(&self.trials, &self.results), &mine),
            false => vec![],
        };
        let found = (&self.results, &self.checkpoints);
        Job::new(self.site, mine, missing, rivals, found, self.options.workers)
    }

    /// How the trials follow from the results.
    pub fn search(&self) -> &Search {
        &self.search
    }

    /// Results of other shards without which this one cannot go on.
    pub fn waits_for(&self) -> usize {
        self.waits_for
    }

    /// Trains what is due, until nothing is that this shard can train, and makes sure that the best model is in its file. Returns how many
    /// trials were trained.
    ///
    /// # Errors
    /// A result, a checkpoint or a model cannot be written, the lock was lost, or the process was asked to stop; trials recorded until then
    /// stay recorded.
    ///
    /// # Panics
    /// The session only looks.
    pub fn run(&mut self) -> Result<usize> {
        let lock = self.lock.take().expect("the session was opened to train");
        let outcome = self.train_all(&lock);
        self.lock = Some(lock);
        self.results.refresh(self.site.directory)?;
        // After an interruption, a trial that is trained again has an old record, and a checkpoint to resume from.
        if outcome.is_ok() {
            self.remove_states()?;
            self.search.settle(&self.trials, &mut self.results);
        }
        outcome
    }

    /// Removes the states of trials that nothing more is to be trained of.
    fn remove_states(&self) -> Result<()> {
        let over = self.search.over(&self.trials, &self.results);
        let checkpoints = Checkpoints::find(&self.site.directory.join(CHECKPOINTS))?;
        let is_recorded = |trial: &str| {
            self.results.records.get(trial).is_some_and(|record| record.outcome.status != Status::Stopped)
        };
        checkpoints.remove_recorded(&|trial| over.contains(trial) || is_recorded(trial));
        Ok(())
    }

    /// Writes what was decided, as far as it is not there; every process that does writes the same.
    fn write(&self, decisions: &[Decision]) -> Result<()> {
        let folder = self.site.directory.join(RUNGS);
        for decision in decisions {
            let kernels = self.results.kernels(decision.trials.iter().map(|standing| standing.trial.as_str()));
            if let Some(of_blas) = journal::several_of_blas(&kernels) {
                let names: Vec<&str> = of_blas.iter().map(|(kernel, _)| *kernel).collect();
                self.events.warn(&format!(
                    "cut {}: its results are from several BLAS kernels ({}), which differ in the last bits, so another machine may keep other \
                     trials; run every shard with the same OPENBLAS_CORETYPE if that matters",
                    decision.cut,
                    names.join(", ")
                ));
            }
            let file = RungFile { decision, kernels };
            let text = serde_json::to_string_pretty(&file).expect("plain fields become JSON") + "\n";
            let path = folder.join(format!("{}.json", decision.cut));
            if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
                continue;
            }
            files::create_output_directory(&folder)?;
            files::replace_on(self.site.disk, &path, &[text.as_bytes()])?;
            let [reached, kept] = decision.configurations;
            let at = decision.at * 100.0;
            self.events.log(&format!(
                "cut {}: {reached} configurations at {at:.1} % of their iterations, {kept} go on",
                decision.cut
            ));
        }
        Ok(())
    }

    fn train_all(&mut self, lock: &Lock) -> Result<usize> {
        let mut trained = 0;
        let mut retried = std::mem::take(&mut self.options.retried);
        loop {
            let Turn { mine, due, is_last, decisions } =
                turn(&self.search, self.site, &self.trials, &self.results, &retried);
            self.write(&decisions)?;
            let mut confirms = false;
            self.waits_for = 0;
            let missing = match due {
                Due::Train(missing) => missing,
                Due::Wait { missing } => {
                    self.waits_for = missing;
                    return Ok(trained);
                }
                Due::Done => {
                    self.confirming = self.search.confirmation(&self.trials, &self.results);
                    let is_done = |trial: &Trial| {
                        let record = self.results.records.get(&trial.id);
                        record.is_some_and(|record| !retried.contains(&record.outcome.status))
                    };
                    let fresh = self.site.shard.of(&self.confirming, self.site.data.inputs());
                    let legs: Vec<Leg<'_>> =
                        fresh.iter().filter(|trial| !is_done(trial)).map(|trial| Leg::whole(trial)).collect();
                    self.waits_for = self.search.before_confirmation(&self.trials, &self.results)
                        + self.confirming.iter().filter(|trial| !is_done(trial)).count()
                        - legs.len();
                    if !legs.is_empty() {
                        self.events.log(&format!("confirming finalists: {} trials with fresh seeds", legs.len()));
                        confirms = true;
                        legs
                    } else if trained > 0 && self.confirming.is_empty() {
                        return Ok(trained);
                    } else {
                        vec![] // the best model may be missing all the same
                    }
                }
            };
            if !decisions.is_empty() {
                self.remove_states()?;
            }
            if trained > 0 {
                // Where the trials of the stage before stand now.
                self.checkpoints = Checkpoints::find_whole(&self.site.directory.join(CHECKPOINTS))?;
            }
            let (site, workers) = (self.site, self.options.workers);
            let rivals = match is_last && !confirms {
                true => rivals_among(&self.search.rivals(&self.trials, &self.results), &mine),
                false => vec![],
            };
            let mine = if confirms { missing.iter().map(|leg| leg.trial).collect() } else { mine };
            let job = Job::new(site, mine, missing, rivals, (&self.results, &self.checkpoints), workers);
            self.events.planned(&job, &self.trials, &self.results)?;
            let wanted: Vec<(&Trial, usize)> = job.legs.iter().map(|leg| (leg.trial, leg.until)).collect();
            let unusable = self.checkpoints.unusable_warning(&site.made(), &wanted);
            unusable.iter().for_each(|warning| self.events.warn(warning));
            let counting = Counting::new(self.events);
            let already = job.trials.len() - job.missing.len();
            let advance = || Advance {
                trials_done: already + counting.count(),
                trials: job.trials.len(),
                seconds_left: self.events.seconds_left(),
            };
            let results = &mut self.results;
            let work = || {
                prepare(site, &job, &counting)?;
                runner::run(site, &job, results, &counting)
            };
            lock.while_held(self.options.takeover_after, site.stop, &advance, work)?;
            trained += job.missing.len();
            if job.missing.is_empty() {
                return Ok(trained);
            }
            retried.clear(); // once is enough
        }
    }

    /// How many of the trials of this shard are recorded, and how many it has.
    pub fn recorded(&self) -> (usize, usize) {
        let mine = self.site.shard.of(&self.trials, self.site.data.inputs());
        (mine.iter().filter(|trial| self.results.records.contains_key(&trial.id)).count(), mine.len())
    }
}

/// Fits what is done to the images of a job's trials before they are trained, where that takes more than a moment.
fn prepare(site: Site<'_>, job: &Job<'_>, events: &dyn Events) -> Result<()> {
    let mut recipes: Vec<(Recipe, Option<Fold>)> = vec![];
    for trial in &job.missing {
        let (recipe, fold) = (trial.hyperparameters.recipe(), trial.hyperparameters.fold());
        if recipe.preparation.projects() && !recipes.contains(&(recipe, fold)) {
            recipes.push((recipe, fold));
        }
    }
    for (recipe, fold) in recipes {
        events.log(&format!("fitting preparation {} to the training images", recipe.preparation.key()));
        site.data.fold(fold).prepare(recipe)?;
    }
    Ok(())
}

/// What is due. A trial is done when it has a record, of another status than those that are `retried`, and its model where models are kept.
fn turn<'a>(search: &Search, site: Site<'_>, trials: &'a [Trial], results: &Results, retried: &[Status]) -> Turn<'a> {
    let outcome = |trial: &Trial| results.records.get(&trial.id).map(|record| &record.outcome);
    let is_done = |trial: &Trial| match outcome(trial) {
        Some(outcome) if outcome.status == Status::Complete && site.keep_models => {
            best::kept(site.directory, &trial.id).exists()
        }
        Some(outcome) if outcome.status == Status::Stopped => search.ladder().is_some(),
        outcome => outcome.is_some_and(|outcome| !retried.contains(&outcome.status)),
    };
    search.turn(trials, (site.shard, site.data.inputs()), &outcome, &is_done)
}

/// Those of the rivals that a shard has.
fn rivals_among<'a>(rivals: &[&'a Trial], mine: &[&'a Trial]) -> Vec<&'a Trial> {
    let ids: HashSet<&str> = rivals.iter().map(|trial| trial.id.as_str()).collect();
    mine.iter().copied().filter(|trial| ids.contains(trial.id.as_str())).collect()
}

/// A file of `rungs/`.
#[derive(Serialize)]
struct RungFile<'a> {
    #[serde(flatten)]
    decision: &'a Decision,
    /// The kernels that computed its results, and how many trials each.
    kernels: BTreeMap<String, usize>,
}
