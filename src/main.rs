//! The `gridfield` binary. All of it is in the library; `gridfield::cli` reads the arguments and prints.

fn main() -> std::process::ExitCode {
    gridfield::cli::main()
}
