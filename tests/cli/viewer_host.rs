//! What a viewer's host does to a training: nothing to its bits, and a limited share of its time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::binary::ORRERY;
use gridfield::checkpoint::{Checkpoint, Tensor};
use gridfield::config::Config;
use gridfield::device::{Device, DeviceChoice};
use gridfield::radiance::{Trainer, TrainingImages, open_scene};
use gridfield::render::Channel;
use gridfield::train::session::train;
use gridfield::train::{Command, Observer, Run, RunControl, StopReason, Task, TrainEvent};
use gridfield::viewer::{Answer, Host, HostEvent, MOST_REQUESTS, Request, View, ViewRequest};

/// Settings for which a step takes milliseconds.
fn tiny_config() -> Config {
    let mut config = Config::on_cpu();
    config.set_value("scene.path", ORRERY).unwrap();
    for assignment in [
        "scene.downscale=8",
        "train.batch_samples=2048",
        "train.max_steps=60",
        "train.ema_decay=0.9",
        "model.grid.log2_hashmap_size=12",
        "model.grid.n_levels=4",
        "march.occupancy_resolution=32",
    ] {
        config.set(assignment).unwrap();
    }
    config
}

/// Trains with an observer, and returns what a checkpoint of the end holds.
fn trained_tensors(config: &Config, observer: &mut dyn Observer) -> Vec<Tensor<'static>> {
    let (device, folder) = (Device::open(DeviceChoice::Cpu, 2).unwrap(), tempfile::tempdir().unwrap());
    let scene = open_scene(&config.scene).unwrap();
    let images =
        TrainingImages::load(&device, &scene.splits.train, config.scene.downscale, &scene.unit_cube, &|_, _| {})
            .unwrap();
    let mut trainer = Trainer::new(&device, config, &scene, images).unwrap();
    let run = Run::create(folder.path(), &scene.name, None, config).unwrap();
    let control = RunControl { stop_after: None, interrupted: &AtomicBool::new(false) };
    let ended = train(&mut trainer, &run, &config.train, &control, observer).unwrap();
    assert!(matches!(ended.reason, StopReason::MaxSteps | StopReason::MaxSeconds), "{:?}", ended.reason);
    Checkpoint::read(&ended.checkpoint).unwrap().tensors
}

#[test]
fn training_gives_the_same_bits_with_a_viewer_as_without() {
    let alone = trained_tensors(&tiny_config(), &mut |_: &TrainEvent| Ok(()));
    let (asks, asked) = sync_channel(MOST_REQUESTS);
    let scene = open_scene(&tiny_config().scene).unwrap();
    let camera = scene.splits.test[0].camera.downscaled(16);
    let (asks, steps) = (Arc::new(asks), Arc::new(Mutex::new(Vec::new())));
    // Each event asks for three pictures, and the run is held once.
    let (own_asks, own_steps) = (asks.clone(), steps.clone());
    let numbers = AtomicU64::new(0);
    let ask_for_pictures = move || {
        for channel in [Channel::Rgb, Channel::Depth, Channel::Normal] {
            let steps = own_steps.clone();
            let reply = Box::new(move |answer| match answer {
                Answer::Picture(picture) => steps.lock().unwrap().push(picture.step),
                other => panic!("{other:?}"),
            });
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            let view = View {
                request: ViewRequest { camera, channel, background: None, crop: None, split: 0 },
                number,
                newest: Arc::default(),
                is_refinement: channel == Channel::Normal,
                reply,
            };
            assert!(own_asks.try_send(Request::View(view)).is_ok());
        }
    };
    ask_for_pictures();
    assert!(asks.try_send(Request::Pause).is_ok() && asks.try_send(Request::Save).is_ok());
    let resume = asks.clone();
    let tell = Box::new(move |told| {
        if matches!(told, HostEvent::Paused(true)) {
            assert!(resume.try_send(Request::Resume).is_ok());
        }
        ask_for_pictures();
    });
    let mut host = Host::new(asked, tell, [1.0; 3], 0.9);
    let watched = trained_tensors(&tiny_config(), &mut host);
    let steps = steps.lock().unwrap();
    assert!(steps.len() >= 6 && steps.iter().any(|&step| step > 0), "pictures of steps {steps:?}");
    assert_eq!(watched.len(), alone.len());
    for (found, expected) in watched.iter().zip(&alone) {
        assert!(found == expected, "{} differs", found.name);
    }
}

/// Measures what an observer takes between steps.
struct Timed {
    host: Host,
    spent: Duration,
    longest: Duration,
    /// Called before each step.
    ask: Box<dyn FnMut()>,
}

impl Observer for Timed {
    fn on_event(&mut self, event: &TrainEvent) -> gridfield::Result<()> {
        self.host.on_event(event)
    }

    fn between_steps(&mut self, task: &dyn Task, interrupted: &AtomicBool) -> Command {
        (self.ask)();
        let begun = Instant::now();
        let command = self.host.between_steps(task, interrupted);
        let time = begun.elapsed();
        self.spent += time;
        self.longest = self.longest.max(time);
        command
    }
}

/// Trains for four seconds, with a refinement always asked for if `looks`. Returns the seconds of training, those that the
/// viewer took, those of its longest turn, and the number of its pictures.
fn time_with_viewer(looks: bool) -> (f64, f64, f64, usize) {
    let mut config = tiny_config();
    config.set("train.max_steps=900000000").unwrap();
    config.set("train.max_seconds=4").unwrap();
    let scene = open_scene(&config.scene).unwrap();
    let camera = scene.splits.test[0].camera.downscaled(4);
    let (asks, asked) = sync_channel(MOST_REQUESTS);
    let n_pictures = Arc::new(AtomicU64::new(0));
    let (mut number, seen) = (0, n_pictures.clone());
    let ask = move || {
        if !looks || number > seen.load(Ordering::Relaxed) {
            return;
        }
        let seen = seen.clone();
        let reply = Box::new(move |_| {
            seen.fetch_add(1, Ordering::Relaxed);
        });
        let request = ViewRequest { camera, channel: Channel::Rgb, background: None, crop: None, split: 0 };
        let view = View { request, number, newest: Arc::default(), is_refinement: true, reply };
        assert!(asks.try_send(Request::View(view)).is_ok());
        number += 1;
    };
    let host = Host::new(asked, Box::new(|_| {}), [1.0; 3], 0.1);
    let mut timed = Timed { host, spent: Duration::ZERO, longest: Duration::ZERO, ask: Box::new(ask) };
    trained_tensors(&config, &mut timed);
    (4.0, timed.spent.as_secs_f64(), timed.longest.as_secs_f64(), n_pictures.load(Ordering::Relaxed) as usize)
}

#[test]
fn pictures_take_a_tenth_of_the_time_and_nothing_while_nobody_looks() {
    let (trained, spent, longest, n_pictures) = time_with_viewer(true);
    // A turn for a refinement begins only within the share and half of the credit of a second at the start, so the last
    // turn alone can overdraw them, by a band or a copy. On a busy machine that takes any time.
    let before = spent - longest;
    assert!(
        before < 0.1 * (trained + spent) + 0.5 && n_pictures > 0,
        "{before} s of {spent} for {n_pictures} pictures"
    );
    let (trained, spent, ..) = time_with_viewer(false);
    assert!(spent < 0.01 * trained, "{spent} s for nobody");
}
