//! Several processes, as `mpirun` of Open MPI starts them: training with the same bits, stops, deaths; evaluations and
//! renders that are those of one process; and what ranks that differ are told. With the feature `mpi` only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::binary::{ORRERY, TINY, checked, printed, sentence, stderr, tiny_checkpoint, without_times};
use crate::common::Random;
use crate::runs::{names, read_json, trained};

/// Time within which all ranks end when one has died, or when they differ.
const SOON: Duration = Duration::from_secs(10);

/// Returns `mpirun` for several groups of ranks, each a number of them with their arguments.
fn mpirun_groups(folder: &Path, groups: &[(usize, &[&str])]) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe"]).current_dir(folder);
    for (number, (size, args)) in groups.iter().enumerate() {
        command.args((number > 0).then_some(":"));
        command.args(["-np", &size.to_string(), env!("CARGO_BIN_EXE_gridfield")]).args(*args);
    }
    command
}

/// Trains the tiny model on the bundled scene by `size` ranks of one thread each.
fn train(folder: &Path, size: usize, args: &[&str]) {
    let args = [&["train", ORRERY, "--quiet"], &TINY[..], &["--threads=1"], args].concat();
    let args: Vec<&str> = args.into_iter().filter(|arg| *arg != "--threads=2").collect();
    succeeds(folder, size, &args);
}

fn succeeds(folder: &Path, size: usize, args: &[&str]) -> Output {
    let output = checked(mpirun_groups(folder, &[(size, args)]).output().unwrap(), args);
    assert!(output.status.success(), "{size} ranks, {args:?}: {}", stderr(&output));
    output
}

fn assert_same_tensors(what: &str, found: &Path, expected: &Path) {
    let [found, expected] = [found, expected].map(without_times);
    assert_eq!(found.tensors.len(), expected.tensors.len(), "{what}");
    for (found, expected) in found.tensors.iter().zip(&expected.tensors) {
        assert!(found == expected, "{what}: {} differs", found.name);
    }
}

/// Ranks compare their parameters whenever a checkpoint is made: in the first run, after every step.
#[test]
fn the_same_number_of_ranks_gives_the_same_bits() {
    for size in [1, 2, 4] {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for (folder, save_every) in folders.iter().zip(["--save-every=1", "--save-every=0"]) {
            train(folder.path(), size, &["--max-steps=50", save_every]);
        }
        let [first, second] = folders.each_ref().map(|folder| tiny_checkpoint(folder.path(), 50));
        assert_same_tensors(&format!("{size} ranks"), &first, &second);
    }
}

#[test]
fn fits_by_ranks_give_the_same_bits() {
    let image = format!("{ORRERY}/test/r_0.png");
    let shape = "v 1 0 0\nv -1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 4\nf 3 2 4\nf 2 3 1\nf 1 4 2\n";
    let settings = ["--quiet", "--max-steps=20", "--run-name=tiny", "--device=cpu", "--threads=1"];
    let small = ["--set=train.batch_samples=2048", "--set=model.grid.log2_hashmap_size=10"];
    for (command, of, name) in [("fit-image", image.as_str(), "r_0"), ("fit-sdf", "shape.obj", "shape")] {
        let paths = [(); 2].map(|()| {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("shape.obj"), shape).unwrap();
            succeeds(folder.path(), 2, &[&[command, of], &settings[..], &small].concat());
            let path = format!("outputs/{name}/hash/tiny/checkpoints/step-000000020.safetensors");
            (folder.path().join(path), folder)
        });
        assert_same_tensors(command, &paths[0].0, &paths[1].0);
    }
}

#[test]
fn ranks_stop_and_resume_with_the_same_bits() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    train(whole.path(), 2, &["--max-steps=60"]);
    train(parts.path(), 2, &["--max-steps=60", "--stop-after=52"]);
    succeeds(parts.path(), 2, &["train", "--resume", "latest", "--device=cpu", "--threads=1", "--quiet"]);
    let [expected, found] = [&whole, &parts].map(|folder| tiny_checkpoint(folder.path(), 60));
    assert_same_tensors("resumed", &found, &expected);
}

