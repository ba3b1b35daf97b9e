//! The tables of keys: each once, with the programs that write or read it, what it says and what is made of it.

use super::{Key, Neutral, Use};

const fn key(names: &'static [&'static str], of: &'static str, then: Use, meaning: &'static str) -> Key {
    Key { names, of, then, meaning }
}

const NOT_APPLIED: Use = Use::NotApplied(Neutral::None);
const UNLESS_ZERO: Use = Use::NotApplied(Neutral::Zero);
const ALL: &str = "all";
const NGP: &str = "instant-ngp";
const STUDIO: &str = "nerfstudio";
const METASHAPE_NAME: &str = "Metashape";
const SCAN: &str = "RealityScan, RealityCapture";

/// `transforms.json` and `transforms_train.json`, in the file or in a frame.
pub(in super::super) const TRANSFORMS: &[Key] = &[
    key(&["frames"], ALL, Use::Read, "the list of frames"),
    key(&["file_path"], ALL, Use::Read, "the photograph, with or without its extension"),
    key(
        &["transform_matrix"],
        ALL,
        Use::Read,
        "camera-to-world, OpenGL axes, 3x4 or 4x4, or 16 numbers; a uniform scale is taken out with a warning",
    ),
    key(&["w", "h"], ALL, Use::Read, "the size that the intrinsics are for; else that of the photograph"),
    key(&["fl_x", "fl_y", "cx", "cy"], ALL, Use::Read, "in pixels, per frame or once for all"),
    key(
        &["camera_angle_x", "camera_angle_y"],
        ALL,
        Use::Read,
        "angles of view in radians, without focal lengths",
    ),
    key(&["x_fov", "y_fov"], NGP, Use::Read, "angles of view in degrees, without focal lengths"),
    key(
        &["camera_model"],
        "nerfstudio, instant-ngp",
        Use::Read,
        "COLMAP's name of the lens model; panoramas, stereo pairs and orthographic photographs are refused",
    ),
    key(&["is_fisheye"], NGP, Use::Read, "whether k1 to k4 are those of a fisheye"),
    key(
        &["k1", "k2", "k3", "k4", "p1", "p2"],
        ALL,
        Use::Read,
        "distortion, also as text (nerfstudio's converter of RealityCapture writes it so)",
    ),
    key(
        &["k5", "k6"],
        "OpenCV",
        Use::Read,
        "the denominator with k4 for camera_model FULL_OPENCV; refused unless 0 for others",
    ),
    key(&["distortion_params"], STUDIO, Use::Read, "the 12 numbers of FISHEYE624"),
    key(&["fisheye_crop_radius"], STUDIO, NOT_APPLIED, "pixels beyond it should be ignored"),
    key(
        &["ftheta_p0", "ftheta_p1", "ftheta_p2", "ftheta_p3", "ftheta_p4"],
        NGP,
        Use::Read,
        "an f-theta lens, which is refused",
    ),
    key(&["latlong", "equirectangular"], NGP, Use::Read, "a panorama, which is refused"),
    key(&["rolling_shutter"], NGP, UNLESS_ZERO, "rows of the photograph were exposed at different times"),
    key(
        &["transform_matrix_start"],
        NGP,
        Use::Read,
        "the pose at the start of the exposure, used where there is no transform_matrix",
    ),
    key(&["transform_matrix_end"], NGP, NOT_APPLIED, "the camera moved during the exposure"),
    key(
        &["mask_path", "mask_file_path"],
        STUDIO,
        Use::Read,
        "the mask, black where the photograph is to be ignored",
    ),
    key(&["depth_file_path"], STUDIO, Use::Read, "the depth map, in units of depth_unit_scale_factor"),
    key(&["depth_unit_scale_factor"], STUDIO, Use::Read, "world units per number of a depth map; else 0.001"),
    key(
        &["depth_path"],
        "instant-ngp, NeRFCapture",
        Use::Read,
        "the depth map, in units of integer_depth_scale",
    ),
    key(
        &["integer_depth_scale"],
        "instant-ngp, NeRFCapture",
        Use::Read,
        "world units per number of a depth map",
    ),
    key(&["enable_depth_loading"], NGP, Use::Read, "whether depth_path is used"),
    key(
        &["ply_file_path"],
        STUDIO,
        Use::Read,
        "the points; else sparse_pc.ply, points3D.ply, pointcloud.ply, sparse.ply or the model in colmap/sparse",
    ),
    key(
        &["applied_transform"],
        STUDIO,
        Use::Read,
        "from COLMAP's world to the file's: applied to points of colmap/sparse, and already applied to everything else",
    ),
    key(&["applied_scale"], STUDIO, Use::Read, "the same, for the scale"),
    key(&["train_filenames", "val_filenames", "test_filenames"], STUDIO, Use::Read, "the split"),
    key(
        &["orientation_override", "colmap_im_id", "original_fn", "image_id", "camera_id", "id", "name"],
        STUDIO,
        Use::NoEffect,
        "how nerfstudio turns the scene, and names of things elsewhere",
    ),
    key(
        &["aabb_scale", "aabb", "render_aabb", "scale", "offset", "up", "importance_sampling"],
        NGP,
        Use::NoEffect,
        "how instant-ngp fits the scene into its cube and samples it; poses, points and depths are not in that cube",
    ),
    key(
        &["sharpness", "blur_score", "timestamp", "manual_keyframe"],
        "instant-ngp, Polycam, NeRFCapture",
        Use::NoEffect,
        "statistics about the photograph",
    ),
    key(&["sharpness_discard_threshold"], NGP, UNLESS_ZERO, "blurred frames should be left out"),
    key(&["n_frames"], NGP, Use::NotApplied(Neutral::NumberOfFrames), "only that many frames should be used"),
    key(&["sharpen"], NGP, UNLESS_ZERO, "photographs should be sharpened"),
    key(
        &["white_transparent", "black_transparent"],
        NGP,
        UNLESS_ZERO,
        "white or black pixels should be transparent",
    ),
    key(
        &["fix_premult", "enable_ray_loading"],
        NGP,
        Use::NoEffect,
        "concern EXR files and files of rays, which are not read",
    ),
    key(&["envmap"], NGP, NOT_APPLIED, "an environment behind the scene"),
    key(&["normal_mts_args"], NGP, NOT_APPLIED, "the axes are those of Mitsuba"),
    key(
        &["n_extra_learnable_dims", "driver_parameters"],
        NGP,
        UNLESS_ZERO,
        "frames differ in light or appearance",
    ),
    key(
        &["time", "frame_time", "camera_time"],
        "D-NeRF, nerfstudio",
        Use::NotApplied(Neutral::SameInAllFrames),
        "the scene moves",
    ),
    key(
        &["rotation", "camera"],
        "NeRF-synthetic, instant-ngp",
        Use::NoEffect,
        "the turntable's step, and HDF5 files of old",
    ),
];

