//! Compiles the kernels, `kernels/**/*.cu`: for the host, once per instruction level; for GPUs, if there is an nvcc;
//! and for the emulated target, with the feature `emulated`. Those in `kernels/testing`, which only tests and
//! benchmarks launch, are left out without the feature `testing`. Writes the table through which Rust calls the
//! kernels. An output that was compiled from the same sources with the same flags is kept, so a new commit, whose hash
//! the program contains, does not recompile the kernels.

#[path = "build/args.rs"]
mod args;
#[path = "build/fresh.rs"]
mod fresh;
#[path = "build/nvcc.rs"]
mod nvcc;

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An instruction level and its compiler flags. At startup the program selects the best level that the CPU supports.
struct Level {
    name: &'static str,
    flags: &'static [&'static str],
    /// The kernel sources that it recompiles, without `.cu`; all others are those of the level before. None: all.
    only: Option<&'static [&'static str]>,
}

impl Level {
    fn compiles(&self, source: &str) -> bool {
        self.only.is_none_or(|only| only.contains(&source))
    }
}

const X86_LEVELS: &[Level] = &[
    Level { name: "v3", flags: &["-march=x86-64-v3"], only: None },
    // Without the second flag GCC uses 256-bit vectors.
    Level { name: "v4", flags: &["-march=x86-64-v4", "-mprefer-vector-width=512"], only: None },
    // Networks with bf16 products, see kernels/core/bf16.cuh. Chosen by a setting, never by itself.
    Level {
        name: "v4_bf16",
        flags: &["-march=x86-64-v4", "-mprefer-vector-width=512", "-mavx512bf16"],
        only: Some(&["field", "fit"]),
    },
    // The same on the matrix unit of a core, see kernels/core/amx.cuh.
    Level {
        name: "v4_amx_bf16",
        flags: &["-march=x86-64-v4", "-mprefer-vector-width=512", "-mavx512bf16", "-mamx-tile", "-mamx-bf16"],
        only: Some(&["field", "fit"]),
    },
];
const ARM_LEVELS: &[Level] = &[
    Level { name: "v8", flags: &["-march=armv8-a"], only: None },
    Level { name: "v8_2", flags: &["-march=armv8.2-a"], only: None },
];
const DEFAULT_LEVELS: &[Level] = &[Level { name: "native", flags: &[], only: None }];

/// A kernel, as declared by its macro.
struct Kernel {
    name: String,
    args: String,
    shape: &'static str,
    /// Name of its source file, without `.cu`.
    source: String,
}

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo:rerun-if-changed=kernels");
    let header = fs::read_to_string("kernels/args.h").expect("kernels/args.h is there");
    fs::write(out.join("args.rs"), args::generate(&header)).expect("OUT_DIR is writable");
    let sources = kernel_sources(Path::new("kernels"), env::var_os("CARGO_FEATURE_TESTING").is_some());
    let names: BTreeSet<_> = sources.iter().map(|source| source.file_stem()).collect();
    assert!(
        names.len() == sources.len(),
        "two kernel sources have the same name, by which the program finds their PTX"
    );
    let digest = fresh::digest(Path::new("kernels"));
    let levels = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("x86_64") => X86_LEVELS,
        Ok("aarch64") => ARM_LEVELS,
        _ => DEFAULT_LEVELS,
    };
    let emulated = env::var_os("CARGO_FEATURE_EMULATED").is_some();
    // The kernels of tests are apart: all others are the same, whatever the features.
    let (of_tests, of_program): (Vec<_>, Vec<_>) = sources.iter().cloned().partition(|path| is_for_tests(path));
    for (sources, part) in
        [(&of_program, ""), (&of_tests, "_testing")].into_iter().filter(|(sources, _)| !sources.is_empty())
    {
        for level in levels {
            compile_host(sources, level, part, &out, digest);
        }
        if emulated {
            compile_emulated(sources, part, &out, digest);
        }
    }
    if emulated {
        compile_emulation(&out, digest);
    }
    nvcc::compile(&[("ptx", &of_program), ("ptx_testing", &of_tests)], &out, digest);
    let kernels: Vec<Kernel> = sources.iter().flat_map(|path| declared_kernels(path)).collect();
    fs::write(out.join("kernels.rs"), kernel_table(&kernels, levels, emulated)).expect("OUT_DIR is writable");
    println!("cargo:rustc-env=GRIDFIELD_COMMIT={}", commit());
}

