//! The `gridfield` binary. All of its code is in the library: `gridfield::cli` reads the arguments and prints.

fn main() -> std::process::ExitCode {
    gridfield::cli::main()
}