/// Polycam's camera files.
pub(in super::super) const POLYCAM: &[Key] = &[
    key(&["fx", "fy", "cx", "cy"], "Polycam", Use::Read, "in pixels"),
    key(
        &["width", "height"],
        "Polycam",
        Use::Read,
        "else those of `cameras` (for `corrected_cameras`), or of the photograph",
    ),
    key(
        &["t_00", "t_01", "t_02", "t_03", "t_10", "t_11", "t_12", "t_13", "t_20", "t_21", "t_22", "t_23"],
        "Polycam",
        Use::Read,
        "camera-to-world, OpenGL axes",
    ),
    key(
        &["blur_score", "timestamp", "manual_keyframe", "neighbors", "center_depth", "mean_depth", "version"],
        "Polycam",
        Use::NoEffect,
        "statistics about the photograph",
    ),
];

/// `opencv_cameras.json`.
pub(in super::super) const OPENCV: &[Key] = &[
    key(&["frames", "file_path"], "LGM, FaceLift", Use::Read, "the photographs"),
    key(&["w", "h", "fx", "fy", "cx", "cy"], "LGM, FaceLift", Use::Read, "in pixels"),
    key(&["w2c"], "LGM, FaceLift", Use::Read, "world-to-camera, OpenCV axes"),
    key(
        &["id", "view_id", "blender_camera_name", "blender_camera_location", "c2w"],
        "LGM, FaceLift",
        Use::NoEffect,
        "names, and the pose again",
    ),
];

