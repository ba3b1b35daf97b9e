//! Errors for people: what failed, and after `hint:` what helps, in terms of this program's options.

use splat_train::Remedy;

use super::poses;
use super::say::note;

/// An error of the program itself, with what the user can do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Hinted {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Hinted {
    pub(crate) fn error(message: String, hint: impl Into<String>) -> anyhow::Error {
        Self { message, hint: hint.into() }.into()
    }
}

/// `error: what failed: why`, then `hint:` if there is one.
pub(crate) fn print_error(error: &anyhow::Error) {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Some errors contain their cause already.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    note(&format!("error: {}", splatwright::program::spoken(&text)));
    if let Some(hint) = hint(error) {
        note(&format!("hint: {hint}"));
    }
}

fn hint(error: &anyhow::Error) -> Option<String> {
    // What the program adds as context is found in the whole error only, not in its chain.
    if let Some(own) = error.downcast_ref::<Hinted>() {
        return Some(own.hint.clone());
    }
    if let Some(hint) = splatwright::hint::of(error) {
        return Some(splatwright::program::spoken(hint).into_owned());
    }
    error.chain().find_map(|e| match e.downcast_ref::<splat_train::Error>() {
        Some(e) => e.remedy().map(option).or_else(|| e.scene().and_then(data)),
        None => e.downcast_ref::<splat_scene::Error>().and_then(data),
    })
}

/// What helps against an error about data, with this program's options.
fn data(error: &splat_scene::Error) -> Option<String> {
    use splat_scene::Remedy;
    Some(match error.remedy() {
        Some(Remedy::SetImages) => "name the folder of the photographs with --images".into(),
        Some(Remedy::SetMasks) => "name the folder of the masks with --masks".into(),
        Some(Remedy::SetDepths) => "name the folder of the depth maps with --depths".into(),
        Some(Remedy::ClearStrict) => "leave out --strict to continue without them".into(),
        Some(Remedy::EmptyTestList) => "hold out no view: --test-every 0 instead of --test-list".into(),
        Some(Remedy::ZeroTestEvery) => "hold out no view: --test-every 0".into(),
        Some(Remedy::ConvertPictures) => match error {
            splat_scene::Error::Decode { path, .. } => poses::converted(path),
            _ => return error.hint(),
        },
        Some(Remedy::ReplacePicture) => {
            "copy it again from where it came from, or move it elsewhere to train without it; `splat info DATA --decode` \
             lists every picture that cannot be read"
                .into()
        }
        _ => return error.hint(),
    })
}

/// The options that carry out a remedy.
fn option(remedy: Remedy) -> String {
    match remedy {
        Remedy::UseLessMemory => {
            "use fewer Gaussians (--max-gaussians 1000000), smaller images (--downscale 2) or keep fewer of them on \
             the device (--image-cache 1GB)"
                .into()
        }
        Remedy::MatchCheckpoint => {
            "resume with the dataset and the engine of that run, or start a new run in another folder: -o OTHER"
                .into()
        }
        Remedy::KeepTheNumber => {
            "the scene is large compared with the distances of its cameras, or nothing was learned: check both with \
             `splat info DATA -o top.png`, or keep the number of Gaussians with --strategy fixed"
                .into()
        }
        Remedy::SearchPhotographs => "find points in the photographs with --init auto".into(),
        Remedy::RemoveFarCameras => {
            "look for cameras far from all others with `splat info DATA -o top.png`: their distance scales the \
             learning rate of positions"
                .into()
        }
        Remedy::ResumeWithFewer => {
            "the same command with --resume continues from the last checkpoint, with fewer GPUs if need be".into()
        }
        Remedy::StartAllRanks => {
            "start as many processes as WORLD_SIZE says, each with its own RANK from 0, and give slow ones more time \
             with --dist-timeout"
                .into()
        }
        // The others take no option of this program.
        other => other.to_string(),
    }
}
