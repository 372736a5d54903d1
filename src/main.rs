//! The `onceward` command.

fn main() -> std::process::ExitCode {
    onceward::cli::main()
}
