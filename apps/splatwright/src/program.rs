//! Which program speaks. Texts name commands as `cargo xtask doctor`; in the program `splatwright`, which has some of those
//! commands and needs no clone, the same texts say `splatwright doctor`.

use std::{borrow::Cow, sync::OnceLock};

use clap::{Subcommand as _, builder::StyledStr};

use crate::commands::Command;

const XTASK: &str = "cargo xtask ";

static SPLATWRIGHT: OnceLock<()> = OnceLock::new();

/// From now on this process speaks as the program `splatwright`.
pub fn is_splatwright() {
    let _ = SPLATWRIGHT.set(());
}

/// `text` with commands named as the running program has them.
pub fn spoken(text: &str) -> Cow<'_, str> {
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

/// A command line whose help names commands as the running program has them.
#[must_use]
pub fn with_spoken_help(mut command: clap::Command) -> clap::Command {
    let said = |text: Option<&StyledStr>| text.map(|text| spoken(&text.to_string()).into_owned());
    let (about, long) = (said(command.get_about()), said(command.get_long_about()));
    if let Some(about) = about {
        command = command.about(about);
    }
    if let Some(long) = long {
        command = command.long_about(long);
    }
    command
        .mut_args(|mut arg| {
            let (help, long) = (said(arg.get_help()), said(arg.get_long_help()));
            if let Some(help) = help {
                arg = arg.help(help);
            }
            if let Some(long) = long {
                arg = arg.long_help(long);
            }
            arg
        })
        .mut_subcommands(with_spoken_help)
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
