//! Small complete datasets of every format, with masks and depth maps.

use std::fs;
use std::path::{Path, PathBuf};

use splat_scene::save_png;

const VIEWS: usize = 3;
const SIZE: (u32, u32) = (24, 16);

fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn rgb(channels: usize) -> Vec<u8> {
    (0..SIZE.0 as usize * SIZE.1 as usize * channels).map(|i| (i * 7 % 251) as u8).collect()
}

fn jpeg(path: &Path) {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut bytes)
        .encode(&rgb(3), SIZE.0, SIZE.1, image::ExtendedColorType::Rgb8)
        .unwrap();
    put(path, bytes);
}

/// TIFF, BMP or WebP, as the extension says.
fn other(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_raw(SIZE.0, SIZE.1, rgb(3)).unwrap().save(path).unwrap();
}

fn png(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    save_png(path, SIZE.0, SIZE.1, &rgb(3)).unwrap();
}

fn depth(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let map = vec![700u16; SIZE.0 as usize * SIZE.1 as usize];
    image::ImageBuffer::<image::Luma<u16>, _>::from_raw(SIZE.0, SIZE.1, map).unwrap().save(path).unwrap();
}

fn npy(path: &Path) {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}\n", SIZE.1, SIZE.0);
    let data: Vec<u8> = (0..SIZE.0 * SIZE.1).flat_map(|i| (i as f32 * 0.1).to_le_bytes()).collect();
    let length = (header.len() as u16).to_le_bytes();
    put(path, [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), &data].concat());
}

fn gl(i: usize) -> String {
    format!("[[1,0,0,{i}.5],[0,0,-1,2],[0,1,0,3],[0,0,0,1]]")
}

