//! The Rust mirror has the layout that a C compiler gives the header: every struct's size, every member's
//! offset. A new member in one place alone fails here.

use std::mem::offset_of;
use std::process::Command;

use splat_engine::abi;

/// `(C name, member, Rust offset)`, and `(C name, "", Rust size)`.
fn rust_layout() -> Vec<(&'static str, &'static str, usize)> {
    let mut rows = Vec::new();
    macro_rules! layout {
        ($rust:ident, $c:literal, $($member:ident),+) => {
            rows.push(($c, "", size_of::<abi::$rust>()));
            $(rows.push(($c, stringify!($member), offset_of!(abi::$rust, $member)));)+
        };
    }
    layout!(In, "splat_in", data, stride);
    layout!(
        Camera,
        "splat_camera",
        struct_size,
        width,
        height,
        tan_fovx,
        tan_fovy,
        model,
        view,
        proj,
        campos
    );
    layout!(
        Gaussians,
        "splat_gaussians",
        struct_size,
        count,
        sh_coeffs,
        feature_count,
        means3d,
        opacities,
        sh,
        sh_rest,
        colors,
        scales,
        rotations,
        cov3d,
        features
    );
    layout!(Settings, "splat_settings", struct_size, flags, background, scale_modifier, sh_degree);
    layout!(Context, "splat_context", struct_size, device, stream, workspace, alloc, user);
    layout!(Saved, "splat_saved", struct_size, buffer_count, rendered, rejected, ticket, buffer, bytes);
    layout!(
        ForwardArgs,
        "splat_forward_args",
        struct_size,
        context,
        camera_count,
        cameras,
        gaussians,
        settings,
        color,
        radii,
        inv_depth,
        depth,
        alpha,
        features,
        saved
    );
    layout!(
        BackwardArgs,
        "splat_backward_args",
        struct_size,
        context,
        camera_count,
        cameras,
        gaussians,
        settings,
        saved,
        radii,
        grad_color,
        grad_inv_depth,
        grad_depth,
        grad_alpha,
        grad_features,
        means3d,
        means2d,
        means2d_abs,
        opacities,
        sh,
        sh_rest,
        colors,
        scales,
        rotations,
        cov3d,
        features,
        background,
        view
    );
    layout!(
        MarkVisibleArgs,
        "splat_mark_visible_args",
        struct_size,
        context,
        count,
        means3d,
        view,
        proj,
        visible
    );
    layout!(
        Capabilities,
        "splat_capabilities",
        struct_size,
        abi,
        device_kind,
        outputs,
        features,
        max_sh_degree,
        name,
        version,
        fingerprint
    );
    layout!(Progress, "splat_progress", struct_size, done, overflow, reserved, rendered, rejected, capacity);
    layout!(
        AdamGroup,
        "splat_adam_group",
        param,
        grad,
        exp_avg,
        exp_avg_sq,
        width,
        step,
        lr,
        beta1,
        beta2,
        eps
    );
    layout!(AdamArgs, "splat_adam_args", struct_size, context, rows, visible, group_count, groups);
    layout!(
        SsimArgs,
        "splat_ssim_args",
        struct_size,
        context,
        planes,
        width,
        height,
        valid,
        lambda_dssim,
        image,
        target,
        map,
        mean,
        partials,
        grad_mean,
        grad_map,
        grad_image
    );
    rows
}

#[test]
fn mirror_has_the_layout_of_the_header() {
    let rows = rust_layout();
    let mut source = String::from(
        "#include <stddef.h>\n#include <stdio.h>\n#include \"splat_engine.h\"\nint main(void) {\n",
    );
    for (name, member, _) in &rows {
        let value =
            if member.is_empty() { format!("sizeof({name})") } else { format!("offsetof({name}, {member})") };
        source += &format!("  printf(\"%zu\\n\", {value});\n");
    }
    source += "  return 0;\n}\n";
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (c, exe) = (dir.path().join("layout.c"), dir.path().join("layout"));
    std::fs::write(&c, source).expect("layout.c is written");
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let built = Command::new(&cc)
        .args(["-std=c11", "-Wall", "-Werror", "-I", include, "-o"])
        .arg(&exe)
        .arg(&c)
        .status();
    assert!(built.expect("a C compiler").success(), "`{cc}` refuses splat_engine.h");
    let out = Command::new(&exe).output().expect("layout runs");
    let found: Vec<usize> =
        String::from_utf8_lossy(&out.stdout).lines().map(|l| l.parse().expect("a number")).collect();
    assert_eq!(found.len(), rows.len());
    for ((name, member, rust), c) in rows.into_iter().zip(found) {
        assert_eq!(rust, c, "`{name}.{member}`: Rust has {rust}, C has {c}");
    }
}
