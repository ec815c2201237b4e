//! The viewer's part on the thread that trains: takes what is asked between steps, and renders within its share of the
//! time.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::{Answer, Ask, Budget, Picture, Progressive, Told, View};
use crate::Result;
use crate::render::Render;
use crate::train::session::Task;
use crate::train::{Observer, TrainEvent, Wish};

/// Time after which a band should be done, so that a step or a newer request never waits long.
const BAND_TIME: f64 = 0.03;
/// Pixels of the first band, before the speed is known.
const FIRST_PIXELS: usize = 4096;
/// Fraction of the share that may go into copies of a field in training; the rest is for pictures of it.
const SNAPSHOT_SHARE: f64 = 0.25;
/// Time without a request after which the copy of the field is dropped.
const FORGET_AFTER: Duration = Duration::from_secs(20);
/// How often a host that waits looks whether it was interrupted.
const GLANCE: Duration = Duration::from_millis(50);

/// Answers those who look at a field, on the thread that owns it.
pub struct Host {
    asks: Receiver<Ask>,
    tell: Box<dyn FnMut(Told)>,
    background: [f32; 3],
    budget: Budget,
    queue: VecDeque<View>,
    job: Option<Job>,
    snapshot: Option<Rc<Snapshot>>,
    /// Pixels per second, as last seen.
    speed: Option<f64>,
    last_asked: Instant,
    is_paused: bool,
    wishes: Wishes,
}

/// What was asked of the run since the last step.
#[derive(Default)]
struct Wishes {
    save: bool,
    stop: bool,
}

/// A field as it was after some step.
struct Snapshot {
    renderer: Box<dyn Render>,
    step: u64,
    made: Instant,
    /// Time that it took to make.
    cost: Duration,
}

/// A picture that is being rendered.
struct Job {
    view: View,
    frame: Progressive,
    of: Rc<Snapshot>,
    time: Duration,
}

/// Opens a renderer of the field as it is now.
type Open<'a> = &'a dyn Fn() -> Result<Option<Box<dyn Render>>>;

impl Host {
    /// Creates a host that takes what is asked from `asks`, tells the course of the run to `tell`, which must not wait,
    /// and shows fields over `background` (sRGB) unless a request names another. While training, pictures take at most
    /// the fraction `share` of the time.
    pub fn new(asks: Receiver<Ask>, tell: Box<dyn FnMut(Told)>, background: [f32; 3], share: f64) -> Host {
        let now = Instant::now();
        Host {
            asks,
            tell,
            background,
            budget: Budget::new(share, now),
            queue: VecDeque::new(),
            job: None,
            snapshot: None,
            speed: None,
            last_asked: now,
            is_paused: false,
            wishes: Wishes::default(),
        }
    }

    /// Shows a field that no longer changes, of `step` training steps, until `interrupted` is set or nobody can ask any
    /// more.
    pub fn serve(&mut self, renderer: Box<dyn Render>, step: u64, interrupted: &AtomicBool) {
        self.snapshot = Some(Rc::new(Snapshot { renderer, step, made: Instant::now(), cost: Duration::ZERO }));
        while !interrupted.load(Ordering::Relaxed) {
            let wait = if self.has_work() { Duration::ZERO } else { GLANCE };
            match self.asks.recv_timeout(wait) {
                Ok(ask) => self.take(ask),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.take_all();
            self.work(step, &|| Ok(None));
        }
    }

    fn has_work(&self) -> bool {
        self.job.is_some() || !self.queue.is_empty()
    }

    fn take_all(&mut self) {
        while let Ok(ask) = self.asks.try_recv() {
            self.take(ask);
        }
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            Ask::View(view) => {
                self.last_asked = Instant::now();
                self.queue.push_back(view);
            }
            Ask::Pause => self.set_paused(true),
            Ask::Resume => self.set_paused(false),
            Ask::Save => self.wishes.save = true,
            Ask::Stop => self.wishes.stop = true,
        }
    }

    fn set_paused(&mut self, paused: bool) {
        if paused != self.is_paused {
            self.is_paused = paused;
            self.budget.restart(Instant::now());
            (self.tell)(Told::Paused(paused));
        }
    }

