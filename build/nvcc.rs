//! Kernels for GPUs: compiles `kernels/**/*.cu` to PTX if there is an nvcc, and writes the list of modules that
//! `src/device/ptx.rs` embeds. Without an nvcc the list is empty, and the binary reports this when a GPU is requested.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::fresh::Stamp;

/// CUDA release of the compiler, and the version of the PTX it writes. A driver loads PTX of its own version and older:
/// PTX 9.0 requires a driver for CUDA 13.0 (580). scripts/fetch-nvcc.sh fetches this release.
const RELEASE: &str = "13.0";
const PTX_VERSION: &str = "9.0";

/// Virtual architectures, oldest first; a GPU gets the newest that it can run. 80 has everything the kernels need. 90
/// can add several floats to memory in one atomic operation, which reduces the number of atomic operations for
/// scattering gradients into a grid to a half or a quarter.
const ARCHITECTURES: [u32; 2] = [80, 90];

/// Compiler arguments other than architecture, output and source.
const FLAGS: [&str; 4] = ["-ptx", "-std=c++17", "-O3", "-Ikernels"];

/// Writes `ptx.rs` into `out`. `digest` is the digest of the sources.
pub fn compile(sources: &[PathBuf], out: &Path, digest: u64) {
    let modules = match find() {
        Ok(nvcc) => {
            let stamp =
                Stamp::new(out, "ptx", &format!("{digest:x} {} {RELEASE} {ARCHITECTURES:?} {FLAGS:?}", nvcc.display()));
            compile_all(&nvcc, sources, out, &stamp)
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
         pub const RELEASE: (i32, i32) = ({});\nconst MODULES: &[Module] = &[\n",
        RELEASE.replace('.', ", ")
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
/// reason why there is none.
fn find() -> Result<PathBuf, String> {
    println!("cargo:rerun-if-env-changed=NVCC");
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    if let Some(nvcc) = env::var_os("NVCC").filter(|nvcc| !nvcc.is_empty()).map(PathBuf::from) {
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
        Some(release) if release == RELEASE => Ok(nvcc),
        Some(release) => Err(format!("{} is of CUDA {release}, and {RELEASE} is needed", nvcc.display())),
        None => Err(format!("{} does not run", nvcc.display())),
    }
}

/// Returns the release that a compiler reports, e.g. `13.0`.
fn release(nvcc: &Path) -> Option<String> {
    let output = Command::new(nvcc).arg("--version").output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.split_once("release ")?.1.split(',').next()?.to_string())
}

/// Compiles all sources for all architectures, unless that has been done, on as many threads as cargo allows. Returns
/// (name of the source, architecture, PTX file).
fn compile_all(nvcc: &Path, sources: &[PathBuf], out: &Path, stamp: &Stamp) -> Vec<(String, u32, PathBuf)> {
    let work: Vec<(&PathBuf, u32)> =
        sources.iter().flat_map(|source| ARCHITECTURES.map(|architecture| (source, architecture))).collect();
    stamp.refresh(|| compile_in_parallel(nvcc, &work, out));
    let module = |&(source, architecture): &(&PathBuf, u32)| {
        let (name, ptx) = output(source, architecture, out);
        (name, architecture, ptx)
    };
    let mut modules: Vec<_> = work.iter().map(module).collect();
    modules.sort();
    // Drop a module for a newer architecture if it does not differ from the older one.
    modules.dedup_by(|newer, older| newer.0 == older.0 && instructions(&newer.2) == instructions(&older.2));
    modules
}

fn compile_in_parallel(nvcc: &Path, work: &[(&PathBuf, u32)], out: &Path) {
    let next = Mutex::new(work.iter());
    let jobs = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(1);
    std::thread::scope(|scope| {
        for _ in 0..work.len().min(jobs) {
            scope.spawn(|| {
                loop {
                    let Some((source, architecture)) = next.lock().expect("no thread panicked").next() else { break };
                    compile_one(nvcc, source, *architecture, &output(source, *architecture, out).1);
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
fn output(source: &Path, architecture: u32, out: &Path) -> (String, PathBuf) {
    let name = source.file_stem().and_then(|stem| stem.to_str()).expect("kernel sources have UTF-8 names").to_string();
    let ptx = out.join(format!("{name}.{architecture}.ptx"));
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
    let version = text.lines().find_map(|line| line.strip_prefix(".version ")).map(str::trim);
    assert!(
        version == Some(PTX_VERSION),
        "{} writes PTX {}, not {PTX_VERSION}: its parts are of different releases; scripts/fetch-nvcc.sh gets ones that fit",
        nvcc.display(),
        version.unwrap_or("without a version")
    );
}
