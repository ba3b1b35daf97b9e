//! Poses from files, checked and converted to the convention of this crate: world-to-camera with OpenCV axes (x right,
//! y down, z forward), `x_camera = rotation * x_world + translation`.
//!
//! A pose whose rotation is multiplied by one scale is normalised, and the scale is kept for a warning. What is wrong
//! with a frame is a [`Fault`].

/// Coordinates farther out than this are taken for damage: squares of such distances overflow an `f32`.
pub(crate) const FARTHEST: f64 = 1e15;

/// What is wrong with a frame; the text names the numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// The frame has no usable camera. The others do not depend on it, so it can be left out.
    Broken(String),
    /// The numbers are there, but they mean something else than the format says, so the other frames are suspect too.
    Contradiction(String),
}

impl Fault {
    /// The text.
    pub(crate) fn message(self) -> String {
        match self {
            Self::Broken(message) | Self::Contradiction(message) => message,
        }
    }
}

/// Text alone describes a frame without a usable camera.
impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self::Broken(message)
    }
}

/// A world-to-camera transform.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pose {
    /// Row-major, orthonormal.
    pub(crate) rotation: [[f64; 3]; 3],
    pub(crate) translation: [f64; 3],
    /// The scale that the file multiplied the rotation by and that was taken out of it.
    pub(crate) scale: f64,
    /// Whether the file has the matrix column by column.
    pub(crate) transposed: bool,
}

/// The upper 3x4 part of a matrix with 3 or 4 rows of 4 numbers, which may stand in one row, and whether the file has it
/// column by column: some programs store it so, and then the translation is where others have the last row, 0 0 0 1.
fn rows(matrix: &[Vec<f64>]) -> Result<([[f64; 4]; 3], bool), Fault> {
    let flat: Vec<Vec<f64>>;
    let matrix = match matrix {
        [all] if matches!(all.len(), 12 | 16) => {
            flat = all.chunks(4).map(<[f64]>::to_vec).collect();
            &flat
        }
        other => other,
    };
    let shaped = (3..=4).contains(&matrix.len()) && matrix.iter().all(|row| row.len() == 4);
    if !shaped {
        let widths: Vec<usize> = matrix.iter().take(5).map(Vec::len).collect();
        let message = format!("the matrix has {} rows with {widths:?} numbers, expected 4x4", matrix.len());
        return Err(Fault::Broken(message));
    }
    let last = |row: &[f64]| row[..3].iter().all(|x| x.abs() < 1e-6);
    let column = |c: usize| matrix.iter().map(|row| row[c]).collect::<Vec<f64>>();
    let bottom = matrix.get(3).filter(|row| row.iter().all(|&x| usable(x)) && !last(row));
    let transposed = bottom.is_some() && last(&column(3)) && (matrix[3][3] - 1.0).abs() < 1e-6;
    if let Some(row) = bottom.filter(|_| !transposed) {
        return Err(Fault::Contradiction(format!("the last row of its matrix is {row:?}, expected 0 0 0 1")));
    }
    let at = |r: usize, c: usize| if transposed { matrix[c][r] } else { matrix[r][c] };
    // Homogeneous coordinates: every multiple of the matrix is the same pose.
    let whole = matrix.get(3).map_or(1.0, |row| row[3]);
    let whole = if whole > 0.0 && usable(whole) { whole } else { 1.0 };
    let m: [[f64; 4]; 3] = std::array::from_fn(|r| std::array::from_fn(|c| at(r, c) / whole));
    if m.iter().flatten().any(|&x| !usable(x)) {
        return Err(Fault::Broken(format!(
            "the matrix is {m:?}, expected finite numbers up to {FARTHEST:e}"
        )));
    }
    Ok((m, transposed))
}

/// Whether a number of a pose is finite and near enough to compute with.
pub(crate) fn usable(x: f64) -> bool {
    x.abs() < FARTHEST
}

