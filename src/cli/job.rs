//! The program as one of several processes that `mpirun` or `srun` started: ranks.
//!
//! An error is reported once. Most are found by all ranks, and rank 0 reports them. The others wait for [`HEAD_START`].
//! If they are still running then, rank 0 does not know of the error, and they report it themselves. Errors before a
//! rank has joined are reported by rank 0 alone.

use std::process::ExitCode;
use std::time::Duration;

use super::interrupt;
use super::outcome::{self, MISTAKE, Outcome};
use crate::ranks::Ranks;
use crate::{Error, Result};

/// Time that rank 0 has to report an error that other ranks found too, and to end them.
const HEAD_START: Duration = Duration::from_secs(1);

/// What the launcher says about this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launched {
    rank: usize,
    size: usize,
}

/// The variables in which launchers give the rank and the number of ranks: Open MPI's, then those of MPICH and of Slurm
/// with PMI-2, then Slurm's with PMIx.
const VARIABLES: [(&str, &str); 3] =
    [("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"), ("PMIX_RANK", "SLURM_STEP_NUM_TASKS")];

impl Launched {
    /// Returns what the environment says, if it is that of one of several ranks.
    pub fn from_environment() -> Option<Launched> {
        Launched::from(&|name| std::env::var(name).ok()?.parse().ok())
    }

    fn from(number: &dyn Fn(&str) -> Option<usize>) -> Option<Launched> {
        let known =
            VARIABLES.iter().find_map(|(rank, size)| Some(Launched { rank: number(rank)?, size: number(size)? }));
        known.filter(|launched| launched.size > 1)
    }
}

/// Prints a message that all ranks know, by `tell`, if this is rank 0. The others end after it.
pub fn tell_once(code: u8, tell: impl FnOnce()) -> ExitCode {
    if Launched::from_environment().is_some_and(|launched| launched.rank > 0) {
        // A launcher may end all ranks when the first one fails: that should be rank 0, which has said why.
        std::thread::sleep(HEAD_START);
    } else {
        tell();
    }
    ExitCode::from(code)
}

/// This process's part in a job.
pub struct Job {
    /// Dropped at the end, when this process leaves the job.
    #[cfg(feature = "mpi")]
    _joined: Option<crate::ranks::mpi::Job>,
    ranks: Ranks,
}

impl Job {
    /// Joins the job that this process was started in, if it was.
    ///
    /// # Errors
    /// Returns an error if this program or its MPI library cannot join it.
    #[cfg(feature = "mpi")]
    pub fn join() -> Result<Job> {
        let Some(launched) = Launched::from_environment() else {
            return Ok(Job { _joined: None, ranks: Ranks::alone() });
        };
        let joined = crate::ranks::mpi::start()?;
        let ranks = joined.ranks().clone();
        if ranks.size() != launched.size {
            return Err(Error::config(format!(
                "started as one of {} ranks, but its MPI library knows of {}: it was built with a different MPI from \
                 that of mpirun or srun; rebuild gridfield with the launcher's MPI, or use the launcher of the MPI it \
                 was built with",
                launched.size,
                ranks.size()
            )));
        }
        Ok(Job { _joined: Some(joined), ranks })
    }

    /// Joins the job that this process was started in, if it was: this program has no MPI.
    ///
    /// # Errors
    /// Returns an error if there are other ranks.
    #[cfg(not(feature = "mpi"))]
    pub fn join() -> Result<Job> {
        match Launched::from_environment() {
            None => Ok(Job { ranks: Ranks::alone() }),
            Some(Launched { size, .. }) => Err(Error::config(format!(
                "started as one of {size} ranks, but this gridfield was built without MPI; build it with --features mpi, \
                 or start it without mpirun or srun (docs/distributed.md)"
            ))),
        }
    }

    /// Returns the ranks of the job.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// Ends this process's part in the job with the result of its command, and returns the exit code. After an error,
    /// all ranks end.
    pub fn end(self, result: anyhow::Result<Outcome>) -> ExitCode {
        let rank = self.ranks.rank();
        match result {
            Err(error) if !self.ranks.is_alone() => {
                if rank > 0 {
                    // A rank that leaves signals to rank 0 survives the launcher's SIGTERM. If one arrives now, rank 0
                    // has already reported the error.
                    if !interrupt::arrives_within(HEAD_START) {
                        outcome::tell(&error.context(format!("rank {rank}")));
                    }
                } else {
                    outcome::tell(&error);
                }
                self.ranks.abort(MISTAKE)
            }
            result => outcome::exit_code(result),
        }
    }
}

/// Refuses what ranks do not share: a command, such as `gridfield info`, or what one does for a task.
///
/// # Errors
/// Returns an error if this process is one of several ranks.
pub fn refuse_ranks(what: &str) -> Result<()> {
    match Launched::from_environment() {
        None => Ok(()),
        Some(Launched { size, .. }) => Err(Error::config(format!(
            "{what} cannot be shared among ranks, but was started as one of {size}; start it without mpirun or srun"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_launcher_is_known() {
        let launched = |variables: &[(&str, usize)]| {
            Launched::from(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
        };
        let third = Some(Launched { rank: 2, size: 4 });
        assert_eq!(launched(&[("OMPI_COMM_WORLD_RANK", 2), ("OMPI_COMM_WORLD_SIZE", 4), ("PMIX_RANK", 2)]), third);
        assert_eq!(launched(&[("PMI_RANK", 2), ("PMI_SIZE", 4)]), third);
        assert_eq!(launched(&[("PMIX_RANK", 2), ("SLURM_STEP_NUM_TASKS", 4)]), third);
        assert_eq!(launched(&[("OMPI_COMM_WORLD_RANK", 0), ("OMPI_COMM_WORLD_SIZE", 1)]), None);
        // Tasks of srun that no MPI connects are programs of their own.
        assert_eq!(launched(&[("SLURM_STEP_NUM_TASKS", 4)]), None);
    }
}