/// Returns all `.cu` files below a folder, sorted by path; those in folders named `testing` only if `testing` is set.
fn kernel_sources(folder: &Path, testing: bool) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).expect("the kernels folder is there") {
        let path = entry.expect("the kernels folder is readable").path();
        if path.is_dir() {
            if testing || path.file_name().is_none_or(|name| name != "testing") {
                sources.extend(kernel_sources(&path, testing));
            }
        } else if path.extension().is_some_and(|extension| extension == "cu") {
            sources.push(path);
        }
    }
    sources.sort();
    sources
}

/// Tells whether a source is in `kernels/testing`.
fn is_for_tests(source: &Path) -> bool {
    source.parent().is_some_and(|folder| folder.ends_with("testing"))
}

/// Compiles those of `sources` that a level recompiles into the library `gridfield_<level><part>`.
fn compile_host(sources: &[PathBuf], level: &Level, part: &str, out: &Path, digest: u64) {
    let sources: Vec<_> = sources.iter().filter(|source| level.compiles(&stem(source))).collect();
    if sources.is_empty() {
        return;
    }
    let mut build = kernel_build();
    build.opt_level(3).define("GF_LEVEL", level.name);
    for flag in level.flags {
        build.flag(flag);
    }
    if level.flags.contains(&"-mamx-bf16") {
        // GCC 12 takes the operands that its own intrinsics leave undefined for mistakes.
        build.flag_if_supported("-Wno-maybe-uninitialized").flag_if_supported("-Wno-uninitialized");
    }
    // The maths library does not set errno, so square roots and the like can be vectorized; NaN and infinity keep their
    // meaning.
    build.flag("-fno-math-errno").files(sources);
    compile_library(&mut build, &format!("gridfield_{}{part}", level.name), out, digest);
}

/// Compiles kernels for the emulated target into the library `gridfield_emulated<part>`.
fn compile_emulated(sources: &[PathBuf], part: &str, out: &Path, digest: u64) {
    let mut build = emulated_build();
    if counts() {
        // Calls before each access to memory and each basic block. A vector of the host would be one access of what are
        // many on a GPU.
        build.flag("-fsanitize=thread").flag("-fsanitize-coverage=trace-pc");
        build.flag("-fno-tree-vectorize").flag("-fno-tree-slp-vectorize");
    }
    compile_library(build.files(sources), &format!("gridfield_emulated{part}"), out, digest);
}

/// Compiles what the kernels of the emulated target call: threads, barriers, the check for races.
fn compile_emulation(out: &Path, digest: u64) {
    let mut build = emulated_build();
    build.files(["kernels/core/emulated.cpp", "kernels/core/emulated_faults.cpp"]);
    if counts() {
        build.file("kernels/core/counters.cpp");
    }
    compile_library(&mut build, "gridfield_emulation", out, digest);
}

/// Tells whether launches on the emulated target are counted (`kernels/core/counters.h`).
fn counts() -> bool {
    env::var_os("CARGO_FEATURE_COUNTERS").is_some()
}

fn emulated_build() -> cc::Build {
    let mut build = kernel_build();
    build.opt_level(2).define("GF_EMULATED", None);
    if counts() {
        build.define("GF_COUNTED", None);
    }
    // Threads without a sample leave their sample's values uninitialized.
    build.flag_if_supported("-Wno-maybe-uninitialized");
    build
}

/// Returns what every compilation of kernels by the host's compiler has in common.
fn kernel_build() -> cc::Build {
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").warnings(true).extra_warnings(true).include("kernels");
    build.flag("-fno-exceptions").flag("-fno-rtti").flag("-x").flag("c++");
    // Lines for backtraces and profilers, without variables: those take ten times the space.
    if build_has_debug_info() {
        build.debug(false).flag("-g1");
    }
    build
}

/// Tells whether cargo's profile asks for debugging information.
fn build_has_debug_info() -> bool {
    env::var("DEBUG").is_ok_and(|level| level != "false" && level != "0" && level != "none")
}

/// Returns the name of a source file without its extension.
fn stem(path: &Path) -> String {
    path.file_stem().and_then(|stem| stem.to_str()).expect("kernel sources have UTF-8 names").to_string()
}

