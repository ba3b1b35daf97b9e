//! The program `splat`. Results and JSON go to stdout, everything else that people read to stderr.

mod cli;
mod machine;
mod output;
mod reconstruct;
mod report;
mod trajectory;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    splat_tch::prefer_growing_segments();
    let cli::Splat { command } = cli::Splat::parse();
    let done = |()| cli::Ended::Done;
    let result = match command {
        cli::Command::Reconstruct(args) => cli::reconstruct::run(&args),
        cli::Command::Train(args) => cli::train::run(&args),
        cli::Command::Render(args) => cli::render::run(&args),
        cli::Command::Eval(args) => cli::eval::run(&args).map(done),
        cli::Command::Compare(args) => cli::compare::run(&args).map(done),
        cli::Command::Info(args) => cli::info::run(&args).map(done),
        cli::Command::Convert(args) => cli::convert::run(&args).map(done),
        cli::Command::Edit(args) => cli::edit::run(&args).map(done),
        cli::Command::View(args) => cli::view::run(&args).map(done),
        cli::Command::Doctor(args) => cli::doctor::run(&args).map(done),
        cli::Command::Completions(args) => cli::docs::completions(&args).map(done),
        cli::Command::Man(args) => cli::docs::man(&args).map(done),
    };
    match result {
        Ok(cli::Ended::Done) => ExitCode::SUCCESS,
        Ok(cli::Ended::Stopped) => ExitCode::from(3),
        Err(error) => {
            cli::print_error(&error);
            ExitCode::FAILURE
        }
    }
}