/// A small complete dataset of each format, with masks and depth maps.
pub(crate) fn datasets(root: &Path) -> Vec<(&'static str, PathBuf)> {
    let at = |name: &'static str| (name, root.join(name));
    let text = at("colmap-text");
    put(
        &text.1.join("sparse/0/cameras.txt"),
        "1 OPENCV 24 16 20 21 12 8 -0.1 0.02 0.001 0.002\n2 FOV 24 16 20 20 12 8 0.5\n",
    );
    let images: String = (0..VIEWS)
        .map(|i| format!("{i} 1 0.1 0 {i} 0.{i} 0 1 {} {i}.jpg\n{}3 4 -1\n", 1 + i % 2, "12 8 1 ".repeat(12)))
        .collect();
    put(&text.1.join("sparse/0/images.txt"), images);
    put(&text.1.join("sparse/0/points3D.txt"), "1 0 0 5 255 0 0 0.5 0 0 1 1\n2 1 nan 5 1 2 3 0.5\n");
    put(
        &text.1.join("sparse/0/depth_params.json"),
        r#"{"0":{"scale":1.5,"offset":0.1},"1":{"scale":1.0,"offset":0}}"#,
    );
    let binary = at("colmap-binary");
    let mut cameras = 2u64.to_le_bytes().to_vec();
    for (id, model, numbers) in [(1u32, 8i32, &[20.0, 12.0, 8.0, 0.03][..]), (2, 1, &[20.0, 21.0, 12.0, 8.0])]
    {
        cameras.extend([id.to_le_bytes(), model.to_le_bytes()].concat());
        cameras.extend([u64::from(SIZE.0).to_le_bytes(), u64::from(SIZE.1).to_le_bytes()].concat());
        numbers.iter().for_each(|x: &f64| cameras.extend(x.to_le_bytes()));
    }
    put(&binary.1.join("sparse/0/cameras.bin"), cameras);
    let mut images = (VIEWS as u64).to_le_bytes().to_vec();
    for i in 0..VIEWS {
        images.extend((i as u32).to_le_bytes());
        [1.0, 0.1, 0.0, 0.0, i as f64, 0.0, 1.0].iter().for_each(|x| images.extend(x.to_le_bytes()));
        images.extend((1 + i as u32 % 2).to_le_bytes());
        images.extend(format!("{i}.jpg\0").bytes());
        images.extend(1u64.to_le_bytes());
        images.extend([1.0f64.to_le_bytes(), 2.0f64.to_le_bytes(), 7u64.to_le_bytes()].concat());
    }
    put(&binary.1.join("sparse/0/images.bin"), images);
    let mut points = 1u64.to_le_bytes().to_vec();
    points.extend(7u64.to_le_bytes());
    [1.0, 2.0, 3.0f64].iter().for_each(|x| points.extend(x.to_le_bytes()));
    points.extend([1, 2, 3]);
    points.extend(0.5f64.to_le_bytes());
    points.extend([1u64.to_le_bytes(), 0u64.to_le_bytes()].concat());
    put(&binary.1.join("sparse/0/points3D.bin"), points);
    let table = at("realityscan");
    let rows: String = (0..VIEWS)
        .map(|i| format!("{i}.jpg,{i},0.5,1,{i}0,80,-3,30,0.001,-0.002,0.01,0.002,0,0,0,0\n"))
        .collect();
    put(
        &table.1.join("cameras.csv"),
        format!("#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2\n{rows}"),
    );
    let nerfstudio = at("nerfstudio");
    let frames: Vec<String> = (0..VIEWS)
        .map(|i| {
            format!(
                r#"{{"file_path":"images/{i}.jpg","mask_path":"masks/{i}.png","depth_file_path":"depths/{i}.png","fl_x":{},"transform_matrix":{}}}"#,
                20 + i,
                gl(i)
            )
        })
        .collect();
    let json = format!(
        r#"{{"camera_model":"OPENCV_FISHEYE","w":24,"h":16,"cx":12.5,"cy":8,"k1":0.01,"k2":-0.02,"k3":0,"k4":0,"p1":0,"p2":0,"ply_file_path":"cloud.ply","applied_transform":[[1,0,0,0],[0,1,0,0],[0,0,1,0]],"train_filenames":["images/0.jpg","images/1.jpg"],"test_filenames":["images/2.jpg"],"frames":[{}]}}"#,
        frames.join(",")
    );
    put(&nerfstudio.1.join("transforms.json"), json);
    put(
        &nerfstudio.1.join("cloud.ply"),
        "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n\
         property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n1 2 3 4 5 6\n7 8 9 10 11 12\n",
    );
    for (_, folder) in [&text, &binary, &nerfstudio] {
        for i in 0..VIEWS {
            jpeg(&folder.join(format!("images/{i}.jpg")));
            png(&folder.join(format!("masks/{i}.png")));
            if i == 1 && folder != &nerfstudio.1 {
                npy(&folder.join("depths/1.npy"));
            } else {
                depth(&folder.join(format!("depths/{i}.png")));
            }
        }
    }
    let synthetic = at("nerf-synthetic");
    for split in ["train", "test"] {
        let frames: Vec<String> = (0..VIEWS)
            .map(|i| {
                format!(r#"{{"file_path":"./{split}/r_{i}","rotation":0.1,"transform_matrix":{}}}"#, gl(i))
            })
            .collect();
        let json = format!(r#"{{"camera_angle_x":0.69,"frames":[{}]}}"#, frames.join(","));
        put(&synthetic.1.join(format!("transforms_{split}.json")), json);
        for i in 0..VIEWS {
            let path = synthetic.1.join(format!("{split}/r_{i}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::RgbaImage::from_raw(SIZE.0, SIZE.1, rgb(4)).unwrap().save(path).unwrap();
        }
    }
    let opencv = at("opencv-cameras");
    let frames: Vec<String> = (0..VIEWS)
        .map(|i| {
            format!(
                r#"{{"w":24,"h":16,"fx":20.5,"fy":20,"cx":12,"cy":8,"w2c":{},"file_path":"images/{i}.png"}}"#,
                gl(i)
            )
        })
        .collect();
    put(&opencv.1.join("opencv_cameras.json"), format!(r#"{{"id":"x","frames":[{}]}}"#, frames.join(",")));
    let polycam = at("polycam");
    for i in 0..VIEWS {
        png(&opencv.1.join(format!("images/{i}.png")));
        let rows = "\"t_00\":1,\"t_01\":0,\"t_02\":0,\"t_10\":0,\"t_11\":0,\"t_12\":-1,\"t_20\":0,\"t_21\":1,\"t_22\":0";
        let json = format!(
            r#"{{"fx":20,"fy":20.5,"cx":12,"cy":8,"width":24,"height":16,{rows},"t_03":{i},"t_13":1,"t_23":2}}"#
        );
        put(&polycam.1.join(format!("keyframes/cameras/{i}.json")), json);
        jpeg(&table.1.join(format!("images/{i}.jpg")));
        jpeg(&polycam.1.join(format!("keyframes/images/{i}.jpg")));
        depth(&polycam.1.join(format!("keyframes/depth/{i}.png")));
    }
    let record3d = at("record3d");
    let poses: Vec<String> = (0..VIEWS).map(|i| format!("[0.1,0,0,1,{i},0,2]")).collect();
    (0..VIEWS).for_each(|i| jpeg(&record3d.1.join(format!("rgbd/{i}.jpg"))));
    put(
        &record3d.1.join("metadata"),
        format!(r#"{{"w":24,"h":16,"K":[20,0,0,0,20,0,12,8,1],"fps":30,"poses":[{}]}}"#, poses.join(",")),
    );
    let metashape = at("metashape");
    let cameras: String = (0..VIEWS)
        .map(|i| {
            other(&metashape.1.join(format!("images/{i}.{}", ["tif", "bmp", "webp"][i % 3])));
            let transform = format!("<transform>1 0 0 {i}.5 0 0 -1 2 0 1 0 3 0 0 0 1</transform>");
            format!(r#"<camera id="{i}" sensor_id="0" component_id="0" label="{i}.jpg">{transform}</camera>"#)
        })
        .collect();
    let xml = format!(
        r#"<document><chunk><sensors><sensor id="0" type="frame"><resolution width="24" height="16"/><calibration><f>20</f><cx>1</cx><k1>-.1</k1><p1>.01</p1></calibration></sensor></sensors><components><component id="0"><transform><rotation>0 -1 0 1 0 0 0 0 1</rotation><translation>1 2 3</translation><scale>2</scale></transform></component></components><cameras>{cameras}</cameras></chunk></document>"#
    );
    put(&metashape.1.join("cameras.xml"), xml);
    vec![text, binary, nerfstudio, synthetic, opencv, polycam, record3d, metashape, table]
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