/// The matrix as a rotation without rounding errors, and the scale it was multiplied by.
pub(crate) fn rotation(m: [[f64; 3]; 3]) -> Result<([[f64; 3]; 3], f64), Fault> {
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let cross = |a: [f64; 3], b: [f64; 3]| {
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    };
    let lengths = m.map(|row| dot(row, row).sqrt());
    let scale = lengths.iter().sum::<f64>() / 3.0;
    if scale < 1e-9 {
        return Err(Fault::Broken(format!("its 3x3 part is {m:?}, expected a rotation")));
    }
    let unit = |v: [f64; 3]| v.map(|x| x / dot(v, v).sqrt());
    let near = |x: f64, to: f64| (x - to).abs() < 1e-2;
    let s = m.map(|row| row.map(|x| x / scale));
    let orthonormal = (0..3).all(|a| (0..3).all(|b| near(dot(s[a], s[b]), f64::from(u8::from(a == b)))));
    if !orthonormal {
        let angle = |a: usize, b: usize| dot(unit(m[a]), unit(m[b])).clamp(-1.0, 1.0).acos().to_degrees();
        return Err(Fault::Contradiction(format!(
            "its 3x3 part is {m:?}, expected a rotation: its rows have the lengths {:.4}, {:.4} and {:.4}, and the \
             angles {:.2}, {:.2} and {:.2} degrees between them (a rotation has 1 and 90)",
            lengths[0],
            lengths[1],
            lengths[2],
            angle(0, 1),
            angle(1, 2),
            angle(0, 2)
        )));
    }
    // Gram-Schmidt orthonormalisation.
    let less = |v: [f64; 3], u: [f64; 3]| std::array::from_fn(|k| v[k] - dot(v, u) * u[k]);
    let x = unit(s[0]);
    let y = unit(less(s[1], x));
    let z = unit(less(less(s[2], x), y));
    if dot(cross(x, y), z) < 0.0 {
        let message = format!("its 3x3 part is {m:?}, which is a reflection, expected a rotation");
        return Err(Fault::Contradiction(message));
    }
    // Rounding errors are no scale.
    Ok(([x, y, z], if near(scale, 1.0) { 1.0 } else { scale }))
}

impl Pose {
    /// Converts a world-to-camera matrix with OpenCV axes.
    pub(crate) fn world_to_camera(matrix: &[Vec<f64>]) -> Result<Self, Fault> {
        let (m, transposed) = rows(matrix)?;
        let (rotation, scale) = rotation(m.map(|row| [row[0], row[1], row[2]]))?;
        // What is scaled is the camera's frame: depths shrink with it, and pixels stay where they are.
        Ok(Self { rotation, translation: m.map(|row| row[3] / scale), scale, transposed })
    }

    /// Converts a camera-to-world matrix with OpenGL axes (x right, y up, z backward).
    pub(crate) fn opengl_to_world(matrix: &[Vec<f64>]) -> Result<Self, Fault> {
        let (m, transposed) = rows(matrix)?;
        let (r, scale) = rotation(m.map(|row| [row[0], row[1], row[2]]))?;
        let sign = [1.0, -1.0, -1.0];
        // The transpose of the rotation whose columns are the OpenCV axes.
        let rotation = std::array::from_fn(|a| std::array::from_fn(|b| sign[a] * r[b][a]));
        Ok(Self { scale, transposed, ..Self::at(rotation, m.map(|row| row[3])) })
    }

    /// The pose of a camera at `center`, world coordinates.
    pub(crate) fn at(rotation: [[f64; 3]; 3], center: [f64; 3]) -> Self {
        let translation = rotation.map(|row: [f64; 3]| -(0..3).map(|k| row[k] * center[k]).sum::<f64>());
        Self { rotation, translation, scale: 1.0, transposed: false }
    }

    /// The pose in coordinates whose origin is at `offset`.
    pub(crate) fn relative_to(&self, offset: [f64; 3]) -> Self {
        if offset == [0.0; 3] {
            return *self;
        }
        let center = self.center();
        let Self { scale, transposed, .. } = *self;
        Self { scale, transposed, ..Self::at(self.rotation, std::array::from_fn(|k| center[k] - offset[k])) }
    }

