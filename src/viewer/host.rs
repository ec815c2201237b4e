//! The viewer's part on the thread that trains: takes requests between steps, and renders within its share of the time.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::band::Band;
use super::snapshot::Snapshot;
use super::video::VideoJob;
use super::{Answer, Budget, HostEvent, Picture, Progressive, Request, VideoProgress, VideoRequest, VideoStage, View};
use crate::Result;
use crate::geometry::Bounds;
use crate::render::Render;
use crate::train::{Command, Observer, Task, TrainEvent};

/// Fraction of the share that may go into copies of a field in training; the rest is for pictures of it.
const SNAPSHOT_SHARE: f64 = 0.25;
/// Age up to which a copy of the field answers a move, which is not to wait for a new one.
const YOUNG: Duration = Duration::from_secs(1);
/// Time without a request after which the copy of the field is dropped.
const FORGET_AFTER: Duration = Duration::from_secs(20);
/// Interval at which a waiting host checks whether it was interrupted.
const GLANCE: Duration = Duration::from_millis(50);

/// Serves the requests of viewers, on the thread that owns the field.
pub struct Host {
    requests: Receiver<Request>,
    tell: Box<dyn FnMut(HostEvent)>,
    background: [f32; 3],
    budget: Budget,
    queue: VecDeque<View>,
    /// Who has asked for the part of the scene that is not empty.
    extents: Vec<Box<dyn FnOnce(Option<Bounds>) + Send>>,
    job: Option<Job>,
    /// A requested video that has not begun yet.
    requested_video: Option<VideoRequest>,
    video: Option<VideoJob>,
    /// Whether the video is next to be rendered, when both it and a refinement could be.
    is_turn_of_video: bool,
    snapshot: Option<Rc<Snapshot>>,
    band: Band,
    last_asked: Instant,
    is_paused: bool,
    commands: Commands,
}

/// What viewers have asked of the run since the last step.
#[derive(Default)]
struct Commands {
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
    /// Creates a host that takes requests from `requests`, reports the course of the run to `tell`, which must not block,
    /// and shows fields over `background` (sRGB) unless a request names another. While training, pictures take at most
    /// the fraction `share` of the time.
    pub fn new(requests: Receiver<Request>, tell: Box<dyn FnMut(HostEvent)>, background: [f32; 3], share: f64) -> Host {
        let now = Instant::now();
        Host {
            requests,
            tell,
            background,
            budget: Budget::new(share, now),
            queue: VecDeque::new(),
            extents: Vec::new(),
            job: None,
            requested_video: None,
            video: None,
            is_turn_of_video: false,
            snapshot: None,
            band: Band::new(),
            last_asked: now,
            is_paused: false,
            commands: Commands::default(),
        }
    }

