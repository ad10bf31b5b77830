//! Which shard this process is, as a cluster's scheduler gives it to its tasks in environment variables.

use super::shard::Shard;
use crate::error::{Error, Result};

/// The shard that `--shard` names: `I/N`, `auto` (the scheduler gives both) or `auto/N` (it gives which task of N this is).
///
/// # Errors
/// The text is none of these, or the environment lacks it, or has what does not fit.
pub fn shard(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Shard> {
    let expected = "I/N with 1 ≤ I ≤ N, auto, or auto/N";
    let wrong = || Error::usage("--shard", expected, format!("`{text}`"), "write for example --shard 2/8");
    if text == "auto" {
        return from_environment(None, variable);
    }
    if let Some(count) = text.strip_prefix("auto/") {
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        return from_environment(Some(count), variable);
    }
    text.parse().map_err(|()| wrong())
}

/// A scheduler, by the variables that it sets in every task of an array.
struct Scheduler {
    name: &'static str,
    task: &'static str,
    first: Option<&'static str>,
    last: Option<&'static str>,
    step: Option<&'static str>,
    /// How many tasks there are: fewer than by first, last and step where the array was given as a list.
    count: Option<&'static str>,
}

const SCHEDULERS: [Scheduler; 5] = [
    Scheduler {
        name: "Slurm",
        task: "SLURM_ARRAY_TASK_ID",
        first: Some("SLURM_ARRAY_TASK_MIN"),
        last: Some("SLURM_ARRAY_TASK_MAX"),
        step: Some("SLURM_ARRAY_TASK_STEP"),
        count: Some("SLURM_ARRAY_TASK_COUNT"),
    },
    Scheduler { name: "Kubernetes", task: "JOB_COMPLETION_INDEX", first: None, last: None, step: None, count: None },
    Scheduler { name: "PBS", task: "PBS_ARRAY_INDEX", first: None, last: None, step: None, count: None },
    Scheduler { name: "Torque", task: "PBS_ARRAYID", first: None, last: None, step: None, count: None },
    Scheduler {
        name: "Grid Engine",
        task: "SGE_TASK_ID",
        first: Some("SGE_TASK_FIRST"),
        last: Some("SGE_TASK_LAST"),
        step: Some("SGE_TASK_STEPSIZE"),
        count: None,
    },
];

fn from_environment(count: Option<usize>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Shard> {
    // Grid Engine sets `undefined` outside an array.
    let set = |name: &str| variable(name).filter(|value| !value.is_empty() && value != "undefined");
    let Some(scheduler) = SCHEDULERS.iter().find(|scheduler| set(scheduler.task).is_some()) else {
        let names: Vec<&str> = SCHEDULERS.iter().map(|scheduler| scheduler.task).collect();
        return Err(Error::usage(
            "--shard auto",
            format!("a task of an array, with one of {} set", names.join(", ")),
            "none of them",
            "submit an array, or name the shard: --shard I/N",
        ));
    };
    let number = |name: &str| -> Result<Option<usize>> {
        let Some(value) = set(name) else { return Ok(None) };
        let wrong = || Error::usage(name, "a whole number", format!("`{value}`"), "name the shard: --shard I/N");
        value.parse().map(Some).map_err(|_| wrong())
    };
    let optional = |name: Option<&str>| name.map_or(Ok(None), number);
    let task = number(scheduler.task)?.unwrap_or_default();

    // With the number of shards given, tasks count from zero.
    if let Some(count) = count {
        return if task < count {
            Ok(Shard { index: task + 1, count })
        } else {
            Err(Error::usage(
                format!("--shard auto/{count}"),
                format!("{} of 0 to {}", scheduler.task, count - 1),
                task.to_string(),
                "number the tasks from 0, or name the shard: --shard I/N",
            ))
        };
    }
    let first = optional(scheduler.first)?.unwrap_or(0);
    let step = optional(scheduler.step)?.unwrap_or(1).max(1);
    let from_first_to_last = optional(scheduler.last)?.map(|last| last.saturating_sub(first) / step + 1);
    let Some(tasks) = optional(scheduler.count)?.or(from_first_to_last) else {
        return Err(Error::usage(
            "--shard auto",
            format!("the number of tasks, which {} does not give", scheduler.name),
            "none",
            "give it: --shard auto/N",
        ));
    };
    let has_gaps = from_first_to_last.is_some_and(|all| all != tasks);
    let on_the_grid = task >= first && (task - first).is_multiple_of(step) && (task - first) / step < tasks;
    if has_gaps || !on_the_grid {
        return Err(Error::usage(
            "--shard auto",
            format!("an array of {tasks} tasks from {first} in steps of {step}"),
            match from_first_to_last {
                Some(all) if has_gaps => format!("a list with gaps: {all} tasks would fill it"),
                _ => format!("task {task}"),
            },
            "where only some tasks of an array run, name the number of shards: --shard auto/N (tasks count from 0)",
        ));
    }
    Ok(Shard { index: (task - first) / step + 1, count: tasks })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, variables: &[(&str, &str)]) -> Result<Shard> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        shard(text, &find)
    }

    fn slurm(id: &str, min: &str, max: &str, step: &str, count: &str) -> Result<Shard> {
        let names = ["ID", "MIN", "MAX", "STEP", "COUNT"].map(|name| format!("SLURM_ARRAY_TASK_{name}"));
        let values: Vec<(&str, &str)> = names.iter().map(String::as_str).zip([id, min, max, step, count]).collect();
        of("auto", &values)
    }

    #[test]
    fn a_slurm_array_is_told_by_its_first_last_and_step() {
        assert_eq!(slurm("0", "0", "3", "1", "4").unwrap(), Shard { index: 1, count: 4 });
        assert_eq!(slurm("7", "1", "7", "2", "4").unwrap(), Shard { index: 4, count: 4 });
    }

    #[test]
    fn the_number_of_tasks_is_enough_where_the_last_is_not_told() {
        let task = |id, others: &[(&'static str, &'static str)]| {
            let mut set = vec![("SLURM_ARRAY_TASK_ID", id), ("SLURM_ARRAY_TASK_COUNT", "3")];
            set.extend(others);
            of("auto", &set)
        };
        let from_one = [("SLURM_ARRAY_TASK_MIN", "1"), ("SLURM_ARRAY_TASK_STEP", "2")];
        assert_eq!(task("5", &from_one).unwrap(), Shard { index: 3, count: 3 });
        assert_eq!(task("2", &[]).unwrap(), Shard { index: 3, count: 3 });
        for (id, others) in [("7", &from_one[..]), ("4", &from_one), ("0", &from_one), ("3", &[])] {
            assert!(task(id, others).unwrap_err().to_string().contains(&format!("found task {id}")), "{id}");
        }
    }

    #[test]
    fn a_slurm_array_with_gaps_is_refused_with_the_way_out() {
        let error = slurm("5", "1", "5", "1", "2").unwrap_err().to_string();
        assert!(error.contains("a list with gaps: 5 tasks would fill it") && error.contains("auto/N"), "{error}");
    }

    #[test]
    fn where_the_number_is_given_tasks_count_from_zero() {
        let task = [("SLURM_ARRAY_TASK_ID", "2")];
        assert_eq!(of("auto/4", &task).unwrap(), Shard { index: 3, count: 4 });
        assert!(of("auto/2", &task).unwrap_err().to_string().contains("0 to 1"));
        assert_eq!(of("auto/3", &[("JOB_COMPLETION_INDEX", "0")]).unwrap(), Shard { index: 1, count: 3 });
        assert_eq!(of("auto/3", &[("PBS_ARRAY_INDEX", "1")]).unwrap(), Shard { index: 2, count: 3 });
    }

    #[test]
    fn kubernetes_and_pbs_need_the_number() {
        assert!(of("auto", &[("JOB_COMPLETION_INDEX", "0")]).unwrap_err().to_string().contains("--shard auto/N"));
        assert!(of("auto", &[("PBS_ARRAYID", "1")]).unwrap_err().to_string().contains("--shard auto/N"));
    }

    #[test]
    fn grid_engine_tells_all() {
        let task = [("SGE_TASK_ID", "3"), ("SGE_TASK_FIRST", "1"), ("SGE_TASK_LAST", "5"), ("SGE_TASK_STEPSIZE", "2")];
        assert_eq!(of("auto", &task).unwrap(), Shard { index: 2, count: 3 });
        assert!(of("auto", &[("SGE_TASK_ID", "undefined")]).is_err());
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["", "auto/0", "auto/x", "3/2", "half"] {
            assert!(of(text, &[("JOB_COMPLETION_INDEX", "0")]).is_err(), "{text}");
        }
        assert!(of("auto", &[]).unwrap_err().to_string().contains("SLURM_ARRAY_TASK_ID"));
        assert!(of("auto/4", &[("SLURM_ARRAY_TASK_ID", "x")]).is_err());
    }
}
