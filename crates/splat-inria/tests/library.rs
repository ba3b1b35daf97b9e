//! What the built engine is from outside, on any machine: the file's symbols, dependencies, GPU code and notice, and how
//! it refuses calls before a device is needed. Rendering on a GPU is tested in `tests/` of the workspace.
#![expect(unsafe_code, reason = "calls an engine with pointers")]
#![expect(clippy::print_stdout, reason = "a skip is counted by its line")]

#[path = "../../splat-cuda/tests/support/mod.rs"]
mod support;

use std::path::PathBuf;

use splat_engine::{DeviceKind, EngineError, SharedEngine, abi};
use support::{NUMBERS, WRONG, call, refuses};

fn library() -> Option<PathBuf> {
    support::library("inria", splat_inria::library())
}

fn engines() -> Vec<SharedEngine> {
    let Some(path) = library().filter(|_| splat_inria::BUILT) else { return Vec::new() };
    support::both(splat_inria::engine(), &path).into()
}

#[test]
fn without_the_feature_there_is_an_error_that_says_what_to_do() {
    assert_eq!(splat_inria::library().is_some(), splat_inria::BUILT);
    match splat_inria::engine() {
        Ok(engine) => assert!(splat_inria::BUILT && engine.capabilities().name == "inria"),
        Err(EngineError::Unsupported(text)) => {
            assert!(!splat_inria::BUILT && text.contains("licence"), "{text}");
        }
        Err(other) => panic!("not Unsupported: {other:?}"),
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_library_exports_the_header_alone_and_needs_neither_torch_nor_a_cuda_runtime() {
    if let Some(path) = library() {
        support::exports_the_header_alone(&path);
    }
}

#[test]
fn the_library_has_code_for_the_architectures_it_was_built_for() {
    if let (Some(path), Some(asked)) = (library(), option_env!("SPLAT_ENGINE_ARCHS")) {
        support::has_code_for(&path, asked);
    }
}

#[test]
fn the_library_carries_the_notice_of_its_licence() {
    let Some(path) = library() else { return };
    let bytes = std::fs::read(&path).expect("the library is there");
    let notice = b"non-commercial research and evaluation only";
    assert!(bytes.windows(notice.len()).any(|w| w == notice), "the notice is not in the library");
    let beside = path.with_file_name("NOTICE.splat_inria");
    assert!(std::fs::read_to_string(&beside).is_ok_and(|t| t.contains("LICENSE.md")), "{}", beside.display());
}

#[test]
fn it_says_what_it_is_without_a_device() {
    for engine in engines() {
        let it = engine.capabilities();
        assert_eq!((it.name.as_str(), it.abi, it.device), ("inria", abi::ENGINE_ABI, DeviceKind::Cuda));
        assert_eq!(it.channels.0, 1 << abi::COLOR | 1 << abi::INV_DEPTH);
        assert!(
            it.abilities.0 == 0 && !it.optimize && !it.image && it.max_sh_degree == abi::MAX_SH_DEGREE as u32
        );
        assert!(!it.version.is_empty());
    }
}

#[test]
fn without_a_device_every_call_says_so() {
    for engine in engines() {
        support::says_that_there_is_no_device(&engine);
    }
}

#[test]
fn wrong_arguments_are_refused_by_name_before_a_device_is_needed() {
    for engine in engines() {
        refuses(&engine, WRONG, EngineError::InvalidArgument);
        support::knows_its_own_members_alone(&engine);
    }
}

#[test]
fn what_the_original_cannot_do_is_unsupported_not_wrong() {
    let cases: &[support::Case] = &[
        (|c| c.channels[0].source = abi::DEPTH, "no channel `depth`"),
        (|c| c.channels[0].source = abi::WEIGHT_SUM, "no channel `weight_sum`"),
        (|c| c.gaussians.count = 1 << 31, "32 bits"),
        (|c| (c.camera[0].width, c.camera[0].height) = (40_000, 40_000), "40000x40000 pixels"),
        (|c| c.settings.flags = abi::EXACT, "has no mode exact"),
        (|c| c.cameras = 2, "several cameras"),
    ];
    for engine in engines() {
        refuses(&engine, cases, EngineError::Unsupported);
        let mut call = call();
        call.gradients.background = NUMBERS.as_ptr().cast_mut();
        let args = call.backward();
        // SAFETY: a refused call follows no pointer to numbers.
        let error = unsafe { engine.backward(&args) }.expect_err("there is no such gradient");
        assert!(
            matches!(&error, EngineError::Unsupported(t) if t.contains("gradient for the background")),
            "{error:?}"
        );
        // SAFETY: as above.
        let error = unsafe { engine.project(&abi::ProjectArgs::EMPTY) }.expect_err("it has no stages");
        assert!(matches!(&error, EngineError::Unsupported(_)), "{error:?}");
    }
}
