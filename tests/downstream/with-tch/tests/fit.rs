//! An integration test of a user's own.

use splat_tch::Backend;

#[test]
fn fitting_lowers_the_loss() {
    let (first, last) = with_tch::fit(&Backend::cpu(), 60, 40).unwrap();
    assert!(last < 0.7 * first, "{first} to {last}");
}

#[test]
fn what_is_not_there_is_named() {
    let text = Backend::find(Some("warp-drive"), None).unwrap_err().to_string();
    assert!(text.contains("warp-drive") && text.contains("SPLAT_ENGINES"), "{text}");
    assert!(!text.contains("xtask"), "hints must make sense without our repository: {text}");
}