/// Four ranks have the samples of one with a batch four times as large.
#[test]
fn ranks_learn_as_much_as_one_from_as_many_samples() {
    let psnr = |size: usize, samples: u32| {
        let folder = tempfile::tempdir().unwrap();
        train(folder.path(), size, &["--max-steps=150", &format!("--set=train.batch_samples={samples}")]);
        printed(folder.path(), &["eval", "latest", "--device=cpu", "--threads=2"]);
        let figures = read_json(&folder.path().join("outputs/orrery/hash/tiny/eval.json"));
        figures["results"]["psnr"].as_f64().unwrap()
    };
    let (four, one) = (psnr(4, 2048), psnr(1, 8192));
    eprintln!("{four} dB by four ranks, {one} dB by one");
    assert!(one > 18.0, "the field takes shape: {one} dB");
    assert!((four - one).abs() < 0.1, "{four} dB by four ranks, {one} dB by one");
}

/// A job that is ended, whatever a test finds.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(folder: &Path, size: usize, args: &[&str]) -> Running {
        let mut command = mpirun_groups(folder, &[(size, args)]);
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Returns the processes that `mpirun` has started.
    fn ranks(&self) -> Vec<String> {
        let id = self.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().map(str::to_owned).collect()
    }

    /// Waits for the end, which must come within `limit`.
    fn end(&mut self, limit: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < limit, "the job still runs after {limit:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn signal(signal: &str, id: &str) {
    assert!(Command::new("kill").args([signal, id]).status().unwrap().success());
}

/// Returns the newest checkpoint of the tiny run, if it has one.
fn newest(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder.join("outputs/orrery/hash/tiny/checkpoints")).ok()?;
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors")).max()
}

/// `GRIDFIELD_MPI_KILLS` sets how many runs lose a rank.
#[test]
fn a_rank_that_dies_ends_the_run_and_the_newest_checkpoint_loads() {
    let n: usize = std::env::var("GRIDFIELD_MPI_KILLS").map_or(4, |n| n.parse().unwrap());
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut random = Random::new(seed);
    let args = [&["train", ORRERY, "--quiet"], &TINY[..7], &["--threads=1", "--save-every=3"]].concat();
    let mut n_loaded = 0;
    for number in 0..n {
        let folder = tempfile::tempdir().unwrap();
        let mut running = Running::start(folder.path(), 3, &args);
        // The last one is killed after a checkpoint, so that one is loaded in any case.
        while number + 1 == n && newest(folder.path()).is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_secs_f64(random.between(0.0, 4.0)));
        let ranks = running.ranks();
        if ranks.is_empty() {
            continue;
        }
        signal("-KILL", &ranks[random.below(ranks.len())]);
        assert!(!running.end(SOON).success(), "seed {seed}");
        let Some(path) = newest(folder.path()) else { continue };
        let step = without_times(&path).header.step;
        let more = format!("--stop-after={}", step + 1);
        printed(folder.path(), &["train", "--resume", &path.to_string_lossy(), &more, "--device=cpu", "--quiet"]);
        n_loaded += 1;
    }
    eprintln!("seed {seed}: {n_loaded} of {n} runs had a checkpoint when a rank died");
    assert!(n_loaded > 0);
}

