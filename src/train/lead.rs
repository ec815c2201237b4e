//! A run of several ranks: rank 0 decides what to do next, and the others do it with it.
//!
//! Only rank 0 has a run folder, a clock and an observer. It trains through a [`Leader`], which tells the other ranks
//! what it is about to do; these [`follow`].

use std::time::Instant;

use super::event::{Evaluated, Started, StepReport};
use super::{Progress, Task};
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::device::Device;
use crate::ranks::Ranks;
use crate::render::Render;
use crate::{COMMIT, Result, VERSION};

/// What all ranks do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum Order {
    Step = 1,
    ReadStatistics,
    Checkpoint,
    End,
}

impl Order {
    const ALL: [Order; 4] = [Order::Step, Order::ReadStatistics, Order::Checkpoint, Order::End];

    /// Tells the other ranks what to do, and the seconds of training so far.
    fn give(self, ranks: &Ranks, seconds: f64) {
        ranks.of_leader(&mut [self as u64, seconds.to_bits()]);
    }

    /// Waits for rank 0 to say what to do. Returns the order and the seconds of training so far.
    fn await_next(ranks: &Ranks) -> (Order, f64) {
        let mut words = [0, 0];
        ranks.of_leader(&mut words);
        let order = Order::ALL.into_iter().find(|order| *order as u64 == words[0]);
        (order.expect("rank 0 gives only these orders"), f64::from_bits(words[1]))
    }
}

/// A task on rank 0. It has all ranks take steps, read statistics and make checkpoints; the rest, such as evaluations,
/// it does alone.
struct Leader<'a> {
    task: &'a mut dyn Task,
    ranks: &'a Ranks,
}

/// Calls `train` on rank 0 with the task that all ranks train, and lets the others go when it has succeeded. After an
/// error they still wait for orders: the caller ends them with [`Ranks::abort`].
///
/// # Errors
/// Returns the errors of `train`.
pub fn lead<T, E>(
    task: &mut dyn Task,
    ranks: &Ranks,
    train: impl FnOnce(&mut dyn Task) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let mut leader = Leader { task, ranks };
    let done = train(&mut leader)?;
    leader.order(Order::End);
    Ok(done)
}

/// Trains `task` with rank 0, on each of the other ranks, until rank 0 has finished.
///
/// # Errors
/// Returns the errors of the task. Rank 0 returns most of them too, since what ranks compute is checked on all of them
/// at the same time; a device that fails is noticed by its own rank alone.
pub fn follow(task: &mut dyn Task, ranks: &Ranks) -> Result<()> {
    loop {
        let (order, seconds) = Order::await_next(ranks);
        task.set_seconds(seconds);
        match order {
            Order::Step => task.advance()?,
            Order::ReadStatistics => task.read_statistics()?,
            Order::Checkpoint => task.join_checkpoint()?,
            Order::End => return Ok(()),
        }
    }
}

/// Checks that all ranks run the same program with the same configuration, on CPUs that round alike. Where the scene,
/// image or mesh lies may differ.
///
/// # Errors
/// Returns an error that names the first rank that differs.
pub(crate) fn same_program(ranks: &Ranks, config: &Config, device: &Device) -> Result<()> {
    if ranks.is_alone() {
        return Ok(());
    }
    ranks.agree("version of gridfield", &format_args!("{VERSION}, commit {COMMIT}"))?;
    // Adam on one instruction level rounds unlike Adam on another, and the ranks' parameters would drift apart.
    ranks.agree("kind of device", &device.kind())?;
    let mut settings = config.to_value();
    for part in ["scene", "image", "sdf"] {
        settings[part].as_object_mut().map(|part| part.remove("path"));
    }
    ranks.agree_on_settings(&settings)
}

impl Leader<'_> {
    fn order(&self, order: Order) {
        order.give(self.ranks, self.task.progress().seconds);
    }
}

impl Task for Leader<'_> {
    fn started(&self) -> Started {
        self.task.started()
    }

    fn progress(&self) -> Progress {
        self.task.progress()
    }

    fn set_seconds(&mut self, seconds: f64) {
        self.task.set_seconds(seconds);
    }

    fn train_step(&mut self) -> Result<()> {
        unreachable!("a leader advances, with all ranks");
    }

    fn advance(&mut self) -> Result<()> {
        self.order(Order::Step);
        self.task.advance()
    }

    fn reads_each_step(&self) -> bool {
        self.task.reads_each_step()
    }

    fn read_statistics(&mut self) -> Result<()> {
        self.order(Order::ReadStatistics);
        self.task.read_statistics()
    }

    fn summed_loss(&self) -> f64 {
        self.task.summed_loss()
    }

    fn averages(&mut self, since: Instant) -> Option<StepReport> {
        self.task.averages(since)
    }

    fn checkpoint(&mut self) -> Result<Checkpoint<'_>> {
        self.order(Order::Checkpoint);
        self.task.checkpoint()
    }

    fn join_checkpoint(&mut self) -> Result<()> {
        unreachable!("rank 0 makes the checkpoints");
    }

    fn evaluate(&mut self) -> Result<Option<Evaluated>> {
        self.task.evaluate()
    }

    fn snapshot(&self) -> Result<Option<Box<dyn Render>>> {
        self.task.snapshot()
    }
}
