//! Ranks as threads of one process, to test what they do together without MPI.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use gridfield::ranks::{Communicator, Ranks};

/// A rank that waits longer than this for the others reports that they do not come: the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the threads share.
struct Meeting {
    size: usize,
    state: Mutex<State>,
    arrived: Condvar,
}

struct State {
    /// What each rank brought.
    brought: Vec<Vec<u32>>,
    n_arrived: usize,
    /// Number of meetings so far.
    number: u64,
}

struct Member {
    rank: usize,
    meeting: Arc<Meeting>,
}

impl Meeting {
    /// Waits for all ranks.
    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        let number = state.number;
        state.n_arrived += 1;
        if state.n_arrived == self.size {
            state.n_arrived = 0;
            state.number += 1;
            self.arrived.notify_all();
            return;
        }
        let (_state, timeout) =
            self.arrived.wait_timeout_while(state, PATIENCE, |state| state.number == number).unwrap();
        assert!(!timeout.timed_out(), "the other ranks did not come");
    }
}

impl Member {
    /// Brings `own`, and reads what all ranks brought.
    fn exchange(&self, own: &[u32], read: impl FnOnce(&[Vec<u32>])) {
        self.meeting.state.lock().unwrap().brought[self.rank] = own.to_vec();
        self.meeting.wait();
        read(&self.meeting.state.lock().unwrap().brought);
        self.meeting.wait();
    }
}

impl Communicator for Member {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.meeting.size
    }

    fn all_to_all(&self, parts: &[u32], received: &mut [u32]) {
        let n = parts.len() / self.size();
        self.exchange(parts, |brought| {
            for (received, brought) in received.chunks_exact_mut(n).zip(brought) {
                received.copy_from_slice(&brought[n * self.rank..][..n]);
            }
        });
    }

    fn all_gather(&self, own: &[u32], all: &mut [u32]) {
        self.exchange(own, |brought| all.copy_from_slice(&brought.concat()));
    }

    fn gather(&self, own: &[u32], all: &mut [u32]) {
        self.exchange(own, |brought| {
            if self.rank == 0 {
                all.copy_from_slice(&brought.concat());
            }
        });
    }

    fn broadcast(&self, root: usize, words: &mut [u32]) {
        let own = words.to_vec();
        self.exchange(&own, |brought| words.copy_from_slice(&brought[root]));
    }

    fn abort(&self, code: u8) -> ! {
        panic!("rank {} ends all with code {code}", self.rank)
    }
}

/// Calls `work` on each of `size` ranks, and returns the results in their order.
pub fn on_ranks<T: Send>(size: usize, work: impl Fn(&Ranks) -> T + Sync) -> Vec<T> {
    let state = State { brought: vec![Vec::new(); size], n_arrived: 0, number: 0 };
    let meeting = Arc::new(Meeting { size, state: Mutex::new(state), arrived: Condvar::new() });
    std::thread::scope(|scope| {
        let start = |rank| {
            let (meeting, work) = (meeting.clone(), &work);
            scope.spawn(move || work(&Ranks::on(Arc::new(Member { rank, meeting }))))
        };
        let threads: Vec<_> = (0..size).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("a rank failed")).collect()
    })
}
