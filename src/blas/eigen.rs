//! Eigenvectors of symmetric matrices, by the LAPACK that OpenBLAS brings.

#![allow(unsafe_code)] // a call into LAPACK

use std::ffi::{c_char, c_int};

use ndarray::{Array2, Axis};

/// Eigenvalues and eigenvectors, the largest value first.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigen {
    /// (n).
    pub values: Vec<f64>,
    /// (n, n): row k is eigenvector k, of length 1, rounded to f32; its largest component, the first of equals, is positive.
    pub vectors: Array2<f32>,
}

unsafe extern "C" {
    fn dsyevd_(
        jobz: *const c_char,
        uplo: *const c_char,
        n: *const c_int,
        a: *mut f64,
        lda: *const c_int,
        w: *mut f64,
        work: *mut f64,
        lwork: *const c_int,
        iwork: *mut c_int,
        liwork: *const c_int,
        info: *mut c_int,
    );
}

/// Eigenvalues and eigenvectors of a symmetric matrix (n, n). With one thread and one BLAS kernel the same matrix gives the same bits.
///
/// # Errors
/// LAPACK does not find them, or the matrix is too large for its integers.
///
/// # Panics
/// The matrix is not square.
pub fn symmetric(mut matrix: Array2<f64>) -> Result<Eigen, String> {
    assert!(matrix.is_square(), "a symmetric matrix is square");
    let count = matrix.nrows();
    let n = c_int::try_from(count).map_err(|_| "the matrix is too large".to_owned())?;
    let mut values = vec![0.0; count];
    let (jobz, uplo) = (b'V' as c_char, b'L' as c_char);
    let mut info = 0;
    let mut decompose = |work: &mut [f64], iwork: &mut [c_int], ask: bool| {
        let sizes = [work.len(), iwork.len()].map(|size| if ask { -1 } else { size as c_int });
        let a = matrix.as_slice_mut().expect("the matrix is row-major").as_mut_ptr();
        // SAFETY: all pointers are to live memory of the sizes that are handed over with them; where a size is -1 LAPACK writes only the
        // sizes that it needs into the first elements. A symmetric matrix is the same in row-major and column-major order.
        unsafe {
            dsyevd_(
                &raw const jobz,
                &raw const uplo,
                &raw const n,
                a,
                &raw const n,
                values.as_mut_ptr(),
                work.as_mut_ptr(),
                &raw const sizes[0],
                iwork.as_mut_ptr(),
                &raw const sizes[1],
                &raw mut info,
            );
        }
    };
    let (mut work, mut iwork) = ([0.0], [0]);
    decompose(&mut work, &mut iwork, true);
    let (mut work, mut iwork) = (vec![0.0; work[0] as usize], vec![0; iwork[0] as usize]);
    decompose(&mut work, &mut iwork, false);
    if info != 0 {
        return Err(format!("LAPACK's dsyevd ended with {info}"));
    }
    // Column-major eigenvectors, smallest value first: read as rows, they are eigenvectors, and the last is the first.
    values.reverse();
    matrix.invert_axis(Axis(0));
    for mut vector in matrix.rows_mut() {
        let largest =
            vector.iter().fold(0.0_f64, |largest, &value| if value.abs() > largest.abs() { value } else { largest });
        if largest < 0.0 {
            vector.mapv_inplace(|value| -value);
        }
    }
    let vectors = Array2::from_shape_fn((count, count), |place| matrix[place] as f32);
    Ok(Eigen { values, vectors })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn eigenvectors_rebuild_their_matrix() {
        let a =
            Array2::from_shape_fn((6, 6), |(row, column)| ((row * 7 + column * 7 + row * column) % 11) as f64 - 5.0);
        let Eigen { values, vectors } = symmetric(a.clone()).unwrap();
        assert!(values.is_sorted_by(|a, b| a >= b));
        let vectors = vectors.mapv(f64::from);
        let rebuilt = vectors.t().dot(&Array2::from_diag(&ndarray::Array1::from(values))).dot(&vectors);
        assert!((rebuilt - a).iter().all(|error| error.abs() < 1e-5));
        assert!((vectors.dot(&vectors.t()) - Array2::<f64>::eye(6)).iter().all(|error| error.abs() < 1e-6));
        let largest =
            |row: ndarray::ArrayView1<'_, f64>| row.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
        assert!(vectors.rows().into_iter().all(|row| largest(row) > Some(0.0)));
    }

    #[test]
    fn a_known_matrix_has_its_known_vectors() {
        let Eigen { values, vectors } = symmetric(array![[2.0, 1.0], [1.0, 2.0]]).unwrap();
        assert!((values[0] - 3.0).abs() < 1e-14 && (values[1] - 1.0).abs() < 1e-14);
        assert!((vectors[[0, 0]] - vectors[[0, 1]]).abs() < 1e-7);
        assert!((vectors[[1, 0]] + vectors[[1, 1]]).abs() < 1e-7);
    }
}
