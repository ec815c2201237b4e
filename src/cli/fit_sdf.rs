//! `gridfield fit-sdf`: fit a field to the signed distances around a mesh.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::machine::MachineArgs;
use super::outcome::Outcome;
use super::training_args::{SettingsArgs, TrainingArgs, absolute_text, file_name, for_task};
use super::{print, task};
use crate::Result;
use crate::config::{Config, TaskName};
use crate::device::Device;
use crate::fit::FitTrainer;
use crate::ranks::Ranks;
use crate::sdf::{DistanceData, Target};

#[derive(Debug, Args)]
#[command(mut_args(|arg| for_task(arg, TaskName::Sdf)))]
pub struct FitSdfArgs {
    /// A .obj, .ply, .stl, .gltf or .glb file. With --resume: its current path, if it has moved
    #[arg(value_name = "MESH", required_unless_present = "resume")]
    pub mesh: Option<PathBuf>,

    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
}

impl FitSdfArgs {
    fn config(&self, base: Config) -> Result<Config> {
        let mesh = self.mesh.as_deref().map(|path| absolute_text(path, "mesh")).transpose()?;
        self.training.config(base, &self.settings, TaskName::Sdf, [("sdf.path", mesh.map(Value::from))])
    }

    pub(super) fn run(mut self, ranks: &Ranks) -> anyhow::Result<Outcome> {
        self.training.shown.only_on_rank_0(ranks);
        let device = self.machine.open_device_among(ranks)?;
        match &self.training.results.resume {
            None => self.begin(&device, ranks),
            Some(run) => self.resume(&device, run, ranks),
        }
    }

    fn begin(&self, device: &Device, ranks: &Ranks) -> anyhow::Result<Outcome> {
        let config = self.config(self.training.defaults(Config::of_sdf(device.is_host())))?;
        let target = Target::read(device, &config.sdf.path, None)?;
        let name = file_name(&config.sdf.path, "mesh")?;
        self.tell_of(&target)?;
        let data = DistanceData::new(&config, &name, target);
        let mut trainer = FitTrainer::new(device, &config, data)?.among(ranks)?;
        if !ranks.leads() {
            return self.training.follow(&mut trainer, ranks);
        }
        let run = self.training.create_run(&name, &config)?;
        self.training.train_new(&mut trainer, ranks, &run, &config, None)
    }

    fn resume(&self, device: &Device, run: &Path, ranks: &Ranks) -> anyhow::Result<Outcome> {
        let (run, mut checkpoint) = self.training.resumed(run, TaskName::Sdf)?;
        let config = self.config(checkpoint.header.config.clone())?;
        self.training.refuse_an_end_behind(&config, checkpoint.header.step, checkpoint.header.seconds)?;
        checkpoint.header.config = config.clone();
        let target = task::sdf::reopen_mesh(device, &checkpoint)?;
        let data = DistanceData::new(&config, &checkpoint.header.scene, target);
        let mut trainer = FitTrainer::resume(device, &checkpoint, data)?.among(ranks)?;
        drop(checkpoint);
        if !ranks.leads() {
            return self.training.follow(&mut trainer, ranks);
        }
        run.save_config(&config)?;
        self.training.train(&mut trainer, ranks, &run, &config, None)
    }

    /// Prints a description of the mesh, and warnings about what may be wrong with it.
    fn tell_of(&self, target: &Target) -> anyhow::Result<()> {
        if self.training.shown.is_silent() {
            return Ok(());
        }
        target.notes().iter().for_each(|note| print::to_stderr(&format!("gridfield: warning: {note}")));
        let (vertices, triangles) = (target.mesh.vertices.len() as u64, target.mesh.triangles.len() as u64);
        let (vertices, triangles) = (print::grouped(vertices), print::grouped(triangles));
        Ok(print::to_stdout(&format!(
            "mesh: {vertices} vertices, {triangles} triangles; unit cube: {}",
            target.unit_cube
        ))?)
    }
}