/// Record3D's `metadata`.
pub(in super::super) const RECORD3D: &[Key] = &[
    key(&["w", "h"], "Record3D", Use::Read, "the size of the photographs"),
    key(&["K"], "Record3D", Use::Read, "the intrinsics, column by column"),
    key(&["perFrameIntrinsicCoeffs"], "Record3D", Use::Read, "fx fy cx cy of each frame, where given"),
    key(
        &["poses"],
        "Record3D",
        Use::Read,
        "qx qy qz qw and the centre of each frame, camera-to-world, OpenGL axes",
    ),
    key(
        &["fps", "frameTimestamps", "dw", "dh", "initPose", "cameraType", "cameraTypes"],
        "Record3D",
        Use::NoEffect,
        "times, and the size of the depth maps, which are compressed with LZFSE and not read",
    ),
];

/// The files of COLMAP and of the programs that export to it.
#[cfg(test)]
pub(in super::super) const COLMAP: &[Key] = &[
    key(
        &["cameras.bin", "cameras.txt"],
        "COLMAP, RealityScan, Metashape",
        Use::Read,
        "every perspective model",
    ),
    key(
        &["images.bin", "images.txt"],
        "COLMAP, RealityScan, Metashape",
        Use::Read,
        "poses; the second lines of images.txt may be missing",
    ),
    key(&["points3D.bin", "points3D.txt"], "COLMAP, RealityScan, Metashape", Use::Read, "points"),
    key(&["points3D.ply"], "gsplat, 3DGS, RealityScan", Use::Read, "points, where there are no others"),
    key(
        &["rigs.bin", "rigs.txt", "frames.bin", "frames.txt"],
        "COLMAP 3.12",
        Use::NoEffect,
        "the poses of rigs, which images repeats for each image",
    ),
    key(&["project.ini", "database.db"], "COLMAP", Use::NoEffect, "settings and features"),
];

/// Metashape's `.xml`: the calibration of a sensor.
pub(in super::super) const METASHAPE: &[Key] = &[
    key(&["resolution"], METASHAPE_NAME, Use::Read, "the size of the photographs"),
    key(
        &["f", "cx", "cy"],
        METASHAPE_NAME,
        Use::Read,
        "in pixels; the principal point from the middle of the image",
    ),
    key(&["b1"], METASHAPE_NAME, Use::Read, "added to f horizontally"),
    key(&["b2"], METASHAPE_NAME, UNLESS_ZERO, "the skew of the pixels"),
    key(&["k1", "k2", "k3", "k4"], METASHAPE_NAME, Use::Read, "radial distortion"),
    key(&["p1", "p2"], METASHAPE_NAME, Use::Read, "decentring, in the order opposite to OpenCV's"),
    key(&["p3", "p4"], METASHAPE_NAME, UNLESS_ZERO, "decentring of higher order"),
    key(
        &["rolling_shutter"],
        METASHAPE_NAME,
        UNLESS_ZERO,
        "rows of the photograph were exposed at different times",
    ),
    key(&["date"], METASHAPE_NAME, Use::NoEffect, "when it was calibrated"),
];

/// RealityScan's table of cameras.
pub(in super::super) const REALITYSCAN: &[Key] = &[
    key(&["name"], SCAN, Use::Read, "the photograph"),
    key(&["x", "y", "alt"], SCAN, Use::Read, "where the camera is"),
    key(&["heading", "pitch", "roll"], SCAN, Use::Read, "in degrees"),
    key(&["f"], SCAN, Use::Read, "the focal length in millimetres, for a longer side of 36"),
    key(&["px", "py"], SCAN, Use::Read, "the principal point from the middle, as a share of the longer side"),
    key(&["k1", "k2", "k3", "k4"], SCAN, Use::Read, "radial distortion; a camera with k1 alone is left out"),
    key(&["t1", "t2"], SCAN, Use::Read, "tangential distortion; a camera that has any is left out"),
];