/// Compiles a static library, unless it exists from the same sources and flags, and tells cargo to link it.
fn compile_library(build: &mut cc::Build, name: &str, out: &Path, digest: u64) {
    // Flags from the environment (CXXFLAGS and the like) are among the arguments, and cargo is told to watch their
    // variables.
    let compiler = build.get_compiler();
    let inputs = format!("{digest:x} {} {:?}", compiler.path().display(), compiler.args());
    let folder = fresh::folder(out, name, &inputs, |folder| {
        let objects = folder.join("objects");
        fs::create_dir(&objects).expect("the target folder is writable");
        build.cargo_metadata(false).out_dir(&objects).compile(name);
        let library = format!("lib{name}.a");
        fs::rename(objects.join(&library), folder.join(&library)).expect("the target folder is writable");
        fs::remove_dir_all(&objects).expect("the target folder is writable");
    });
    println!("cargo:rustc-link-search=native={}", folder.display());
    println!("cargo:rustc-link-lib=static={name}");
    let vendor = env::var("CARGO_CFG_TARGET_VENDOR").unwrap_or_default();
    println!("cargo:rustc-link-lib={}", if vendor == "apple" { "c++" } else { "stdc++" });
}

/// Finds `GF_ITEM_KERNEL(name, Args)`, `GF_WARP_KERNEL(name, Args)` and `GF_TILE_KERNEL(name, Args, Shared)`.
fn declared_kernels(path: &Path) -> Vec<Kernel> {
    let text = fs::read_to_string(path).expect("kernel sources are UTF-8");
    let source = stem(path);
    let mut kernels = Vec::new();
    for line in text.lines() {
        for (macro_name, shape) in
            [("GF_ITEM_KERNEL(", "Item"), ("GF_WARP_KERNEL(", "Warp"), ("GF_TILE_KERNEL(", "Tile")]
        {
            if let Some(rest) = line.strip_prefix(macro_name) {
                let mut words = rest.split([',', ')']).map(str::trim);
                let name = words.next().expect("a kernel has a name").to_string();
                let args = words.next().expect("a kernel has arguments").to_string();
                kernels.push(Kernel { name, args, shape, source: source.clone() });
            }
        }
    }
    kernels
}

/// Returns Rust source: one `Kernel` constant per kernel, with its symbols at every level and its emulation.
fn kernel_table(kernels: &[Kernel], levels: &[Level], emulated: bool) -> String {
    let mut text = format!(
        "/// Instruction levels that the kernels are compiled for, in ascending order.\npub const LEVELS: [&str; {}] = {:?};\n",
        levels.len(),
        levels.iter().map(|l| l.name).collect::<Vec<_>>()
    );
    text.push_str("unsafe extern \"C\" {\n");
    for kernel in kernels {
        for level in levels.iter().filter(|level| level.compiles(&kernel.source)) {
            writeln!(
                text,
                "    fn {}_{}(args: *const c_void, begin: u32, end: u32, row: u32);",
                kernel.name, level.name
            )
            .expect("writing to a string");
        }
        if emulated {
            writeln!(
                text,
                "    fn {}_emulated(args: *const c_void, items: u32, rows: u32, options: *const EmulatedOptions) -> *const c_char;",
                kernel.name
            )
            .expect("writing to a string");
        }
    }
    text.push_str("}\n");
    text.push_str("/// The names of all kernels.\npub const ALL: &[&str] = &[\n");
    for Kernel { name, .. } in kernels {
        writeln!(text, "    {name:?},").expect("writing to a string");
    }
    text.push_str("];\n");
    for kernel in kernels {
        let mut host: Vec<String> = Vec::new();
        for level in levels {
            let own = level.compiles(&kernel.source).then(|| format!("{}_{}", kernel.name, level.name));
            host.push(own.unwrap_or_else(|| host.last().expect("the first level compiles all").clone()));
        }
        let emulation = if emulated { format!(" emulated: {}_emulated,", kernel.name) } else { String::new() };
        let Kernel { name, args, shape, source } = kernel;
        writeln!(
            text,
            "/// Kernel `{name}`, see `kernels/{source}.cu`.\npub const {}: Kernel<args::{args}> = Kernel {{ name: \"{name}\", \
             source: \"{source}\", shape: Shape::{shape}, host: [{}],{emulation} args: PhantomData }};",
            name.to_uppercase(),
            host.join(", ")
        )
        .expect("writing to a string");
    }
    text
}

/// Returns the commit that is being built, for the records of runs; "unknown" outside a repository.
fn commit() -> String {
    let run = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    // The log of HEAD grows with every commit and checkout, in every kind of worktree. Cargo would treat a missing file
    // as changed.
    if let Some(log) = run(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    let Some(hash) = run(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    let changed = run(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    if changed { format!("{hash}+changes") } else { hash }
}