/// On Ctrl-C, `mpirun` sends SIGTERM to its ranks, and ends them some time later.
#[test]
fn ctrl_c_at_mpirun_saves() {
    let folder = tempfile::tempdir().unwrap();
    let args = [&["train", ORRERY, "--quiet", "--max-steps=1000000"], &TINY[..7], &["--threads=1", "--save-every=10"]];
    let mut command = mpirun_groups(folder.path(), &[(2, &args.concat())]);
    command.env("OMPI_MCA_odls_base_sigkill_timeout", "4").stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    while newest(folder.path()).is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    signal("-INT", &running.0.id().to_string());
    running.end(Duration::from_secs(20));
    let log = fs::read_to_string(folder.path().join("outputs/orrery/hash/tiny/metrics.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["reason"]), (&"finished".into(), &"interrupted".into()));
    let step = without_times(&newest(folder.path()).unwrap()).header.step;
    assert_eq!(last["step"], step);
}

/// Starts ranks that must be refused with exit code 2, and returns what is said: one sentence, once.
fn refusal(folder: &Path, groups: &[(usize, &[&str])]) -> String {
    let begun = Instant::now();
    let output = checked(mpirun_groups(folder, groups).output().unwrap(), &[]);
    assert!(begun.elapsed() < SOON, "{groups:?}");
    assert_eq!(output.status.code(), Some(2), "{groups:?}: {}", stderr(&output));
    let told: Vec<&str> = stderr(&output).lines().filter(|line| line.starts_with("gridfield: ")).collect();
    assert_eq!(told.len(), 1, "{groups:?}: {told:?}");
    told[0].strip_prefix("gridfield: error: ").unwrap_or(told[0]).to_owned()
}

#[test]
fn mistakes_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let tiny = [&["train", ORRERY], &TINY[..7], &["--threads=1", "--max-steps=3"]].concat();
    let with = |more: &[&'static str]| [&tiny[..], more].concat();

    let told = refusal(path, &[(3, &["train", "nowhere"])]);
    assert!(told.starts_with("nowhere: there is no such folder"), "{told}");
    let told = refusal(path, &[(2, &["train", ORRERY, "--max-stepz=3"])]);
    assert!(told.contains("unexpected argument '--max-stepz'"), "{told}");
    let told = refusal(path, &[(2, &["info", "latest"])]);
    assert!(told.starts_with("`gridfield info` cannot be shared among ranks, but was started as one of 2"), "{told}");
    let told = refusal(path, &[(2, &["train", ORRERY, "--device=cuda"])]);
    assert!(told.starts_with("several ranks compute on CPUs only"), "{told}");

    let told = refusal(path, &[(2, &tiny), (1, &with(&["--seed=3"]))]);
    assert!(told.starts_with("rank 2 has another `train.seed` than rank 0 (3 instead of 0)"), "{told}");
    let told = refusal(path, &[(1, &tiny), (1, &["train", "nowhere"])]);
    assert!(told.starts_with("rank 1: nowhere: there is no such folder"), "{told}");
    // Another picture in the place of the first.
    let other = crate::binary::moved_orrery(path, [0.0; 3]);
    fs::remove_file(other.join("train")).unwrap();
    fs::create_dir(other.join("train")).unwrap();
    for entry in fs::read_dir(format!("{ORRERY}/train")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), other.join("train").join(entry.file_name())).unwrap();
    }
    fs::copy(other.join("train/r_1.png"), other.join("train/r_0.png")).unwrap();
    let of_other = [&["train", "orrery"], &tiny[2..]].concat();
    let told = refusal(path, &[(2, &tiny), (2, &of_other)]);
    assert!(told.starts_with("rank 2 has another scene than rank 0 (60 images, "), "{told}");

    assert!(!path.join("outputs").exists(), "nothing was written");
    train(path, 2, &["--max-steps=3"]);
    let told = refusal(path, &[(2, &tiny)]);
    assert!(told.contains("a run of this name exists"), "{told}");
}

/// Returns the lines of an `eval.json` but those of times, and of the device with its threads.
fn figures(path: &Path) -> Vec<String> {
    let varies = ["\"seconds\"", "\"num_rays_per_sec\"", "\"fps\"", "\"device\""];
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !varies.iter().any(|key| line.trim_start().starts_with(key)));
    lines.map(str::to_owned).collect()
}

fn assert_same_files(found: &Path, expected: &Path, n: usize) {
    let expected_names = names(expected);
    assert_eq!((names(found), expected_names.len()), (expected_names.clone(), n), "{}", found.display());
    for name in expected_names {
        let [found, expected] = [found, expected].map(|folder| fs::read(folder.join(&name)).unwrap());
        assert!(found == expected, "{name} differs");
    }
}