    /// Serves a field that no longer changes, after `step` training steps, until `is_over` returns true, which is asked
    /// every 50 ms or between two bands, or until no sender of requests is left.
    pub fn serve(&mut self, renderer: Box<dyn Render>, step: u64, is_over: &dyn Fn() -> bool) {
        self.snapshot = Some(Rc::new(Snapshot { renderer, step, made: Instant::now(), cost: Duration::ZERO }));
        self.is_paused = false;
        while !is_over() {
            let wait = if self.has_work() { Duration::ZERO } else { GLANCE };
            match self.requests.recv_timeout(wait) {
                Ok(request) => self.take(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.take_all();
            self.work(step, &|| Ok(None));
        }
    }

    /// Returns whether a picture is wanted that may not wait.
    fn has_urgent_work(&self) -> bool {
        let is_urgent = |view: &View| !view.is_refinement && !view.is_superseded();
        self.queue.iter().any(is_urgent) || self.job.as_ref().is_some_and(|job| is_urgent(&job.view))
    }

    fn has_work(&self) -> bool {
        self.job.is_some()
            || !self.queue.is_empty()
            || !self.extents.is_empty()
            || self.requested_video.is_some()
            || self.video.is_some()
    }

    fn take_all(&mut self) {
        while let Ok(request) = self.requests.try_recv() {
            self.take(request);
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::View(view) => {
                self.last_asked = Instant::now();
                self.queue.push_back(view);
            }
            Request::Extent(reply) => self.extents.push(reply),
            Request::Video(video) => self.take_video(video),
            Request::CancelVideo => self.cancel_video(),
            Request::Pause => self.set_paused(true),
            Request::Resume => self.set_paused(false),
            Request::Save => self.commands.save = true,
            Request::Stop => self.commands.stop = true,
        }
    }

    fn take_video(&mut self, request: VideoRequest) {
        if self.requested_video.is_none() && self.video.is_none() {
            (self.tell)(HostEvent::Video(unstarted(&request, VideoStage::Rendering)));
            self.requested_video = Some(request);
        }
    }

    fn cancel_video(&mut self) {
        if let Some(request) = self.requested_video.take() {
            (self.tell)(HostEvent::Video(unstarted(&request, VideoStage::Cancelled)));
        }
        if let Some(video) = self.video.take() {
            let progress = video.progress(VideoStage::Cancelled);
            // The unfinished file is removed with its writer, before its end is reported.
            drop(video);
            (self.tell)(HostEvent::Video(progress));
        }
    }

    fn set_paused(&mut self, paused: bool) {
        if paused != self.is_paused {
            self.is_paused = paused;
            self.budget.restart(Instant::now());
            if let Some(video) = &mut self.video {
                video.change_pace();
            }
            (self.tell)(HostEvent::Paused(paused));
        }
    }

    /// Renders the next band, if there is something to render: of an answer to a move first, and by turns of a refinement
    /// and of a video.
    fn work(&mut self, step: u64, open: Open) {
        self.answer_extents(step, open);
        if let Some(job) = self.job.take_if(|job| job.view.is_superseded()) {
            (job.view.reply)(Answer::Superseded);
        }
        if self.job.is_none() {
            self.job = self.next_job(step, open);
        }
        let has_video = self.requested_video.is_some() || self.video.is_some();
        let may_wait = self.job.as_ref().is_none_or(|job| job.view.is_refinement);
        self.is_turn_of_video = has_video && may_wait && (self.job.is_none() || !self.is_turn_of_video);
        if self.is_turn_of_video { self.work_on_video(step, open) } else { self.work_on_picture() }
    }

    /// Renders the next band of the picture in progress, if there is one.
    fn work_on_picture(&mut self) {
        let Some(mut job) = self.job.take() else { return };
        let begun = Instant::now();
        match job.frame.advance(job.of.renderer.as_ref(), self.band.pixels()) {
            Err(error) => return (job.view.reply)(Answer::Failed(error.to_string())),
            Ok(n) => {
                let time = begun.elapsed();
                self.band.count(n, time);
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

    /// Answers who has asked for the part of the scene that is not empty; a field that cannot be read has none.
    fn answer_extents(&mut self, step: u64, open: Open) {
        if self.extents.is_empty() {
            return;
        }
        let extent = self.renewed(step, open, false).and_then(|of| of.renderer.extent()).ok().flatten();
        self.extents.drain(..).for_each(|reply| reply(extent));
    }

    /// Renders the next band of the video, if one is requested.
    fn work_on_video(&mut self, step: u64, open: Open) {
        if let Some(request) = self.requested_video.take() {
            let (wanted, background) = (request.clone(), self.background);
            match self.renewed(step, open, true).and_then(|of| VideoJob::new(request, of, background)) {
                Ok(video) => self.video = Some(video),
                Err(error) => (self.tell)(HostEvent::Video(unstarted(&wanted, VideoStage::Failed(error.to_string())))),
            }
        }
        let Some(mut video) = self.video.take() else { return };
        let begun = Instant::now();
        match video.advance(self.band.pixels()) {
            Err(error) => {
                let progress = video.progress(VideoStage::Failed(error.to_string()));
                drop(video);
                return (self.tell)(HostEvent::Video(progress));
            }
            Ok(n) => self.band.count(n, begun.elapsed()),
        }
        if !video.is_complete() {
            if let Some(progress) = video.progress_if_due() {
                (self.tell)(HostEvent::Video(progress));
            }
            self.video = Some(video);
            return;
        }
        let unfinished = video.progress(VideoStage::Rendering);
        let stage = |error: crate::Error| VideoProgress { stage: VideoStage::Failed(error.to_string()), ..unfinished };
        let progress = video.finish().unwrap_or_else(stage);
        (self.tell)(HostEvent::Video(progress));
    }

    /// Begins the oldest request that is still wanted.
    fn next_job(&mut self, step: u64, open: Open) -> Option<Job> {
        loop {
            let view = self.queue.pop_front()?;
            if view.is_superseded() {
                (view.reply)(Answer::Superseded);
                continue;
            }
            let of = self.renewed(step, open, view.is_refinement);
            let begun = of.and_then(|of| Ok((of, Progressive::new(&view.request, self.background)?)));
            match begun {
                Ok((of, frame)) => return Some(Job { view, frame, of, time: Duration::ZERO }),
                Err(error) => (view.reply)(Answer::Failed(error.to_string())),
            }
        }
    }

    /// Returns a copy of the field that is as new as the time for copies allows. If it need not be `new`, one that is
    /// not much older will do.
    fn renewed(&mut self, step: u64, open: Open, new: bool) -> Result<Rc<Snapshot>> {
        let now = Instant::now();
        let share = if self.is_paused { 1.0 } else { self.budget.share() * SNAPSHOT_SHARE };
        if let Some(snapshot) = &self.snapshot {
            let age = now.duration_since(snapshot.made);
            let is_young = age.as_secs_f64() * share < snapshot.cost.as_secs_f64() || (!new && age < YOUNG);
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

    fn command(&mut self) -> Command {
        if self.commands.stop {
            Command::Stop
        } else if std::mem::take(&mut self.commands.save) {
            Command::Save
        } else {
            Command::Continue
        }
    }

    /// Waits while the run is paused, and renders what is requested meanwhile.
    fn hold(&mut self, step: u64, open: Open, interrupted: &AtomicBool) -> Command {
        while self.is_paused && !interrupted.load(Ordering::Relaxed) {
            self.work(step, open);
            match self.command() {
                Command::Continue => {}
                command => return command,
            }
            let wait = if self.has_work() { Duration::ZERO } else { GLANCE };
            match self.requests.recv_timeout(wait) {
                Ok(request) => self.take(request),
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody is left who could resume the run.
                Err(RecvTimeoutError::Disconnected) => self.set_paused(false),
            }
            self.take_all();
        }
        self.command()
    }
}

impl Drop for Host {
    /// The field is gone, so an unfinished video is cancelled.
    fn drop(&mut self) {
        self.cancel_video();
    }
}

impl Observer for Host {
    fn on_event(&mut self, event: &TrainEvent) -> Result<()> {
        (self.tell)(HostEvent::Train(event.clone()));
        Ok(())
    }

    fn between_steps(&mut self, task: &dyn Task, interrupted: &AtomicBool) -> Command {
        self.take_all();
        let (step, open) = (task.progress().step, || task.snapshot());
        if self.is_paused {
            return self.hold(step, &open, interrupted);
        }
        let now = Instant::now();
        if self.budget.allows(now, self.has_urgent_work()) && self.has_work() {
            self.work(step, &open);
            self.budget.spend(now.elapsed());
        } else if self.snapshot.is_some() && now.duration_since(self.last_asked) > FORGET_AFTER {
            self.snapshot = None;
        }
        self.command()
    }
}

/// Returns a message about a video that has no frame yet.
fn unstarted(request: &VideoRequest, stage: VideoStage) -> VideoProgress {
    VideoProgress { stage, done: 0, total: request.path.frames.len(), eta_seconds: None, file: request.file.clone() }
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
