//! The viewer's part on the thread that trains: takes requests between steps, and renders within its share of the time.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::film::Filming;
use super::snapshot::Snapshot;
use super::{Answer, Ask, Budget, Film, FilmNews, FilmStage, Picture, Progressive, Told, View};
use crate::Result;
use crate::render::Render;
use crate::train::session::Task;
use crate::train::{Observer, TrainEvent, Wish};

/// Target time for rendering a band, so that a step or a newer request never waits long.
const BAND_TIME: f64 = 0.03;
/// Pixels of the first band, before the speed is known.
const FIRST_PIXELS: usize = 4096;
/// Fraction of the share that may go into copies of a field in training; the rest is for pictures of it.
const SNAPSHOT_SHARE: f64 = 0.25;
/// Time without a request after which the copy of the field is dropped.
const FORGET_AFTER: Duration = Duration::from_secs(20);
/// Interval at which a waiting host checks whether it was interrupted.
const GLANCE: Duration = Duration::from_millis(50);

/// Serves the requests of viewers, on the thread that owns the field.
pub struct Host {
    asks: Receiver<Ask>,
    tell: Box<dyn FnMut(Told)>,
    background: [f32; 3],
    budget: Budget,
    queue: VecDeque<View>,
    job: Option<Job>,
    /// A requested video that has not begun yet.
    film: Option<Film>,
    filming: Option<Filming>,
    snapshot: Option<Rc<Snapshot>>,
    /// Pixels per second, as last seen.
    speed: Option<f64>,
    last_asked: Instant,
    is_paused: bool,
    wishes: Wishes,
}

/// What viewers have asked of the run since the last step.
#[derive(Default)]
struct Wishes {
    save: bool,
    stop: bool,
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
    /// Creates a host that takes requests from `asks`, reports the course of the run to `tell`, which must not block,
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
            film: None,
            filming: None,
            snapshot: None,
            speed: None,
            last_asked: now,
            is_paused: false,
            wishes: Wishes::default(),
        }
    }

    /// Serves a field that no longer changes, after `step` training steps, until `interrupted` is set or no sender of
    /// requests is left.
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
        self.job.is_some() || !self.queue.is_empty() || self.film.is_some() || self.filming.is_some()
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
            Ask::Film(film) => self.take_film(film),
            Ask::CancelFilm => self.cancel_film(),
            Ask::Pause => self.set_paused(true),
            Ask::Resume => self.set_paused(false),
            Ask::Save => self.wishes.save = true,
            Ask::Stop => self.wishes.stop = true,
        }
    }

    fn take_film(&mut self, film: Film) {
        if self.film.is_none() && self.filming.is_none() {
            (self.tell)(Told::Film(news_of(&film, FilmStage::Rendering)));
            self.film = Some(film);
        }
    }

    fn cancel_film(&mut self) {
        if let Some(film) = self.film.take() {
            (self.tell)(Told::Film(news_of(&film, FilmStage::Cancelled)));
        }
        if let Some(filming) = self.filming.take() {
            let news = filming.news(FilmStage::Cancelled);
            // The unfinished file is removed with its writer, before the news says that there is none.
            drop(filming);
            (self.tell)(Told::Film(news));
        }
    }

    fn set_paused(&mut self, paused: bool) {
        if paused != self.is_paused {
            self.is_paused = paused;
            self.budget.restart(Instant::now());
            (self.tell)(Told::Paused(paused));
        }
    }

    /// Renders the next band, if there is something to render: of pictures before videos.
    fn work(&mut self, step: u64, open: Open) {
        if self.job.is_none() {
            self.job = self.next_job(step, open);
        }
        let Some(mut job) = self.job.take() else { return self.work_on_film(step, open) };
        if job.view.is_superseded() {
            return (job.view.reply)(Answer::Superseded);
        }
        let begun = Instant::now();
        match job.frame.advance(job.of.renderer.as_ref(), self.pixels_of_band()) {
            Err(error) => return (job.view.reply)(Answer::Failed(error.to_string())),
            Ok(n) => {
                let time = begun.elapsed();
                self.count(n, time);
                job.time += time;
            }
        }
        if job.frame.is_complete() {
            let picture = picture(&job);
            (job.view.reply)(Answer::Picture(picture));
        } else {
            self.job = Some(job);
        }
    }

    /// Renders the next band of the video, if one is requested.
    fn work_on_film(&mut self, step: u64, open: Open) {
        if let Some(film) = self.film.take() {
            let (wanted, background) = (film.clone(), self.background);
            match self.renewed(step, open).and_then(|of| Filming::new(film, of, background)) {
                Ok(filming) => self.filming = Some(filming),
                Err(error) => (self.tell)(Told::Film(news_of(&wanted, FilmStage::Failed(error.to_string())))),
            }
        }
        let Some(mut filming) = self.filming.take() else { return };
        let begun = Instant::now();
        match filming.advance(self.pixels_of_band()) {
            Err(error) => {
                let news = filming.news(FilmStage::Failed(error.to_string()));
                drop(filming);
                return (self.tell)(Told::Film(news));
            }
            Ok(n) => self.count(n, begun.elapsed()),
        }
        if !filming.is_complete() {
            if let Some(news) = filming.news_now_and_then() {
                (self.tell)(Told::Film(news));
            }
            self.filming = Some(filming);
            return;
        }
        let unfinished = filming.news(FilmStage::Rendering);
        let stage = |error: crate::Error| FilmNews { stage: FilmStage::Failed(error.to_string()), ..unfinished };
        let news = filming.finish().unwrap_or_else(stage);
        (self.tell)(Told::Film(news));
    }

    fn pixels_of_band(&self) -> usize {
        self.speed.map_or(FIRST_PIXELS, |speed| (speed * BAND_TIME) as usize)
    }

    fn count(&mut self, pixels: usize, time: Duration) {
        let seen = pixels as f64 / time.as_secs_f64().max(1e-6);
        // Bands cross empty and full parts of a picture, so the speed follows them half way.
        self.speed = Some(self.speed.map_or(seen, |speed| 0.5 * (speed + seen)));
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

    /// Waits while the run is paused, and renders what is requested meanwhile.
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
                // Nobody is left who could resume the run.
                Err(RecvTimeoutError::Disconnected) => self.set_paused(false),
            }
            self.take_all();
        }
        self.wish()
    }
}

impl Drop for Host {
    /// The field is gone, so an unfinished video is cancelled.
    fn drop(&mut self) {
        self.cancel_film();
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

/// Returns a message about a video that has no frame yet.
fn news_of(film: &Film, stage: FilmStage) -> FilmNews {
    FilmNews { stage, done: 0, total: film.path.frames.len(), file: film.file.clone() }
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
