//! A program without the feature `viewer`: it has no flags of the viewer, and opens none.

use std::sync::atomic::AtomicBool;

use clap::Args;

use super::LookedAt;
use crate::Result;
use crate::ranks::Ranks;
use crate::train::{Observer, Run, Task, TrainEvent};

/// A bound port: there is none.
pub enum Port {}

/// The viewer of a run: there is none.
pub enum Watched {}

#[derive(Debug, Args)]
pub struct ViewerArgs {}

impl ViewerArgs {
    pub fn listen(&self, _: &Ranks) -> Result<Option<Port>> {
        Ok(None)
    }

    pub fn watch(&self, _: Option<Port>, _: &LookedAt, _: &Run, _: bool) -> Result<Option<Watched>> {
        Ok(None)
    }
}

impl Watched {
    pub fn stay(&mut self, _: &dyn Task, _: &AtomicBool) -> anyhow::Result<()> {
        match *self {}
    }
}

impl Observer for Watched {
    fn on_event(&mut self, _: &TrainEvent) -> Result<()> {
        match *self {}
    }
}
