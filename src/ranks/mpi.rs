//! Ranks as processes of an MPI job. The library is Open MPI or MPICH, found when the crate is built.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::mpi::Threading;
use ::mpi::environment::Universe;
use ::mpi::topology::{Communicator as _, SimpleCommunicator};
use ::mpi::traits::{CommunicatorCollectives as _, Root as _};

use super::{Communicator, Ranks};
use crate::{Error, Result};

/// How long a rank polls for a broadcast without sleeping.
const BUSY: Duration = Duration::from_millis(1);
/// Time that it then sleeps between two polls; short compared with a training step.
const REST: Duration = Duration::from_micros(100);

/// The part of this process in an MPI job. Dropping it waits for rank 0, and then for all ranks, unless the thread
/// panics: then the job is aborted, since the others would wait for messages that do not come.
pub struct Job {
    ranks: Ranks,
    _universe: Universe,
}

/// Exit code of a panic, as that of a Rust program.
const PANICKED: u8 = 101;

/// Joins the MPI job that this process was started in; a process outside of any is a job of one rank. Messages are sent
/// by the calling thread.
///
/// # Errors
/// Returns an error if the process has joined before.
pub fn start() -> Result<Job> {
    let (universe, _) = ::mpi::initialize_with_threading(Threading::Serialized)
        .ok_or_else(|| Error::config("MPI was already started in this process, and can be started only once"))?;
    Ok(Job { ranks: Ranks::on(Arc::new(World)), _universe: universe })
}

impl Job {
    /// Returns the ranks of the job.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.ranks.abort(PANICKED);
        }
        // Rank 0 may have more to do, and MPI's own end would take processor time while it does.
        World.broadcast(0, &mut [0]);
    }
}

/// All processes of the job. MPI's default for errors is to end the job, which is what [`Communicator`] asks for.
struct World;

impl World {
    fn all() -> SimpleCommunicator {
        SimpleCommunicator::world()
    }
}

impl Communicator for World {
    fn rank(&self) -> usize {
        World::all().rank() as usize
    }

    fn size(&self) -> usize {
        World::all().size() as usize
    }

    fn all_to_all(&self, parts: &[u32], received: &mut [u32]) {
        World::all().all_to_all_into(parts, received);
    }

    fn all_gather(&self, own: &[u32], all: &mut [u32]) {
        World::all().all_gather_into(own, all);
    }

    fn gather(&self, own: &[u32], all: &mut [u32]) {
        let world = World::all();
        let leader = world.process_at_rank(0);
        if self.rank() == 0 {
            leader.gather_into_root(own, all);
        } else {
            leader.gather_into(own);
        }
    }

    fn broadcast(&self, root: usize, words: &mut [u32]) {
        let world = World::all();
        let root = world.process_at_rank(root as i32);
        ::mpi::request::scope(|scope| {
            let begun = Instant::now();
            let mut request = root.immediate_broadcast_into(scope, words);
            while let Err(pending) = request.test() {
                request = pending;
                if begun.elapsed() > BUSY {
                    std::thread::sleep(REST);
                }
            }
        });
    }

    fn abort(&self, code: u8) -> ! {
        World::all().abort(i32::from(code))
    }
}
