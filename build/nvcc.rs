//! Kernels for GPUs: compiles `kernels/**/*.cu` to PTX if there is an nvcc, and writes the list of modules that
//! `src/device/ptx.rs` embeds. Without an nvcc the list is empty, and the binary reports this when a GPU is requested.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::fresh;

/// The oldest CUDA release whose compiler can be used, and whose drivers (530 and newer) load the kernels.
const RELEASE: (u32, u32) = (12, 1);

/// The version of PTX of that release. Compilers write newer ones, which drivers of their own release and later load;
/// what the kernels use is in this one already, so the number is lowered.
const PTX_VERSION: (u32, u32) = (8, 1);

/// A hint for the assembler that came with PTX 8.3: which bytes of a load are used. Removed, as older ones refuse it.
const NEWER_HINT: &str = ".pragma \"used_bytes_mask";

/// Virtual architectures, oldest first; a GPU gets the newest that it can run. 80 has everything the kernels need. 90
/// can add several floats to memory in one atomic operation, which reduces the number of atomic operations for
/// scattering gradients into a grid to a half or a quarter.
const ARCHITECTURES: [u32; 2] = [80, 90];

/// Compiler arguments other than architecture, output and source.
const FLAGS: [&str; 4] = ["-ptx", "-std=c++17", "-O3", "-Ikernels"];

/// Writes `ptx.rs` into `out`, and the PTX of each group of sources into the folder of the group's name. `digest` is the
/// digest of all sources.
pub fn compile(groups: &[(&str, &Vec<PathBuf>)], out: &Path, digest: u64) {
    let modules = match find() {
        Ok(nvcc) => {
            let inputs = format!("{digest:x} {} {PTX_VERSION:?} {ARCHITECTURES:?} {FLAGS:?}", nvcc.display());
            let mut modules = Vec::new();
            for (name, sources) in groups.iter().filter(|(_, sources)| !sources.is_empty()) {
                let make = |folder: &Path| compile_in_parallel(&nvcc, sources, folder);
                modules.extend(modules_in(&fresh::folder(out, name, &inputs, make), sources));
            }
            modules
        }
        Err(why) => {
            println!(
                "cargo:warning={why}; this build runs on the CPU only (scripts/fetch-nvcc.sh gets the right nvcc)"
            );
            Vec::new()
        }
    };
    let mut text = format!(
        "/// The CUDA release that a driver must support to load the modules.\n\
         pub const RELEASE: (i32, i32) = {RELEASE:?};\nconst MODULES: &[Module] = &[\n"
    );
    for (source, architecture, ptx) in modules {
        writeln!(
            text,
            "    Module {{ source: {source:?}, architecture: {architecture}, ptx: include_str!({:?}) }},",
            ptx.to_str().expect("OUT_DIR is UTF-8")
        )
        .expect("writing to a string");
    }
    text.push_str("];\n");
    fs::write(out.join("ptx.rs"), text).expect("OUT_DIR is writable");
}

/// Returns the nvcc to use: `NVCC`, or else the first of the right release in `CUDA_HOME`, `.cuda/` and `PATH`; or the
/// reason why there is none. `NVCC=none` asks for none.
fn find() -> Result<PathBuf, String> {
    println!("cargo:rerun-if-env-changed=NVCC");
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    if let Some(nvcc) = env::var_os("NVCC").filter(|nvcc| !nvcc.is_empty()).map(PathBuf::from) {
        if nvcc == Path::new("none") {
            return Err("NVCC=none".to_string());
        }
        assert!(release(&nvcc).is_some(), "NVCC names {}, which does not run", nvcc.display());
        return right_release(nvcc);
    }
    let mut why = "no nvcc found in NVCC, CUDA_HOME, .cuda/ or PATH".to_string();
    let home = env::var_os("CUDA_HOME").map(|home| PathBuf::from(home).join("bin/nvcc"));
    // Cargo treats a missing file as changed, so .cuda cannot be watched before it exists. The script that creates it
    // touches build.rs.
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let fetched = root.join(".cuda/nvidia/cu13/bin/nvcc");
    for nvcc in home.into_iter().chain([fetched]).filter(|path| path.exists()) {
        match right_release(nvcc) {
            Ok(nvcc) => return Ok(nvcc),
            Err(wrong) => why = wrong,
        }
    }
    println!("cargo:rerun-if-env-changed=PATH");
    let path = env::var_os("PATH").unwrap_or_default();
    match env::split_paths(&path).map(|folder| folder.join("nvcc")).find(|nvcc| nvcc.is_file()) {
        Some(nvcc) => right_release(nvcc),
        None => Err(why),
    }
}

