//! What the built engine is from outside, on any machine: the file's symbols, dependencies and GPU code, and how it
//! refuses calls before a device is needed. Rendering on a GPU is tested in `tests/` of the workspace.
#![expect(unsafe_code, reason = "calls an engine with pointers")]
#![expect(clippy::print_stdout, reason = "a skip is counted by its line")]

mod support;

use std::path::PathBuf;

use splat_engine::{Abilities, Channels, DeviceKind, EngineError, SharedEngine, abi};
use support::{NUMBERS, WRONG, call, refuses};

fn library() -> Option<PathBuf> {
    support::library("cuda", splat_cuda::library())
}

fn engines() -> Vec<SharedEngine> {
    let Some(path) = library().filter(|_| splat_cuda::BUILT) else { return Vec::new() };
    support::both(splat_cuda::engine(), &path).into()
}

#[test]
fn without_the_feature_there_is_an_error_that_says_what_to_do() {
    assert_eq!(splat_cuda::library().is_some(), splat_cuda::BUILT);
    match splat_cuda::engine() {
        Ok(engine) => assert!(splat_cuda::BUILT && engine.capabilities().name == "cuda"),
        Err(EngineError::Unsupported(text)) => {
            assert!(!splat_cuda::BUILT && text.contains("feature `cuda` of splat-tch"), "{text}");
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
fn it_says_what_it_is_without_a_device() {
    let engines = engines();
    for engine in &engines {
        let it = engine.capabilities();
        assert_eq!(it, engines[0].capabilities());
        assert_eq!((it.name.as_str(), it.abi, it.device), ("cuda", abi::ENGINE_ABI, DeviceKind::Cuda));
        assert_eq!(it.channels.0, 0xff);
        assert!(it.channels.contains(Channels::WEIGHT_IMAGE) && it.abilities.contains(Abilities::STAGES));
        assert!(!it.abilities.contains(Abilities::STRIDED_INPUTS) && it.optimize && it.image);
        assert!(it.max_sh_degree == abi::MAX_SH_DEGREE as u32 && !it.version.is_empty());
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
        let here: &[support::Case] = &[
            (|c| c.channels[0].source = abi::WEIGHT_IMAGE, "`image` of channel `weight_image` is NULL"),
            (
                |c| c.channels[0].source = abi::FEATURES,
                "channel `features` is listed, but `feature_count` is 0",
            ),
        ];
        refuses(&engine, here, EngineError::InvalidArgument);
        let unsupported: &[support::Case] = &[
            (|c| c.channels[0].source = 8, "`source` of channel 0 is 8"),
            (|c| (c.camera[0].width, c.camera[0].height) = (1 << 30, 1), "in a row"),
        ];
        refuses(&engine, unsupported, EngineError::Unsupported);
        support::knows_its_own_members_alone(&engine);
    }
}

#[test]
fn stages_are_refused_by_name_before_a_device_is_needed() {
    type Change = fn(&mut abi::RasterizeArgs);
    let cases: &[(Change, &str)] = &[
        (|a| a.struct_size = 2, "`splat_rasterize_args.struct_size` is 2"),
        (|a| a.image_count = 33, "`image_count` is 33"),
        (|a| a.count = -1, "`count` is -1"),
        (|a| a.feature_count = 65, "`feature_count` is 65"),
        (|a| a.width = 0, "0x4 pixels"),
        (|a| a.records = std::ptr::null(), "`records` is NULL"),
        (|a| a.records = a.records.wrapping_byte_add(4), "needs a multiple of 16"),
        (|a| a.settings = std::ptr::null(), "`splat_settings` is NULL"),
        (|a| a.saved = std::ptr::null_mut(), "`splat_saved` is NULL"),
        (|a| a.feature_count = 2, "`features` is NULL"),
    ];
    for engine in engines() {
        for (change, expected) in cases {
            let mut call = call();
            let mut args = abi::RasterizeArgs {
                image_count: 1,
                channel_count: 1,
                width: 4,
                height: 4,
                count: 1,
                context: &raw const call.context,
                settings: &raw const call.settings,
                records: std::ptr::without_provenance(1 << 12),
                channels: call.channels.as_ptr(),
                saved: &raw mut call.saved,
                ..abi::RasterizeArgs::EMPTY
            };
            change(&mut args);
            // SAFETY: a refused call follows no pointer to records or numbers.
            for error in unsafe { [engine.rasterize(&args), engine.rasterize_backward(&args)] } {
                let text = error.expect_err(expected).to_string();
                assert!(text.contains(expected), "{text:?} does not say {expected:?}");
            }
        }
        let mut call = call();
        call.gradients.background = NUMBERS.as_ptr().cast_mut();
        let args = abi::ProjectBackwardArgs {
            camera_count: 1,
            context: &raw const call.context,
            cameras: call.camera.as_ptr(),
            gaussians: &raw const call.gaussians,
            settings: &raw const call.settings,
            gradients: &raw const call.gradients,
            ..abi::ProjectBackwardArgs::EMPTY
        };
        // SAFETY: a refused call follows no pointer to numbers.
        let error = unsafe { engine.project_backward(&args) }.expect_err("it has no such gradient");
        assert!(error.to_string().contains("gradient of `background`"), "{error}");
    }
}
