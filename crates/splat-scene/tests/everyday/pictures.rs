//! Pictures and masks in every kind that cameras and programs write.

use std::fs;
use std::path::Path;

use image::{DynamicImage, ImageBuffer, Luma, Rgb, Rgba};
use splat_scene::Finding;

use crate::ring::*;

/// The photographs of a sound dataset after `change`, which gets each and its path without an extension.
fn written(root: &Path, change: impl Fn(DynamicImage, &Path)) {
    write_colmap(root);
    for i in 0..CAMERAS {
        let path = root.join("images").join(name(i));
        let picture = image::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        change(picture, &path.with_extension(""));
    }
}

fn deep(picture: &DynamicImage) -> DynamicImage {
    let full = |p: &Rgb<u8>| p.0.map(|x| 257 * u16::from(x));
    let numbers = picture.to_rgb8().pixels().flat_map(full).collect();
    ImageBuffer::<Rgb<u16>, _>::from_raw(SIZE.0, SIZE.1, numbers).map(DynamicImage::ImageRgb16).unwrap()
}

#[test]
fn lossless_pictures_of_every_kind_have_the_same_pixels() {
    let sound = tempfile::tempdir().unwrap();
    write_colmap(sound.path());
    let sound = open(sound.path()).unwrap().views[3].load().unwrap();
    type Write = fn(DynamicImage, &Path);
    let kinds: [(&str, Write); 8] = [
        ("tif", |p, at| p.save(at.with_extension("tif")).unwrap()),
        ("TIFF of 16 bits", |p, at| deep(&p).save(at.with_extension("TIFF")).unwrap()),
        ("PNG of 16 bits", |p, at| deep(&p).save(at.with_extension("png")).unwrap()),
        ("bmp", |p, at| p.save(at.with_extension("bmp")).unwrap()),
        ("opaque alpha", |p, at| p.to_rgba8().save(at.with_extension("tiff")).unwrap()),
        ("a PNG that is called JPEG", |p, at| {
            p.save(at.with_extension("png")).unwrap();
            fs::rename(at.with_extension("png"), at.with_extension("jfif")).unwrap();
        }),
        ("no extension", |p, at| {
            p.save(at.with_extension("bmp")).unwrap();
            fs::rename(at.with_extension("bmp"), at).unwrap();
        }),
        ("macOS' second files", |p, at| {
            p.save(at.with_extension("png")).unwrap();
            put(
                at.with_file_name(format!("._{}.png", at.file_name().unwrap().to_str().unwrap())),
                "resource",
            );
        }),
    ];
    for (what, write) in kinds {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), write);
        let d = open(dir.path()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_same(&d, &[], [0.0; 3]);
        assert!(d.warnings.is_empty(), "{what}: {:?}", d.warnings);
        assert_eq!(d.views[3].load().unwrap(), sound, "{what}");
    }
}

#[test]
fn pictures_that_are_not_read_are_named_by_their_kind() {
    for (extension, head, kind) in [
        ("heic", b"\0\0\0\x18ftypheic".as_slice(), "HEIC"),
        ("avif", b"\0\0\0\x18ftypavif", "AVIF"),
        ("jp2", b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        ("gif", b"GIF89a", "GIF"),
        ("jxl", b"\xff\x0a\0", "JPEG XL"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), |_, at| put(at.with_extension(extension), head));
        let error = open(dir.path()).unwrap_err();
        assert!(error.to_string().contains(&format!(" {kind} file, which is not read")), "{error}");
        assert!(error.hint().unwrap().contains("PNG or JPEG"), "{error}");
    }
}

/// Half a file has a sound header.
#[test]
fn files_that_are_cut_off_cost_their_own_frame() {
    type Write = fn(&DynamicImage, &Path);
    let kinds: [(&str, Write); 3] = [
        ("jpg", |p, at| p.to_rgb8().save(at).unwrap()),
        ("png", |p, at| p.save(at).unwrap()),
        ("webp", |p, at| p.to_rgb8().save(at).unwrap()),
    ];
    for (extension, write) in kinds {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), |p, at| write(&p, &at.with_extension(extension)));
        assert_same(&open(dir.path()).unwrap(), &[], [0.0; 3]);
        let path = dir.path().join("images/frame_003").with_extension(extension);
        let bytes = fs::read(&path).unwrap();
        put(&path, &bytes[..2 * bytes.len() / 3]);
        let d = open(dir.path()).unwrap();
        assert_same(&d, &[3], [0.0; 3]);
        assert_warns(&d, &["1 of 10 frames", "cut off"]);
        assert!(strict(dir.path()).is_err());
    }
}

fn masks(root: &Path, value: impl Fn(usize) -> u8) {
    write_colmap(root);
    for i in 0..CAMERAS {
        let at = root.join("masks").join(name(i)).with_extension("tif");
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        ImageBuffer::<Luma<u8>, _>::from_pixel(SIZE.0, SIZE.1, Luma([value(i)])).save(at).unwrap();
    }
}

#[test]
fn masks_of_0_and_1_count_and_black_ones_are_found_before_training() {
    let dir = tempfile::tempdir().unwrap();
    masks(dir.path(), |_| 1);
    let d = open(dir.path()).unwrap();
    assert!(d.views[0].load().unwrap().mask.unwrap().iter().all(|&m| m == 255));
    assert_eq!(d.plausibility().findings, []);
    masks(dir.path(), |i| if i == 8 { 255 } else { 0 });
    let d = open(dir.path()).unwrap();
    assert!(d.views[0].load().unwrap().mask.unwrap().iter().all(|&m| m == 0));
    assert_eq!(d.plausibility().findings, []);
    masks(dir.path(), |_| 0);
    let found = open(dir.path()).unwrap().plausibility().findings;
    assert!(matches!(found[..], [Finding::AllMasked { .. }]) && found[0].is_severe(), "{found:?}");
}

#[test]
fn thumbnails_among_photographs_are_named() {
    let dir = tempfile::tempdir().unwrap();
    write_colmap(dir.path());
    let small = ImageBuffer::<Rgba<u8>, _>::from_pixel(16, 12, Rgba([9, 9, 9, 255]));
    small.save(dir.path().join("images").join(name(4))).unwrap();
    let d = open(dir.path()).unwrap();
    assert_eq!(d.views.len(), CAMERAS);
    assert_warns(&d, &["1 photographs are less than 0.6 times", &name(4)]);
}