    /// Renders the next band, if there is something to render.
    fn work(&mut self, step: u64, open: Open) {
        if self.job.is_none() {
            self.job = self.next_job(step, open);
        }
        let Some(mut job) = self.job.take() else { return };
        if job.view.is_superseded() {
            return (job.view.reply)(Answer::Superseded);
        }
        let begun = Instant::now();
        let pixels = self.speed.map_or(FIRST_PIXELS, |speed| (speed * BAND_TIME) as usize);
        match job.frame.advance(job.of.renderer.as_ref(), pixels) {
            Err(error) => return (job.view.reply)(Answer::Failed(error.to_string())),
            Ok(n) => self.count(n, begun.elapsed(), &mut job),
        }
        if job.frame.is_complete() {
            let picture = picture(&job);
            (job.view.reply)(Answer::Picture(picture));
        } else {
            self.job = Some(job);
        }
    }

    fn count(&mut self, pixels: usize, time: Duration, job: &mut Job) {
        let seen = pixels as f64 / time.as_secs_f64().max(1e-6);
        // Bands cross empty and full parts of a picture, so the speed follows them half way.
        self.speed = Some(self.speed.map_or(seen, |speed| 0.5 * (speed + seen)));
        job.time += time;
    }

    /// Begins the oldest request that is still wanted.
    fn next_job(&mut self, step: u64, open: Open) -> Option<Job> {
        loop {
            let view = self.queue.pop_front()?;
            if view.is_superseded() {
                (view.reply)(Answer::Superseded);
                continue;
            }
            let begun =
                self.renewed(step, open).and_then(|of| Ok((of, Progressive::new(&view.request, self.background)?)));
            match begun {
                Ok((of, frame)) => return Some(Job { view, frame, of, time: Duration::ZERO }),
                Err(error) => (view.reply)(Answer::Failed(error.to_string())),
            }
        }
    }

    /// Returns a copy of the field that is as new as the time for copies allows.
    fn renewed(&mut self, step: u64, open: Open) -> Result<Rc<Snapshot>> {
        let now = Instant::now();
        let share = if self.is_paused { 1.0 } else { self.budget.share() * SNAPSHOT_SHARE };
        if let Some(snapshot) = &self.snapshot {
            let is_young = now.duration_since(snapshot.made).as_secs_f64() * share < snapshot.cost.as_secs_f64();
            if snapshot.step == step || is_young {
                return Ok(snapshot.clone());
            }
        }
        // Before the new copy, so that there is memory for it.
        self.snapshot = None;
        let renderer = open()?.ok_or_else(|| crate::Error::config("fields of this task cannot be looked at"))?;
        let snapshot = Rc::new(Snapshot { renderer, step, made: Instant::now(), cost: now.elapsed() });
        self.snapshot = Some(snapshot.clone());
        Ok(snapshot)
    }

    fn wish(&mut self) -> Wish {
        if self.wishes.stop {
            Wish::Stop
        } else if std::mem::take(&mut self.wishes.save) {
            Wish::Save
        } else {
            Wish::Step
        }
    }

    /// Waits while the run is paused, and renders what is asked meanwhile.
    fn hold(&mut self, step: u64, open: Open, interrupted: &AtomicBool) -> Wish {
        while self.is_paused && !interrupted.load(Ordering::Relaxed) {
            self.work(step, open);
            match self.wish() {
                Wish::Step => {}
                wish => return wish,
            }
            let wait = if self.has_work() { Duration::ZERO } else { GLANCE };
            match self.asks.recv_timeout(wait) {
                Ok(ask) => self.take(ask),
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody is left who could let the run go on.
                Err(RecvTimeoutError::Disconnected) => self.set_paused(false),
            }
            self.take_all();
        }
        self.wish()
    }
}

impl Observer for Host {
    fn on_event(&mut self, event: &TrainEvent) -> Result<()> {
        (self.tell)(Told::Event(event.clone()));
        Ok(())
    }

    fn between_steps(&mut self, task: &dyn Task, interrupted: &AtomicBool) -> Wish {
        self.take_all();
        let (step, open) = (task.progress().step, || task.snapshot());
        if self.is_paused {
            return self.hold(step, &open, interrupted);
        }
        let now = Instant::now();
        if self.budget.allows(now) && self.has_work() {
            self.work(step, &open);
            self.budget.spend(now.elapsed());
        } else if self.snapshot.is_some() && now.duration_since(self.last_asked) > FORGET_AFTER {
            self.snapshot = None;
        }
        self.wish()
    }
}

fn picture(job: &Job) -> Picture {
    let size = job.view.request.camera.intrinsics;
    Picture {
        number: job.view.number,
        width: size.width,
        height: size.height,
        rgb: job.frame.image(),
        step: job.of.step,
        seconds: job.time.as_secs_f64(),
    }
}