/// Seven images: two ranks have four and three, three ranks one more than two.
#[test]
fn ranks_evaluate_as_one_process_does() {
    let (folder, run) = trained();
    let path = folder.path();
    let args =
        ["eval", "latest", "--max-images=7", "--save-images", "--save-error-maps", "--threads=1", "--device=cpu"];
    printed(path, &args);
    let (figures_of_one, pictures) = (figures(&run.join("eval.json")), run.join("renders/eval-test"));
    fs::rename(&pictures, path.join("of-one")).unwrap();
    for size in [2, 3] {
        fs::remove_file(run.join("eval.json")).unwrap();
        let output = succeeds(path, size, &args);
        assert_eq!(figures(&run.join("eval.json")), figures_of_one, "{size} ranks");
        assert_same_files(&pictures, &path.join("of-one"), 14);
        fs::remove_dir_all(&pictures).unwrap();
        let said = crate::binary::stdout(&output);
        assert_eq!(said.matches("PSNR").count(), 1, "{said}");
        let device = read_json(&run.join("eval.json"))["device"].clone();
        assert!(device.as_str().unwrap().starts_with(&format!("{size} ranks, each on ")), "{device}");
    }
}

#[test]
fn ranks_render_as_one_process_does() {
    let (folder, _) = trained();
    let path = folder.path();
    let short = ["--path=spiral", "--seconds=1", "--fps=5", "--width=24", "--outputs=rgb,depth", "--device=cpu"];
    let render = |size: Option<usize>, output: &str, more: &[&str]| {
        let output = format!("--output={output}");
        let args = [&["render", "latest", &output, "--threads=1"], &short[..], more].concat();
        match size {
            Some(size) => crate::binary::stdout(&succeeds(path, size, &args)).to_owned(),
            None => printed(path, &args),
        }
    };
    let at = |name: &str| path.join(name);
    for (pattern, n) in [("%d.png", 10), ("%d.exr", 5)] {
        render(None, &format!("one/{pattern}"), &[]);
        for size in [2, 3] {
            let said = render(Some(size), &format!("many/{pattern}"), &[]);
            assert_eq!(said.lines().count(), n / 5, "{said}");
            assert_same_files(&at("many"), &at("one"), n);
            fs::remove_dir_all(at("many")).unwrap();
        }
        fs::remove_dir_all(at("one")).unwrap();
    }
    render(None, "one/film.mp4", &[]);
    render(Some(2), "many/film.mp4", &[]);
    assert_same_files(&at("many"), &at("one"), 2);

    // Of a shard, ranks render the frames that are missing: here 0 and 4.
    render(None, "whole/%d.png", &[]);
    fs::create_dir(at("part")).unwrap();
    for channel in ["rgb", "depth"] {
        fs::write(at("part").join(format!("2-{channel}.png")), "another process's").unwrap();
    }
    render(Some(2), "part/%d.png", &["--shard=1/2"]);
    let frames = ["0-depth.png", "0-rgb.png", "2-depth.png", "2-rgb.png", "4-depth.png", "4-rgb.png"];
    assert_eq!(names(&at("part")), frames);
    for name in frames {
        let content = if name.starts_with('2') {
            b"another process's".to_vec()
        } else {
            fs::read(at("whole").join(name)).unwrap()
        };
        assert!(fs::read(at("part").join(name)).unwrap() == content, "{name}");
    }
}

/// A signal that rank 0 gets ends all ranks, with whole frames.
#[test]
fn ranks_stop_rendering_with_rank_0() {
    let (folder, _) = trained();
    let args = ["render", "latest", "--seconds=1000", "--width=24", "--output=frames/", "--device=cpu", "--threads=1"];
    let mut running = Running::start(folder.path(), 2, &args);
    let frames = folder.path().join("frames");
    while !frames.is_dir() || names(&frames).len() < 4 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let ranks = running.ranks();
    let is_first = |id: &&String| {
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap();
        environment.split(|byte| *byte == 0).any(|variable| variable == b"OMPI_COMM_WORLD_RANK=0")
    };
    signal("-TERM", ranks.iter().find(is_first).unwrap());
    assert_eq!(running.end(SOON).code(), Some(130));
    for name in names(&frames) {
        image::open(frames.join(name)).unwrap();
    }
}

