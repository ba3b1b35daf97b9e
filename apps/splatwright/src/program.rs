//! Which program speaks. Texts name commands as `cargo xtask doctor`; in the program `splatwright`, which has some of those
//! commands and needs no clone, the same texts say `splatwright doctor`. In a program that brings packages by itself, they
//! name its own command where they say `cargo xtask build`.

use std::{borrow::Cow, sync::OnceLock};

use clap::{Parser, Subcommand as _, builder::StyledStr};

use crate::{
    commands::Command,
    language::{self, LANGUAGES, said},
};

const XTASK: &str = "cargo xtask ";

static SPLATWRIGHT: OnceLock<()> = OnceLock::new();

/// What brings packages in the running program, in place of `cargo xtask build`.
static OWN: OnceLock<String> = OnceLock::new();

/// From now on texts name `command` where they say `cargo xtask build`.
pub fn brings_by(command: String) {
    let _ = OWN.set(command);
}

/// From now on this process speaks as the program `splatwright`.
pub fn is_splatwright() {
    let _ = SPLATWRIGHT.set(());
}

/// `text` with commands named as the running program has them.
pub fn spoken(text: &str) -> Cow<'_, str> {
    if let Some(own) = OWN.get() {
        return text.replace("cargo xtask build", own).into();
    }
    if SPLATWRIGHT.get().is_none() {
        return text.into();
    }
    renamed(text)
}

fn renamed(text: &str) -> Cow<'_, str> {
    if !text.contains(XTASK) {
        return text.into();
    }
    let mut parts = text.split(XTASK);
    let mut renamed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let command = part.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or_default();
        renamed += if Command::has_subcommand(command) { "splatwright " } else { XTASK };
        renamed += part;
    }
    renamed.into()
}

/// The command line of this process; every command takes `--lang`. Help is shown in the chosen language, with commands
/// named as the running program has them.
pub fn parse<P: Parser>() -> P {
    language::choose(std::env::args_os());
    let language = clap::Arg::new("lang")
        .long("lang")
        .value_name("LANG")
        .global(true)
        .display_order(1000)
        .value_parser(LANGUAGES)
        .help("The language of what people read (default: the system's, where it is one of these)");
    let mut command = P::command().arg(language);
    // clap adds its own options now, so that their help is told like the others'.
    command.build();
    P::from_arg_matches(&told(command).get_matches()).unwrap_or_else(|error| error.exit())
}

fn told(mut command: clap::Command) -> clap::Command {
    let tell = |text: Option<&StyledStr>| {
        let paragraphs = |text: &StyledStr| {
            text.to_string()
                .split("\n\n")
                .map(|part| said(part).into_owned())
                .collect::<Vec<_>>()
                .join("\n\n")
        };
        text.map(paragraphs).map(|text| spoken(&text).into_owned())
    };
    let (about, long) = (tell(command.get_about()), tell(command.get_long_about()));
    if let Some(about) = about {
        command = command.about(about);
    }
    if let Some(long) = long {
        command = command.long_about(long);
    }
    if let Some(after) = tell(command.get_after_help()) {
        command = command.after_help(after);
    }
    if language::is_chinese() {
        command = command
            .help_template("{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}")
            .subcommand_help_heading("命令");
    }
    command
        .mut_args(|mut arg| {
            let (help, long) = (tell(arg.get_help()), tell(arg.get_long_help()));
            if let Some(help) = help {
                arg = arg.help(help);
            }
            if let Some(long) = long {
                arg = arg.long_help(long);
            }
            if !language::is_chinese() {
                return arg;
            }
            let heading = if arg.is_positional() { "参数" } else { "选项" };
            arg.help_heading(heading)
        })
        .mut_subcommands(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_commands_are_renamed_and_others_are_not() {
        assert_eq!(
            renamed("run `cargo xtask doctor`, then: cargo xtask build"),
            "run `splatwright doctor`, then: cargo xtask build"
        );
        assert_eq!(
            renamed("cargo xtask ext build x | cargo xtask explain"),
            "splatwright ext build x | splatwright explain"
        );
        assert_eq!(renamed("cargo xtask verify-import"), "cargo xtask verify-import");
        assert_eq!(renamed("nothing"), "nothing");
    }
}
