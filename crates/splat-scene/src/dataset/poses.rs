//! Poses from files, checked and converted to the convention of this crate: world-to-camera with OpenCV axes (x right,
//! y down, z forward), `x_camera = rotation * x_world + translation`.

/// A world-to-camera transform.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pose {
    /// Row-major, orthonormal.
    pub(crate) rotation: [[f64; 3]; 3],
    pub(crate) translation: [f64; 3],
}

/// The upper 3x4 part of a matrix with 3 or 4 rows of 4 numbers; the error says what is wrong with it.
fn rows(matrix: &[Vec<f64>]) -> Result<[[f64; 4]; 3], String> {
    let shaped = (3..=4).contains(&matrix.len()) && matrix.iter().all(|row| row.len() == 4);
    if !shaped {
        let widths: Vec<usize> = matrix.iter().take(5).map(Vec::len).collect();
        return Err(format!("the matrix has {} rows with {widths:?} numbers, expected 4x4", matrix.len()));
    }
    let m: [[f64; 4]; 3] = std::array::from_fn(|r| std::array::from_fn(|c| matrix[r][c]));
    // Finite in `f32`, the type that cameras are computed with.
    if m.iter().flatten().any(|&x| !(x as f32).is_finite()) {
        return Err(format!("the matrix is {m:?}, expected finite numbers"));
    }
    Ok(m)
}

/// The matrix without its rounding errors; the error says why it is not a rotation.
pub(crate) fn rotation(m: [[f64; 3]; 3]) -> Result<[[f64; 3]; 3], String> {
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let near = |x: f64, to: f64| (x - to).abs() < 1e-2;
    let orthonormal = (0..3).all(|a| (0..3).all(|b| near(dot(m[a], m[b]), f64::from(u8::from(a == b)))));
    if !orthonormal {
        return Err(format!("its 3x3 part is {m:?}, expected a rotation (orthonormal to 1e-2)"));
    }
    // Gram-Schmidt orthonormalisation.
    let unit = |v: [f64; 3]| v.map(|x| x / dot(v, v).sqrt());
    let less = |v: [f64; 3], u: [f64; 3]| std::array::from_fn(|k| v[k] - dot(v, u) * u[k]);
    let x = unit(m[0]);
    let y = unit(less(m[1], x));
    let z = unit(less(less(m[2], x), y));
    let cross = [x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]];
    if dot(cross, z) < 0.0 {
        return Err(format!("its 3x3 part is {m:?}, which is a reflection, expected a rotation"));
    }
    Ok([x, y, z])
}

impl Pose {
    /// Converts a world-to-camera matrix with OpenCV axes.
    pub(crate) fn world_to_camera(matrix: &[Vec<f64>]) -> Result<Self, String> {
        let m = rows(matrix)?;
        let rotation = rotation(m.map(|row| [row[0], row[1], row[2]]))?;
        Ok(Self { rotation, translation: m.map(|row| row[3]) })
    }

    /// Converts a camera-to-world matrix with OpenGL axes (x right, y up, z backward).
    pub(crate) fn opengl_to_world(matrix: &[Vec<f64>]) -> Result<Self, String> {
        let m = rows(matrix)?;
        let r = rotation(m.map(|row| [row[0], row[1], row[2]]))?;
        let sign = [1.0, -1.0, -1.0];
        // The transpose of the rotation whose columns are the OpenCV axes.
        let rotation = std::array::from_fn(|a| std::array::from_fn(|b| sign[a] * r[b][a]));
        Ok(Self::at(rotation, m.map(|row| row[3])))
    }

    /// The pose of a camera at `center`, world coordinates.
    fn at(rotation: [[f64; 3]; 3], center: [f64; 3]) -> Self {
        let translation = rotation.map(|row: [f64; 3]| -(0..3).map(|k| row[k] * center[k]).sum::<f64>());
        Self { rotation, translation }
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
    fn invalid_poses_are_refused() {
        let error = |m: [[f64; 4]; 3]| Pose::world_to_camera(&m.map(Vec::from)).unwrap_err();
        let good = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let with = |r: usize, c: usize, x: f64| {
            let mut m = good;
            m[r][c] = x;
            error(m)
        };
        assert!(with(0, 3, f64::NAN).contains("finite"));
        assert!(with(2, 3, 1e300).contains("finite"), "infinite in f32");
        assert!(with(2, 2, -1.0).contains("reflection"));
        assert!(with(0, 0, 2.0).contains("orthonormal") && with(0, 1, 0.5).contains("orthonormal"));
        assert!(Pose::world_to_camera(&[vec![1.0; 4]]).unwrap_err().contains("1 rows"));
        assert!(Pose::opengl_to_world(&vec![vec![1.0; 3]; 4]).unwrap_err().contains("[3, 3, 3, 3]"));
    }
}
