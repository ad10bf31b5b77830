//! A space of a sweep file: what is fixed, what is a grid, what is drawn. A `[[space]]` has what it names, and for the rest what stands
//! outside of all of them.

use std::collections::HashSet;

use super::axis::{Axis, Place};
use super::draw::{Drawn, Random};
use crate::error::{Error, Result};

/// A space.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    /// Its name: none for what stands outside.
    pub name: String,
    /// The hyperparameters of `[fixed]`, of one value each.
    pub fixed: Vec<Axis>,
    /// Those of `[grid]`, in the order of the file. Candidates of a file come first.
    pub grid: Vec<Axis>,
    /// Those of `[random]`.
    pub random: Random,
}

impl Block {
    /// Every hyperparameter that it names, and where.
    pub fn places(&self) -> impl Iterator<Item = (&'static str, &Place)> {
        let axes = self.fixed.iter().chain(&self.grid);
        let drawn = self.random.axes.iter().map(|axis| (axis.name, &axis.place));
        axes.flat_map(|axis| axis.names.iter().map(move |&name| (name, &axis.place))).chain(drawn)
    }

    /// With what it names in place of what stands outside.
    ///
    /// # Errors
    /// It names a part of hyperparameters that go together outside.
    pub fn over(&self, common: &Self) -> Result<Self> {
        let own: HashSet<&str> = self.places().map(|(name, _)| name).collect();
        let is_replaced = |axis: &Axis| axis.names.iter().any(|name| own.contains(name));
        for axis in common.grid.iter().filter(|axis| is_replaced(axis)) {
            if let Some(left) = axis.names.iter().find(|name| !own.contains(*name)) {
                let place = self.places().find(|(name, _)| axis.has(name)).map_or(&axis.place, |(_, place)| place);
                let found = format!("`{left}` only at {}", axis.place.place);
                let remedy = "name all of them here";
                return Err(Error::usage(place, "all hyperparameters that go together outside", found, remedy));
            }
        }
        let merged = |common: &[Axis], own: &[Axis]| -> Vec<Axis> {
            common.iter().filter(|axis| !is_replaced(axis)).chain(own).cloned().collect()
        };
        let drawn = |axis: &&Drawn| !own.contains(axis.name);
        let axes: Vec<Drawn> = common.random.axes.iter().filter(drawn).chain(&self.random.axes).cloned().collect();
        let samples = self.random.samples.as_ref().or(common.random.samples.as_ref()).cloned();
        Ok(Self {
            name: self.name.clone(),
            fixed: merged(&common.fixed, &self.fixed),
            grid: merged(&common.grid, &self.grid),
            random: Random {
                // Samples outside are for what is drawn: a space that draws nothing has one point.
                samples: samples.filter(|_| !axes.is_empty() || self.random.samples.is_some()),
                sampler: self.random.sampler.or(common.random.sampler),
                seed: self.random.seed.or(common.random.seed),
                axes,
            },
        })
    }

    /// Takes a hyperparameter out, wherever it stands. The last axis takes its place: the order by which sweeps with `--set` have always
    /// ranked equals.
    ///
    /// # Errors
    /// It goes together with others.
    pub fn remove(&mut self, name: &str, by: &Place) -> Result<()> {
        for axes in [&mut self.fixed, &mut self.grid] {
            let Some(position) = axes.iter().position(|axis| axis.has(name)) else { continue };
            if axes[position].names.len() > 1 {
                let found = format!("{} at {}", axes[position].key(), axes[position].place.place);
                let remedy = "set all of them: --set '\"a, b\"=[[…], […]]'";
                return Err(Error::usage(by, "a hyperparameter that goes with no others", found, remedy));
            }
            axes.swap_remove(position);
        }
        self.random.axes.retain(|axis| axis.name != name);
        Ok(())
    }
}