fn right_release(nvcc: PathBuf) -> Result<PathBuf, String> {
    println!("cargo:rerun-if-changed={}", nvcc.display());
    match release(&nvcc) {
        Some(release) if release >= RELEASE => Ok(nvcc),
        Some((major, minor)) => Err(format!(
            "{} is of CUDA {major}.{minor}, and {}.{} or later is needed",
            nvcc.display(),
            RELEASE.0,
            RELEASE.1
        )),
        None => Err(format!("{} does not run", nvcc.display())),
    }
}

/// Returns the release that a compiler reports, e.g. (13, 0).
fn release(nvcc: &Path) -> Option<(u32, u32)> {
    let output = Command::new(nvcc).arg("--version").output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    version(text.split_once("release ")?.1.split(',').next()?)
}

/// Reads a version such as `13.0`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Returns the modules that a folder has of some sources, as (name of the source, architecture, PTX file).
fn modules_in(folder: &Path, sources: &[PathBuf]) -> Vec<(String, u32, PathBuf)> {
    let module = |(source, architecture): (&PathBuf, u32)| {
        let (name, ptx) = output(source, architecture, folder);
        (name, architecture, ptx)
    };
    let mut modules: Vec<_> = work(sources).map(module).collect();
    modules.sort();
    // Drop a module for a newer architecture if it does not differ from the older one.
    modules.dedup_by(|newer, older| newer.0 == older.0 && instructions(&newer.2) == instructions(&older.2));
    modules
}

/// Returns all pairs of a source and an architecture.
fn work(sources: &[PathBuf]) -> impl Iterator<Item = (&PathBuf, u32)> {
    sources.iter().flat_map(|source| ARCHITECTURES.map(|architecture| (source, architecture)))
}

/// Compiles all sources for all architectures, on as many threads as Cargo allows.
fn compile_in_parallel(nvcc: &Path, sources: &[PathBuf], folder: &Path) {
    let next = Mutex::new(work(sources));
    let jobs: usize = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(1);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let Some((source, architecture)) = next.lock().expect("no thread panicked").next() else { break };
                    compile_one(nvcc, source, architecture, &output(source, architecture, folder).1);
                }
            });
        }
    });
}

/// Returns the PTX without the line that names the architecture.
fn instructions(ptx: &Path) -> String {
    let text = fs::read_to_string(ptx).expect("nvcc has written the PTX");
    text.lines().filter(|line| !line.starts_with(".target")).collect::<Vec<_>>().join("\n")
}

/// Returns the name of a source, and the file for its PTX for an architecture.
fn output(source: &Path, architecture: u32, folder: &Path) -> (String, PathBuf) {
    let name = source.file_stem().and_then(|stem| stem.to_str()).expect("kernel sources have UTF-8 names").to_string();
    let ptx = folder.join(format!("{name}.{architecture}.ptx"));
    (name, ptx)
}

fn compile_one(nvcc: &Path, source: &Path, architecture: u32, ptx: &Path) {
    let output = Command::new(nvcc)
        .args(FLAGS)
        .args([&format!("-arch=compute_{architecture}"), "-o"])
        .arg(ptx)
        .arg(source)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", nvcc.display()));
    assert!(
        output.status.success(),
        "{} cannot compile {} for compute_{architecture}:\n{}",
        nvcc.display(),
        source.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = fs::read_to_string(ptx).expect("nvcc has written the PTX");
    fs::write(ptx, for_older_drivers(&text)).expect("OUT_DIR is writable");
}

/// Returns PTX that is written in `PTX_VERSION`.
fn for_older_drivers(ptx: &str) -> String {
    let mut text = String::with_capacity(ptx.len());
    for line in ptx.lines().filter(|line| !line.trim_start().starts_with(NEWER_HINT)) {
        match line.strip_prefix(".version ") {
            Some(written) => {
                let written = version(written).expect("PTX has a version of two numbers");
                assert!(written >= PTX_VERSION, "nvcc wrote PTX {written:?}, older than its release does");
                writeln!(text, ".version {}.{}", PTX_VERSION.0, PTX_VERSION.1).expect("writing to a string");
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}
