//! `splat-verify` can fail: an engine that draws black, one that crashes and a file that is no engine are found, and
//! the true CPU library passes. Verification that cannot fail would prove nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// An engine that answers every call with success; `body` is its forward call.
fn engine(folder: &Path, name: &str, body: &str) -> PathBuf {
    let source = format!(
        r#"#include "splat_engine.h"
#include <stdlib.h>
#include <string.h>
static splat_status capabilities(splat_capabilities *c) {{
  c->abi = SPLAT_ENGINE_ABI; c->device_kind = SPLAT_CPU; c->features = 0; c->max_sh_degree = SPLAT_MAX_SH_DEGREE;
  c->channels = 1u << SPLAT_COLOR | 1u << SPLAT_INV_DEPTH;
  c->name = "{name}"; c->version = "1"; c->fingerprint = "";
  return SPLAT_OK;
}}
static splat_status device_ready(int32_t d) {{ (void)d; return SPLAT_OK; }}
static const char *last_error(void) {{ return ""; }}
static splat_status forward(const splat_forward_args *a) {{ {body} return SPLAT_OK; }}
static splat_status backward(const splat_backward_args *a) {{ (void)a; return SPLAT_OK; }}
static splat_status mark_visible(const splat_mark_visible_args *a) {{ (void)a; return SPLAT_OK; }}
static splat_status workspace_new(int32_t d, splat_workspace **w) {{ (void)d; (void)w; return SPLAT_UNSUPPORTED; }}
static void workspace_free(splat_workspace *w) {{ (void)w; }}
static splat_status poll_(splat_workspace *w, const splat_saved *s, uint32_t wait, splat_progress *p) {{
  (void)w; (void)s; (void)wait; (void)p; return SPLAT_UNSUPPORTED;
}}
static splat_status device(int32_t d, splat_device *out) {{ (void)d; (void)out; return SPLAT_UNSUPPORTED; }}
static splat_status staged(const splat_project_args *a) {{ (void)a; return SPLAT_UNSUPPORTED; }}
static splat_status images(const splat_rasterize_args *a) {{ (void)a; return SPLAT_UNSUPPORTED; }}
static splat_status back(const splat_project_backward_args *a) {{ (void)a; return SPLAT_UNSUPPORTED; }}
static const splat_engine_table ENGINE = {{
  .struct_size = sizeof ENGINE, .capabilities = capabilities, .device_ready = device_ready, .device = device,
  .last_error = last_error }};
static const splat_raster_table RASTER = {{
  .struct_size = sizeof RASTER, .forward = forward, .backward = backward, .mark_visible = mark_visible,
  .project = staged, .rasterize = images, .rasterize_backward = images, .project_backward = back,
  .workspace_new = workspace_new, .workspace_free = workspace_free, .poll = poll_ }};
SPLAT_API const void *splat_engine_get(uint32_t id, uint32_t version) {{
  if (version != SPLAT_ENGINE_ABI) return 0;
  return id == SPLAT_ENGINE ? (const void *)&ENGINE : id == SPLAT_RASTER ? (const void *)&RASTER : 0;
}}
"#
    );
    let (c, so) = (folder.join(format!("{name}.c")), folder.join(format!("lib{name}.so")));
    std::fs::write(&c, source).expect("the source is written");
    let include = splat_testdata::committed("crates/splat-engine/include");
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let mut build = Command::new(cc);
    build.args(["-shared", "-fPIC", "-I"]).arg(include).arg("-o").arg(&so).arg(&c);
    assert!(build.status().expect("a C compiler").success());
    so
}

/// Runs `splat-verify` on libraries: whether it passed, and its report (`Null` if it printed none).
fn verify(libraries: &[&Path]) -> (bool, Value) {
    let output = Command::new(splat_testdata::program(env!("CARGO_BIN_EXE_splat-verify")))
        .args(libraries)
        .output()
        .expect("splat-verify starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let report = stdout.lines().last().and_then(|l| serde_json::from_str(l).ok()).unwrap_or(Value::Null);
    (output.status.success(), report)
}

#[test]
fn an_all_black_image_fails() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let black = engine(
        folder.path(),
        "black",
        "size_t n = (size_t)a->cameras->width * a->cameras->height;
         for (uint32_t i = 0; i < a->channel_count; i++)
           memset(a->channels[i].data, 0, (a->channels[i].source == SPLAT_COLOR ? 12 : 4) * n);
         memset(a->radii, 0, 4 * (size_t)a->gaussians->count);",
    );
    let (passed, report) = verify(&[&black]);
    assert!(!passed, "{report}");
    let engine = &report["engines"][0];
    assert_eq!((engine["loaded"].as_bool(), engine["run"].as_str()), (Some(true), Some("failed")));
    assert!(engine["message"].as_str().is_some_and(|m| m.contains("black")), "{engine}");
    // The rest of the report is not affected by that library.
    assert_eq!((report["op"].as_str(), report["reference"].as_str()), (Some("ok"), Some("ok")));
}

#[test]
fn an_engine_that_crashes_fails_without_a_report() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let crash = engine(folder.path(), "crash", "(void)a; abort();");
    let (passed, report) = verify(&[&crash]);
    assert!(!passed && report.is_null(), "{report}");
}

#[test]
fn a_file_that_is_no_engine_fails_and_training_halves_the_loss() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = folder.path().join("libtext.so");
    std::fs::write(&text, "no library").expect("written");
    let picture = folder.path().join("picture.png");
    let (passed, report) = verify(&[Path::new("--picture"), &picture, &text]);
    assert!(!passed);
    assert_eq!(report["engines"][0]["loaded"].as_bool(), Some(false), "{report}");
    let losses: Vec<f64> =
        report["losses"].as_array().expect("losses").iter().filter_map(Value::as_f64).collect();
    assert!(losses.len() > 2 && losses[losses.len() - 1] < 0.5 * losses[0], "{losses:?}");
    let image = image::open(&picture).expect("the picture is a PNG").to_rgb8();
    let bright = image.pixels().filter(|p| p.0.iter().any(|c| *c > 100)).count();
    assert!(bright > 3000, "the picture shows something: {bright} bright pixels");
}