    /// The camera's centre in world coordinates: `-R^T t`.
    pub(crate) fn center(&self) -> [f64; 3] {
        std::array::from_fn(|c| -(0..3).map(|k| self.rotation[k][c] * self.translation[k]).sum::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One camera in both conventions: at (1, 2, 3), looking along world -z with y up.
    #[test]
    fn both_conventions_agree() {
        let gl = [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 1.0, 3.0]].map(Vec::from);
        let cv = [[1.0, 0.0, 0.0, -1.0], [0.0, -1.0, 0.0, 2.0], [0.0, 0.0, -1.0, 3.0]].map(Vec::from);
        let (a, b) = (Pose::opengl_to_world(&gl).unwrap(), Pose::world_to_camera(&cv).unwrap());
        assert_eq!(a, b);
        assert_eq!(a.center(), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn scales_are_taken_out_and_other_matrices_are_refused() {
        let good = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 6.0]];
        let with = |r: usize, c: usize, x: f64| {
            let mut m = good;
            m[r][c] = x;
            Pose::world_to_camera(&m.map(Vec::from)).unwrap_err()
        };
        let scaled = Pose::world_to_camera(&good.map(|row| row.map(|x| x * 3.0).to_vec())).unwrap();
        assert_eq!((scaled.translation, scaled.scale), ([0.0, 0.0, 6.0], 3.0));
        let scaled = [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 0.0, 2.0], [0.0, 0.5, 0.0, 3.0]].map(Vec::from);
        let scaled = Pose::opengl_to_world(&scaled).unwrap();
        assert_eq!((scaled.center(), scaled.scale), ([1.0, 2.0, 3.0], 0.5), "the centre is not scaled");
        type Kind = fn(String) -> Fault;
        let kinds: [(Fault, Kind, &str); 7] = [
            (with(0, 3, f64::NAN), Fault::Broken, "finite"),
            (with(0, 0, f64::NEG_INFINITY), Fault::Broken, "finite"),
            (with(2, 3, 1e300), Fault::Broken, "finite"),
            (with(2, 2, -1.0), Fault::Contradiction, "reflection"),
            (with(0, 0, 2.0), Fault::Contradiction, "lengths 2.0000, 1.0000 and 1.0000"),
            (with(0, 1, 0.5), Fault::Contradiction, "63.43"),
            (Pose::world_to_camera(&vec![vec![0.0; 4]; 4]).unwrap_err(), Fault::Broken, "rotation"),
        ];
        for (fault, kind, says) in kinds {
            assert_eq!(fault, kind(fault.clone().message()));
            assert!(fault.clone().message().contains(says), "{fault:?}");
        }
        let shape = |m: &[Vec<f64>]| Pose::opengl_to_world(m).unwrap_err().message();
        assert!(
            shape(&[vec![1.0; 4]]).contains("1 rows")
                && shape(&[vec![1.0; 16]]).contains("[1.0, 1.0, 1.0, 1.0], expected 0 0 0 1")
                && shape(&vec![vec![1.0; 3]; 4]).contains("[3, 3, 3, 3]")
        );
    }

    #[test]
    fn matrices_come_in_rows_in_columns_and_in_one_row() {
        let rows = [[0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 2.0], [0.0, 1.0, 0.0, 3.0], [0.0, 0.0, 0.0, 1.0]];
        let columns: [[f64; 4]; 4] = std::array::from_fn(|r| std::array::from_fn(|c| rows[c][r]));
        let expected = Pose::opengl_to_world(&rows.map(Vec::from)).unwrap();
        for (matrix, transposed) in [
            (vec![rows.concat()], false),
            (vec![rows[..3].concat()], false),
            (vec![columns.concat()], true),
            (columns.map(Vec::from).to_vec(), true),
            // All 16 numbers doubled: the same pose.
            (rows.map(|row| row.map(|x| 2.0 * x).to_vec()).to_vec(), false),
        ] {
            assert_eq!(
                Pose::opengl_to_world(&matrix).unwrap(),
                Pose { transposed, ..expected },
                "{matrix:?}"
            );
        }
        let origin = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0; 4]];
        assert!(Pose::opengl_to_world(&origin.map(Vec::from)).is_ok(), "filled up with zeros");
    }

    /// At the coordinates of UTM the shift costs no more than the rounding of `f64`.
    #[test]
    fn poses_shift_without_loss() {
        let turn = [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        let pose = Pose::at(turn, [500_001.25, 5_400_002.5, 130.125]);
        let local = pose.relative_to([500_000.0, 5_400_000.0, 0.0]).center();
        assert!((0..3).all(|k| (local[k] - [1.25, 2.5, 130.125][k]).abs() < 1e-8), "{local:?}");
    }
}