#[test]
fn mistakes_of_evaluations_and_renders_are_told_once() {
    let (folder, run) = trained();
    let path = folder.path();
    for command in ["eval", "render"] {
        let told = refusal(path, &[(2, &[command, "nowhere"])]);
        assert!(told.starts_with("nowhere: "), "{told}");
    }
    let short = ["render", "latest", "--seconds=0.5", "--fps=10", "--width=8", "--threads=1"];
    let with = |more: &[&'static str]| [&short[..], more].concat();
    let told = refusal(path, &[(1, &with(&[])), (1, &with(&["--path=spiral"]))]);
    assert!(told.starts_with("rank 1 has another video than rank 0 (5 frames of 8×8, "), "{told}");
    let told = refusal(path, &[(1, &with(&["--output=f/"])), (1, &with(&["--output=f/film.mp4"]))]);
    assert!(told.starts_with("rank 1 has another output than rank 0 (film.mp4 instead of %04d.png)"), "{told}");
    let told = refusal(path, &[(2, &with(&["--output=f.mp4", "--shard=1/2"]))]);
    assert!(told.starts_with("shards of a video cannot be joined"), "{told}");
    fs::write(path.join("file"), "").unwrap();
    let told = refusal(path, &[(2, &with(&["--output=file/%d.png"]))]);
    assert!(told.starts_with("file: cannot be written, as a file stands where a folder is needed"), "{told}");
    let told = refusal(path, &[(1, &["eval", "latest"]), (1, &["eval", "latest", "--max-images=3"])]);
    assert!(told.starts_with("rank 1 has another evaluation than rank 0 (3 views, "), "{told}");

    // A picture that the second rank alone reads.
    let other = crate::binary::moved_orrery(path, [0.0; 3]);
    fs::remove_file(other.join("test")).unwrap();
    fs::create_dir(other.join("test")).unwrap();
    for name in names(&Path::new(ORRERY).join("test")) {
        fs::copy(Path::new(ORRERY).join("test").join(&name), other.join("test").join(name)).unwrap();
    }
    let damaged = other.join("test/r_1.png");
    let whole = fs::read(&damaged).unwrap();
    fs::write(&damaged, &whole[..whole.len() / 2]).unwrap();
    let told = refusal(path, &[(2, &["eval", "latest", "--scene=orrery", "--save-images", "--threads=1"])]);
    assert!(told.starts_with("rank 1: ") && told.contains("r_1.png"), "{told}");
    assert_eq!(names(&run), ["checkpoints", "config.json", "metrics.jsonl"], "nothing was written");
}

#[test]
fn fitted_images_and_the_figures_of_meshes_are_not_shared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("shape.obj"), "v 1 0 0\nv -1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 4\nf 3 2 4\nf 2 3 1\nf 1 4 2\n")
        .unwrap();
    let image = format!("{ORRERY}/test/r_0.png");
    let small = ["--quiet", "--max-steps=2", "--device=cpu", "--set=train.batch_samples=2048"];
    printed(path, &[&["fit-image", image.as_str()], &small[..]].concat());
    for command in ["eval", "render"] {
        let told = refusal(path, &[(2, &[command, "latest"])]);
        assert!(
            told.starts_with(&format!("`gridfield {command}` of a fitted image cannot be shared among ranks")),
            "{told}"
        );
    }
    printed(path, &[&["fit-sdf", "shape.obj"], &small[..]].concat());
    let told = refusal(path, &[(2, &["eval", "latest"])]);
    assert!(told.starts_with("`gridfield eval` of a distance field cannot be shared among ranks"), "{told}");
    let render = |size: usize, folder: &str| {
        let output = format!("--output={folder}/");
        let args =
            ["render", "latest", "--seconds=0.3", "--fps=10", "--width=16", "--threads=1", "--device=cpu", &output];
        succeeds(path, size, &args);
    };
    render(1, "one");
    render(2, "two");
    assert_same_files(&path.join("two"), &path.join("one"), 3);
}

#[test]
fn help_is_printed_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = succeeds(folder.path(), 2, &["--version"]);
    assert_eq!(crate::binary::stdout(&output).lines().count(), 1);
}

/// A program started by another MPI than its own takes itself for the only rank.
#[test]
fn ranks_that_another_mpi_started_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["train", ORRERY];
    let mut command = crate::binary::command(folder.path(), &args);
    let output = command.envs([("PMI_RANK", "0"), ("PMI_SIZE", "2")]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("its MPI library knows of 1"), "{}", stderr(&output));
    assert!(sentence(folder.path(), &["train", "nowhere"]).starts_with("nowhere"));
}
